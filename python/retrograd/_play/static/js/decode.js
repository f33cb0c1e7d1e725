// Frames: little-endian headers, then float32 tensors by the spec's layout. The numbers are for drawing alone: what a
// person reads comes from the engine as text.

export const HEADER = 64;
export const PHASES = ["idle", "forward", "loss", "backward", "update"];
export const FLOW = ["rms_g", "rms_delta", "weight_gain", "slope_gain", "update_ratio", "dead", "saturated", "max_g"];

const magic = (view) => String.fromCharCode(view.getUint8(0), view.getUint8(1), view.getUint8(2), view.getUint8(3));

/** The lane and revision of a frame, or null for anything else. @param {ArrayBuffer} buffer */
export function peek(buffer) {
  if (buffer.byteLength < HEADER) return null;
  const view = new DataView(buffer);
  if (magic(view) !== "RGF1") return null;
  return { lane: view.getUint32(8, true), rev: view.getUint32(12, true) };
}

/** The content of a file that was asked for, or null. @param {ArrayBuffer} buffer */
export function blobOf(buffer) {
  return buffer.byteLength >= 4 && magic(new DataView(buffer)) === "RGB1" ? buffer.slice(4) : null;
}

/**
 * A frame as views of its own memory; null where it does not fit the spec it should be of.
 * @param {ArrayBuffer} buffer
 * @param {{rev: number, floats: number, layers: object[], layout: {key: string, layer: number, shape: number[], offset: number}[], grid: object|null}} spec
 */
export function decode(buffer, spec) {
  const head = peek(buffer);
  if (head === null || head.rev !== spec.rev) return null;
  const view = new DataView(buffer);
  const start = view.getUint32(4, true);
  const flags = view.getUint32(28, true);
  const flowAt = start + 4 * spec.floats;
  const gridAt = flowAt + 4 * FLOW.length * spec.layers.length;
  if (gridAt > buffer.byteLength) return null;
  const tensors = new Map();
  for (const { key, layer, shape, offset } of spec.layout) {
    const size = shape.reduce((product, n) => product * n, 1);
    if (offset + size > spec.floats) return null;
    tensors.set(`${key}${layer}`, { data: new Float32Array(buffer, start + 4 * offset, size), shape });
  }
  const flow = spec.layers.map((_, l) => {
    const row = new Float32Array(buffer, flowAt + 4 * FLOW.length * l, FLOW.length);
    return Object.fromEntries(FLOW.map((name, k) => [name, row[k]]));
  });
  return {
    ...head,
    seq: view.getUint32(16, true),
    phase: PHASES[view.getUint32(20, true)] ?? "idle",
    phaseLayer: view.getUint32(24, true),
    nonfinite: (flags & 1) !== 0,
    playing: (flags & 2) !== 0,
    stale: (flags & 8) !== 0,
    step: view.getFloat64(32, true),
    epoch: view.getFloat64(40, true),
    loss: view.getFloat32(48, true),
    testLoss: view.getFloat32(52, true),
    accuracy: view.getFloat32(56, true),
    testAccuracy: view.getFloat32(60, true),
    /** @param {string} key "W" "b" "z" "a" "delta" "gW" "gb" "uW" "ub"; layer 0 has "a" alone */
    tensor: (key, layer) => tensors.get(`${key}${layer}`) ?? null,
    flow,
    grid: flags & 4 ? new Uint8Array(buffer, gridAt) : null,
  };
}
