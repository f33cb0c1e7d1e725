// Loss and accuracy over the steps: of training and test, of one run or two, with what was done by hand as
// ticks.

import { el, fit, onceAFrame, onScheme, onSize, palette } from "../draw.js";
import { setAttribute, setText } from "../elements.js";
import { logTicks, ticks } from "../scales.js";

const LEFT = 44; // pixels for the labels of the axis
const RIGHT = 8;
const NAMES = ["A", "B"];

/** @param {HTMLElement} root  @param {object} context */
export function mount(root, { store, send }) {
  const log = el("input", { type: "checkbox", id: "rg-curve-log" });
  const value = el("p", { class: "rg-curve-value", "aria-hidden": "true" });
  const canvas = el("canvas", {
    class: "rg-chart",
    tabIndex: 0,
    role: "slider",
    "aria-label": "Step on the curves; Enter goes back to it",
    "aria-valuemin": "0",
    "aria-valuemax": "0",
    "aria-valuenow": "0",
  });
  const frame = el("div", { class: "rg-chart-frame" }, [canvas]);
  const key = el("ul", { class: "rg-curve-key", "aria-label": "Lines" });
  const summary = el("p", { class: "rg-hidden" });
  root.append(
    el("div", { class: "rg-head" }, [
      root.querySelector("h2"),
      el("label", { class: "rg-check" }, [log, "log"]),
    ]),
    frame,
    el("div", { class: "rg-curve-foot" }, [key, value]),
    summary,
  );
  let [room, cursor, shape] = [{ width: 0, height: 0 }, null, null];

  const draw = () => {
    if (room.width < 60 || room.height < 60) return;
    const context = fit(canvas, room.width, room.height);
    shape = drawCurves(context, room, store.lanes, { log: log.checked, colours: palette(), cursor });
    drawKey(key, store.lanes, palette());
  };
  const redraw = onceAFrame(draw);
  const tell = () => {
    const { curve, state } = store.lane(0);
    const last = curve.loss.at(-1)?.[0] ?? 0;
    setAttribute(canvas, "aria-valuemax", String(Math.max(last, state?.snapshots?.last ?? 0)));
    const at = cursor ?? state?.step ?? 0;
    setAttribute(canvas, "aria-valuenow", String(at));
    const here = valuesAt(store.lanes, at);
    setAttribute(canvas, "aria-valuetext", `step ${at}${here ? `, ${here}` : ""}`);
    setText(value, cursor === null ? "" : `step ${at} · ${here}`);
    const first = curve.loss.find(([, v]) => v !== null);
    if (first && state && !state.playing) {
      const word = state.text.loss;
      setText(
        summary,
        `The loss of the first batch was ${
          text(first[1])
        }; at step ${state.step} the loss of training is ${word}, of the test ${state.text.test_loss}.`,
      );
    }
  };
  const point = (step) => {
    cursor = step;
    tell();
    redraw();
  };

  store.on("curve", () => {
    tell();
    redraw();
  });
  store.on("state", (state) => state.lane === 0 && (tell(), redraw()));
  store.on("event", ({ kind }) => kind === "dropped" && redraw());
  log.addEventListener("change", redraw);
  onScheme(redraw);
  onSize(frame, (width, height) => {
    room = { width, height };
    redraw();
  });
  const stepAt = (event) => {
    if (!shape) return null;
    const x = event.clientX - canvas.getBoundingClientRect().left;
    const share = (x - LEFT) / (room.width - LEFT - RIGHT);
    return Math.round(Math.max(0, Math.min(1, share)) * shape.last);
  };
  canvas.addEventListener("pointermove", (event) => point(stepAt(event)));
  canvas.addEventListener("pointerleave", () => point(null));
  canvas.addEventListener("click", (event) => seek(stepAt(event)));
  canvas.addEventListener("blur", () => point(null));
  canvas.addEventListener("keydown", (event) => {
    const last = shape?.last ?? 0;
    const at = cursor ?? store.lane(0).state?.step ?? 0;
    const stride = event.shiftKey || ["PageUp", "PageDown"].includes(event.key)
      ? Math.max(10, Math.round(last / 10))
      : 1;
    const to = {
      ArrowRight: at + stride,
      ArrowUp: at + stride,
      PageUp: at + stride,
      ArrowLeft: at - stride,
      ArrowDown: at - stride,
      PageDown: at - stride,
      Home: 0,
      End: last,
    }[event.key];
    if (event.key === "Enter") seek(at);
    else if (to !== undefined) point(Math.max(0, Math.min(last, to)));
    else return;
    event.preventDefault();
    event.stopPropagation();
  });

  function seek(step) {
    const { state } = store.lane(0);
    if (step !== null && state) send("seek", { step: Math.min(step, state.snapshots.last) });
  }
}

/** A number as it came, to four digits. */
function text(value) {
  return value === null || value === undefined ? "–" : String(Number(value.toPrecision(4)));
}

/** The values of all lines at a step, as they came. */
function valuesAt(lanes, step) {
  const found = [];
  lanes.forEach((lane, k) => {
    if (!lane) return;
    const run = lanes[1] ? ` ${NAMES[k]}` : "";
    const near = (rows) => rows[Math.max(0, after(rows, step) - 1)]?.[1];
    if (lane.curve.loss.length) found.push(`batch${run} ${text(near(lane.curve.loss))}`);
    if (lane.curve.test.length) found.push(`test${run} ${text(near(lane.curve.test))}`);
  });
  return found.join(" · ");
}

/** The first row that is later than a step. */
function after(rows, step) {
  let [low, high] = [0, rows.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (rows[middle][0] <= step) low = middle + 1;
    else high = middle;
  }
  return low;
}

// ------------------------------------------------------------------------------------------- drawing

function drawCurves(context, room, lanes, options) {
  const runs = lanes.filter(Boolean);
  const last = Math.max(
    10,
    ...runs.map((lane) => Math.max(lane.curve.loss.at(-1)?.[0] ?? 0, lane.state?.snapshots?.last ?? 0)),
  );
  const classes = runs.some((lane) => lane.curve.accuracy.length > 0);
  context.clearRect(0, 0, room.width, room.height);
  const bottom = room.height - 18;
  const split = classes ? Math.round(bottom * 0.62) : bottom;
  const x = (step) => LEFT + (step / last) * (room.width - LEFT - RIGHT);
  const upper = { top: 6, bottom: split - (classes ? 10 : 0) };
  const y = lossAxis(context, runs, upper, options, room.width);
  const { colours } = options;
  marks(context, runs, x, bottom, options);
  lanes.forEach((lane, k) => {
    if (!lane) return;
    const dash = k === 0 ? [] : [6, 4];
    line(context, lane.curve.loss, x, y, upper, { colour: colours.series[0], width: 1.3, dash, alpha: 0.85 });
    line(context, lane.curve.test, x, y, upper, { colour: colours.series[1], width: 2, dash });
  });
  if (classes) {
    const lower = { top: split + 4, bottom };
    const share = shareAxis(context, lower, options, room.width);
    lanes.forEach((lane, k) =>
      lane &&
      line(context, lane.curve.accuracy, x, share, lower, {
        colour: colours.series[2],
        width: 2,
        dash: k === 0 ? [] : [6, 4],
      })
    );
  }
  stepAxis(context, x, last, bottom, options);
  const now = runs[0]?.state?.step;
  if (now !== undefined && now < last) upright(context, x(now), 4, bottom, colours.muted, [2, 3]);
  if (options.cursor !== null) upright(context, x(options.cursor), 4, bottom, colours.ink, []);
  return { last };
}

function lossAxis(context, runs, { top, bottom }, { log, colours }, width) {
  let [low, high] = [Infinity, -Infinity];
  for (const { curve } of runs) {
    for (const rows of [curve.loss, curve.test]) {
      for (const [, v] of rows) {
        if (v === null || (log && v <= 0)) continue;
        if (v < low) low = v;
        if (v > high) high = v;
      }
    }
  }
  if (!(high > -Infinity)) [low, high] = log ? [1e-3, 1] : [0, 1];
  if (log) {
    [low, high] = [10 ** Math.floor(Math.log10(low) + 1e-9), 10 ** Math.ceil(Math.log10(high) - 1e-9)];
    if (low === high) low /= 10;
  } else {
    low = Math.min(0, low);
    high = Math.min(high, 10 * beginning(runs)); // a run that explodes leaves the chart, not the scale
    if (high <= low) high = low + 1;
  }
  const map = log
    ? (v) => Math.log10(Math.max(v, 1e-300) / low) / Math.log10(high / low)
    : (v) => (v - low) / (high - low);
  const y = (v) => bottom - Math.max(0, Math.min(1, map(v))) * (bottom - top);
  const room = Math.max(2, Math.floor((bottom - top) / 26));
  for (const tick of log ? logTicks(low, high, room) : ticks(low, high, room)) {
    gridLine(context, y(tick.value), tick.label, colours, width);
  }
  return y;
}

/** Where the losses began. */
function beginning(runs) {
  const first = runs.map(({ curve }) => Math.abs(curve.loss.find(([, v]) => v !== null)?.[1] ?? 0));
  return Math.max(...first) || Infinity;
}

function shareAxis(context, { top, bottom }, { colours }, width) {
  const y = (v) => bottom - v * (bottom - top);
  for (const [share, label] of [[0, "0 %"], [0.5, "50 %"], [1, "100 %"]]) {
    gridLine(context, y(share), label, colours, width);
  }
  return y;
}

function gridLine(context, y, label, colours, width) {
  context.strokeStyle = colours.line;
  context.lineWidth = 1;
  context.setLineDash([]);
  context.beginPath();
  context.moveTo(LEFT, Math.round(y) + 0.5);
  context.lineTo(width - RIGHT, Math.round(y) + 0.5);
  context.stroke();
  context.fillStyle = colours.muted;
  context.font = "11px system-ui, sans-serif";
  context.textAlign = "right";
  context.textBaseline = "middle";
  context.fillText(label, LEFT - 6, y);
}

function stepAxis(context, x, last, bottom, { colours }) {
  context.fillStyle = colours.muted;
  context.font = "11px system-ui, sans-serif";
  context.textAlign = "center";
  context.textBaseline = "top";
  const all = ticks(0, last, 5);
  all.forEach(({ value, label }, k) => {
    context.textAlign = k === all.length - 1 && value > 0.94 * last ? "right" : "center";
    context.fillText(label, x(value) + (context.textAlign === "right" ? 6 : 0), bottom + 5);
  });
}

/** One stroke for each run of finite values. */
function line(context, rows, x, y, { top, bottom }, { colour, width, dash, alpha = 1 }) {
  context.save();
  context.beginPath();
  context.rect(LEFT, top - 2, 1e4, bottom - top + 4);
  context.clip();
  context.strokeStyle = colour;
  context.lineWidth = width;
  context.lineJoin = "round";
  context.globalAlpha = alpha;
  context.setLineDash(dash);
  context.beginPath();
  let down = false;
  for (const [step, v] of rows) {
    if (v === null) {
      down = false;
      continue;
    }
    if (down) context.lineTo(x(step), y(v));
    else context.moveTo(x(step), y(v));
    down = true;
  }
  context.stroke();
  context.restore();
}

/** What was done by hand, and where a run diverged: ticks at the foot. */
function marks(context, runs, x, bottom, { colours }) {
  for (const { curve } of runs) {
    for (const { step, kind } of curve.events) {
      const bad = kind === "diverged";
      context.fillStyle = bad ? colours.forward.negative : colours.muted;
      context.beginPath();
      context.moveTo(x(step), bottom - 7);
      context.lineTo(x(step) + 4, bottom);
      context.lineTo(x(step) - 4, bottom);
      context.closePath();
      context.fill();
      if (bad) upright(context, x(step), 4, bottom, colours.forward.negative, [3, 3]);
    }
  }
}

function upright(context, x, top, bottom, colour, dash) {
  context.strokeStyle = colour;
  context.lineWidth = 1;
  context.setLineDash(dash);
  context.beginPath();
  context.moveTo(Math.round(x) + 0.5, top);
  context.lineTo(Math.round(x) + 0.5, bottom);
  context.stroke();
  context.setLineDash([]);
}

/** Which line is which; the second run is dashed. */
function drawKey(key, lanes, colours) {
  const lines = [["batch", 0], ["test", 1]];
  if (lanes.some((lane) => lane?.curve.accuracy.length)) lines.push(["accuracy", 2]);
  const built = `${colours.name} ${lines.length} ${Boolean(lanes[1])}`;
  if (key.dataset.built === built) return;
  key.dataset.built = built;
  const items = lines.map(([name, k]) => {
    const item = el("li", {}, [el("i", { class: "rg-key-line" }), name]);
    item.firstChild.style.setProperty("--colour", colours.series[k]);
    return item;
  });
  if (lanes[1]) items.push(el("li", {}, ["A solid, B dashed"]));
  key.replaceChildren(...items);
}
