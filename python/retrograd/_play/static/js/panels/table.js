// Every number as text in tables: the same data as the pictures, for reading aloud and for copying.

import { PHASES } from "../decode.js";
import { bodyOf, button, copy, make, setText, whileSeen } from "../elements.js";

/** @param {HTMLElement} root @param {{store: import("../store.js").Store, send: Function}} context */
export function mount(root, { store, send }) {
  const body = bodyOf(root);
  const where = make("p", { class: "rg-soft", role: "status" });
  const tables = make("div", { class: "rg-tables" });
  body.append(
    make(
      "div",
      { class: "rg-row" },
      button("Previous phase", () => send("phase", { dir: -1 })),
      button("Next phase", () => send("phase", { dir: 1 })),
      button("Step", () => send("step", { n: 1 })),
      button("Copy all", (event) => copy(tabbed(tables), event.currentTarget)),
    ),
    where,
    tables,
  );

  const refresh = whileSeen(body, 500, async () => {
    const layers = store.lane(0)?.spec?.layers ?? [];
    const found = await Promise.all(
      [0, ...layers.map((_, k) => k + 1)].map((layer) => send("table", { layer })),
    );
    const state = store.lane(0)?.state;
    setText(
      where,
      `${momentOf(state)}. z, a and δ are of one sample: x = (${state.focus.x}), y = ${state.focus.y}; ` +
        "∂L/∂w is the mean over the batch.",
    );
    found.forEach((table, layer) => fill(tables, layer, titleOf(layer, layers), table));
    while (tables.children.length > found.length) tables.lastChild.remove();
  });
  store.on("state", (state) => state.lane === 0 && refresh());
  root.addEventListener("rg-open", refresh);
}

const titleOf = (layer, layers) =>
  layer === 0 ? "Input" : `Layer ${layer}, ${layers[layer - 1].activation}`;

export function momentOf(state) {
  if (!state) return "";
  const phase = PHASES[state.phase] ?? state.phase;
  const layer = phase === "backward" ? ` of layer ${state.phase_layer}` : "";
  return `Step ${state.step}${phase === "idle" ? "" : `, ${phase}${layer}`}`;
}

/** Columns of the engine as they are read: units count from 1. */
export function headOf(name) {
  const known = { unit: "unit", input: "input", delta: "δ", gb: "∂L/∂b" }[name];
  if (known) return known;
  const [, letter, index] = /^([wg])(\d+)$/.exec(name) ?? [];
  if (!letter) return name;
  return `${letter === "w" ? "w" : "∂L/∂w"} ${Number(index) + 1}`;
}

function fill(tables, layer, title, { columns, rows }) {
  const key = `${title}:${columns.join()}:${rows.length}`;
  let box = tables.children[layer];
  if (box?.dataset.key !== key) {
    const made = make(
      "div",
      { class: "rg-wide-box", tabindex: 0, role: "group", "aria-label": title, "data-key": key },
      make(
        "table",
        {},
        make("caption", {}, title),
        make(
          "thead",
          {},
          make("tr", {}, ...columns.map((name) => make("th", { scope: "col" }, headOf(name)))),
        ),
        make(
          "tbody",
          {},
          ...rows.map((row) =>
            make("tr", {}, ...row.map((_, k) => (k ? make("td") : make("th", { scope: "row" })))),
          ),
        ),
      ),
    );
    if (box) box.replaceWith(made);
    else tables.append(made);
    box = made;
  }
  const cells = box.querySelectorAll("tbody tr");
  rows.forEach((row, i) =>
    row.forEach((text, k) => setText(cells[i].children[k], k ? text : String(Number(text) + 1))),
  );
}

const tabbed = (tables) =>
  [...tables.querySelectorAll("table")]
    .map((table) =>
      [
        table.caption.textContent,
        ...[...table.rows].map((row) => [...row.cells].map((cell) => cell.textContent).join("\t")),
      ].join("\n"),
    )
    .join("\n\n");
