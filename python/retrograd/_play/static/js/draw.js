// What every panel needs to build and to draw: elements, canvases at the screen's resolution, shapes, the
// scheme.

import { paletteOf } from "./palette.js";

const SVG = "http://www.w3.org/2000/svg";

/**
 * An element with properties and children; data with a dash and "aria-" and "role" are attributes.
 * @param {string} tag  @param {object} properties  @param {(Node|string)[]} children
 */
export function el(tag, properties = {}, children = []) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name === "class") element.className = value;
    else if (name.includes("-") || name === "role" || name === "for") element.setAttribute(name, value);
    else element[name] = value;
  }
  element.append(...children);
  return element;
}

/** The same for SVG; all are attributes. */
export function svg(tag, attributes = {}, children = []) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** A picture of the sprite in index.html. */
export function icon(name) {
  const use = svg("use", { href: `#rg-i-${name}` });
  return svg("svg", { class: "rg-icon", "aria-hidden": "true", focusable: "false" }, [use]);
}

/** A choice of few, as one group of radio buttons. @returns {{root: HTMLElement, set: (value: string) => void}} */
export function segmented({ name, label, options, onChange }) {
  const inputs = new Map();
  const parts = options.map(({ value, text, title }) => {
    const input = el("input", { type: "radio", name: `rg-${name}`, value, class: "rg-hidden" });
    input.addEventListener("change", () => onChange(value));
    inputs.set(value, input);
    return el("label", title ? { title } : {}, [input, el("span", {}, [text])]);
  });
  const root = el("div", { class: "rg-segmented", role: "radiogroup", "aria-label": label }, parts);
  return {
    root,
    set(value) {
      const input = inputs.get(value);
      if (input && !input.checked) input.checked = true;
    },
  };
}

/** Size a canvas in CSS pixels at the screen's resolution. @returns {CanvasRenderingContext2D} */
export function fit(canvas, width, height) {
  const ratio = Math.min(2, window.devicePixelRatio || 1);
  const [w, h] = [Math.max(1, Math.round(width * ratio)), Math.max(1, Math.round(height * ratio))];
  if (canvas.width !== w || canvas.height !== h) [canvas.width, canvas.height] = [w, h];
  canvas.style.setProperty("width", `${width}px`);
  canvas.style.setProperty("height", `${height}px`);
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  return context;
}

/** Call with the width and height of an element now and whenever they change. */
export function onSize(element, listener) {
  let last = "";
  new ResizeObserver(([entry]) => {
    const { width, height } = entry.contentRect;
    const now = `${Math.round(width)} ${Math.round(height)}`;
    if (now === last) return;
    last = now;
    listener(width, height);
  }).observe(element);
}

/** Call at most once in a frame of the screen, however often it is asked. */
export function onceAFrame(draw) {
  let asked = false;
  return () => {
    if (asked) return;
    asked = true;
    requestAnimationFrame(() => {
      asked = false;
      draw();
    });
  };
}

/** Call at most every so many milliseconds, and once more after the last request. */
export function atMost(milliseconds, call) {
  let [last, timer] = [-Infinity, 0];
  const now = () => {
    last = performance.now();
    timer = 0;
    call();
  };
  return () => {
    if (timer) return;
    const rest = last + milliseconds - performance.now();
    if (rest <= 0) now();
    else timer = setTimeout(now, rest);
  };
}

const dark = globalThis.matchMedia?.("(prefers-color-scheme: dark)");

/** The palette of the scheme the reader has chosen. */
export function palette() {
  return paletteOf(dark?.matches ? "dark" : "light");
}

/** Call when the reader changes the scheme. */
export function onScheme(listener) {
  dark?.addEventListener("change", listener);
}

/** The outline of the mark of a class: circle, square, triangle, diamond, cross, star of three. */
export function classPath(context, label, x, y, r) {
  context.beginPath();
  switch (label % 6) {
    case 0:
      context.arc(x, y, r, 0, 2 * Math.PI);
      break;
    case 1:
      context.rect(x - 0.88 * r, y - 0.88 * r, 1.76 * r, 1.76 * r);
      break;
    case 2:
      polygon(context, x, y + 0.15 * r, 1.25 * r, 3, -Math.PI / 2);
      break;
    case 3:
      polygon(context, x, y, 1.3 * r, 4, 0);
      break;
    case 4:
      cross(context, x, y, r);
      break;
    default:
      polygon(context, x, y - 0.1 * r, 1.25 * r, 3, Math.PI / 2);
  }
}

export const CLASS_MARKS = ["●", "■", "▲", "◆", "✚", "▼"];

function polygon(context, x, y, r, corners, turn) {
  for (let k = 0; k < corners; k += 1) {
    const angle = turn + (2 * Math.PI * k) / corners;
    context.lineTo(x + r * Math.cos(angle), y + r * Math.sin(angle));
  }
  context.closePath();
}

function cross(context, x, y, r) {
  const [w, l] = [0.42 * r, 1.15 * r];
  const corners = [[-w, -l], [w, -l], [w, -w], [l, -w], [l, w], [w, w], [w, l], [-w, l], [-w, w], [-l, w], [
    -l,
    -w,
  ], [-w, -w]];
  for (const [dx, dy] of corners) context.lineTo(x + dx, y + dy);
  context.closePath();
}
