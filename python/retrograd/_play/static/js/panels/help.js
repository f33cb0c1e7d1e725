// What the colours, shapes and symbols stand for.

import { bodyOf, make } from "../elements.js";
import { maths } from "../maths.js";

const LEGEND = [
  ["plus", "positive weight, z or a: solid line, blue"],
  ["minus", "negative weight, z or a: broken line, orange"],
  ["back-plus", "positive δ, gradient or update: green ring or line"],
  ["back-minus", "negative δ, gradient or update: purple ring or line"],
];
const SYMBOLS = [
  ["x_i", "input number i of the sample in focus"],
  ["w_{ji}^(l)", "weight of layer l, to its unit j from unit i of the layer before"],
  ["b_j^(l)", "bias of unit j of layer l"],
  ["z_j^(l)", "sum of the unit: weights times what comes in, plus bias"],
  ["a_j^(l)", "output of the unit: its activation function of z"],
  ["ŷ", "output of the network, the a of the last layer"],
  ["y", "target: what the output should be"],
  ["L", "loss: how far ŷ is from y; training makes it smaller"],
  ["δ_j^(l)", "∂L/∂z, how much the loss changes with z: what backward computes, last layer first"],
  ["∂L/∂w", "gradient, the mean over the batch of δ of the unit times a of the unit before"],
  ["η", "learning rate lr: how far a step goes against the gradient"],
  ["w′", "the weight after the update"],
];
const TERMS = [
  [
    "phase",
    "a step has four: forward computes z and a, loss compares, backward computes δ layer by layer, " +
      "update changes the weights",
  ],
  ["batch", "the samples of one step; the gradient is their mean"],
  ["epoch", "once through all training samples"],
  [
    "weight gain, slope gain",
    "the two factors by which δ grows or shrinks from one layer to the one before: through the weights, " +
      "and through the slope of the activation",
  ],
  ["saturated", "the unit's output lies where its slope is nearly 0, so little gets back through it"],
  ["percentile", "5 % of the numbers lie below the 5 % percentile; half of them below the median"],
  ["dead", "a ReLU unit that gives 0 for every training sample; nothing changes it any more"],
];

/** @param {HTMLElement} root */
export function mount(root) {
  const list = (rows) => make(
    "dl",
    { class: "rg-glossary" },
    ...rows.flatMap(([name, text]) => [make("dt", {}, name), make("dd", {}, text)]),
  );
  bodyOf(root).append(
    make(
      "p",
      {},
      "Press play, or go phase by phase with the arrow keys. Click a unit or a line of the network: the " +
        "inspector shows its arithmetic with all numbers, and the value of the line can be dragged up and down. " +
        "Every step can be taken back.",
    ),
    make("h3", {}, "Colours and lines"),
    make(
      "ul",
      { class: "rg-legend-list" },
      ...LEGEND.map(([kind, text]) =>
        make("li", {}, make("span", { class: `rg-swatch rg-swatch-${kind}`, "aria-hidden": "true" }), text),
      ),
    ),
    make("h3", {}, "Symbols"),
    list(SYMBOLS.map(([symbol, text]) => [maths(symbol), text])),
    make("h3", {}, "Words"),
    list(TERMS),
  );
}
