// The page inside a notebook: a frame of its own, whose messages go through the widget that holds it.

import { Client } from "./client.js";
import { Store } from "./store.js";
import { mountPanels } from "./panels.js";

/** A transport to the window that holds this one. */
function held({ onText, onBinary, onStatus }) {
  let open = false;
  addEventListener("message", ({ data, source }) => {
    if (source !== parent) return;
    if (typeof data !== "string") return onBinary(data);
    const message = JSON.parse(data);
    if (message.t === "hello") onStatus("open", "");
    open = true;
    onText(message);
  });
  parent.postMessage(JSON.stringify({ t: "ready" }), "*");
  return {
    send(message) {
      if (open) parent.postMessage(JSON.stringify(message), "*");
      return open;
    },
    takeOver() {},
    close() {},
  };
}

const store = new Store();
const client = new Client(store, held);
mountPanels(document, { store, client, send: client.send.bind(client) });
