// Parts of the panels that need no page: notation, lines of arithmetic, addresses, scales, headings.

import assert from "node:assert/strict";
import test from "node:test";

const at = (path) => new URL(`../../python/retrograd/_play/static/js/${path}`, import.meta.url).href;
const { nameOf, parse, subscript } = await import(at("maths.js"));
const { shown, written } = await import(at("lines.js"));
const { addressOf, configOf, hiddenOf, sameConfig } = await import(at("address.js"));
const { share } = await import(at("panels/flow.js"));
const { headOf, momentOf } = await import(at("panels/table.js"));

test("a symbol with scripts is one node", () => {
  const [node, ...rest] = parse("w_{ji}^(l)");
  assert.equal(rest.length, 0);
  assert.equal(node.text, "w");
  assert.equal(node.sub.map((part) => part.text).join(""), "ji");
  assert.equal(node.sup.map((part) => part.text).join(""), "(l)");
});

test("letters, numbers and signs are told apart", () => {
  const kinds = parse("∂L/∂w = 12").map(({ kind, text }) => `${kind} ${text}`);
  assert.deepEqual(kinds, ["mo ∂", "mi L", "mo /", "mo ∂", "mi w", "mo =", "mn 12"]);
});

test("targets have names", () => {
  assert.equal(nameOf({ kind: "weight", layer: 3, unit: 1, input: 0 }), "Weight w₂₁ of layer 3");
  assert.equal(nameOf({ kind: "weight", layer: 3, unit: 11, input: 0 }), "Weight w₁₂‚₁ of layer 3");
  assert.equal(nameOf({ kind: "unit", layer: 0, unit: 1 }), "Input x₂");
  assert.equal(nameOf({ kind: "loss" }), "Loss L");
  assert.equal(subscript(3), "₃");
});

const LINE = {
  symbol: "z₁",
  formula: "w·x",
  substituted: "2.123456·(−3)",
  result: "-6.370368",
  short: { substituted: "2.123·(−3)", result: "−6.37" },
  python: "z = 2.123456 * (-3)",
  latex: "z_1 = w x",
};

test("a rounded number stands behind ≈, an exact one behind =", () => {
  assert.deepEqual(shown(LINE, false), ["≈ 2.123·(−3)", "≈ −6.37"]);
  assert.deepEqual(shown(LINE, true), ["= 2.123456·(−3)", "= -6.370368"]);
  assert.deepEqual(
    shown({ substituted: "", result: "-2", short: { substituted: "", result: "−2" } }, false),
    ["", "= −2"],
  );
});

test("what is copied has every line, with all digits", () => {
  const blocks = [{ id: "forward", title: "Forward", lines: [LINE] }];
  assert.match(written("Unit", blocks, "text"), /z₁\s+= w·x\s+= 2\.123456·\(−3\)\s+= -6\.370368/);
  assert.match(
    written("Unit", blocks, "python"),
    /from math import \*[^]*# Forward\nz = 2\.123456 \* \(-3\) {2}# -6\.370368/,
  );
  assert.match(written("Unit", blocks, "latex"), /\\begin\{gather\*\}\nz_1 = w x\n\\end\{gather\*\}/);
});

test("settings go into an address and come back", () => {
  const config = {
    dataset: "xor",
    hidden: [4, 3],
    activations: ["tanh", "relu"],
    lr: 0.3,
    clip_norm: null,
    data: { x: [] },
    weights: [[[[1, 2]], [0]]],
  };
  const address = addressOf(config);
  assert.ok(address.startsWith("dataset=xor&hidden=4,3&activations=tanh,relu&lr=0.3"));
  assert.ok(!address.includes("data=") && !address.includes("clip_norm"));
  const { clip_norm, data, ...rest } = config;
  assert.deepEqual(configOf(`#${address}`, config), rest);
  assert.ok(sameConfig(configOf(address, config), config));
});

test("parts that are hidden stand in the address, and only those that there are", () => {
  const address = addressOf({ lr: 0.3 }, ["setup", "speed"]);
  assert.equal(address, "lr=0.3&hide=setup,speed");
  assert.deepEqual(hiddenOf(`#${address}`, ["speed", "setup", "lessons"]), ["speed", "setup"]);
  assert.deepEqual(hiddenOf("#lr=0.3&hide=,nothing,constructor&x", ["setup"]), []);
  assert.deepEqual(hiddenOf("", ["setup"]), []);
  assert.deepEqual(configOf("#hide=setup", { lr: 0.3 }), null);
});

test("an address without hidden layers, and one that names nothing known", () => {
  const known = { hidden: [4], lr: 0.3 };
  assert.deepEqual(configOf("#hidden=&lr=1e-3", known), { hidden: [], lr: 0.001 });
  assert.equal(configOf("#t=secret", known), null);
  assert.equal(configOf("", known), null);
});

test("bars are powers of ten", () => {
  assert.equal(share(1e-3), 0.5);
  assert.equal(share(0), 0);
  assert.equal(share(1e9), 1);
  assert.equal(share(NaN), 0);
});

test("columns and moments are read as words", () => {
  assert.equal(headOf("g0"), "∂L/∂w 1");
  assert.equal(headOf("w11"), "w 12");
  assert.equal(headOf("delta"), "δ");
  assert.equal(headOf("gb"), "∂L/∂b");
  assert.equal(momentOf({ step: 3, phase: 3, phase_layer: 2 }), "Step 3, backward of layer 2");
  assert.equal(momentOf({ step: 3, phase: "idle" }), "Step 3");
});
