// In slow motion something moves along the edges: solid arrows to the right while a and z are computed, hollow ones
// to the left while δ is. Elsewhere nothing is drawn, and no frame of the screen is asked for.

import { el, fit, onceAFrame, palette } from "../draw.js";
import { pointOn } from "../geometry.js";
import { STRIP } from "./edges.js";

const DURATION = 600; // milliseconds; a phase is 700
const MOST = 40; // arrows at once: more are a wall
const straight = (from, to, y) => [from, y, (2 * from + to) / 3, y, (from + 2 * to) / 3, y, to, y];

/** The curves an arrow goes along in a phase, and how far: 0 is their left end, 1 their right. */
export function pulsesAt({ plan, edges }, phase, phaseLayer, time) {
  const last = plan.columns.length - 1;
  const way = time * last;
  const pair = phase === "forward" ? Math.min(last, 1 + Math.floor(way)) : phaseLayer + 1;
  const along = phase === "forward" ? way - (pair - 1) : 1 - time;
  if (pair > last) { // what comes back from the loss
    const { x, units } = plan.columns[last];
    return { along, curves: units.map(({ y, r }) => straight(x + r + 4, x + r + 34, y)) };
  }
  const { matrix, x, width, y, height } = plan.pairs[pair - 1];
  if (matrix) return { along, curves: [straight(x, x + width, y + height / 2)] };
  const own = edges.filter((edge) => edge.layer === pair);
  const every = Math.ceil(own.length / MOST) | 1; // odd, so that no neuron is left out
  return { along, curves: own.filter((_, k) => k % every === 0).map((edge) => edge.curve) };
}

/** @returns {(scene: object|null, frame?: object) => void} what each frame calls; null: nothing moves */
export function mountPulses(picture) {
  const canvas = el("canvas", { class: "rg-pulses", "aria-hidden": "true", hidden: true });
  picture.append(canvas);
  let [key, now] = ["", null];

  const draw = () => {
    if (!now) return;
    now.began ??= performance.now();
    const time = (performance.now() - now.began) / DURATION;
    if (time >= 1) return stop();
    const { scene, phase, phaseLayer } = now;
    const context = fit(canvas, scene.plan.width, scene.plan.height + STRIP);
    context.clearRect(0, 0, scene.plan.width, scene.plan.height + STRIP);
    context.translate(0, STRIP);
    const { along, curves } = pulsesAt(scene, phase, phaseLayer, time);
    const { ink, card } = palette();
    context.strokeStyle = ink;
    context.fillStyle = phase === "forward" ? ink : card;
    for (const curve of curves) arrow(context, curve, along, phase === "forward" ? 1 : -1);
    canvas.hidden = false;
    canvas.dataset.phase = `${phase} ${phaseLayer}`;
    again();
  };
  const again = onceAFrame(draw);
  const stop = () => {
    now = null;
    canvas.hidden = true;
  };

  return (scene, frame) => {
    if (!scene || (frame.phase !== "forward" && frame.phase !== "backward")) {
      key = "";
      return stop();
    }
    const { phase, phaseLayer, step } = frame;
    const next = [step, phase, phaseLayer].join();
    if (next === key) return;
    key = next;
    now = { scene, phase, phaseLayer };
    again();
  };
}

/** A triangle on a curve that points along it, or back. */
function arrow(context, curve, along, way) {
  const [x, y] = pointOn(curve, along);
  const [left, right] = [pointOn(curve, along - 0.02), pointOn(curve, along + 0.02)];
  context.save();
  context.translate(x, y);
  context.rotate(Math.atan2(right[1] - left[1], right[0] - left[0]));
  context.beginPath();
  context.moveTo(6 * way, 0);
  context.lineTo(-5 * way, -4.5);
  context.lineTo(-5 * way, 4.5);
  context.closePath();
  context.fill();
  context.lineWidth = 1.4;
  context.stroke();
  context.restore();
}
