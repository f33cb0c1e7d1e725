// Scales: their label is what they are.
import assert from "node:assert/strict";
import test from "node:test";

import {
  logTicks,
  magnitudeAt,
  Scale,
  snapUp,
  ticks,
} from "../../python/retrograd/_play/static/js/scales.js";

test("up to 1, 2 or 5 times a power of ten", () => {
  for (
    const [value, label] of [
      [1, "1"],
      [1.01, "2"],
      [2.2, "5"],
      [5.1, "10"],
      [0.012, "0.02"],
      [3e-7, "5e-7"],
      [0.001, "0.001"],
      [70000, "1e5"],
      [1e-4, "1e-4"],
    ]
  ) {
    assert.equal(snapUp(value).label, label);
  }
});

test("the label is the value", () => {
  for (let power = -20; power < 20; power += 1) {
    for (const digit of [1, 1.7, 3, 4.99, 9.5]) {
      const wanted = digit * 10 ** power;
      const { value, label } = snapUp(wanted);
      assert.ok(Math.abs(Number(label) / value - 1) < 1e-12, label);
      assert.ok(value >= wanted * (1 - 1e-8) && value <= 2.5001 * wanted, `${wanted}: ${value}`);
    }
  }
});

test("nothing, and what is no number", () => {
  for (const value of [0, NaN, Infinity, -1]) assert.equal(snapUp(value).label, "0");
});

test("a scale grows at once and shrinks late", () => {
  const scale = new Scale();
  assert.ok(scale.fit(0.9));
  assert.equal(scale.label, "1");
  assert.ok(!scale.fit(0.3));
  assert.ok(scale.fit(0.2));
  assert.equal(scale.label, "0.2");
  assert.ok(scale.fit(30));
  assert.equal(scale.label, "50");
});

test("never below the least", () => {
  const scale = new Scale(1);
  scale.fit(0.001);
  assert.equal(scale.value, 1);
});

test("the share of magnitudes", () => {
  const values = Float32Array.from({ length: 100 }, (_, k) => (k % 2 ? -k : k));
  assert.equal(magnitudeAt(0.98, [values]), 98);
  assert.equal(magnitudeAt(1, [[1, NaN, Infinity], [-3]]), 3);
  assert.equal(magnitudeAt(0.5, []), 0);
});

test("ticks are round and inside", () => {
  assert.deepEqual(ticks(0, 0.83, 4).map((tick) => tick.label), ["0", "0.5"]);
  assert.deepEqual(ticks(0, 1234, 5).map((tick) => tick.label), ["0", "500", "1000"]);
  for (const { value, label } of ticks(0.013, 0.21, 6)) {
    assert.ok(value >= 0.013 && value <= 0.2101 && Number(label) === Number(value.toFixed(6)));
  }
  assert.equal(ticks(2, 2, 4).length, 1);
});

test("powers of ten", () => {
  assert.deepEqual(logTicks(0.001, 10, 9).map((tick) => tick.label), ["0.001", "0.01", "0.1", "1", "10"]);
  assert.ok(logTicks(1e-12, 1, 4).length <= 4);
});
