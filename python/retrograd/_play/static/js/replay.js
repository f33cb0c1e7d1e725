// The page of a recording: moments of a run that are over, shown by the same panels. What would train is refused.

import { Client } from "./client.js";
import { Store } from "./store.js";
import { mountPanels } from "./panels.js";

const PACE = 120; // milliseconds from one moment to the next while playing
const REFUSED = "This is a recording: it shows what happened. For anything else run retrograd play.";

/** The place of the last moment that is not after a step. @param {{step: number}[]} moments */
export function momentAt(moments, step) {
  let place = 0;
  while (place + 1 < moments.length && moments[place + 1].step <= step) place += 1;
  return place;
}

const bytesOf = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)).buffer;

/** A transport whose other side is a recording. */
export function replayed({ open, moments }, { onText, onBinary, onStatus }) {
  let place = 0;
  let playing = 0; // the timer
  let told = []; // the texts of the present moment

  const tell = (text) => {
    const message = typeof text === "string" ? JSON.parse(text) : text;
    onText(message.t === "state" ? { ...message, playing: playing !== 0 } : message);
  };

  function show(next) {
    place = Math.max(0, Math.min(moments.length - 1, next));
    told = moments[place].texts;
    told.forEach(tell);
    onBinary(bytesOf(moments[place].frame));
  }

  function pause() {
    clearInterval(playing);
    playing = 0;
    told.forEach(tell);
  }

  function play() {
    if (place === moments.length - 1) show(0);
    clearInterval(playing);
    playing = setInterval(() => (place === moments.length - 1 ? pause() : show(place + 1)), PACE);
    told.forEach(tell);
  }

  const commands = {
    play,
    pause,
    step: () => show(place + 1),
    epoch: () => show(place + 1),
    phase: ({ dir }) => show(place + dir),
    reset: () => show(0),
    seek: ({ step }) => show(momentAt(moments, step)),
    speed: () => {},
    watch: () => {},
  };

  setTimeout(() => {
    onStatus("open", "");
    open.forEach(tell);
    show(0);
  });
  return {
    send(message) {
      if (message.t !== "cmd") return true;
      const command = commands[message.op];
      // answers come later, as they do from a server
      setTimeout(() => {
        command?.(message.args);
        onText(
          command
            ? { t: "ok", id: message.id, result: {} }
            : { t: "error", id: message.id, code: "refused", field: "", message: REFUSED },
        );
      });
      return true;
    },
    takeOver() {},
    close: () => clearInterval(playing),
  };
}

if (typeof document !== "undefined") {
  const recording = JSON.parse(document.getElementById("rg-recording").textContent);
  const store = new Store();
  const client = new Client(store, (handlers) => replayed(recording, handlers));
  mountPanels(document, { store, client, send: client.send.bind(client) });
}
