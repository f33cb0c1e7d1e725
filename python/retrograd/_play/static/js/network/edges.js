// The canvas under the neurons: edges or matrices, biases, small maps, and the arrows of the phase being
// shown.

import { el, fit, onceAFrame, palette as paletteOf } from "../draw.js";
import { edgeCurve, EdgeGrid, pointOn } from "../geometry.js";
import { rgb } from "../palette.js";

export const STRIP = 22; // pixels above the network for the arrows
const PULSE = 600; // milliseconds of the 700 that a phase lasts in slow motion
const MOST_PULSES = 40; // more would be a wall
const LEVELS = 8; // of width and opacity: edges of one level are one stroke
const DASHED = 0.25; // of the scale: weaker edges are so thin that a dash would not be seen
const TENSOR = { weights: "W", gradients: "gW", updates: "uW" };
const BIAS = { weights: "b", gradients: "gb", updates: "ub" };

/** @typedef {{layer: number, unit: number, input: number, at: number, curve: number[]}} Edge */

/** Everything about edges that stays while the network does. @returns {{edges: Edge[], grid: EdgeGrid}} */
export function layEdges(plan) {
  const edges = [];
  const grid = new EdgeGrid();
  for (const pair of plan.pairs) {
    if (pair.matrix) continue;
    const [left, right] = [plan.columns[pair.layer - 1], plan.columns[pair.layer]];
    for (const [unit, to] of right.units.entries()) {
      for (const [input, from] of left.units.entries()) {
        const curve = edgeCurve(from, to);
        const edge = { layer: pair.layer, unit, input, at: unit * left.count + input, curve };
        edges.push(edge);
        grid.add(curve, edge);
      }
    }
  }
  return { edges, grid };
}

/** The arrays an edge mode shows, one for each layer. */
export function edgeArrays(frame, layers, mode) {
  return layers.map((_, k) => frame.tensor(TENSOR[mode], k + 1).data);
}

/** Whether an edge belongs to what is looked at. */
export function touches(edge, target) {
  switch (target?.kind) {
    case "unit":
      return (edge.layer === target.layer && edge.unit === target.unit) ||
        (edge.layer === target.layer + 1 && edge.input === target.unit);
    case "bias":
      return edge.layer === target.layer && edge.unit === target.unit;
    case "weight":
      return edge.layer === target.layer && edge.unit === target.unit && edge.input === target.input;
    case "layer":
      return edge.layer === target.layer;
    default:
      return false;
  }
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {{plan: object, edges: Edge[], frame: object, layers: object[], mode: string, scale: number, palette: object, shown: object|null, faint: number, pinned: object|null}} scene
 */
export function drawNetwork(context, scene) {
  const { plan } = scene;
  context.clearRect(0, 0, plan.width, plan.height + STRIP);
  drawPhase(context, scene);
  context.save();
  context.translate(0, STRIP);
  drawEdges(context, scene);
  for (const pair of plan.pairs) if (pair.matrix) drawMatrix(context, pair, scene);
  for (const column of plan.columns) if (column.strip) drawStrip(context, column, scene);
  drawBiases(context, scene);
  context.restore();
}

function drawEdges(context, { edges, frame, layers, mode, scale, palette, shown, faint, pinned }) {
  const arrays = edgeArrays(frame, layers, mode);
  const { negative, positive } = mode === "weights" ? palette.forward : palette.backward;
  const buckets = Array.from({ length: 4 * (LEVELS + 1) }, () => []); // faint or not, sign, level
  const linked = shown !== null && edges.some((edge) => touches(edge, shown));
  for (const edge of edges) {
    const value = arrays[edge.layer - 1][edge.at];
    if (!Number.isFinite(value)) continue;
    const level = Math.round(Math.min(1, Math.abs(value) / scale) * LEVELS);
    const clear = !linked || touches(edge, shown);
    buckets[(clear ? 2 : 0) * (LEVELS + 1) + (value < 0 ? 0 : 1) * (LEVELS + 1) + level].push(edge.curve);
  }
  context.lineCap = "butt";
  for (const [k, curves] of buckets.entries()) {
    if (curves.length === 0) continue;
    const level = k % (LEVELS + 1);
    const share = level / LEVELS;
    const below = Math.floor(k / (LEVELS + 1)) % 2 === 0;
    const clear = k >= 2 * (LEVELS + 1);
    context.globalAlpha = (0.16 + 0.84 * share) * (clear ? 1 : faint);
    context.strokeStyle = below ? negative : positive;
    context.lineWidth = 0.7 + 4.3 * share;
    context.setLineDash(below && share >= DASHED ? [7, 4] : []);
    trace(context, curves);
    context.stroke();
  }
  context.globalAlpha = 1;
  context.setLineDash([]);
  if (pinned?.kind === "weight") {
    const edge = edges.find((other) => touches(other, pinned));
    if (edge) outline(context, edge.curve, palette.ink);
  }
}

function trace(context, curves) {
  context.beginPath();
  for (const c of curves) {
    context.moveTo(c[0], c[1]);
    context.bezierCurveTo(c[2], c[3], c[4], c[5], c[6], c[7]);
  }
}

/** Two thin lines beside an edge: it is the one that is open. */
function outline(context, c, colour) {
  context.strokeStyle = colour;
  context.lineWidth = 1.2;
  for (const dy of [-4.5, 4.5]) {
    context.beginPath();
    context.moveTo(c[0], c[1] + dy);
    context.bezierCurveTo(c[2], c[3] + dy, c[4], c[5] + dy, c[6], c[7] + dy);
    context.stroke();
  }
}

/** A tick at the left of a neuron: upward for a positive bias, downward for a negative one. */
function drawBiases(context, { plan, frame, mode, scale, palette }) {
  const { negative, positive } = mode === "weights" ? palette.forward : palette.backward;
  for (const column of plan.columns.slice(1)) {
    const biases = frame.tensor(BIAS[mode], column.layer)?.data;
    if (!biases || column.strip) continue;
    for (const [k, { x, y, r }] of column.units.entries()) {
      const share = Math.max(-1, Math.min(1, biases[k] / scale));
      if (!(Math.abs(share) > 0.02)) continue;
      context.fillStyle = share < 0 ? negative : positive;
      context.fillRect(x - r - 7, share < 0 ? y : y - share * r, 3, Math.abs(share) * r);
    }
  }
}

const scratch = typeof document === "undefined" ? null : document.createElement("canvas");

/** Values as pixels, magnified without blur. */
function drawCells(context, values, columns, rows, box, ramp) {
  if (scratch.width !== columns || scratch.height !== rows) [scratch.width, scratch.height] = [columns, rows];
  const small = scratch.getContext("2d");
  const image = small.createImageData(columns, rows);
  const pixels = new Uint32Array(image.data.buffer);
  for (let k = 0; k < pixels.length; k += 1) pixels[k] = ramp(values[k]);
  small.putImageData(image, 0, 0);
  context.imageSmoothingEnabled = false;
  context.drawImage(scratch, box.x, box.y, box.width, box.height);
  context.imageSmoothingEnabled = true;
}

function rampOf(palette, pair, scale) {
  const mid = rgb(palette.mid);
  const ends = [rgb(palette[pair].negative), rgb(palette[pair].positive)];
  return (value) => {
    const share = Math.max(-1, Math.min(1, value / scale)) || 0;
    const end = ends[share < 0 ? 0 : 1];
    const t = Math.abs(share);
    const channel = (c) => Math.round(mid[c] + (end[c] - mid[c]) * t);
    return (255 << 24) | (channel(2) << 16) | (channel(1) << 8) | channel(0);
  };
}

/** The weights of a pair as a matrix: a row for each unit, a column for each input. */
function drawMatrix(context, pair, { frame, layers, mode, scale, palette }) {
  const { units, inputs } = layers[pair.layer - 1];
  const box = matrixBox(pair, units, inputs);
  const values = frame.tensor(TENSOR[mode], pair.layer).data;
  drawCells(
    context,
    values,
    inputs,
    units,
    box,
    rampOf(palette, mode === "weights" ? "forward" : "backward", scale),
  );
  context.strokeStyle = palette.line;
  context.strokeRect(box.x - 0.5, box.y - 0.5, box.width + 1, box.height + 1);
  context.fillStyle = palette.muted;
  context.font = "11px system-ui, sans-serif";
  context.textAlign = "center";
  context.fillText(`${units} × ${inputs}`, box.x + box.width / 2, box.y + box.height + 14);
}

/** Where the matrix stands: as tall as its room lets it, its cells not longer than high. */
export function matrixBox(pair, units, inputs) {
  const cell = Math.max(0.5, Math.min(pair.width / inputs, pair.height / units, 14));
  const width = Math.max(8, Math.min(pair.width, cell * inputs));
  const height = Math.max(8, Math.min(pair.height, cell * units));
  return { x: pair.x + (pair.width - width) / 2, y: pair.y + (pair.height - height) / 2, width, height };
}

/** A layer of many units: one cell for each. */
function drawStrip(context, column, { frame, palette }) {
  const values = frame.tensor("a", column.layer).data;
  const box = { x: column.x - 9, y: column.top, width: 18, height: column.bottom - column.top };
  let most = 1e-12;
  for (const v of values) if (Math.abs(v) > most) most = Math.abs(v);
  drawCells(context, values, 1, values.length, box, rampOf(palette, "forward", most));
  context.strokeStyle = palette.line;
  context.strokeRect(box.x - 0.5, box.y - 0.5, box.width + 1, box.height + 1);
}

/** Arrows in the strip above: solid forward, hollow backward; and a band behind the layer that is shown. */
function drawPhase(context, { plan, frame, palette }) {
  const { phase, phaseLayer } = frame;
  if (phase === "idle") return;
  const { columns, pairs, height } = plan;
  const last = columns.length - 1;
  const marked = { forward: -1, loss: last, backward: phaseLayer, update: -1 }[phase];
  if (marked > 0) {
    const half = Math.max(30, columns[marked].units[0]?.r * 1.9 || 0);
    context.fillStyle = palette.ink;
    context.globalAlpha = 0.06;
    roundRect(context, columns[marked].x - half, 2, 2 * half, height + STRIP - 4, 10);
    context.fill();
    context.globalAlpha = 1;
  }
  const y = STRIP / 2;
  for (const pair of pairs) {
    const [x0, x1] = [columns[pair.layer - 1].x, columns[pair.layer].x];
    const middle = (x0 + x1) / 2;
    const half = Math.min(34, (x1 - x0) * 0.3);
    if (phase === "forward") arrow(context, middle - half, middle + half, y, palette.ink, true);
    if (phase === "backward" && pair.layer > phaseLayer) {
      arrow(context, middle + half, middle - half, y, palette.ink, false);
    }
    if (phase === "update") word(context, "W + ΔW", middle, y, palette.ink);
  }
  if (phase === "loss") word(context, "loss", columns[last].x, y, palette.ink);
  if (phase === "backward") word(context, "δ", columns[phaseLayer]?.x ?? 0, y, palette.ink);
}

function word(context, text, x, y, colour) {
  context.fillStyle = colour;
  context.font = "600 12px system-ui, sans-serif";
  context.textAlign = "center";
  context.textBaseline = "middle";
  context.fillText(text, x, y);
  context.textBaseline = "alphabetic";
}

function arrow(context, from, to, y, colour, solid) {
  const way = Math.sign(to - from);
  const neck = to - 10 * way;
  context.strokeStyle = context.fillStyle = colour;
  context.lineWidth = 1.6;
  context.beginPath();
  context.moveTo(from, y);
  context.lineTo(neck, y);
  context.stroke();
  context.beginPath();
  context.moveTo(to, y);
  context.lineTo(neck, y - 5.5);
  context.lineTo(neck, y + 5.5);
  context.closePath();
  if (solid) context.fill();
  else context.stroke();
}

function roundRect(context, x, y, width, height, r) {
  context.beginPath();
  context.moveTo(x + r, y);
  context.arcTo(x + width, y, x + width, y + height, r);
  context.arcTo(x + width, y + height, x, y + height, r);
  context.arcTo(x, y + height, x, y, r);
  context.arcTo(x, y, x + width, y, r);
  context.closePath();
}

const straight = (from, to, y) => [from, y, (2 * from + to) / 3, y, (from + 2 * to) / 3, y, to, y];

/** The curves that something goes along in a phase, and how far: 0 is their left end, 1 their right. */
function pulsesAt({ plan, edges }, { phase, phaseLayer }, time) {
  const last = plan.columns.length - 1;
  const way = time * last;
  const before = phase === "forward" ? Math.floor(way) : phaseLayer; // the column at the left
  const along = phase === "forward" ? way - before : 1 - time;
  if (before === last) { // what comes back from the loss
    const { x, units } = plan.columns[last];
    return { along, curves: units.map(({ y, r }) => straight(x + r + 4, x + r + 34, y)) };
  }
  const { layer, matrix, x, width, y, height } = plan.pairs[before];
  if (matrix) return { along, curves: [straight(x, x + width, y + height / 2)] };
  const own = edges.filter((edge) => edge.layer === layer);
  const every = Math.ceil(own.length / MOST_PULSES) | 1; // odd, so that no neuron is left out
  return { along, curves: own.filter((_, k) => k % every === 0).map((edge) => edge.curve) };
}

/**
 * Slow motion: solid arrows go along the edges in forward, hollow ones back in backward. Elsewhere no picture is
 * asked for.
 * @returns {(scene: object|null, frame?: object) => void} what each frame calls; null: nothing moves
 */
export function mountPulses(picture) {
  const canvas = el("canvas", { class: "rg-pulses", "aria-hidden": "true", hidden: true });
  picture.append(canvas);
  let [key, now] = ["", null];

  const draw = () => {
    if (!now) return;
    now.began ??= performance.now();
    const time = (performance.now() - now.began) / PULSE;
    if (time >= 1) return stop();
    const { scene, frame } = now;
    const [solid, { ink, card }] = [frame.phase === "forward", paletteOf()];
    const context = fit(canvas, scene.plan.width, scene.plan.height + STRIP);
    context.clearRect(0, 0, scene.plan.width, scene.plan.height + STRIP);
    context.strokeStyle = ink;
    context.fillStyle = solid ? ink : card;
    const { along, curves } = pulsesAt(scene, frame, time);
    for (const curve of curves) {
      const [[x, y], [left, top], [right, bottom]] = [0, -0.02, 0.02].map((t) => pointOn(curve, along + t));
      const way = solid ? 1 : -1;
      context.save();
      context.translate(x, y + STRIP);
      context.rotate(Math.atan2(bottom - top, right - left));
      context.beginPath();
      context.moveTo(6 * way, 0);
      context.lineTo(-5 * way, -4.5);
      context.lineTo(-5 * way, 4.5);
      context.closePath();
      context.fill();
      context.stroke();
      context.restore();
    }
    canvas.hidden = false;
    canvas.dataset.phase = `${frame.phase} ${frame.phaseLayer}`;
    again();
  };
  const again = onceAFrame(draw);
  const stop = () => {
    now = null;
    canvas.hidden = true;
  };

  return (scene, frame) => {
    const moving = scene && (frame.phase === "forward" || frame.phase === "backward");
    const next = moving ? [frame.step, frame.phase, frame.phaseLayer].join() : "";
    if (!moving) stop();
    else if (next !== key) {
      now = { scene, frame };
      again();
    }
    key = next;
  };
}
