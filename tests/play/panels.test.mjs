// Parts of the panels that need no page: notation, lines of arithmetic, addresses, scales, headings.

import assert from "node:assert/strict";
import test from "node:test";

const at = (path) => new URL(`../../python/retrograd/_play/static/js/${path}`, import.meta.url).href;
const { nameOf, parse, subscript, targetOf } = await import(at("maths.js"));
const { digits, pythonOf, variableOf, written } = await import(at("lines.js"));
const { addressOf, configOf, sameConfig } = await import(at("address.js"));
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

test("symbols of the engine lead to what they name", () => {
  assert.deepEqual(targetOf("δ", "2", 3), { kind: "unit", layer: 3, unit: 1 });
  assert.deepEqual(targetOf("a", "12", 1), { kind: "unit", layer: 1, unit: 11 });
  assert.deepEqual(targetOf("w", "21", 1), { kind: "weight", layer: 1, unit: 1, input: 0 });
  assert.deepEqual(targetOf("w", "12,3", 2), { kind: "weight", layer: 2, unit: 11, input: 2 });
  assert.deepEqual(targetOf("b", "4", 2), { kind: "bias", layer: 2, unit: 3 });
  for (const other of [["w", "2", 1], ["q", "1", 1], ["δ", "k", 2], ["a", "1", 0], ["a", "0", 1]]) assert.equal(targetOf(...other), null);
});

test("targets have names", () => {
  assert.equal(nameOf({ kind: "weight", layer: 3, unit: 1, input: 0 }), "Weight w₂₁ of layer 3");
  assert.equal(nameOf({ kind: "weight", layer: 3, unit: 11, input: 0 }), "Weight w₁₂‚₁ of layer 3");
  assert.equal(nameOf({ kind: "unit", layer: 0, unit: 1 }), "Input x₂");
  assert.equal(nameOf({ kind: "loss" }), "Loss L");
  assert.equal(subscript(3), "₃");
});

test("the later digits of a number step back, and all of them stay", () => {
  const text = "0.5918375675038847·(−0.71) + 1.2e-05 − 123456.75 + 2.345678901234e-07";
  const pieces = digits(text);
  assert.equal(pieces.flat().join(""), text);
  assert.deepEqual(pieces.map(([, tail]) => tail).filter(Boolean), ["75675038847", "78901234"]);
  assert.ok(pieces[0][0].endsWith("0.59183"));
});

test("a name with a digit in it is no number to be cut", () => {
  assert.deepEqual(digits("x1.23456789012"), [["x1.23456789012", ""]]);
});

test("arithmetic is written for Python", () => {
  assert.equal(pythonOf("(−0.5)·0.25 + ln(0.5)"), "(-0.5)*0.25 + math.log(0.5)");
  assert.equal(pythonOf("1 / (1 + exp(−0.3))"), "1 / (1 + math.exp(-0.3))");
  assert.equal(pythonOf("1 − 0.5²"), "1 - 0.5**2");
  assert.equal(pythonOf("math.tanh(1)"), "math.tanh(1)");
  assert.equal(variableOf("δ₁⁽²⁾"), "delta1_2");
  assert.equal(variableOf("∂L/∂w"), "dL_dw");
  assert.equal(variableOf("2x"), "value_2x");
});

test("what is copied has every line", () => {
  const lines = [{ symbol: "z₁", formula: "w·x", substituted: "2·(−3)", result: "-6", latex: "z_1 &= w x" }];
  const blocks = [{ id: "forward", title: "Forward", lines }];
  assert.match(written("Unit", blocks, "text"), /z₁\s+= w·x\s+= 2·\(−3\)\s+= -6/);
  assert.match(written("Unit", blocks, "python"), /import math[^]*# Forward\nz1 = 2\*\(-3\) {2}# -6/);
  assert.match(written("Unit", blocks, "latex"), /\\begin\{align\*\}\nz_1 &= w x\n\\end\{align\*\}/);
});

test("settings go into an address and come back", () => {
  const config = { dataset: "xor", hidden: [4, 3], activations: ["tanh", "relu"], lr: 0.3, clip_norm: null, data: { x: [] }, weights: [[[[1, 2]], [0]]] };
  const address = addressOf(config);
  assert.ok(address.startsWith("dataset=xor&hidden=4,3&activations=tanh,relu&lr=0.3"));
  assert.ok(!address.includes("data=") && !address.includes("clip_norm"));
  const { clip_norm, data, ...rest } = config;
  assert.deepEqual(configOf(`#${address}`, config), rest);
  assert.ok(sameConfig(configOf(address, config), config));
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
