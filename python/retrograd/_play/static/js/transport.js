// The only file that knows where messages come from: a WebSocket here. A notebook's widget and a recorded replay bring
// transports of their own with the same two functions, `send` and `close`, and the same callbacks.

const RETRY = [500, 1000, 2000, 4000, 8000]; // milliseconds

/** The token of the address, which then disappears from it; kept for a reload of this tab. Settings beside it stay. */
export function takeToken(location, history, storage) {
  const parts = new URLSearchParams(location.hash.slice(1));
  const found = parts.get("t");
  if (found) {
    storage.setItem("rg-token", found);
    parts.delete("t");
    history.replaceState(null, "", location.pathname + (parts.size ? `#${parts}` : ""));
  }
  return found ?? storage.getItem("rg-token") ?? "";
}

/**
 * @param {{url: string, token: string, onText: (message: object) => void, onBinary: (buffer: ArrayBuffer) => void, onStatus: (status: string, text: string) => void}} options
 */
export function connect({ url, token, onText, onBinary, onStatus }) {
  let socket = null;
  let tries = 0;
  let again = false; // this tab has been in before, so it may come back without a question
  let ended = false;
  let timer = 0;

  function open() {
    socket = new WebSocket(url);
    socket.binaryType = "arraybuffer";
    socket.onopen = () => greet(again);
    socket.onmessage = ({ data }) => {
      if (typeof data !== "string") return onBinary(data);
      const message = JSON.parse(data);
      if (message.t === "error" && message.code === "busy") return onStatus("busy", message.message);
      if (message.t === "hello") {
        tries = 0;
        again = true;
        onStatus("open", "");
      }
      onText(message);
    };
    socket.onclose = ({ code, reason }) => {
      if (ended) return;
      if (code === 4401) return onStatus("invalid", "This link is no longer valid: copy the new one from the terminal.");
      if (code === 4409) return onStatus("superseded", "Opened in another tab. Reload this page to take it back.");
      if (code === 1001) return onStatus("stopped", "Stopped from Python. What you see is the last state.");
      if (code === 4400 || code === 4413) return onStatus("refused", `The server refused a message (${code} ${reason}). Reload the page.`);
      const wait = RETRY[Math.min(tries, RETRY.length - 1)] * (0.8 + 0.4 * Math.random());
      tries += 1;
      onStatus("closed", `Disconnected (${code}); trying again. Is retrograd play still running?`);
      timer = setTimeout(open, wait);
    };
  }

  function greet(takeOver) {
    socket.send(JSON.stringify({ t: "auth", v: 1, token, resume: null, take_over: takeOver }));
  }

  open();
  return {
    send(message) {
      if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify(message));
      return socket?.readyState === WebSocket.OPEN;
    },
    takeOver: () => greet(true),
    close() {
      ended = true;
      clearTimeout(timer);
      socket?.close();
    },
  };
}
