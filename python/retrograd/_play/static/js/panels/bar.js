// What runs the training, and where it is: buttons, speed, the phases of a step, and the readings.

import { el, icon, segmented } from "../draw.js";
import { setAttribute, setText } from "../elements.js";

const PHASES = ["Forward", "Loss", "Backward", "Update"];
const SPEEDS = [
  { value: "phase", text: "slow", title: "One phase each 0.7 seconds" },
  { value: "1", text: "1", title: "One step in each picture" },
  { value: "10", text: "10", title: "10 steps in each picture" },
  { value: "100", text: "100", title: "100 steps in each picture" },
  { value: "1000000", text: "max", title: "As many steps as the engine makes" },
];
const READINGS = [
  ["step", "step"],
  ["epoch", "epoch"],
  ["loss", "loss"],
  ["test_loss", "test loss"],
  ["accuracy", "accuracy"],
  ["test_accuracy", "test acc."],
];

/** @param {HTMLElement} root  @param {object} context */
export function mount(root, { store, send }) {
  const buttons = transport(send);
  const speed = segmented({
    name: "speed",
    label: "Steps in each picture",
    options: SPEEDS,
    onChange: (value) =>
      send("speed", value === "phase" ? { unit: "phase", n: 1 } : { unit: "steps", n: Number(value) }),
  });
  const stripe = phaseStripe();
  const epoch = el("dd", { class: "rg-epoch-bar", "aria-hidden": "true" }); // how far the present one is
  const readings = el("dl", { class: "rg-readings", "aria-label": "Readings" });
  const values = new Map();
  for (const [key, label] of READINGS) {
    const value = el("dd", {}, ["–"]);
    values.set(key, value);
    const bar = key === "epoch" ? [epoch] : [];
    readings.append(el("div", { "data-reading": key }, [el("dt", {}, [label]), value, ...bar]));
  }
  const engine = el("p", { class: "rg-engine" });
  const link = el("p", { class: "rg-link", "data-status": "connecting" }, ["connecting"]);
  const rates = el("p", { class: "rg-rates" });

  const drawer = el("button", {
    type: "button",
    class: "rg-button",
    "data-do": "drawer",
    "aria-expanded": "false",
    "aria-controls": "rg-setup",
  }, [icon("settings"), "Set-up"]);
  root.append(
    el("div", { class: "rg-bar-top" }, [
      drawer,
      el("div", { class: "rg-brand" }, [el("h1", {}, ["retrograd", el("span", {}, [" play"])]), engine]),
      buttons.root,
      el("div", { class: "rg-speed" }, [
        el("span", { class: "rg-label", "aria-hidden": "true" }, ["steps per picture"]),
        speed.root,
      ]),
      el("div", { class: "rg-connection" }, [link, rates]),
    ]),
    el("div", { class: "rg-bar-low" }, [stripe.root, readings]),
  );

  buttons.enable(store);
  store.on("hello", ({ version, dtype }) => setText(engine, `${version} · ${dtype}`));
  store.on("status", ({ status }) => {
    setAttribute(link, "data-status", status);
    setText(
      link,
      { open: "connected", connecting: "connecting", stopped: "stopped" }[status] ?? "not connected",
    );
    buttons.enable(store);
  });
  store.on("spec", ({ lane }) => {
    if (lane !== 0) return;
    stripe.layers(store.lane(0).spec.layers.length);
    buttons.enable(store);
  });
  store.on("state", (state) => {
    if (state.lane !== 0) return;
    for (const [key, value] of values) setText(value, state.text[key] ?? "–");
    stripe.show(state);
    epoch.style.setProperty("--share", String(state.epoch % 1));
    if (state.speed) speed.set(state.speed.unit === "phase" ? "phase" : String(state.speed.n));
    buttons.show(state);
    buttons.enable(store);
  });
  mountAnnouncements(store, root.ownerDocument);
  mountRates(store, rates);
  mountHidden(store, send, root.ownerDocument);
}

/** Nobody looks at a hidden tab: training pauses there, and goes on when it is seen again. */
function mountHidden(store, send, document) {
  let paused = false;
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) {
      paused = store.status === "open" && store.lane(0).state?.playing === true;
      if (paused) send("pause");
    } else if (paused) {
      paused = false;
      send("play");
    }
  });
}

/** The buttons: what goes back on the left, what goes on on the right. */
function transport(send) {
  const make = (name, label, title, act, text = "") => {
    const button = el("button", {
      type: "button",
      class: "rg-button",
      "data-do": name,
      title,
      "aria-label": label,
    }, [
      icon(name.replace("phase-back", "back").replace("phase", "forward")),
      ...(text ? [el("span", { class: "rg-text", "aria-hidden": "true" }, [text])] : []),
    ]);
    button.addEventListener("click", act);
    return button;
  };
  const play = make(
    "play",
    "Play",
    "Space",
    () => send(play.dataset.do === "pause" ? "pause" : "play"),
    "Play",
  );
  play.classList.add("rg-primary");
  const back = make("unstep", "One step back", "Shift + ←", () => stepBack(send, current));
  let current = null;
  const parts = {
    reset: make(
      "reset",
      "Reset: back to step 0, training begins anew",
      "R",
      () => send("reset", { keep_seed: true }),
    ),
    start: make(
      "rewind",
      "Rewind to step 0",
      "Later steps are kept until you change something",
      () => send("seek", { step: 0 }),
    ),
    unstep: back,
    phaseBack: make("phase-back", "Previous phase", "←", () => send("phase", { dir: -1 })),
    play,
    phase: make("phase", "Next phase", "→", () => send("phase", { dir: 1 }), "Phase"),
    step: make("step", "One step", "Shift + →", () => send("step", { n: 1 }), "Step"),
    epoch: make("epoch", "One epoch", "E", () => send("epoch"), "Epoch"),
  };
  const root = el("div", { class: "rg-transport", role: "group", "aria-label": "Run" }, Object.values(parts));
  return {
    root,
    show(state) {
      current = state;
      const name = state.playing ? "pause" : "play";
      if (play.dataset.do === name) return;
      play.dataset.do = name;
      play.setAttribute("aria-label", state.playing ? "Pause" : "Play");
      play.querySelector("use").setAttribute("href", `#rg-i-${name}`);
      setText(play.lastElementChild, state.playing ? "Pause" : "Play");
    },
    enable(store) {
      const { spec, state } = store.lane(0);
      const ready = store.status === "open" && spec !== null && state !== null;
      const reason = !ready ? "Not connected" : (spec.draft ?? "");
      const atStart = !state || (state.step === 0 && state.phase === 0);
      for (const [name, button] of Object.entries(parts)) {
        const no = reason !== "" || (atStart && ["start", "unstep", "phaseBack"].includes(name));
        if (button.disabled !== no) button.disabled = no;
      }
      setAttribute(play, "title", reason || "Space");
      play.toggleAttribute(
        "data-first",
        ready && !reason && state.step === 0 && state.phase === 0 && !state.playing,
      );
    },
  };
}

/** One step back; in the middle of a step, to where it began. */
export function stepBack(send, state) {
  if (!state) return;
  const inside = state.phase >= 1 && state.phase <= 3;
  if (inside || state.step > 0) send("seek", { step: inside ? state.step : state.step - 1 });
}

/** The four phases of a step, those of backward layer by layer. */
function phaseStripe() {
  const layers = el("span", { class: "rg-chips" });
  const items = PHASES.map((name, k) => {
    const children = [el("span", { class: "rg-phase-name" }, [name])];
    if (k === 2) children.push(layers);
    return el("li", { "data-phase": String(k + 1) }, children);
  });
  const root = el("div", { class: "rg-phases" }, [el("ol", { "aria-label": "Phases of a step" }, items)]);
  return {
    root,
    layers(count) {
      const chips = [];
      for (let layer = count; layer >= 1; layer -= 1) {
        chips.push(el("span", { "data-layer": String(layer) }, [String(layer)]));
      }
      layers.replaceChildren(...chips);
      layers.toggleAttribute("data-many", count > 5);
    },
    show(state) {
      root.toggleAttribute("data-playing", state.playing && state.speed?.unit !== "phase");
      items.forEach((item, k) => {
        if (state.phase === k + 1) setAttribute(item, "aria-current", "step");
        else item.removeAttribute("aria-current");
        item.toggleAttribute("data-done", state.phase > k + 1);
      });
      for (const chip of layers.children) {
        const layer = Number(chip.dataset.layer);
        chip.toggleAttribute("data-now", state.phase === 3 && layer === state.phase_layer);
        chip.toggleAttribute(
          "data-done",
          state.phase === 4 || (state.phase === 3 && layer > state.phase_layer),
        );
      }
    },
  };
}

/** Say where the run is after a step by hand, at most once a second; never while it plays. */
function mountAnnouncements(store, document) {
  const live = document.getElementById("rg-live");
  let [said, timer] = ["", 0];
  store.on("state", (state) => {
    if (state.lane !== 0 || state.playing) return;
    const phase =
      ["", ", forward", ", loss", `, backward, layer ${state.phase_layer}`, ", update"][state.phase];
    const text = `Step ${state.text.step ?? state.step}${phase}, loss ${state.text.loss}`;
    if (said === "") said = text; // what a page opens with is no news
    clearTimeout(timer);
    timer = setTimeout(() => {
      if (text !== said) live.textContent = text;
      said = text;
    }, 400);
  });
}

/** Pictures per second are the one number that the page itself knows; steps per second come from the engine. */
function mountRates(store, rates) {
  let drawn = 0;
  let since = performance.now();
  let steps = "";
  store.on("frame", (frame) => void (frame.lane === 0 && (drawn += 1)));
  store.on(
    "state",
    (state) => void (state.lane === 0 && (steps = state.playing ? state.text.steps_per_second : "")),
  );
  setInterval(() => {
    const now = performance.now();
    const perSecond = Math.round((1000 * drawn) / (now - since));
    [drawn, since] = [0, now];
    rates.dataset.fps = String(perSecond);
    setText(rates, steps && steps !== "–" ? `${steps} steps/s · ${perSecond} fps` : "");
  }, 1000);
}
