// What the page knows. Panels read it and listen; they never change it. One room for each lane (a run), and what is
// common to all.

/** @typedef {{spec: object|null, state: object|null, frame: object|null, grid: Uint8Array|null, details: Map<string, object>, curve: {loss: number[][], test: number[][], accuracy: number[][], events: object[]}}} Lane */

export class Store {
  constructor() {
    this.hello = null;
    this.status = "connecting"; // "open" "closed" "busy" "invalid" "superseded" "stopped"
    this.lanes = [emptyLane(), null];
    this.target = null; // what the inspector shows, and every panel marks
    this.view = { edges: "weights", units: "a", animate: false, single_keys: true, hide: [] };
    this.listeners = new Map();
  }

  /** Call `listener(payload)` at every `event`; returns a function that ends it. */
  on(event, listener) {
    if (!this.listeners.has(event)) this.listeners.set(event, new Set());
    this.listeners.get(event).add(listener);
    return () => this.listeners.get(event).delete(listener);
  }

  emit(event, payload) {
    for (const listener of this.listeners.get(event) ?? []) listener(payload);
  }

  lane(index) {
    return this.lanes[index];
  }

  setStatus(status, text = "") {
    this.status = status;
    this.emit("status", { status, text });
  }

  /** Show a unit, weight, bias, layer or the loss; null: nothing. */
  select(target) {
    this.target = target;
    this.emit("target", target);
  }

  setView(changes) {
    Object.assign(this.view, changes);
    this.emit("view", this.view);
  }

  /** Take in a message of the server. */
  take(message) {
    switch (message.t) {
      case "hello":
        this.hello = message;
        break;
      case "spec": {
        const lane = (this.lanes[message.lane] ??= emptyLane());
        lane.spec = message;
        lane.frame = lane.grid = null;
        lane.details.clear();
        break;
      }
      case "state":
        (this.lanes[message.lane] ??= emptyLane()).state = message;
        break;
      case "detail":
        this.lanes[message.lane]?.details.set(keyOf(message.target), message);
        break;
      case "curve":
        this.takeCurve(message);
        break;
      case "event":
        if (message.kind === "dropped") this.lanes[1] = null;
        break;
      default:
        return; // answers go to who asked, unknown messages to nobody
    }
    this.emit(message.t, message);
  }

  takeCurve(message) {
    const lane = (this.lanes[message.lane] ??= emptyLane());
    // an increment has what is later than from_step, and the events from it on
    const [whole, from] = [message.whole ?? message.from_step <= 0, message.from_step];
    const keep = (rows) => (whole ? [] : rows.filter(([step]) => step <= from));
    lane.curve = {
      loss: [...keep(lane.curve.loss), ...message.loss],
      test: [...keep(lane.curve.test), ...message.test_loss],
      accuracy: [...keep(lane.curve.accuracy), ...message.accuracy],
      events: [...(whole ? [] : lane.curve.events.filter((event) => event.step < from)), ...message.events],
    };
  }

  takeFrame(frame) {
    const lane = this.lanes[frame.lane];
    if (!lane) return;
    lane.frame = frame;
    if (frame.grid) lane.grid = frame.grid;
    this.emit("frame", frame);
  }
}

function emptyLane() {
  return {
    spec: null,
    state: null,
    frame: null,
    grid: null,
    details: new Map(),
    curve: { loss: [], test: [], accuracy: [], events: [] },
  };
}

/** One string for equal targets. */
export function keyOf(target) {
  return target === null ? "" : [target.kind, target.layer, target.unit, target.input].map((part) => part ?? "").join(".");
}
