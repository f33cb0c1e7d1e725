// What stops the page or the run, with what can be done about it; and, in the footer, what goes wrong more
// slowly.

import { el, icon } from "../draw.js";
import { setAttribute, setText } from "../elements.js";

const WAIT = 3000; // milliseconds of connecting before the page wonders
const SEEN = 6000; // milliseconds that a refusal stays

/** @param {HTMLElement} root  @param {object} context */
export function mount(root, { store, client, send }) {
  const document = root.ownerDocument;
  let diverged = null;
  let slow = false;
  let refused = null;
  let fading = 0;

  const draw = () => {
    document.body.dataset.status = store.status;
    const message = connection(store, slow, client) ?? divergence(diverged, store, send) ?? refused;
    root.replaceChildren(...(message ? [box(message)] : []));
  };
  const wonder = setTimeout(() => {
    slow = true;
    draw();
  }, WAIT);

  store.on("status", draw);
  store.on("hello", () => {
    clearTimeout(wonder);
    diverged = null;
    draw();
  });
  store.on("event", (event) => {
    if (event.kind !== "diverged") return;
    diverged = event;
    draw();
  });
  // a setting that is wrong is said beside its field; what cannot be done at all is said here
  store.on("failed", ({ code, message }) => {
    if (code !== "refused" && code !== "bad_state") return;
    refused = { kind: "wait", title: "Not possible here", text: message };
    draw();
    clearTimeout(fading);
    fading = setTimeout(() => {
      refused = null;
      draw();
    }, SEEN);
  });
  // the reader has gone back, begun anew, or trained on
  store.on("state", (state) => {
    if (!diverged || state.lane !== (diverged.lane ?? 0)) return;
    if (state.step === diverged.step && !state.playing) return;
    diverged = null;
    draw();
  });
  store.on("spec", () => {
    if (!diverged) return;
    diverged = null;
    draw();
  });
  mountVerdict(document, store);
}

function box({ kind, title, text, actions = [] }) {
  const buttons = actions.map(({ label, act }) => {
    const button = el("button", { type: "button", class: "rg-button" }, [label]);
    button.addEventListener("click", act);
    return button;
  });
  return el("div", { class: "rg-message", "data-kind": kind, role: kind === "wait" ? "status" : "alert" }, [
    icon("warn"),
    el("div", { class: "rg-message-text" }, [el("strong", {}, [title]), el("p", {}, [text])]),
    ...(buttons.length ? [el("div", { class: "rg-actions" }, buttons)] : []),
  ]);
}

/** What is wrong between the page and Python, or null. */
function connection(store, slow, client) {
  const reload = { label: "Reload", act: () => location.reload() };
  switch (store.status) {
    case "open":
      return null;
    case "connecting":
      return slow
        ? { kind: "wait", title: "Connecting …", text: "Is retrograd play still running in the terminal?" }
        : null;
    case "invalid":
      return {
        kind: "bad",
        title: "This link is no longer valid",
        text: "Copy the new one from the terminal.",
      };
    case "busy":
      return {
        kind: "wait",
        title: "Already open in another tab",
        text: "One page at a time can run the training.",
        actions: [{ label: "Take over here", act: () => client.transport.takeOver() }],
      };
    case "superseded":
      return {
        kind: "wait",
        title: "Opened in another tab",
        text: "Reload this page to take it back.",
        actions: [reload],
      };
    case "stopped":
      return { kind: "wait", title: "Stopped from Python", text: "What you see is the last state." };
    case "refused":
      return {
        kind: "bad",
        title: "The server refused a message",
        text: "Reload the page to go on.",
        actions: [reload],
      };
    default:
      return {
        kind: "bad",
        title: "Disconnected",
        text:
          "What you see is the last state. Trying again; is retrograd play still running? Between the two, a proxy must let WebSockets pass.",
      };
  }
}

/** A step that was not finite: what, where, and two ways on. */
function divergence(event, store, send) {
  if (!event) return null;
  const lane = event.lane ?? 0;
  const config = store.lane(lane)?.spec?.config;
  const rewind = {
    label: "Rewind 10 steps",
    act: () => send("seek", { step: Math.max(0, event.step - 10) }),
  };
  const slower = {
    label: "Reset with lr/10",
    act: async () => {
      await send("set", { path: "lr", value: Number((config.lr / 10).toPrecision(12)) }, lane);
      await send("reset", { keep_seed: true });
    },
  };
  const actions = config && config.lr !== null ? [rewind, slower] : [rewind];
  return { kind: "bad", title: "Training diverged", text: event.text, actions };
}

/** One line, always in its place: the verdict with its remedy, or what to do next. */
function mountVerdict(document, store) {
  const line = document.getElementById("rg-verdict");
  const [text, remedy] = [el("span", { class: "rg-verdict-text" }), el("span", { class: "rg-remedy" })];
  line.append(icon("warn"), text, remedy);
  const hint = "Space plays. → walks through one step: forward, loss, backward, update.";
  setText(text, hint);
  store.on("state", (state) => {
    if (state.lane !== 0) return;
    setAttribute(line, "data-kind", state.verdict?.kind ?? "none");
    setText(text, state.verdict?.text ?? (state.step === 0 ? hint : ""));
    setText(remedy, state.verdict?.remedy ?? "");
  });
}
