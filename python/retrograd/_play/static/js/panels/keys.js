// The keys of the page. Keys that are one character are off where one types, and can be turned off
// altogether.

import { el } from "../draw.js";
import { openDialog } from "../layout.js";
import { stepBack } from "./bar.js";

const STORED = "rg-single-keys";

/** What is said about them, in the help. */
export const KEYS = [
  ["Space", "play or pause"],
  ["→ ←", "next and previous phase"],
  ["Shift + → ←", "one step on and back"],
  ["E", "one epoch"],
  ["R", "reset"],
  ["1 2 3", "edges: weights, gradients, updates"],
  ["A Z D M", "neurons: a, z, δ, map"],
  ["Tab, then arrows", "into the network, and from neuron to neuron"],
  ["Enter", "open the neuron in the inspector"],
  ["W", "its incoming weights, one after another"],
  ["+ −", "change the weight or bias that is open; with Shift ten times as much"],
  ["Drag ↕", "the same, at its value in the network; Esc takes the drag back"],
  ["→ ← in the graph", "next and previous node; Enter opens it in the inspector, Shift moves the picture"],
  ["F", "fork: two runs side by side"],
  ["S", "save"],
  ["T", "all numbers as tables"],
  ["G", "check the gradient of what is open"],
  ["/", "find a setting"],
  ["?", "help"],
  ["Esc", "close what is open"],
];

/** @param {HTMLElement} root  @param {object} context */
export function mount(root, { store, send }) {
  const document = root.ownerDocument;
  store.setView({ single_keys: recall() });
  const box = el("input", { type: "checkbox", id: "rg-single-keys", checked: store.view.single_keys });
  box.addEventListener("change", () => {
    store.setView({ single_keys: box.checked });
    remember(box.checked);
  });
  const rows = KEYS.map(([keys, text]) =>
    el("div", {}, [el("dt", {}, [el("kbd", {}, [keys])]), el("dd", {}, [text])])
  );
  root.append(
    el("dl", { class: "rg-keys" }, rows),
    el("p", {}, [el("label", { class: "rg-check" }, [box, "Keys of one character are on"])]),
  );

  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
    if (document.querySelector("dialog[open]") || types(event.target)) return;
    const act = actionOf(event, { store, send, document });
    if (!act) return;
    event.preventDefault();
    act();
  });
}

/** Whether what is pressed is text for a field. */
function types(element) {
  if (element.closest("select, textarea, [contenteditable]")) return true;
  return element.tagName === "INPUT" && !["checkbox", "radio", "button"].includes(element.type);
}

function actionOf(event, { store, send, document }) {
  const { key, shiftKey, target } = event;
  const state = store.lane(0).state;
  const pressable = target.closest("button, summary, a, [role=tab], input:not([type=radio])");
  switch (key) {
    case " ":
      return pressable ? null : () => send(state?.playing ? "pause" : "play");
    case "ArrowRight":
    case "ArrowLeft": {
      if (target.closest("[role=tablist], [role=radiogroup], [role=slider]")) return null;
      const on = key === "ArrowRight";
      if (shiftKey) return () => (on ? send("step", { n: 1 }) : stepBack(send, state));
      return () => send("phase", { dir: on ? 1 : -1 });
    }
    case "+":
    case "=":
    case "-":
      return ["weight", "bias"].includes(store.target?.kind) ? () => store.emit("nudge", event) : null;
    case "Escape":
      if (typeof store.view.draw === "number") return () => store.setView({ draw: null });
      return store.target ? () => store.select(null) : null;
    default:
      return store.view.single_keys && !event.repeat ? singleKey(key, { store, send, document }) : null;
  }
}

function singleKey(key, { store, send, document }) {
  const views = { 1: ["edges", "weights"], 2: ["edges", "gradients"], 3: ["edges", "updates"] };
  const units = { a: "a", z: "z", d: "delta", m: "map" };
  const lower = key.toLowerCase();
  if (views[key]) return () => store.setView({ [views[key][0]]: views[key][1] });
  if (units[lower]) return () => store.setView({ units: units[lower] });
  switch (lower) {
    case "e":
      return () => send("epoch");
    case "r":
      return () => send("reset", { keep_seed: true });
    case "f":
      return store.lane(1) || store.view.hide.includes("compare") ? null : () => send("fork");
    case "s":
      return () => openDialog(document, "save");
    case "t":
      return () => openDialog(document, "table");
    case "g":
      return () => store.emit("gradcheck", store.target);
    case "/":
      return store.view.hide.includes("setup") ? null : () => {
        store.emit("show", "setup");
        document.getElementById("rg-set-search").focus();
      };
    case "?":
      return () => openDialog(document, "help");
    default:
      return null;
  }
}

function recall() {
  try {
    return localStorage.getItem(STORED) !== "off";
  } catch {
    return true; // no storage: they are on
  }
}

function remember(on) {
  try {
    localStorage.setItem(STORED, on ? "on" : "off");
  } catch {
    // it holds for this page alone
  }
}
