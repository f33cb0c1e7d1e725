// How a layer's numbers spread over the steps: nested bands of percentiles, the median as a line. Its place in the
// list of steps is what a pointer or the arrow keys move.

import { make, setAttribute, setText, svg } from "../elements.js";
import { moved } from "./curves.js";

const WIDTH = 240;
const HEIGHT = 96;

/** @param {(step: number) => void} seek  @returns {{root: HTMLElement, show: (title: string, found: object, now: number) => void}} */
export function fanOf(seek) {
  const title = make("strong");
  const text = make("span", { class: "rg-soft" });
  const [outer, inner, median, here] = ["polygon", "polygon", "polyline", "line"].map((tag) => svg(tag));
  const lines = { outer, inner, median, here };
  for (const [name, line] of Object.entries(lines)) line.setAttribute("class", `rg-fan-${name}`);
  const picture = svg(
    "svg",
    { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", "aria-hidden": "true" },
    outer,
    inner,
    median,
    here,
  );
  const slider = make("div", { class: "rg-fan-slider", role: "slider", tabindex: 0 }, picture);
  const [high, low, first, end] = [0, 1, 2, 3].map(() => make("span"));
  const value = make("p", { class: "rg-fan-value rg-soft", "aria-hidden": "true" });
  const frame = make(
    "div",
    { class: "rg-fan-frame" },
    make("div", { class: "rg-fan-ends rg-soft", "aria-hidden": "true" }, high, low),
    slider,
    make("div", { class: "rg-ends rg-soft", "aria-hidden": "true" }, first, end),
    value,
  );
  const root = make("figure", { class: "rg-fan" }, make("figcaption", {}, title, " ", text), frame);

  let [found, now, at] = [{ steps: [] }, 0, null]; // at: the place that is pointed at
  const last = () => found.steps.length - 1;
  const nearest = (step) => {
    const behind = found.steps.findIndex((one) => one >= step);
    if (behind < 0) return last();
    return behind > 0 && step - found.steps[behind - 1] < found.steps[behind] - step ? behind - 1 : behind;
  };
  const x = (step) => ((step - found.steps[0]) / (found.steps.at(-1) - found.steps[0])) * WIDTH;

  function mark() {
    if (last() < 1) return;
    const k = at ?? nearest(now);
    setAttribute(slider, "aria-valuenow", found.steps[k]);
    setAttribute(slider, "aria-valuetext", found.texts[k]);
    setText(value, at === null ? "line: median · bands: 25 to 75 % and 5 to 95 %" : found.texts[k]);
    const place = x(at === null ? now : found.steps[k]).toFixed(1);
    for (const [name, to] of Object.entries({ x1: place, x2: place, y1: 0, y2: HEIGHT })) setAttribute(here, name, to);
  }

  function show(heading, answer, step) {
    [found, now] = [answer, step];
    at = at === null ? null : Math.min(at, last());
    setText(title, heading);
    setText(text, found.text);
    frame.hidden = last() < 1;
    if (frame.hidden) return;
    const all = found.percentiles.flat();
    const [bottom, top] = [Math.min(...all), Math.max(...all)];
    const y = (v) => (top > bottom ? 2 + ((top - v) / (top - bottom)) * (HEIGHT - 4) : HEIGHT / 2);
    const line = (share) => found.percentiles.map((row, k) => `${x(found.steps[k]).toFixed(1)},${y(row[share]).toFixed(1)}`);
    setAttribute(outer, "points", [...line(0), ...line(4).reverse()].join(" "));
    setAttribute(inner, "points", [...line(1), ...line(3).reverse()].join(" "));
    setAttribute(median, "points", line(2).join(" "));
    setText(low, found.ends[0]);
    setText(high, found.ends[1]);
    setText(first, `step ${found.steps[0]}`);
    setText(end, `step ${found.steps.at(-1)}`);
    setAttribute(slider, "aria-label", `${heading}: ${found.text} Enter goes back to a step`);
    setAttribute(slider, "aria-valuemin", found.steps[0]);
    setAttribute(slider, "aria-valuemax", found.steps.at(-1));
    mark();
  }

  const point = (place) => {
    at = place;
    mark();
  };
  const placeOf = ({ clientX }) => {
    const { left, width } = slider.getBoundingClientRect();
    const [from, to] = [found.steps[0], found.steps.at(-1)];
    return nearest(from + Math.max(0, Math.min(1, (clientX - left) / width)) * (to - from));
  };
  slider.addEventListener("pointermove", (event) => point(placeOf(event)));
  slider.addEventListener("pointerleave", () => point(null));
  slider.addEventListener("blur", () => point(null));
  slider.addEventListener("click", (event) => seek(found.steps[placeOf(event)]));
  slider.addEventListener("keydown", (event) => {
    const from = at ?? nearest(now);
    const to = moved(event, from, last());
    if (event.key === "Enter") seek(found.steps[from]);
    else if (to !== undefined) point(to);
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
  return { root, show };
}
