// How the numbers of each layer are spread: a histogram for each, and of one layer a fan over the steps.

import { bodyOf, choice, make, setAttribute, setText, svg, whileSeen } from "../elements.js";

const KINDS = [
  ["W", "weights W"],
  ["b", "biases b"],
  ["z", "pre-activations z"],
  ["a", "activations a"],
  ["d", "δ = ∂L/∂z"],
  ["g", "gradients ∂L/∂W"],
];
const WIDTH = 240;
const HEIGHT = 56;

/** @param {HTMLElement} root @param {{store: import("../store.js").Store, send: Function}} context */
export function mount(root, { store, send }) {
  const body = bodyOf(root);
  let of = "W";
  const rows = make("div", { class: "rg-histograms" });
  const fan = fanOf((step) => send("seek", { step }));
  let layer = 1; // of the fan
  const refresh = whileSeen(body, 500, async () => {
    const layers = store.lane(0)?.spec?.layers ?? [];
    if (layers.length === 0) return;
    if (which.lastChild.options.length !== layers.length) {
      which.lastChild.replaceChildren(...layers.map((_, k) => make("option", { value: k + 1 }, `layer ${k + 1}`)));
    }
    layer = Math.min(layer, layers.length);
    which.lastChild.value = String(layer);
    const [asked, over] = [of, layer];
    const [spread, ...found] = await Promise.all([
      send("fan", { of, layer }).catch((error) => ({ steps: [], text: error.message })),
      ...layers.map((_, k) => send("hist", { of: asked, layer: k + 1 }).catch((error) => error)),
    ]);
    if (asked !== of || over !== layer) return;
    const kind = KINDS.find(([key]) => key === of)[1];
    fan.show(`Layer ${over}, ${kind} over the steps`, spread, store.lane(0).state.step);
    while (rows.children.length > layers.length) rows.lastChild.remove();
    layers.forEach((layer, k) => {
      const row = rows.children[k] ?? rows.appendChild(rowOf());
      draw(row, `Layer ${k + 1}, ${layer.activation}`, kind, found[k], of === "d" || of === "g");
    });
  });
  const select = choice("of", KINDS, (value) => {
    of = value;
    refresh();
  });
  const which = choice("fan of", [], (value) => {
    layer = Number(value);
    refresh();
  });
  body.append(make("div", { class: "rg-row" }, select, which), fan.root, rows);
  store.on("state", (state) => state.lane === 0 && refresh());
  store.on("tab", (tab) => tab === "distributions" && refresh());
}

const rowOf = () =>
  make(
    "figure",
    { class: "rg-histogram" },
    make("figcaption", {}, make("strong"), make("span", { class: "rg-soft" })),
    svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", preserveAspectRatio: "none" }),
    make(
      "div",
      { class: "rg-ends rg-soft", "aria-hidden": "true" },
      make("span"),
      make("span"),
      make("span"),
    ),
  );

function draw(row, title, kind, found, back) {
  const [caption, picture, ends] = row.children;
  setText(caption.firstChild, title);
  if (found instanceof Error) {
    setText(caption.lastChild, found.message);
    picture.replaceChildren();
    setAttribute(picture, "aria-label", found.message);
    for (const end of ends.children) setText(end, "");
    return;
  }
  setText(caption.lastChild, found.text);
  setAttribute(picture, "aria-label", `${title}, ${kind}: ${found.text}`);
  const { edges, counts } = found;
  const most = Math.max(...counts, 1);
  const [low, high] = [edges[0], edges.at(-1)];
  const at = (value) => ((value - low) / (high - low)) * WIDTH;
  while (picture.children.length > counts.length + 1) picture.lastChild.remove();
  while (picture.children.length < counts.length + 1) picture.append(
    svg(picture.children.length ? "rect" : "line"),
  );
  const [zero, ...bars] = picture.children;
  const crosses = low < 0 && high > 0;
  for (const [name, value] of Object.entries({ x1: at(0), x2: at(0), y1: 0, y2: HEIGHT })) {
    setAttribute(zero, name, crosses ? value.toFixed(1) : -9);
  }
  setAttribute(zero, "class", "rg-zero");
  bars.forEach((bar, k) => {
    const height = counts[k] ? Math.max(1, (counts[k] / most) * (HEIGHT - 2)) : 0;
    const middle = (edges[k] + edges[k + 1]) / 2;
    const values = { x: at(edges[k]) + 0.5, width: WIDTH / counts.length - 1, y: HEIGHT - height, height };
    for (const [name, value] of Object.entries(values)) setAttribute(bar, name, value.toFixed(1));
    setAttribute(bar, "class", `${back ? "rg-back" : "rg-fore"} ${middle < 0 ? "rg-minus" : "rg-plus"}`);
  });
  const texts = found.edge_texts ?? [];
  setText(ends.children[0], texts[0] ?? "");
  setText(ends.children[1], `tallest bar: ${most}`);
  setText(ends.children[2], texts.at(-1) ?? "");
}

/** Nested bands of percentiles, the median as a line, and a slider over them that leads back to a step. */
function fanOf(seek) {
  const title = make("strong");
  const [text, high, low, first, last] = [1, 2, 3, 4, 5].map(() => make("span"));
  const lines = ["outer", "inner", "median", "here"].map((name) => svg("polyline", { class: `rg-fan-${name}` }));
  const [outer, inner, median, here] = lines;
  const picture = svg(
    "svg",
    { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", "aria-hidden": "true" },
    ...lines,
  );
  const slider = make("input", { type: "range", oninput: mark, onchange: () => seek(Number(slider.value)) });
  const value = make("p", { "aria-hidden": "true" });
  const frame = make(
    "div",
    { class: "rg-fan-frame rg-soft" },
    make("div", { class: "rg-fan-ends", "aria-hidden": "true" }, high, low),
    make("div", { class: "rg-fan-picture" }, picture, slider),
    make("div", { class: "rg-ends", "aria-hidden": "true" }, first, last),
    value,
  );
  let found = null;
  const x = (step) => (((step - slider.min) / (slider.max - slider.min)) * WIDTH).toFixed(1);

  function mark() {
    const step = Number(slider.value);
    const words = found.texts[found.steps.findLastIndex((one) => one <= step)];
    setAttribute(slider, "aria-valuetext", words);
    setText(value, words);
    setAttribute(here, "points", `${x(step)},0 ${x(step)},${HEIGHT}`);
  }

  function show(heading, answer, now) {
    found = answer;
    setText(title, heading);
    setText(text, ` ${found.text}`);
    const { steps, percentiles, ends, texts } = found;
    frame.hidden = steps.length === 0;
    if (frame.hidden) return;
    [slider.min, slider.max, slider.value] = [steps[0], steps.at(-1), now];
    const all = percentiles.flat();
    const [bottom, top] = [Math.min(...all), Math.max(...all)];
    const y = (v) => (2 + ((top - v) / (top - bottom || 1)) * (HEIGHT - 4)).toFixed(1);
    const line = (share) => percentiles.map((row, k) => `${x(steps[k])},${y(row[share])}`);
    const band = (from, to) => [...line(from), ...line(to).reverse()].join(" ");
    setAttribute(outer, "points", band(0, 4));
    setAttribute(inner, "points", band(1, 3));
    setAttribute(median, "points", line(2).join(" "));
    [low, high].forEach((end, k) => setText(end, ends[k]));
    [first, last].forEach((end, k) => setText(end, `step ${steps.at(-k)}`));
    setAttribute(slider, "aria-label", `${heading}. ${texts[0]}; ${texts.at(-1)}`);
    mark();
  }

  return { root: make("figure", { class: "rg-fan" }, make("figcaption", {}, title, text), frame), show };
}
