// Frames: what is read stands where the protocol says, and what does not fit is refused.
import assert from "node:assert/strict";
import test from "node:test";

import { blobOf, decode, peek } from "../../python/retrograd/_play/static/js/decode.js";

const SPEC = {
  rev: 3,
  floats: 7,
  layers: [{ units: 1, inputs: 2 }],
  layout: [
    { key: "a", layer: 0, shape: [2], offset: 0 },
    { key: "W", layer: 1, shape: [1, 2], offset: 2 },
    { key: "delta", layer: 1, shape: [1], offset: 6 },
  ],
};

function frame({ rev = 3, flags = 0, grid = 0, floats = 7 } = {}) {
  const buffer = new ArrayBuffer(64 + 4 * floats + 32 + grid);
  const view = new DataView(buffer);
  [..."RGF1"].forEach((letter, k) => view.setUint8(k, letter.charCodeAt(0)));
  [64, 1, rev, 12, 3, 2, flags].forEach((word, k) => view.setUint32(4 + 4 * k, word, true));
  view.setFloat64(32, 2 ** 40 + 1, true);
  view.setFloat64(40, 1.5, true);
  view.setFloat32(48, 0.25, true);
  view.setFloat32(52, NaN, true);
  for (let k = 0; k < floats; k += 1) view.setFloat32(64 + 4 * k, k + 1, true);
  view.setFloat32(64 + 4 * floats, 0.125, true); // rms_g
  for (let k = 0; k < grid; k += 1) view.setUint8(64 + 4 * floats + 32 + k, k);
  return buffer;
}

test("the head of a frame", () => {
  assert.deepEqual(peek(frame()), { lane: 1, rev: 3 });
  assert.equal(peek(new ArrayBuffer(63)), null);
  const other = frame();
  new DataView(other).setUint8(3, 50);
  assert.equal(peek(other), null);
});

test("numbers, tensors and flow", () => {
  const found = decode(frame({ flags: 2 | 8 }), SPEC);
  assert.equal(found.seq, 12);
  assert.equal(found.phase, "backward");
  assert.equal(found.phaseLayer, 2);
  assert.deepEqual([found.nonfinite, found.playing, found.stale], [false, true, true]);
  assert.equal(found.step, 2 ** 40 + 1);
  assert.equal(found.epoch, 1.5);
  assert.equal(found.loss, 0.25);
  assert.ok(Number.isNaN(found.testLoss));
  assert.deepEqual([...found.tensor("a", 0).data], [1, 2]);
  assert.deepEqual([...found.tensor("W", 1).data], [3, 4]);
  assert.deepEqual(found.tensor("W", 1).shape, [1, 2]);
  assert.deepEqual([...found.tensor("delta", 1).data], [7]);
  assert.equal(found.tensor("b", 1), null);
  assert.equal(found.flow[0].rms_g, 0.125);
  assert.equal(found.grid, null);
});

test("a map only where the flag says so", () => {
  assert.deepEqual([...decode(frame({ flags: 4, grid: 4 }), SPEC).grid], [0, 1, 2, 3]);
});

test("a frame of another network is none", () => {
  assert.equal(decode(frame({ rev: 2 }), SPEC), null);
  assert.equal(decode(frame({ floats: 5 }), SPEC), null);
  assert.equal(decode(frame(), { ...SPEC, layout: [{ key: "a", layer: 0, shape: [9], offset: 0 }] }), null);
});

test("files", () => {
  const bytes = new TextEncoder().encode("RGB1abc").buffer;
  assert.equal(new TextDecoder().decode(blobOf(bytes)), "abc");
  assert.equal(blobOf(frame()), null);
  assert.equal(blobOf(new ArrayBuffer(2)), null);
});
