// Small maps in place of the fills: what each neuron answers over the plane.

import { linked } from "./units.js";

let atlas = null;
let drawn = { grid: null, scheme: "" };

/**
 * @param {CanvasRenderingContext2D} context  @param {object} plan  @param {Uint8Array} grid  @param {object} of spec.grid
 */
export function drawMaps(context, plan, grid, of, palette, { top, shown }) {
  const side = of.small_size;
  const first = of.maps * of.size * of.size;
  if (drawn.grid !== grid || drawn.scheme !== palette.name) {
    paint(grid, first, side, of.small, palette);
    drawn = { grid, scheme: palette.name };
  }
  let at = 0;
  for (const column of plan.columns.slice(1)) {
    const count = Math.min(column.count, 32);
    for (let k = 0; k < count; k += 1, at += 1) {
      const place = column.units[k];
      if (!place) continue;
      const { x, y, r } = place;
      context.save();
      if (shown && !linked(column.layer, k, shown)) context.globalAlpha = 0.35;
      context.beginPath();
      context.arc(x, y + top, r, 0, 2 * Math.PI);
      context.clip();
      context.drawImage(atlas, 0, at * side, side, side, x - r, y - r + top, 2 * r, 2 * r);
      context.restore();
    }
  }
}

function paint(grid, first, side, count, palette) {
  atlas ??= document.createElement("canvas");
  [atlas.width, atlas.height] = [side, side * count];
  const context = atlas.getContext("2d");
  const image = context.createImageData(side, side * count);
  const pixels = new Uint32Array(image.data.buffer);
  const colours = palette.mapColours(1);
  for (let k = 0; k < pixels.length; k += 1) pixels[k] = colours[grid[first + k]];
  context.putImageData(image, 0, 0);
}
