// The value of the weight or bias that is open, at its place in the network: dragged up it grows, dragged down it
// falls. A whole drag is one change; Escape takes it back.

import { el, onceAFrame } from "../draw.js";
import { setAttribute, setText } from "../elements.js";
import { pointOn } from "../geometry.js";
import { nameOf } from "../maths.js";
import { keyOf } from "../store.js";
import { matrixBox, STRIP, touches } from "./edges.js";

const NUDGE = 0.01; // by a key, or a pixel
const FASTER = 10; // with Shift
const THRESHOLD = 4; // pixels that are no drag yet
const SIGNS = { "+": 1, "=": 1, "-": -1, _: -1, "−": -1 };
const ARROWS = { ArrowUp: 1, ArrowRight: 1, ArrowDown: -1, ArrowLeft: -1 };

const changeable = (target) => target?.kind === "weight" || target?.kind === "bias";
const edit = (send, { layer, unit, input = null }, add, join) => send("edit", { layer, unit, input, add, join });

/** + and - change the weight or bias that is open; true where they did. */
export function nudge(event, store, send, signs = SIGNS) {
  const sign = signs[event.key];
  if (!sign || !changeable(store.target)) return false;
  edit(send, store.target, sign * NUDGE * (event.shiftKey ? FASTER : 1), false);
  return true;
}

/** Where the handle of a weight or bias stands: the middle of its edge or cell, left of its neuron. */
export function handlePlace({ kind, layer, unit, input }, { plan, edges, layers }) {
  const [column, pair] = [plan.columns[layer], plan.pairs[layer - 1]];
  if (kind === "bias") {
    const neuron = column.units[unit];
    const share = (unit + 0.5) / column.count;
    return neuron
      ? [neuron.x - neuron.r - 10, neuron.y]
      : [column.x, column.top + share * (column.bottom - column.top)];
  }
  const edge = edges.find((other) => touches(other, { kind, layer, unit, input }));
  if (edge) return pointOn(edge.curve, 0.5);
  const { units, inputs } = layers[layer - 1];
  const box = matrixBox(pair, units, inputs);
  return [box.x + ((input + 0.5) / inputs) * box.width, box.y + ((unit + 0.5) / units) * box.height];
}

/**
 * @param {HTMLElement} picture  @param {object} context
 * @param {() => {plan: object, edges: object[], layers: object[]}|null} scene
 * @returns {() => void} puts it in its place
 */
export function mountHandle(picture, { store, send }, scene) {
  const text = el("span");
  const handle = el("div", {
    class: "rg-handle",
    role: "slider",
    tabIndex: 0,
    hidden: true,
    "aria-orientation": "vertical",
    title: "Drag up or down: with Shift ten times as fast, Escape takes it back",
  }, [text]);
  picture.append(handle);
  let drag = null;

  const show = () => {
    const { target } = store;
    const detail = changeable(target) ? store.lane(0).details.get(keyOf(target)) : null;
    const at = detail?.value && scene();
    handle.hidden = !at;
    if (!at) return;
    const [x, y] = handlePlace(target, at);
    handle.style.setProperty("left", `${x}px`);
    handle.style.setProperty("top", `${y + STRIP}px`);
    setText(text, detail.value.short);
    setAttribute(handle, "data-kind", target.kind);
    setAttribute(handle, "aria-label", nameOf(target));
    setAttribute(handle, "aria-valuenow", detail.value.exact);
    setAttribute(handle, "aria-valuetext", detail.value.short);
  };

  /** Sends how far it has come since it began, one message at a time. */
  const tell = async (held) => {
    if (held.busy) return;
    held.busy = true;
    try {
      if (held.sent !== held.pixels) {
        const { pixels, begun } = held;
        held.begun = true;
        await edit(send, held.target, pixels * NUDGE, begun);
        held.sent = pixels;
      }
    } catch {
      held.sent = held.pixels; // the run has gone on without it
      held.over = true;
    }
    held.busy = false;
    if (held.sent !== held.pixels) requestAnimationFrame(() => tell(held));
    else if (held.over && held.resume) {
      held.resume = false;
      send("play");
    }
  };
  const asked = onceAFrame(() => drag && tell(drag));

  const end = () => {
    if (!drag) return;
    drag.over = true;
    tell(drag);
    drag = null;
    handle.removeAttribute("data-dragged");
    removeEventListener("keydown", escape, true);
  };
  const back = () => {
    if (drag) drag.pixels = 0;
    end();
  };
  const escape = (event) => {
    if (event.key !== "Escape") return;
    event.stopPropagation();
    back();
  };

  handle.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || drag || !changeable(store.target)) return;
    handle.setPointerCapture(event.pointerId);
    drag = { target: store.target, y: event.clientY, pixels: 0, sent: 0, moved: false };
    addEventListener("keydown", escape, true);
  });
  handle.addEventListener("pointermove", (event) => {
    if (!drag) return;
    if (drag.over) return end();
    const up = Math.round(drag.y - event.clientY);
    if (!drag.moved) {
      if (Math.abs(up) < THRESHOLD) return;
      drag.moved = true;
      drag.resume = store.lane(0).state.playing; // it waits while a hand is on it
      if (drag.resume) send("pause");
      handle.toggleAttribute("data-dragged", true);
    }
    drag.y -= up;
    drag.pixels += up * (event.shiftKey ? FASTER : 1);
    asked();
  });
  handle.addEventListener("pointerup", end);
  handle.addEventListener("pointercancel", back);
  handle.addEventListener("lostpointercapture", end);
  handle.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || !nudge(event, store, send, ARROWS)) return;
    event.preventDefault();
    event.stopPropagation();
  });
  store.on("target", show);
  store.on("detail", show);
  return show;
}
