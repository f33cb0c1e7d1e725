// The network: edges on a canvas, neurons above it, what can be changed about layers, and the legend.

import { atMost, el, fit, icon, onceAFrame, onScheme, onSize, palette, segmented, svg } from "../draw.js";
import { setAttribute, setText } from "../elements.js";
import { placeNetwork } from "../geometry.js";
import { drawNetwork, edgeArrays, layEdges, matrixBox, mountPulses, STRIP } from "../network/edges.js";
import { mountHandle, nudge } from "../network/handle.js";
import { drawMaps } from "../network/maps.js";
import { layerName, Units } from "../network/units.js";
import { magnitudeAt, Scale } from "../scales.js";

const EDGES = [
  { value: "weights", text: "weights", title: "1" },
  { value: "gradients", text: "gradients", title: "2: mean over the batch" },
  { value: "updates", text: "updates", title: "3: what the last step added" },
];
const UNITS = [
  { value: "a", text: "a", title: "A: activations of the focus sample" },
  { value: "z", text: "z", title: "Z: sums before the activation" },
  { value: "delta", text: "δ", title: "D: derivative of the loss by z" },
  { value: "map", text: "map", title: "M: the answer of each neuron over the plane" },
];

/** @param {HTMLElement} root  @param {object} context */
export function mount(root, { store, send }) {
  const parts = build(root, store, send);
  const { stage, canvas, scroll } = parts;
  const scales = {
    weights: new Scale(1),
    gradients: new Scale(),
    updates: new Scale(),
    value: new Scale(1),
    delta: new Scale(),
  };
  const say = store.on.bind(store);
  let [plan, laid, hover, room] = [null, null, null, { width: 0, height: 0 }];
  let shown = ""; // units of each layer: another network is seen from its middle

  const hovered = (target) => {
    if (same(target, hover)) return;
    hover = target;
    store.emit("hover", target);
    units.mark(store.target, hover);
    redraw();
  };
  const units = new Units(parts.units, {
    onHover: hovered,
    onPick: (target) => store.select(same(target, store.target) ? null : target),
    onKey: (event, unit) => unitKey(event, unit, store, send),
  });

  const place = () => {
    const { spec } = store.lane(0);
    if (!spec || room.width < 40) return;
    const phone = matchMedia("(max-width: 699.98px)").matches;
    const heads = parts.heads.offsetHeight;
    plan = placeNetwork(spec.layers, {
      width: room.width,
      height: Math.max(110, room.height - heads - STRIP - 4),
      ...(phone ? { gap: 112, spacing: 22 } : { gap: 62 }),
    });
    laid = layEdges(plan);
    stage.style.setProperty("width", `${plan.width}px`);
    fit(canvas, plan.width, plan.height + STRIP);
    parts.units.style.setProperty("height", `${plan.height + STRIP}px`);
    parts.heads.querySelectorAll("[data-layer]").forEach((head) => {
      head.style.setProperty("left", `${plan.columns[Number(head.dataset.layer)].x}px`);
    });
    const distance = plan.columns.length > 1 ? plan.columns[1].x - plan.columns[0].x : 200;
    parts.heads.style.setProperty("--width", `${Math.min(168, distance - 6)}px`);
    const narrow = distance < 152;
    if (parts.heads.hasAttribute("data-narrow") !== narrow) {
      parts.heads.toggleAttribute("data-narrow", narrow);
      return place(); // the heads are of another height now
    }
    units.build(plan, spec.layers);
    units.mark(store.target, hover);
    placeHandle();
    const shape = spec.layers.map((layer) => layer.units).join();
    if (shape !== shown) scroll.scrollTop = (scroll.scrollHeight - scroll.clientHeight) / 2;
    shown = shape;
    write();
    redraw();
  };

  const fitting = () => {
    const { spec } = store.lane(0);
    const fits = plan && spec && plan.columns.length === spec.layers.length + 1;
    return fits ? { plan, edges: laid.edges, layers: spec.layers } : null;
  };
  const placeHandle = mountHandle(parts.picture, { store, send }, fitting);

  const draw = () => {
    const { frame, spec, grid } = store.lane(0);
    if (!frame || !plan || frame.rev !== spec.rev || plan.columns.length !== spec.layers.length + 1) return;
    const mode = store.view.edges;
    const colours = palette();
    let changed = scales[mode].fit(magnitudeAt(0.98, edgeArrays(frame, spec.layers, mode)));
    const tensors = (key) => spec.layers.map((_, k) => frame.tensor(key, k + 1).data);
    changed = scales.value.fit(magnitudeAt(1, tensors(store.view.units === "z" ? "z" : "a"))) || changed;
    changed = scales.delta.fit(magnitudeAt(1, tensors("delta"))) || changed;
    const context = canvas.getContext("2d");
    const looked = hover ?? store.target;
    drawNetwork(context, {
      ...{ plan, edges: laid.edges, frame, layers: spec.layers, mode, scale: scales[mode].value },
      ...{ palette: colours, shown: looked, faint: hover ? 0.16 : 0.4, pinned: store.target },
    });
    if (store.view.units === "map" && grid && spec.grid?.small) {
      drawMaps(context, plan, grid, spec.grid, colours, { top: STRIP, shown: looked });
    }
    units.paint(frame, store.view.units, { value: scales.value.value, delta: scales.delta.value }, colours);
    if (changed) legend();
  };
  const redraw = onceAFrame(draw);
  const write = () => {
    const { state, spec } = store.lane(0);
    if (!state || !spec || !plan || (state.rev !== undefined && state.rev !== spec.rev)) return;
    units.write(state, store.view.units, state.focus);
    parts.write(state, spec, plan);
  };
  const legend = atMost(200, () => parts.legend(store.view, scales));

  const pulse = mountPulses(parts.picture);
  const slow = ({ state } = store.lane(0)) =>
    store.view.animate && state?.playing === true && state.speed?.unit === "phase";

  say("frame", (frame) => {
    if (frame.lane !== 0) return;
    draw();
    pulse(slow() ? fitting() : null, frame);
  });
  say("state", (state) => {
    if (state.lane !== 0) return;
    write();
    if (!slow()) pulse(null);
  });
  say("spec", (spec) => {
    if (spec.lane !== 0) return;
    for (const scale of Object.values(scales)) scale.reset();
    parts.show(spec, store.hello);
    if (spec.grid === null && store.view.units === "map") store.setView({ units: "a" });
    else if (spec.grid && (store.view.units === "map") !== spec.grid.small > 0) {
      send("maps", { on: store.view.units === "map" });
    }
    place();
  });
  say("view", (view) => {
    const { spec } = store.lane(0);
    parts.choose(view);
    if (spec?.grid && (view.units === "map") !== spec.grid.small > 0) {
      send("maps", { on: view.units === "map" });
    }
    write();
    legend();
    redraw();
  });
  say("target", () => {
    units.mark(store.target, hover);
    redraw();
  });
  say("nudge", (event) => nudge(event, store, send));
  onScheme(() => {
    legend();
    redraw();
  });
  const still = matchMedia("(prefers-reduced-motion: reduce)");
  const move = () => store.setView({ animate: !still.matches });
  still.addEventListener("change", move);
  onSize(scroll, (width, height) => {
    room = { width, height };
    place();
  });
  mountPointer(parts.units, () => ({ plan, laid, spec: store.lane(0).spec }), store, hovered);
  parts.choose(store.view);
  legend();
  move();
}

const same = (p, q) => JSON.stringify(p) === JSON.stringify(q);

/** Edges under the pointer, and cells of matrices: the neurons answer for themselves. */
function mountPointer(surface, scene, store, hovered) {
  const find = (event) => {
    const { plan, laid, spec } = scene();
    if (!plan || !spec || event.target.closest(".rg-unit")) return null;
    const box = surface.getBoundingClientRect();
    const [x, y] = [event.clientX - box.left, event.clientY - box.top - STRIP];
    for (const pair of plan.pairs) {
      if (!pair.matrix) continue;
      const { units, inputs } = spec.layers[pair.layer - 1];
      const { x: left, y: top, width, height } = matrixBox(pair, units, inputs);
      const [unit, input] = [
        Math.floor(((y - top) / height) * units),
        Math.floor(((x - left) / width) * inputs),
      ];
      if (unit >= 0 && unit < units && input >= 0 && input < inputs) {
        return { kind: "weight", layer: pair.layer, unit, input };
      }
    }
    const edge = laid.grid.nearest(x, y, event.pointerType === "touch" ? 14 : 7);
    return edge ? { kind: "weight", layer: edge.layer, unit: edge.unit, input: edge.input } : null;
  };
  surface.addEventListener("pointermove", (event) => {
    if (event.target.closest(".rg-unit")) return;
    const target = find(event);
    surface.toggleAttribute("data-over", target !== null);
    hovered(target);
  });
  surface.addEventListener("pointerleave", () => hovered(null));
  surface.addEventListener("click", (event) => {
    if (event.target.closest(".rg-unit")) return;
    const target = find(event);
    if (target || store.target) store.select(target);
  });
}

/** Keys on a neuron: pin it, go through its weights, change what is open. */
function unitKey(event, unit, store, send) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const done = () => {
    event.preventDefault();
    event.stopPropagation();
  };
  if ((event.key === "Enter" || event.key === " ") && unit.layer > 0) {
    if (event.key === " ") return; // plays, as everywhere
    done();
    store.select(same(unit, store.target) ? null : unit);
  } else if (event.key.toLowerCase() === "w" && unit.layer > 0 && store.view.single_keys) {
    done();
    store.select(nextWeight(unit, store));
  } else if (nudge(event, store, send)) {
    done();
  }
}

/** The incoming weights of a neuron one after another, then its bias, then itself. */
function nextWeight({ layer, unit }, store) {
  const { inputs, bias } = store.lane(0).spec.layers[layer - 1];
  const now = store.target;
  const mine = now && now.layer === layer && now.unit === unit;
  if (!mine || now.kind === "unit") return { kind: "weight", layer, unit, input: 0 };
  if (now.kind === "weight" && now.input + 1 < inputs) {
    return { kind: "weight", layer, unit, input: now.input + 1 };
  }
  if (now.kind === "weight" && bias !== false) return { kind: "bias", layer, unit };
  return { kind: "unit", layer, unit };
}

// ------------------------------------------------------------------------------------------- the parts

function build(root, store, send) {
  const edges = segmented({
    name: "edges",
    label: "Edges show",
    options: EDGES,
    onChange: (value) => store.setView({ edges: value }),
  });
  const unit = segmented({
    name: "units",
    label: "Neurons show",
    options: UNITS,
    onChange: (value) => store.setView({ units: value }),
  });
  const layers = layerButtons(store, send);
  const heads = el("div", { class: "rg-heads" });
  const canvas = el("canvas", { class: "rg-edges", "aria-hidden": "true" });
  const units = svg("svg", {
    class: "rg-units",
    role: "group",
    "aria-label": "Neurons: arrow keys move, Enter opens, W goes through the weights",
  });
  const picture = el("div", { class: "rg-picture" }, [canvas, units]);
  const stage = el("div", { class: "rg-stage" }, [heads, picture]);
  const scroll = el("div", { class: "rg-scroll", tabIndex: -1 }, [stage]);
  const note = el("p", { class: "rg-focus-note" });
  const legend = legendOf();
  const title = root.querySelector("h2");
  root.append(
    el("div", { class: "rg-head" }, [
      title,
      el("div", { class: "rg-options" }, [
        el("span", { class: "rg-option" }, [
          el("span", { class: "rg-label", "aria-hidden": "true" }, ["edges"]),
          edges.root,
        ]),
        el("span", { class: "rg-option" }, [
          el("span", { class: "rg-label", "aria-hidden": "true" }, ["neurons"]),
          unit.root,
        ]),
        layers.root,
      ]),
    ]),
    scroll,
    el("div", { class: "rg-below-net" }, [note, marksOf(), legend.root]),
  );
  const headers = new Heads(heads, store, send);
  return {
    ...{ stage, canvas, picture, units, scroll, heads },
    legend: legend.show,
    show(spec, hello) {
      headers.build(spec, hello);
      layers.show(spec, hello);
      const map = unit.root.querySelector('[value="map"]');
      map.disabled = spec.grid === null;
      map.parentElement.title = spec.grid === null ? "A map needs a plane: two inputs" : UNITS[3].title;
    },
    choose(view) {
      edges.set(view.edges);
      unit.set(view.units);
    },
    write(state) {
      const stale = state.stale ? ", before this update" : "";
      const { index, x, y, yhat } = state.focus;
      const [input, output] = [state.units.a?.[0], state.units.a?.at(-1)].map((row) => row?.join(", ") ?? "");
      setText(note, `sample ${index}${stale}: x = (${input}), y = ${y}, output ${output}`);
      setAttribute(note, "title", `x = (${x}), y = ${y}, ŷ = ${yhat}`);
    },
  };
}

/** One hidden layer less or more. */
function layerButtons(store, send) {
  const hidden = () => store.lane(0).spec.config.hidden;
  const less = el("button", {
    type: "button",
    class: "rg-small",
    "aria-label": "Remove the last hidden layer",
    title: "Remove the last hidden layer",
  }, [icon("minus")]);
  const more = el("button", {
    type: "button",
    class: "rg-small",
    "aria-label": "Add a hidden layer",
    title: "Add a hidden layer",
  }, [icon("plus")]);
  less.addEventListener("click", () => send("set", { path: "hidden", value: hidden().slice(0, -1) }));
  more.addEventListener(
    "click",
    () => send("set", { path: "hidden", value: [...hidden(), hidden().at(-1) ?? 3] }),
  );
  const root = el("div", { class: "rg-stepper", role: "group", "aria-label": "Hidden layers" }, [
    less,
    el("span", { class: "rg-label" }, ["layers"]),
    more,
  ]);
  return {
    root,
    show(spec, hello) {
      root.hidden = hello?.given ?? false;
      less.disabled = spec.config.hidden.length === 0;
      more.disabled = spec.config.hidden.length + 1 >= (hello?.limits?.layers ?? 10);
    },
  };
}

/** Above each layer: its name, its activation, and how many units it has. */
class Heads {
  constructor(root, store, send) {
    Object.assign(this, { root, store, send, built: "" });
  }

  build(spec, hello) {
    const { layers, config } = spec;
    const key = JSON.stringify([layers, config.hidden, config.activations, config.output, hello?.given]);
    if (key === this.built) return;
    this.built = key;
    const focus = document.activeElement?.dataset?.keep;
    const heads = [
      this.head(0, layers.length, [el("span", { class: "rg-sub" }, [count(layers[0].inputs, "input")])]),
    ];
    for (const [k, layer] of layers.entries()) {
      heads.push(this.head(k + 1, layers.length, this.controls(k, layer, spec, hello)));
    }
    this.root.replaceChildren(...heads);
    if (focus) this.root.querySelector(`[data-keep="${focus}"]:not(:disabled)`)?.focus();
  }

  head(layer, total, controls) {
    return el("div", { class: "rg-layer-head", "data-layer": String(layer) }, [
      el("span", { class: "rg-layer-name" }, [layerName(layer, total)]),
      el("div", { class: "rg-layer-controls" }, controls),
    ]);
  }

  controls(k, layer, spec, hello) {
    const also = layer.also?.length ? ` + ${layer.also.join(", ")}` : "";
    const hidden = k < spec.config.hidden.length;
    if (hello?.given || spec.layers.length !== spec.config.hidden.length + 1) {
      return [el("span", { class: "rg-sub" }, [`${layer.activation}${also} · ${layer.units}`])];
    }
    const path = hidden ? `activations[${k}]` : "output";
    const names = (hidden ? hello?.choices.activations : hello?.choices.outputs) ?? [layer.activation];
    const select = el("select", {
      "aria-label": `Activation of ${layerName(k + 1, spec.layers.length)}`,
      "data-keep": `s${k}`,
    }, names.map((name) => el("option", { value: name }, [name.replaceAll("_", " ")])));
    select.value = hidden ? spec.config.activations[k] : spec.config.output;
    if (!hidden && spec.config.output === "auto") {
      select.options[select.selectedIndex].text = `${layer.activation} (auto)`;
    }
    select.addEventListener(
      "change",
      () =>
        this.send("set", { path, value: select.value }).catch(
          () => (select.value = spec.config[path] ?? spec.config.activations[k]),
        ),
    );
    return hidden ? [select, this.stepper(k, layer.units, spec, hello)] : [select];
  }

  stepper(k, units, spec, hello) {
    const name = layerName(k + 1, spec.layers.length);
    const set = (value) => this.send("set", { path: `hidden[${k}]`, value });
    const make = (label, picture, value, off) => {
      const button = el("button", {
        type: "button",
        class: "rg-small",
        "aria-label": label,
        title: label,
        disabled: off,
        "data-keep": `${picture}${k}`,
      }, [icon(picture)]);
      button.addEventListener("click", () => set(value));
      return button;
    };
    return el("span", { class: "rg-stepper" }, [
      make(`One unit less in ${name}`, "minus", units - 1, units <= 1),
      el("span", { class: "rg-count" }, [String(units)]),
      make(`One unit more in ${name}`, "plus", units + 1, units >= (hello?.limits?.units ?? 32)),
    ]);
  }
}

const count = (n, word) => (n === 1 ? `1 ${word}` : `${n} ${word}s`);

/** The letters at a neuron that is stuck. */
function marksOf() {
  const marks = [["S", "saturated"], ["∅", "dead"], ["!", "not finite"]];
  return el(
    "p",
    { class: "rg-legend-marks", "aria-hidden": "true" },
    marks.map(([mark, word]) => el("span", {}, [el("b", {}, [mark]), word])),
  );
}

/** What lines, fills and rings mean, with the scale of each. */
function legendOf() {
  const line = (kind) =>
    svg("svg", { class: `rg-legend-line ${kind}`, width: 30, height: 10, "aria-hidden": "true" }, [
      svg("path", { d: "M1 5h28" }),
    ]);
  const dot = (kind) =>
    svg("svg", { class: `rg-legend-dot ${kind}`, width: 16, height: 16, "aria-hidden": "true" }, [
      svg("circle", { cx: 8, cy: 8, r: 5.5 }),
    ]);
  const [edge, fill, ring] = [el("span"), el("span"), el("span")];
  const root = el("ul", { class: "rg-legend", "aria-label": "Legend" }, [
    el("li", { class: "rg-legend-edges" }, [line("rg-negative"), "−", line("rg-positive"), "+", edge]),
    el("li", { class: "rg-legend-fill" }, [dot("rg-negative"), "−", dot("rg-positive"), "+", fill]),
    el("li", { class: "rg-legend-ring" }, [dot("rg-negative"), "−", dot("rg-positive"), "+", ring]),
  ]);
  return {
    root,
    show(view, scales) {
      root.dataset.edges = view.edges;
      root.dataset.units = view.units;
      const of = (scale) => (scale.value && scale.label !== "0" ? scale.label : "–");
      setText(edge, `${view.edges}, full width = ${of(scales[view.edges])}`);
      setText(
        fill,
        view.units === "map" ? "a over the plane" : `${view.units}, full colour = ${of(scales.value)}`,
      );
      setText(ring, `ring: δ, full = ${of(scales.delta)}`);
    },
  };
}
