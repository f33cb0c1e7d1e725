// Where the network's parts stand, and which edge is under the pointer. Plain numbers, no document.

const MOST_EDGES = 600; // of a pair of layers; more are drawn as a matrix
const MOST_UNITS = 32; // of a layer; more are drawn as a strip
const CELL = 24; // pixels of the grid edges are looked up in

/** @typedef {{x: number, y: number, r: number}} Unit */
/** @typedef {{layer: number, x: number, count: number, strip: boolean, units: Unit[], pitch: number, top: number, bottom: number}} Column */
/** @typedef {{layer: number, matrix: boolean, x: number, y: number, width: number, height: number}} Pair */

/**
 * @param {{units: number, inputs: number}[]} layers
 * @param {{width: number, height: number, spacing?: number, gap?: number, edge?: number}} room what there is; spacing and gap are least distances
 * @returns {{width: number, height: number, columns: Column[], pairs: Pair[]}}
 */
export function placeNetwork(layers, { width, height, spacing = 11, gap = 56, edge = 62 }) {
  const counts = layers.length ? [layers[0].inputs, ...layers.map((layer) => layer.units)] : [];
  const strips = counts.map((count) => count > MOST_UNITS);
  const tallest = Math.max(1, ...counts.filter((_, k) => !strips[k]));
  const full = {
    width: Math.max(width, 2 * edge + gap * (counts.length - 1)),
    height: Math.max(height, tallest * spacing + 16),
  };
  const distance = counts.length > 1 ? (full.width - 2 * edge) / (counts.length - 1) : 0;
  // a line of text fits below a neuron where there is room
  const radius = (pitch) =>
    Math.max(4, Math.min(20, pitch >= 48 ? (pitch - 19) / 2 : pitch * 0.4, distance * 0.26 || 20));
  const columns = counts.map((count, layer) => {
    const x = edge + distance * layer;
    const own = Math.min(64, (full.height - 8) / Math.max(1, count));
    const r = radius(own);
    const first = full.height / 2 - (own * (count - 1)) / 2;
    const units = strips[layer]
      ? []
      : Array.from({ length: count }, (_, k) => ({ x, y: first + own * k, r }));
    const reach = strips[layer] ? full.height / 2 - 12 : (own * (count - 1)) / 2 + r;
    return {
      layer,
      x,
      count,
      strip: strips[layer],
      units,
      pitch: own,
      top: full.height / 2 - reach,
      bottom: full.height / 2 + reach,
    };
  });
  const pairs = layers.map((_, k) => {
    const [left, right] = [columns[k], columns[k + 1]];
    const matrix = left.strip || right.strip || left.count * right.count > MOST_EDGES;
    const [from, to] = [left, right].map((column) => (column.units[0]?.r ?? 9) + 10);
    return {
      layer: k + 1,
      matrix,
      x: left.x + from,
      y: 16,
      width: right.x - left.x - from - to,
      height: full.height - 32,
    };
  });
  return { ...full, columns, pairs };
}

/** The curve of an edge: level at both ends. @returns {number[]} x0 y0 x1 y1 x2 y2 x3 y3 */
export function edgeCurve(from, to) {
  const bend = (to.x - from.x) * 0.42;
  return [
    from.x + from.r,
    from.y,
    from.x + from.r + bend,
    from.y,
    to.x - to.r - bend,
    to.y,
    to.x - to.r,
    to.y,
  ];
}

/** A point of a curve. @param {number} t 0 to 1 */
export function pointOn(curve, t) {
  const s = 1 - t;
  const [p, q, r, w] = [s * s * s, 3 * s * s * t, 3 * s * t * t, t * t * t];
  return [
    p * curve[0] + q * curve[2] + r * curve[4] + w * curve[6],
    p * curve[1] + q * curve[3] + r * curve[5] + w * curve[7],
  ];
}

/** Curves by the cells they pass through: the nearest is found without looking at all of them. */
export class EdgeGrid {
  constructor() {
    this.cells = new Map();
    this.pieces = [];
  }

  /** @param {number[]} curve  @param {object} edge what is found */
  add(curve, edge) {
    const count = 12;
    let [x0, y0] = pointOn(curve, 0);
    for (let k = 1; k <= count; k += 1) {
      const [x1, y1] = pointOn(curve, k / count);
      this.addPiece({ x0, y0, x1, y1, edge });
      [x0, y0] = [x1, y1];
    }
  }

  addPiece(piece) {
    const at = this.pieces.push(piece) - 1;
    const [left, right] = [piece.x0, piece.x1].map((v) => Math.floor(v / CELL)).sort((p, q) => p - q);
    const [top, bottom] = [piece.y0, piece.y1].map((v) => Math.floor(v / CELL)).sort((p, q) => p - q);
    for (let i = left; i <= right; i += 1) {
      for (let j = top; j <= bottom; j += 1) {
        const key = i * 65536 + j;
        if (!this.cells.has(key)) this.cells.set(key, []);
        this.cells.get(key).push(at);
      }
    }
  }

  /** The edge nearest to a point, or null where none is within reach. */
  nearest(x, y, reach = 7) {
    let [best, found] = [reach * reach, null];
    const [i, j] = [Math.floor(x / CELL), Math.floor(y / CELL)];
    for (let di = -1; di <= 1; di += 1) {
      for (let dj = -1; dj <= 1; dj += 1) {
        for (const at of this.cells.get((i + di) * 65536 + j + dj) ?? []) {
          const distance = squaredDistance(this.pieces[at], x, y);
          if (distance < best) [best, found] = [distance, this.pieces[at].edge];
        }
      }
    }
    return found;
  }
}

function squaredDistance({ x0, y0, x1, y1 }, x, y) {
  const [dx, dy] = [x1 - x0, y1 - y0];
  const length = dx * dx + dy * dy;
  const t = length === 0 ? 0 : Math.max(0, Math.min(1, ((x - x0) * dx + (y - y0) * dy) / length));
  return (x - x0 - t * dx) ** 2 + (y - y0 - t * dy) ** 2;
}

/**
 * Where a map crosses a level: pieces of lines in units of its cells, by marching squares.
 * @param {Uint8Array} grid row by row  @param {number} size of a side
 * @returns {number[]} x0 y0 x1 y1 of each piece
 */
export function contour(grid, size, level) {
  const lines = [];
  const cut = (p, q) => (level - p) / (q - p);
  for (let j = 0; j + 1 < size; j += 1) {
    for (let i = 0; i + 1 < size; i += 1) {
      const [a, b] = [grid[j * size + i], grid[j * size + i + 1]];
      const [d, c] = [grid[(j + 1) * size + i], grid[(j + 1) * size + i + 1]];
      const sides = [];
      if (a < level !== b < level) sides.push([i + cut(a, b), j]);
      if (b < level !== c < level) sides.push([i + 1, j + cut(b, c)]);
      if (d < level !== c < level) sides.push([i + cut(d, c), j + 1]);
      if (a < level !== d < level) sides.push([i, j + cut(a, d)]);
      for (let k = 0; k + 1 < sides.length; k += 2) lines.push(...sides[k], ...sides[k + 1]);
    }
  }
  return lines;
}
