// A copy of the run beside it, in lock-step: change one thing in B, and see what that does.

import { bodyOf, button, choice, make, setAttribute, setText } from "../elements.js";

const SETTINGS = [
  "lr",
  "optimizer",
  "momentum",
  "batch_size",
  "l1",
  "l2",
  "clip_norm",
  "dropout",
  "init_scale",
  "seed",
];
const NUMBERS = [
  ["loss", "loss"],
  ["test loss", "test_loss"],
  ["accuracy", "accuracy"],
  ["test acc.", "test_accuracy"],
  ["lr", "lr"],
];
const HEIGHT = 88;

/** @param {HTMLElement} root @param {{store: import("../store.js").Store, send: Function}} context */
export function mount(root, { store, send }) {
  const body = bodyOf(root);
  const fork = button("Fork & compare", () => send("fork"), { "aria-keyshortcuts": "F" });
  const both = make("div", { class: "rg-both", hidden: true });
  body.append(fork, both);

  const swap = button("Swap A and B", () => send("swap"));
  const drop = button("Drop B", () => send("drop"));
  const pictures = [0, 1].map(() =>
    make("canvas", { class: "rg-mini", role: "img", width: 10, height: HEIGHT }),
  );
  const rows = [0, 1].map((lane) =>
    make("tr", {}, make("th", { scope: "row" }, "AB"[lane]), ...NUMBERS.map(() => make("td"))),
  );
  const differences = make("tbody");
  const none = make(
    "p",
    { class: "rg-soft" },
    "No setting differs: A and B go the same way, bit for bit. Change one in B.",
  );
  const value = make(
    "input",
    { type: "text", size: 8, "aria-label": "New value in B", inputmode: "decimal" },
  );
  let setting = "lr";
  const which = choice("in B set", SETTINGS.map((name) => [name, name.replaceAll("_", " ")]), (name) => {
    setting = name;
    offer();
  });
  const said = make("p", { class: "rg-bad", role: "alert", hidden: true });
  const form = make(
    "form",
    { class: "rg-row" },
    which,
    value,
    make("button", { class: "rg-button" }, "Set"),
    swap,
    drop,
    said,
  );
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const text = value.value.trim();
    try {
      await send(
        "set",
        { path: setting, value: text === "" ? null : Number.isNaN(Number(text)) ? text : Number(text) },
        1,
      );
      said.hidden = true;
    } catch (error) {
      setText(said, error.message);
      said.hidden = false;
    }
  });
  const head = (...names) => make(
    "thead",
    {},
    make("tr", {}, ...names.map((name) => make("th", { scope: "col" }, name))),
  );
  const settings = make(
    "table",
    { class: "rg-differences" },
    make("caption", {}, "Settings that differ"),
    head("setting", "A", "B"),
    differences,
  );
  both.append(
    ...pictures.map((picture, k) =>
      make("figure", { class: "rg-lane" }, make("figcaption", {}, k ? "B ╌╌" : "A ──"), picture),
    ),
    make(
      "div",
      { class: "rg-both-numbers" },
      make(
        "table",
        {},
        make("caption", { class: "rg-hidden" }, "Numbers of both runs"),
        head("run", ...NUMBERS.map(([title]) => title)),
        make("tbody", {}, ...rows),
      ),
      form,
    ),
    make("div", { class: "rg-both-settings" }, settings, none),
  );

  const offer = () => {
    value.value = String(store.lane(1)?.spec?.config[setting] ?? "");
  };

  function show() {
    const two = store.lane(1)?.spec != null;
    setAttribute(root, "data-two", two ? "" : null);
    document.body.classList.toggle("rg-two", two);
    fork.hidden = two;
    both.hidden = !two;
    if (!two) return;
    const [a, b] = [0, 1].map((lane) => store.lane(lane).spec.config);
    const found = Object.keys(b).filter((name) => JSON.stringify(a[name]) !== JSON.stringify(b[name]));
    differences.replaceChildren(
      ...found.map((name) =>
        make(
          "tr",
          {},
          make("th", { scope: "row" }, name.replaceAll("_", " ")),
          ...[a, b].map((config) => make("td", {}, textOf(config[name]))),
        ),
      ),
    );
    settings.hidden = found.length === 0;
    none.hidden = found.length > 0;
    if (document.activeElement !== value) offer();
    texts();
    for (const lane of [0, 1]) paint(lane);
  }

  function paint(lane) {
    const { frame, spec } = store.lane(lane);
    if (frame && frame.rev === spec.rev) draw(pictures[lane], frame, spec);
  }

  function texts() {
    if (both.hidden) return;
    for (const lane of [0, 1]) {
      const state = store.lane(lane)?.state;
      if (!state) continue;
      NUMBERS.forEach(([, key], k) => setText(rows[lane].children[k + 1], state.text[key] || "–"));
      setAttribute(
        pictures[lane],
        "aria-label",
        `Network of run ${lane ? "B" : "A"}, loss ${state.text.loss}: width and colour of lines are weights`,
      );
    }
  }

  store.on("spec", show);
  store.on("event", (event) => event.kind === "dropped" && show());
  store.on("hello", ({ given }) => {
    swap.disabled = given;
    swap.title = given ? "A was given from Python" : "";
    show();
  });
  store.on("state", texts);
  store.on("frame", (frame) => !both.hidden && paint(frame.lane));
}

function textOf(value) {
  if (value === null) return "–";
  return Array.isArray(value) ? value.join(", ") || "none" : String(value);
}

/** The network in small: a line for each weight, a disc for each unit. */
function draw(canvas, frame, spec) {
  const scale = devicePixelRatio || 1;
  const width = canvas.clientWidth;
  if (canvas.width !== Math.round(width * scale)) canvas.width = Math.round(width * scale);
  if (canvas.height !== Math.round(HEIGHT * scale)) canvas.height = Math.round(HEIGHT * scale);
  const pen = canvas.getContext("2d");
  const style = getComputedStyle(canvas);
  const [minus, plus, line] = [style.borderTopColor, style.borderBottomColor, style.color];
  pen.setTransform(scale, 0, 0, scale, 0, 0);
  pen.clearRect(0, 0, width, HEIGHT);
  const sizes = [spec.layers[0].inputs, ...spec.layers.map((layer) => layer.units)];
  const place = (layer, unit) => [
    14 + ((width - 28) * layer) / (sizes.length - 1),
    (HEIGHT * (unit + 0.5)) / sizes[layer],
  ];
  for (let layer = 1; layer < sizes.length; layer++) {
    const { data } = frame.tensor("W", layer);
    const most = Math.max(1, data.reduce((largest, w) => Math.max(largest, Math.abs(w)), 0));
    data.forEach((w, k) => {
      const part = Math.abs(w) / most;
      pen.beginPath();
      pen.moveTo(...place(layer - 1, k % sizes[layer - 1]));
      pen.lineTo(...place(layer, Math.floor(k / sizes[layer - 1])));
      pen.strokeStyle = w < 0 ? minus : plus;
      pen.globalAlpha = 0.15 + 0.85 * part;
      pen.lineWidth = 0.5 + 3 * part;
      pen.setLineDash(w < 0 && part > 0.25 ? [5, 4] : []);
      pen.stroke();
    });
  }
  pen.globalAlpha = 1;
  pen.setLineDash([]);
  sizes.forEach((units, layer) => {
    const a = frame.tensor("a", layer)?.data ?? [];
    const radius = Math.max(2.5, Math.min(8, HEIGHT / units / 2 - 1));
    for (let unit = 0; unit < units; unit++) {
      pen.beginPath();
      pen.arc(...place(layer, unit), radius, 0, 2 * Math.PI);
      pen.fillStyle = style.backgroundColor;
      pen.fill();
      pen.globalAlpha = Math.min(1, Math.abs(a[unit] ?? 0));
      pen.fillStyle = a[unit] < 0 ? minus : plus;
      pen.fill();
      pen.globalAlpha = 1;
      pen.lineWidth = 1;
      pen.strokeStyle = line;
      pen.stroke();
    }
  });
}
