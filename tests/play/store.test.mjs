// Curves: increments go on where the last ones ended, and a run that went back is told whole.
import assert from "node:assert/strict";
import test from "node:test";

import { Store } from "../../python/retrograd/_play/static/js/store.js";

const curve = (from_step, whole, loss, events = []) => ({
  t: "curve",
  lane: 0,
  from_step,
  whole,
  loss,
  test_loss: [],
  accuracy: [],
  events,
});

test("no step is lost or told twice", () => {
  const store = new Store();
  store.take(curve(-1, true, [[1, 0.9], [2, 0.8]]));
  store.take(curve(2, false, [[3, 0.7]]));
  assert.deepEqual(store.lane(0).curve.loss, [[1, 0.9], [2, 0.8], [3, 0.7]]);
  store.take(curve(1, false, [[2, 0.5]]));
  assert.deepEqual(store.lane(0).curve.loss, [[1, 0.9], [2, 0.5]]);
  store.take(curve(-1, true, [[1, 1]]));
  assert.deepEqual(store.lane(0).curve.loss, [[1, 1]]);
});

test("events of the step itself come anew", () => {
  const store = new Store();
  store.take(curve(-1, true, [], [{ step: 1, kind: "edited" }, { step: 4, kind: "changed" }]));
  store.take(curve(4, false, [], [{ step: 4, kind: "changed" }]));
  assert.deepEqual(store.lane(0).curve.events.map((event) => event.step), [1, 4]);
});
