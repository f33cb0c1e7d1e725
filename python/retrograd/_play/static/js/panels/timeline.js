// The steps that are kept: go back to any of them, see what happened where.

import { bodyOf, make, setAttribute, setProperty, setText } from "../elements.js";

/** @param {HTMLElement} root @param {{store: import("../store.js").Store, send: Function}} context */
export function mount(root, { store, send }) {
  const body = bodyOf(root);
  const slider = make(
    "input",
    { type: "range", class: "rg-slider", "aria-label": "Step", min: 0, max: 0, step: 1, value: 0 },
  );
  const marks = make("div", { class: "rg-marks", "aria-hidden": "true" });
  const events = make("select", { class: "rg-events", "aria-label": "What happened, and at which step" });
  const text = make("span", { class: "rg-soft rg-timeline-text" });
  body.append(make("div", { class: "rg-track" }, slider, marks), events, text);
  let wanted = null; // a step that was asked for while an answer is on its way
  let busy = false;
  let shown = "";

  async function seek(step) {
    wanted = step;
    if (busy) return;
    busy = true;
    while (wanted !== null) {
      const next = wanted;
      wanted = null;
      await send("seek", { step: next }).catch(() => {});
    }
    busy = false;
  }

  slider.addEventListener("input", () => {
    told(slider.value);
    seek(Number(slider.value));
  });
  slider.addEventListener("keydown", (event) => {
    const by = { ArrowLeft: -1, ArrowRight: 1, ArrowDown: -1, ArrowUp: 1 }[event.key];
    if (by === undefined || !event.shiftKey) return;
    event.preventDefault();
    event.stopPropagation();
    slider.value = String(Number(slider.value) + 10 * by);
    slider.dispatchEvent(new Event("input"));
  });
  events.addEventListener("change", () => {
    if (events.value !== "") seek(Number(events.value));
    events.value = "";
  });

  const told = (step) => {
    const last = store.lane(0)?.state?.snapshots.last ?? 0;
    setText(text, Number(step) === last ? `step ${step}` : `step ${step} of ${last}`);
    setAttribute(slider, "aria-valuetext", `step ${step} of ${last}`);
  };

  function take(state) {
    const { first, last, count } = state.snapshots;
    setAttribute(slider, "min", first);
    setAttribute(slider, "max", Math.max(last, first));
    slider.disabled = last === first;
    setAttribute(
      slider,
      "title",
      `${count} states are kept, from step ${first} to ${last}; steps between them are computed again`,
    );
    if (!busy && slider.value !== String(state.step)) slider.value = String(state.step);
    setProperty(slider, "--share", last > first ? ((state.step - first) / (last - first)).toFixed(4) : 0);
    if (!busy) told(state.step);
    show(first, last);
  }

  function show(first, last) {
    const found = (store.lane(0)?.curve.events ?? []).filter(({ kind, step }) =>
      kind !== "epoch" && step >= first && step <= last,
    ).slice(-60);
    const key = JSON.stringify([first, last, found]);
    if (key === shown) return;
    shown = key;
    marks.replaceChildren(
      ...found.map(({ kind, step }) => {
        const mark = make("span", { class: "rg-event-mark", "data-kind": kind });
        mark.style.setProperty("--share", last > first ? (step - first) / (last - first) : 0);
        return mark;
      }),
    );
    events.hidden = found.length === 0;
    const options = found.map(({ kind, step, text: words }) =>
      make("option", { value: step }, `step ${step}: ${kind}${words ? `, ${words}` : ""}`.slice(0, 90)),
    );
    events.replaceChildren(
      make("option", { value: "" }, `${found.length} event${found.length === 1 ? "" : "s"}`),
      ...options.reverse(),
    );
    events.value = "";
  }

  store.on("state", (state) => state.lane === 0 && take(state));
  store.on("curve", (curve) => {
    const state = store.lane(0)?.state;
    if (curve.lane === 0 && state) show(state.snapshots.first, state.snapshots.last);
  });
}
