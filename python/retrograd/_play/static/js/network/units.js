// The neurons: groups of SVG that can be focused, with a value as fill and delta as ring.

import { svg } from "../draw.js";
import { setAttribute, setText } from "../elements.js";
import { STRIP } from "./edges.js";

const ICONS = { saturated: "S", dead: "∅", "not finite": "!" };
const SUBSCRIPTS = "₀₁₂₃₄₅₆₇₈₉";

/** 12 as ₁₂. */
export function subscript(number) {
  return [...String(number)].map((digit) => SUBSCRIPTS[Number(digit)]).join("");
}

/** What a layer is called. */
export function layerName(layer, count) {
  if (layer === 0) return "input";
  return layer === count ? "output" : `hidden ${layer}`;
}

export class Units {
  /**
   * @param {SVGElement} root
   * @param {{onHover: (target: object|null) => void, onPick: (target: object) => void, onKey: (event: KeyboardEvent, unit: object) => void}} calls
   */
  constructor(root, calls) {
    this.root = root;
    this.calls = calls;
    this.groups = []; // by layer and unit
    this.tab = [1, 0]; // the one tab stop
    this.texts = null;
    root.addEventListener("keydown", (event) => this.key(event));
  }

  /** Other groups for another network. */
  build(plan, layers) {
    const focused = this.root.contains(document.activeElement);
    const count = layers.length;
    this.plan = plan;
    this.count = count;
    this.groups = plan.columns.map((column) =>
      column.units.map((place, unit) =>
        this.group(column, place, unit, { count, roomy: column.pitch - 2 * place.r >= 16 })
      )
    );
    const parts = this.groups.flatMap((row) => row.map((group) => group.root));
    this.root.replaceChildren(...parts);
    setAttribute(this.root, "viewBox", `0 ${-STRIP} ${plan.width} ${plan.height + STRIP}`);
    const [layer, unit] = this.tab;
    this.setTab(
      this.groups[layer]?.[unit] ? layer : Math.max(0, this.groups.findIndex((row) => row.length)),
      this.groups[layer]?.[unit] ? unit : 0,
    );
    if (focused) this.current()?.root.focus();
  }

  group(column, { x, y, r }, unit, { count, roomy }) {
    const layer = column.layer;
    const parts = {
      hit: svg("circle", { class: "rg-hit", cx: x, cy: y, r: Math.max(r, Math.min(22, column.pitch / 2)) }),
      halo: svg("circle", { class: "rg-halo", cx: x, cy: y, r: r + (r >= 15 ? 7.5 : 4.5) }),
      fill: svg("circle", { class: "rg-fill", cx: x, cy: y, r }),
      ring: svg("circle", { class: "rg-ring", cx: x, cy: y, r: r + (r >= 15 ? 3 : 1.5) }),
      value: svg("text", { class: "rg-value", x, y: y + 3.5 }),
      below: svg("text", { class: "rg-below", x, y: y + r + 15 }),
      mark: svg("text", { class: "rg-mark", x: x + r * 0.85 + 3, y: y - r * 0.85 + 1 }),
    };
    const root = svg("g", {
      class: "rg-unit",
      role: "button",
      tabindex: "-1",
      "data-layer": layer,
      "data-unit": unit,
    });
    root.append(...Object.values(parts));
    if (layer === 0) {
      const name = svg("text", { class: "rg-input-name", x: x - r - 8, y: y + 4 });
      name.textContent = `x${subscript(unit + 1)}`;
      root.append(name);
    }
    root.addEventListener("pointerenter", () => this.calls.onHover(targetOf(layer, unit)));
    root.addEventListener("pointerleave", () => this.calls.onHover(null));
    root.addEventListener("focus", () => {
      this.setTab(layer, unit);
      this.calls.onHover(targetOf(layer, unit));
      this.label(layer, unit);
    });
    root.addEventListener("blur", () => this.calls.onHover(null));
    root.addEventListener("click", () => {
      root.focus({ preventScroll: true });
      if (layer > 0) this.calls.onPick(targetOf(layer, unit));
    });
    return { root, parts, r, roomy, inside: r >= 15, count };
  }

  current() {
    return this.groups[this.tab[0]]?.[this.tab[1]];
  }

  setTab(layer, unit) {
    this.current()?.root.setAttribute("tabindex", "-1");
    this.tab = [layer, unit];
    this.current()?.root.setAttribute("tabindex", "0");
  }

  key(event) {
    const [layer, unit] = this.tab;
    const move = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1] }[event.key];
    if (!move || event.shiftKey) return this.calls.onKey(event, targetOf(layer, unit));
    event.preventDefault();
    event.stopPropagation();
    let to = layer + move[0];
    while (this.groups[to] && this.groups[to].length === 0) to += move[0]; // a layer drawn as a strip
    const row = this.groups[to];
    if (!row) return;
    // sideways to the neuron at about the same height
    const wanted = move[0]
      ? Math.round(((unit + 0.5) / this.groups[layer].length) * row.length - 0.5)
      : unit + move[1];
    const next = row[Math.max(0, Math.min(row.length - 1, wanted))];
    next?.root.focus({ preventScroll: false });
  }

  /**
   * Colours, for every frame.
   * @param {object} frame  @param {"a"|"z"|"delta"|"map"} mode  @param {{value: number, delta: number}} scales
   */
  paint(frame, mode, scales, palette) {
    for (const [layer, row] of this.groups.entries()) {
      if (row.length === 0) continue;
      const deltas = frame.tensor("delta", layer)?.data ?? null;
      const values = mode === "delta"
        ? deltas
        : (frame.tensor(mode === "map" ? "a" : mode, layer) ?? frame.tensor("a", layer)).data;
      for (const [unit, { parts, inside }] of row.entries()) {
        const pair = mode === "delta" ? "backward" : "forward";
        const share = values ? values[unit] / (mode === "delta" ? scales.delta : scales.value) : 0;
        setAttribute(
          parts.fill,
          "fill",
          mode === "map" && layer > 0
            ? "transparent"
            : palette.fill(pair, mode === "delta" ? share * 0.5 : share),
        );
        if (inside) {
          setAttribute(parts.value, "fill", mode === "delta" ? palette.ink : palette.onFill(pair, share));
        }
        const ring = deltas ? Math.max(-1, Math.min(1, deltas[unit] / scales.delta)) || 0 : 0;
        const level = Math.round(Math.abs(ring) * 8) / 8;
        setAttribute(
          parts.ring,
          "stroke",
          level === 0 ? palette.line : ring < 0 ? palette.backward.negative : palette.backward.positive,
        );
        setAttribute(
          parts.ring,
          "stroke-width",
          String(level === 0 ? 1.5 : 1.5 + level * (mode === "delta" ? 5 : 3)),
        );
        setAttribute(parts.ring, "stroke-dasharray", ring < 0 && level >= 0.25 ? "5 3" : "none");
      }
    }
  }

  /** What is read, ten times a second at most. @param {object} state of the server */
  write(state, mode, focus) {
    this.texts = state.units;
    this.focus = focus;
    const shown = mode === "map" ? "a" : mode;
    for (const [layer, row] of this.groups.entries()) {
      for (const [unit, { root, parts, inside, roomy }] of row.entries()) {
        const own = layer === 0 && shown !== "a" ? "" : (state.units[shown]?.[layer]?.[unit] ?? "");
        const delta = state.units.delta?.[layer]?.[unit];
        const inner = inside && (mode !== "map" || layer === 0) ? own : "";
        setText(parts.value, inner);
        setAttribute(parts.value, "data-length", String(inner.length));
        setText(
          parts.below,
          roomy && layer > 0
            ? (mode === "delta" ? `a ${state.units.a?.[layer]?.[unit] ?? ""}` : `δ ${delta ?? ""}`)
            : "",
        );
        const stuck = state.units.state?.[layer]?.[unit] ?? "";
        setText(parts.mark, ICONS[stuck] ?? "");
        setAttribute(root, "data-state", stuck);
        if (!state.playing) this.label(layer, unit);
      }
    }
    if (state.playing) this.label(...this.tab);
    this.root.toggleAttribute("data-stale", state.stale);
  }

  /** The name of a neuron, with its numbers. */
  label(layer, unit) {
    const group = this.groups[layer]?.[unit];
    if (!group) return;
    const texts = this.texts;
    const stuck = texts?.state?.[layer]?.[unit];
    const parts = [`${layerName(layer, group.count)}, ${layer === 0 ? `x${unit + 1}` : `unit ${unit + 1}`}`];
    for (const [key, name] of [["a", "a"], ["z", "z"], ["delta", "delta"]]) {
      const text = texts?.[key]?.[layer]?.[unit];
      if (text !== undefined) parts.push(`${name} ${text}`);
    }
    if (stuck) parts.push(stuck);
    setAttribute(group.root, "aria-label", parts.join(", "));
  }

  /** Mark what is open and what is linked with what is under the pointer. */
  mark(pinned, shown) {
    for (const [layer, row] of this.groups.entries()) {
      for (const [unit, { root }] of row.entries()) {
        const open = pinned !== null && pinned.layer === layer &&
          (pinned.unit === unit || pinned.kind === "layer");
        root.toggleAttribute("data-pinned", open);
        if (layer > 0) setAttribute(root, "aria-pressed", String(open));
        root.toggleAttribute("data-linked", linked(layer, unit, shown));
      }
    }
    this.root.toggleAttribute("data-focusing", shown !== null && shown.kind !== "loss");
  }
}

function targetOf(layer, unit) {
  return { kind: "unit", layer, unit };
}

/** Whether a neuron belongs to what is looked at. */
export function linked(layer, unit, target) {
  switch (target?.kind) {
    case "unit":
      return Math.abs(layer - target.layer) === 1 || (layer === target.layer && unit === target.unit);
    case "weight":
      return (layer === target.layer && unit === target.unit) ||
        (layer === target.layer - 1 && unit === target.input);
    case "bias":
      return layer === target.layer && unit === target.unit;
    case "layer":
      return layer === target.layer;
    default:
      return true;
  }
}
