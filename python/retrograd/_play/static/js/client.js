// Commands and their answers, files, frames and their acknowledgement: the protocol above any transport.

import { blobOf, decode, peek } from "./decode.js";

export class Client {
  /** @param {import("./store.js").Store} store  @param {(handlers: object) => object} makeTransport */
  constructor(store, makeTransport) {
    this.store = store;
    this.next = 1;
    this.waiting = new Map(); // id -> {resolve, reject}
    this.files = []; // announced, their content is the next binary message
    this.drawn = null; // the newest frame of each lane that waits to be drawn
    this.transport = makeTransport({
      onText: (message) => this.text(message),
      onBinary: (buffer) => this.binary(buffer),
      onStatus: (status, text) => this.status(status, text),
    });
  }

  /** Ask for something; the promise has the result, or fails with an Error that has `code` and `field`. */
  send(op, args = {}, lane = 0) {
    const id = this.next++;
    const answer = new Promise((resolve, reject) => this.waiting.set(id, { resolve, reject }));
    if (!this.transport.send({ t: "cmd", id, lane, op, args })) {
      this.waiting.get(id).reject(Object.assign(new Error("Not connected."), { code: "closed", field: "" }));
      this.waiting.delete(id);
    }
    answer.catch(() => {}); // who does not look at the answer is told by the "failed" event
    return answer;
  }

  status(status, text) {
    if (status !== "open") {
      for (const { reject } of this.waiting.values()) reject(Object.assign(new Error(text), { code: "closed", field: "" }));
      this.waiting.clear();
      this.files = [];
    }
    this.store.setStatus(status, text);
  }

  text(message) {
    if (message.t === "ok" || message.t === "error") {
      const waiting = this.waiting.get(message.id);
      this.waiting.delete(message.id);
      if (message.t === "ok") return waiting?.resolve(message.result);
      this.store.emit("failed", message);
      return waiting?.reject(Object.assign(new Error(message.message), { code: message.code, field: message.field ?? "" }));
    }
    if (message.t === "blob") return void this.files.push(message);
    this.store.take(message);
  }

  binary(buffer) {
    const content = blobOf(buffer);
    if (content !== null) {
      const file = this.files.shift();
      if (file) this.store.emit("file", { ...file, content });
      return;
    }
    const head = peek(buffer);
    const spec = head && this.store.lane(head.lane)?.spec;
    const frame = spec ? decode(buffer, spec) : null;
    if (frame === null) return this.ack(new DataView(buffer).getUint32(16, true), 0); // of an older spec
    if (this.drawn === null) {
      this.drawn = new Map();
      requestAnimationFrame(() => this.draw());
    }
    const older = this.drawn.get(frame.lane);
    if (older) this.ack(older.seq, 0);
    this.drawn.set(frame.lane, frame);
  }

  draw() {
    const frames = this.drawn;
    this.drawn = null;
    for (const frame of frames.values()) {
      const began = performance.now();
      this.store.takeFrame(frame);
      this.ack(frame.seq, performance.now() - began);
    }
  }

  ack(seq, time) {
    this.transport.send({ t: "ack", seq, draw_ms: Math.round(time * 100) / 100 });
  }
}
