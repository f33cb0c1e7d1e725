// What the network answers over the plane, the samples on it, and points by hand. With one input, the curve
// it draws.

import {
  CLASS_MARKS,
  classPath,
  el,
  fit,
  onceAFrame,
  onScheme,
  onSize,
  palette,
  segmented,
  svg,
} from "../draw.js";
import { setAttribute, setText } from "../elements.js";
import { contour } from "../geometry.js";
import { layerName } from "../network/units.js";

const REACH = 12; // pixels around a point in which a click means it
const KEY_STEP = 0.04; // of the side, for the cursor of the keyboard

/** @param {HTMLElement} root  @param {object} context */
export function mount(root, { store, send }) {
  const parts = build(root, store, send);
  const { canvas, frame: box } = parts;
  const state = { side: 0, cursor: null, focus: null, specs: 0 };

  const spec = () => store.lane(0).spec;
  const drawing = () => typeof store.view.draw === "number";
  const lane = () => store.lane(0);

  const draw = () => {
    const now = spec();
    if (!now || state.side < 20) return;
    const context = fit(canvas, state.side, state.side);
    const colours = palette();
    context.clearRect(0, 0, state.side, state.side);
    if (!now.grid) return;
    if (lane().grid) drawMap(context, now, lane().grid, colours, state, parts.smooth.checked);
    const options = { test: parts.test.checked, focus: state.focus ?? now.focus };
    const key = JSON.stringify([
      now.rev,
      state.specs,
      state.side,
      colours.name,
      options,
      window.devicePixelRatio,
    ]);
    if (state.marksKey !== key) {
      // samples stay where they are: they are painted once, the map under them many times a second
      state.marks ??= document.createElement("canvas");
      const marks = fit(state.marks, state.side, state.side);
      marks.clearRect(0, 0, state.side, state.side);
      drawPoints(marks, now, colours, state.side, options);
      state.marksKey = key;
    }
    context.drawImage(state.marks, 0, 0, state.side, state.side);
    if (state.cursor) drawCursor(context, state.cursor, state.side, colours, drawing());
  };
  const redraw = onceAFrame(draw);

  let seen = null;
  store.on("frame", (frame) => {
    if (frame.lane !== 0 || lane().grid === seen) return;
    seen = lane().grid;
    draw();
  });
  store.on("spec", (message) => {
    if (message.lane !== 0) return;
    state.specs += 1;
    parts.show(message, store.hello);
    redraw();
  });
  store.on("state", (message) => {
    if (message.lane !== 0) return;
    const focus = Number(message.focus.index ?? -1);
    if (focus !== state.focus) {
      state.focus = focus;
      redraw();
    }
    parts.write(message, spec());
  });
  store.on("view", () => {
    parts.mode(store.view.draw, spec());
    redraw();
  });
  parts.test.addEventListener("change", redraw);
  parts.smooth.addEventListener("change", redraw);
  onScheme(redraw);
  onSize(box, (width, height) => {
    state.side = Math.floor(Math.min(width, height > 60 ? height : width));
    redraw();
  });
  mountPointer(canvas, state, { store, send, spec, drawing, redraw, parts });
}

// ------------------------------------------------------------------------------------------- drawing

/** The map, magnified; of several classes the colour of the likeliest, stronger where it is surer. */
function drawMap(context, spec, grid, colours, state, smooth) {
  const { size, maps } = spec.grid;
  state.tile ??= document.createElement("canvas");
  const tile = state.tile;
  if (tile.width !== size) tile.width = tile.height = size;
  const small = tile.getContext("2d");
  state.image ??= small.createImageData(size, size);
  const pixels = new Uint32Array(state.image.data.buffer);
  if (maps === 1) {
    if (state.lutOf !== colours.name) [state.lut, state.lutOf] = [colours.mapColours(), colours.name];
    for (let k = 0; k < pixels.length; k += 1) pixels[k] = state.lut[grid[k]];
  } else {
    manyClasses(pixels, grid, maps, colours);
  }
  small.putImageData(state.image, 0, 0);
  context.imageSmoothingEnabled = smooth;
  context.drawImage(tile, 0, 0, state.side, state.side);
  context.imageSmoothingEnabled = true;
  if (maps === 1 && (spec.task === "classes" || spec.grid.unit)) {
    drawContour(context, grid, size, state.side, spec.grid.unit ? 128 : 127.5, colours);
  }
}

function manyClasses(pixels, grid, maps, colours) {
  const ends = Array.from({ length: maps }, (_, k) => hex(colours.classColour(k, maps)));
  const mid = hex(colours.mid);
  for (let k = 0; k < pixels.length; k += 1) {
    let [best, most, second] = [0, -1, -1];
    for (let c = 0; c < maps; c += 1) {
      const v = grid[c * pixels.length + k];
      if (v > most) [best, second, most] = [c, most, v];
      else if (v > second) second = v;
    }
    const t = 0.12 + 0.4 * ((most - second) / 255);
    const channel = (i) => Math.round(mid[i] + (ends[best][i] - mid[i]) * t);
    pixels[k] = (255 << 24) | (channel(2) << 16) | (channel(1) << 8) | channel(0);
  }
}

const hex = (text) => [1, 3, 5].map((k) => parseInt(text.slice(k, k + 2), 16));

function drawContour(context, grid, size, side, level, colours) {
  const lines = contour(grid, size, level === 128 ? 127.99 : level);
  const place = (v) => ((v + 0.5) / size) * side;
  context.beginPath();
  for (let k = 0; k < lines.length; k += 4) {
    context.moveTo(place(lines[k]), place(lines[k + 1]));
    context.lineTo(place(lines[k + 2]), place(lines[k + 3]));
  }
  context.strokeStyle = colours.ink;
  context.lineWidth = 1.4;
  context.stroke();
}

/** Pixels of a point of the plane. */
function toPixels([x0, x1, y0, y1], [x, y], side) {
  return [((x - x0) / (x1 - x0)) * side, ((y1 - y) / (y1 - y0)) * side];
}

function drawPoints(context, spec, colours, side, { test, focus }) {
  const { x, y, split } = spec.points;
  const count = spec.classes.length;
  const r = x.length > 400 ? 2.6 : x.length > 120 ? 3.4 : 4.4;
  for (let k = 0; k < x.length; k += 1) {
    if (split[k] && !test) continue;
    const [px, py] = toPixels(spec.grid.domain, x[k], side);
    const label = spec.task === "classes" ? y[k] : 0;
    classPath(context, label, px, py, r);
    context.strokeStyle = colours.ink;
    context.lineWidth = 3;
    context.stroke();
    context.strokeStyle = "#ffffff";
    context.lineWidth = 1.6;
    context.stroke();
    context.fillStyle = split[k] ? "#ffffff" : pointColour(spec, y[k], count, colours);
    context.fill();
    if (!split[k]) continue;
    classPath(context, label, px, py, r * 0.5); // a test sample is hollow
    context.fillStyle = pointColour(spec, y[k], count, colours);
    context.fill();
  }
  if (x[focus] && !(split[focus] && !test)) {
    drawFocus(context, toPixels(spec.grid.domain, x[focus], side), colours);
  }
}

function pointColour(spec, value, count, colours) {
  if (spec.task === "classes") return colours.classColour(value, count);
  const [low, high] = spec.grid.range ?? [-1, 1];
  return colours.fill("forward", (2 * (value - low)) / (high - low) - 1);
}

/** A stroke that is seen on any ground: in ink, with a border of its opposite. */
function pair(colours, wide, narrow) {
  const ends = colours.name === "dark" ? ["#10131a", "#ffffff"] : ["#ffffff", colours.ink];
  return [[ends[0], wide], [ends[1], narrow]];
}

/** The focus sample: a cross of four strokes around it. */
function drawFocus(context, [x, y], colours) {
  for (const [colour, width] of pair(colours, 4.6, 2.2)) {
    context.strokeStyle = colour;
    context.lineWidth = width;
    context.beginPath();
    for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
      context.moveTo(x + 7 * dx, y + 7 * dy);
      context.lineTo(x + 14 * dx, y + 14 * dy);
    }
    context.stroke();
  }
}

function drawCursor(context, [u, v], side, colours, drawing) {
  const [x, y] = [u * side, v * side];
  context.setLineDash(drawing ? [] : [3, 3]);
  for (const [colour, width] of pair(colours, 3, 1.4)) {
    context.strokeStyle = colour;
    context.lineWidth = width;
    context.beginPath();
    context.arc(x, y, 9, 0, 2 * Math.PI);
    context.moveTo(x - 13, y);
    context.lineTo(x + 13, y);
    context.moveTo(x, y - 13);
    context.lineTo(x, y + 13);
    context.stroke();
  }
  context.setLineDash([]);
}

// ------------------------------------------------------------------------------------- mouse and keys

function mountPointer(canvas, state, { store, send, spec, drawing, redraw, parts }) {
  const plane = ([u, v]) => {
    const [x0, x1, y0, y1] = spec().grid.domain;
    return [x0 + u * (x1 - x0), y1 - v * (y1 - y0)];
  };
  const nearest = ([u, v], reach) => {
    const { points, grid } = spec();
    let [found, best] = [-1, reach * reach];
    points.x.forEach((point, k) => {
      const [x, y] = toPixels(grid.domain, point, state.side);
      const distance = (x - u * state.side) ** 2 + (y - v * state.side) ** 2;
      if (distance <= best) [found, best] = [k, distance];
    });
    return found;
  };
  const problem = (error) => parts.problem(error.message);
  const done = () => parts.problem("");
  const act = (place, remove) => {
    if (!spec()?.grid) return;
    if (!drawing()) {
      const index = nearest(place, 4 * REACH);
      if (index >= 0) send("focus", { index });
      return;
    }
    const index = nearest(place, REACH);
    if (remove ? index < 0 : false) return;
    if (index >= 0) send("points", { remove: [index] }).then(done, problem);
    else {send("points", { add: [[...plane(place).map((v) => Number(v.toFixed(4))), store.view.draw]] }).then(
        done,
        problem,
      );}
  };
  canvas.addEventListener("click", (event) => {
    const box = canvas.getBoundingClientRect();
    const place = [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
    act(place, event.ctrlKey || event.metaKey);
  });
  canvas.addEventListener("focus", () => {
    if (!canvas.matches(":focus-visible")) return;
    state.cursor ??= [0.5, 0.5];
    redraw();
  });
  canvas.addEventListener("blur", () => {
    state.cursor = null;
    redraw();
  });
  canvas.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const move = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1] }[event.key];
    state.cursor ??= [0.5, 0.5];
    if (move) {
      const step = KEY_STEP * (event.shiftKey ? 0.25 : 1);
      state.cursor = state.cursor.map((v, k) => Math.max(0, Math.min(1, v + step * move[k])));
      redraw();
    } else if (event.key === "Enter") {
      act(state.cursor, false);
    } else if (drawing() && ["Delete", "Backspace"].includes(event.key)) {
      act(state.cursor, true);
    } else {
      return;
    }
    event.preventDefault();
    event.stopPropagation();
  });
}

// ------------------------------------------------------------------------------------------- the parts

function build(root, store, send) {
  const canvas = el("canvas", {
    class: "rg-map",
    tabIndex: 0,
    role: "application",
    "aria-label": "Output over the plane",
  });
  const curve = el("div", { class: "rg-map-none", hidden: true }, [
    el("p", {}, [
      "A map needs two inputs. What the network answers for the focus sample stands under the network.",
    ]),
  ]);
  const empty = el("p", { class: "rg-map-empty", hidden: true });
  const frame = el("div", { class: "rg-map-frame" }, [canvas, curve, empty]);
  const select = el("select", { "aria-label": "Map of", class: "rg-map-of" });
  const test = el("input", { type: "checkbox", id: "rg-map-test", checked: true });
  const smooth = el("input", { type: "checkbox", id: "rg-map-smooth", checked: true });
  const [low, high] = [el("span"), el("span")];
  const range = el("span", { class: "rg-map-range", hidden: true }, [
    low,
    el("i", { class: "rg-map-ramp", role: "img", "aria-label": "to" }),
    high,
  ]);
  const legend = el("ul", { class: "rg-map-legend", "aria-label": "Classes" });
  const problem = el("p", { class: "rg-error", role: "alert", hidden: true });
  const pencil = el("div", { class: "rg-pencil", hidden: true });
  select.addEventListener("change", () => {
    const [layer, unit] = select.value.split(".").map(Number);
    send("unit_map", select.value === "" ? { layer: null, unit: null } : { layer, unit });
  });
  root.append(
    el("div", { class: "rg-head" }, [root.querySelector("h2"), select]),
    pencil,
    problem,
    frame,
    el("div", { class: "rg-map-foot" }, [
      legend,
      range,
      el("label", { class: "rg-check", title: "Samples that are kept for the test are hollow" }, [
        test,
        "test",
      ]),
      el("label", { class: "rg-check" }, [smooth, "smooth"]),
    ]),
  );
  return {
    ...{ canvas, frame, test, smooth },
    show(spec, hello) {
      canvas.hidden = spec.grid === null;
      curve.hidden = spec.grid !== null;
      empty.hidden = !spec.draft;
      setText(empty, spec.draft ?? "");
      units(select, spec);
      classes(legend, spec);
      this.mode(store.view.draw, spec, hello);
    },
    mode(label, spec) {
      const on = typeof label === "number";
      pencil.hidden = !on;
      canvas.toggleAttribute("data-draw", on);
      setAttribute(
        canvas,
        "aria-label",
        on
          ? "Output over the plane. Arrow keys move the cursor, Enter adds a point or takes one away, Delete takes one away"
          : "Output over the plane. Arrow keys move the cursor, Enter chooses the nearest sample",
      );
      if (on && spec) {
        pencil.replaceChildren(...pencilParts(spec, label, store, send, (text) => this.problem(text)));
      }
    },
    write(state, spec) {
      range.hidden =
        !(state.map?.low !== undefined && spec?.grid && (spec.task === "value" || spec.grid.unit));
      setText(low, state.map?.low ?? "");
      setText(high, state.map?.high ?? "");
    },
    problem(text) {
      problem.hidden = text === "";
      setText(problem, text);
    },
  };
}

/** Which map: the output, or a neuron. */
function units(select, spec) {
  const key = spec.layers.map((layer) => layer.units).join();
  if (select.dataset.built !== key) {
    select.dataset.built = key;
    const groups = spec.layers.slice(0, -1).map((layer, k) =>
      Object.assign(
        el(
          "optgroup",
          {},
          Array.from(
            { length: Math.min(32, layer.units) },
            (_, u) =>
              el("option", { value: `${k + 1}.${u}` }, [
                `${layerName(k + 1, spec.layers.length)}, unit ${u + 1}`,
              ]),
          ),
        ),
        { label: layerName(k + 1, spec.layers.length) },
      )
    );
    select.replaceChildren(el("option", { value: "" }, ["output"]), ...groups);
  }
  const unit = spec.grid?.unit;
  select.value = unit ? `${unit.layer}.${unit.unit}` : "";
  select.disabled = spec.grid === null;
}

/** The mark and the colour of each class. */
function classes(legend, spec) {
  const colours = palette();
  if (spec.task !== "classes") return legend.replaceChildren();
  legend.replaceChildren(
    ...spec.classes.map((name, k) => {
      const mark = svg("svg", {
        class: "rg-class-mark",
        width: 12,
        height: 12,
        viewBox: "0 0 12 12",
        "aria-hidden": "true",
      }, [markOf(k)]);
      mark.style.setProperty("color", colours.classColour(k, spec.classes.length));
      return el("li", {}, [mark, name]);
    }),
  );
}

function markOf(label) {
  const shapes = [
    "M6 1.6a4.4 4.4 0 1 1 0 8.8 4.4 4.4 0 0 1 0-8.8z",
    "M2 2h8v8H2z",
    "M6 1 11 10.4H1z",
    "M6 .6 11.4 6 6 11.4.6 6z",
    "M4.2 1h3.6v3.2H11v3.6H7.8V11H4.2V7.8H1V4.2h3.2z",
    "M6 11 1 1.6h10z",
  ];
  return svg("path", { d: shapes[label % shapes.length], fill: "currentColor" });
}

/** The classes that can be drawn, one more than there are, and the ways out. */
function pencilParts(spec, label, store, send, problem) {
  const most = spec.task === "classes"
    ? Math.min(store.hello?.limits?.classes ?? 6, Math.max(2, spec.classes.length + 1))
    : 2;
  const pick = segmented({
    name: "pencil",
    label: spec.task === "classes" ? "Class of new points" : "Value of new points",
    options: Array.from(
      { length: most },
      (_, k) => ({
        value: String(k),
        text: spec.task === "classes" ? `${CLASS_MARKS[k]} ${spec.classes[k] ?? k}` : String(k),
      }),
    ),
    onChange: (value) => store.setView({ draw: Number(value) }),
  });
  pick.set(String(label));
  const clear = el("button", { type: "button", class: "rg-button" }, ["Clear"]);
  clear.addEventListener(
    "click",
    () => send("points", { clear: true }).then(() => problem(""), (error) => problem(error.message)),
  );
  const end = el("button", { type: "button", class: "rg-button" }, ["Done"]);
  end.addEventListener("click", () => store.setView({ draw: null }));
  return [pick.root, clear, end];
}
