// Where neurons stand, which edge is under the pointer, and where a map crosses a level.
import assert from "node:assert/strict";
import test from "node:test";

import {
  contour,
  edgeCurve,
  EdgeGrid,
  placeNetwork,
  pointOn,
} from "../../python/retrograd/_play/static/js/geometry.js";

const layersOf = (sizes) => sizes.slice(1).map((units, k) => ({ units, inputs: sizes[k] }));

test("a column for the input and each layer, evenly apart", () => {
  const plan = placeNetwork(layersOf([2, 4, 3, 1]), { width: 680, height: 240 });
  assert.deepEqual(plan.columns.map((column) => column.count), [2, 4, 3, 1]);
  const gaps = plan.columns.slice(1).map((column, k) => column.x - plan.columns[k].x);
  for (const gap of gaps) assert.ok(Math.abs(gap - gaps[0]) < 1e-9);
  assert.equal(plan.width, 680);
});

test("neurons stay inside, and do not touch", () => {
  for (const sizes of [[2, 4, 3, 1], [1, 1], [2, 8, 8, 8, 8, 8, 8, 1], [2, 32, 1], [6, 1, 20, 5]]) {
    const plan = placeNetwork(layersOf(sizes), { width: 600, height: 220 });
    for (const column of plan.columns) {
      column.units.forEach(({ y, r }, k) => {
        assert.ok(y - r >= 0 && y + r <= plan.height, `${sizes}: ${y} ${r} of ${plan.height}`);
        if (k > 0) assert.ok(y - column.units[k - 1].y > 2 * r, `${sizes}: neurons touch`);
      });
    }
  }
});

test("the picture grows where there is no room", () => {
  const plan = placeNetwork(layersOf([2, 32, 1]), { width: 100, height: 100 });
  assert.ok(plan.height >= 32 * 11 && plan.width > 100);
});

test("many edges are a matrix, a wide layer is a strip", () => {
  const plan = placeNetwork(layersOf([2, 24, 26, 1]), { width: 600, height: 300 });
  assert.deepEqual(plan.pairs.map((pair) => pair.matrix), [false, true, false]); // 24 x 26 is 624
  const wide = placeNetwork(layersOf([2, 64, 1]), { width: 600, height: 300 });
  assert.deepEqual(wide.columns.map((column) => column.strip), [false, true, false]);
  assert.deepEqual(wide.pairs.map((pair) => pair.matrix), [true, true]);
});

test("no hidden layer", () => {
  const plan = placeNetwork(layersOf([2, 1]), { width: 600, height: 300 });
  assert.equal(plan.columns.length, 2);
});

test("an edge begins and ends at the rims", () => {
  const curve = edgeCurve({ x: 0, y: 10, r: 5 }, { x: 100, y: 50, r: 5 });
  assert.deepEqual(pointOn(curve, 0), [5, 10]);
  assert.deepEqual(pointOn(curve, 1), [95, 50]);
});

test("the grid finds the edge that looking at all of them finds", () => {
  const plan = placeNetwork(layersOf([2, 6, 5, 1]), { width: 640, height: 260 });
  const [grid, all] = [new EdgeGrid(), []];
  for (const pair of plan.pairs) {
    for (const to of plan.columns[pair.layer].units) {
      for (const from of plan.columns[pair.layer - 1].units) {
        const edge = { curve: edgeCurve(from, to) };
        grid.add(edge.curve, edge);
        all.push(edge);
      }
    }
  }
  const distance = (edge, x, y) => {
    let best = Infinity;
    for (let t = 0; t <= 1; t += 0.002) {
      const [px, py] = pointOn(edge.curve, t);
      best = Math.min(best, Math.hypot(px - x, py - y));
    }
    return best;
  };
  let hits = 0;
  for (let x = 30; x < 640; x += 37) {
    for (let y = 5; y < 260; y += 23) {
      const found = grid.nearest(x, y, 7);
      const least = Math.min(...all.map((edge) => distance(edge, x, y)));
      if (found === null) assert.ok(least > 6, `${x} ${y}: an edge is ${least} away`);
      else assert.ok(distance(found, x, y) <= least + 0.8, `${x} ${y}: not the nearest`);
      hits += found === null ? 0 : 1;
    }
  }
  assert.ok(hits > 20);
});

test("the contour of a plane is a straight line where it should be", () => {
  const size = 8;
  const grid = new Uint8Array(size * size).map((_, k) => 20 * (k % size));
  const lines = contour(grid, size, 70);
  assert.equal(lines.length, 4 * (size - 1));
  for (let k = 0; k < lines.length; k += 2) assert.equal(lines[k], 3.5);
});

test("no contour where nothing crosses", () =>
  assert.deepEqual(contour(new Uint8Array(64).fill(9), 8, 100), []));
