// Gradient flow: how large the gradient is at each layer, and by which two factors it grows or shrinks on its
// way back.

import { FLOW } from "../decode.js";
import { bodyOf, button, make, setAttribute, setProperty, setText, visible } from "../elements.js";

const LOWEST = -8; // decades of the bars
const HIGHEST = 2;
const COLUMNS = 240; // steps of the strip

/** Where a number stands between two powers of ten, 0 to 1. */
export const share = (value, low = LOWEST, high = HIGHEST) =>
  value > 0 ? Math.min(1, Math.max(0, (Math.log10(value) - low) / (high - low))) : 0;

/** @param {HTMLElement} root @param {{store: import("../store.js").Store}} context */
export function mount(root, { store }) {
  const body = bodyOf(root);
  const verdict = make("p", { class: "rg-flow-verdict", "data-kind": "none" });
  const list = make("ol", { class: "rg-flow-list", reversed: true });
  const strip = make("canvas", { class: "rg-strip", role: "img", width: COLUMNS, height: 1 });
  const told = make("p", { class: "rg-soft rg-small-text" });
  body.append(
    make(
      "p",
      { class: "rg-soft rg-small-text" },
      "The last layer first, as backward goes. Bars are powers of ten, from 10⁻⁸ to 10²; the line within " +
        "stands at 10⁻³, the mark at the end where the bar was before.",
    ),
    list,
    make("h3", {}, "RMS ∂L/∂W over time"),
    make("div", { class: "rg-strip-box" }, strip),
    told,
    verdict,
  );
  let rows = [];
  let history = []; // [step, log10 of RMS dL/dW of each layer]

  function build(spec) {
    rows = spec.layers.map((layer, k) =>
      rowOf(k + 1, layer, () => store.select({ kind: "layer", layer: k + 1 })),
    );
    list.replaceChildren(...rows.map((row) => row.element).reverse());
    history = [];
    paint();
  }

  function texts(state) {
    state.flow.forEach((told, k) => rows[k]?.texts(told, state.flow[k + 1]));
    const { verdict: found } = state;
    setAttribute(verdict, "data-kind", found?.kind ?? "none");
    setText(verdict, found ? `⚠ ${found.text} ${found.remedy}` : "Nothing conspicuous in the gradients.");
    setText(told, storyOf(history));
  }

  function bars(frame) {
    rows.forEach((row, l) => frame.flow[l] && row.bars(frame.flow[l]));
    const last = history.at(-1);
    if (last && frame.step < last[0]) history = history.filter(([step]) => step < frame.step);
    if (last?.[0] !== frame.step) history.push([frame.step, frame.flow.map((row) => row.rms_g)]);
    if (history.length > COLUMNS) history.splice(0, history.length - COLUMNS);
    if (visible(root)) paint();
  }

  /** One column for each step that was seen, one row for each layer, the last on top. */
  function paint() {
    const height = Math.max(rows.length, 1);
    if (strip.height !== height) strip.height = height;
    const pen = strip.getContext("2d");
    const [low, high] = coloursOf(strip);
    pen.clearRect(0, 0, COLUMNS, height);
    history.forEach(([, values], x) =>
      values.forEach((value, l) => {
        pen.fillStyle = mixed(low, high, share(value));
        pen.fillRect(COLUMNS - history.length + x, height - 1 - l, 1, 1);
      }),
    );
    setProperty(strip, "--rows", height);
    const first = history[0]?.[0] ?? 0;
    setAttribute(
      strip,
      "aria-label",
      `RMS of ∂L/∂W of ${height} layers, steps ${first} to ${history.at(-1)?.[0] ?? 0}; full colour is large`,
    );
  }

  store.on("spec", (spec) => spec.lane === 0 && build(spec));
  store.on("state", (state) => state.lane === 0 && texts(state));
  store.on("frame", (frame) => frame.lane === 0 && bars(frame));
  store.on("tab", () => visible(root) && paint());
}

function storyOf(history) {
  if (history.length === 0) return "Each step adds a column on the right; the last layer is on top.";
  const steps = `Steps ${history[0][0]} to ${history.at(-1)[0]}, one column for each that was drawn`;
  return `${steps}; the last layer is on top, full colour is large.`;
}

function rowOf(number, layer, go) {
  const bar = (kind) =>
    make(
      "span",
      { class: "rg-bar-box", "aria-hidden": "true" },
      make("span", { class: `rg-flow-bar rg-flow-${kind}` }),
      make("span", { class: "rg-ghost" }),
    );
  const [g, update] = [bar("g"), bar("update")];
  const [size, ratio, delta, units] = [0, 1, 2, 3].map(() => make("span", { class: "rg-flow-value" }));
  const name = button(
    `${number} ${layer.activation}`,
    go,
    { class: "rg-chip", "aria-label": `Layer ${number}, ${layer.activation}: show in the inspector` },
  );
  const line = (title, box, text) => make(
    "span",
    { class: "rg-flow-line" },
    make("span", { class: "rg-soft" }, title),
    box,
    text,
  );
  const element = make(
    "li",
    { class: "rg-flow-row", value: number },
    make("span", { class: "rg-flow-name" }, name, delta, units),
    line("RMS ∂L/∂W", g, size),
    line("step / weight", update, ratio),
  );
  return {
    element,
    /** @param {Record<string, string>} told @param {Record<string, string>} next of the layer behind */
    texts(told, next) {
      setText(size, told.g);
      setText(ratio, told.update_ratio);
      const known = next && told.weight_gain && !"–".includes(told.weight_gain);
      setText(
        delta,
        known
          ? `δ ${told.delta} = ${next.delta} × weights ${told.weight_gain} × slopes ${told.slope_gain}`
          : `δ ${told.delta}`,
      );
      const stuck = [
        ["saturated", told.saturated],
        ["dead", told.dead],
      ].filter(([, text]) => text && !/^(–|0( |$))/.test(text));
      setText(units, stuck.map(([what, text]) => `${text} ${what}`).join(", "));
    },
    /** Numbers of the frame are for lengths alone. @param {Record<typeof FLOW[number], number>} flow */
    bars(flow) {
      for (const [box, value] of [[g, flow.rms_g], [update, flow.update_ratio]]) {
        const length = share(value).toFixed(3);
        const before = box.firstChild.style.getPropertyValue("--share");
        if (before && before !== length) setProperty(box.lastChild, "--share", before);
        setProperty(box.firstChild, "--share", length);
      }
    },
  };
}

/** The two ends of the scale, which the style sheet knows. */
function coloursOf(element) {
  const style = getComputedStyle(element);
  return [style.color, style.borderTopColor].map((text) => text.match(/[\d.]+/g).slice(0, 3).map(Number));
}

const mixed = (from, to, part) =>
  `rgb(${from.map((value, k) => Math.round(value + (to[k] - value) * part)).join(" ")})`;
