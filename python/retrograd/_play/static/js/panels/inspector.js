// The arithmetic of what is pinned: formula, the numbers put in, result. It is a subscription: the server
// sends the lines again whenever step or phase have changed.

import { bodyOf, button, choice, copy, make, setAttribute, setText } from "../elements.js";
import { shown, written } from "../lines.js";
import { formulaOf, link, nameOf, subscript } from "../maths.js";
import { keyOf } from "../store.js";

// what belongs to the weights before an update
const OLD = new Set(["forward", "backward", "gradient", "loss"]);
const TRAIL = 6;

/** @param {HTMLElement} root @param {{store: import("../store.js").Store, send: Function}} context */
export function mount(root, { store, send }) {
  const body = bodyOf(root);
  const where = make("nav", { class: "rg-trail", "aria-label": "Where you have been" });
  const chain = make("nav", { class: "rg-chain", "aria-label": "Along the network" });
  const stamp = make("p", { class: "rg-stamp" });
  const blocks = make("div", { class: "rg-blocks" });
  const checking = make("div", { class: "rg-gradcheck" });
  const hint = make(
    "p",
    { class: "rg-hint" },
    "Choose a unit, a weight or a layer in the network, or here: its arithmetic appears, number by number.",
  );
  const exact = make("input", { type: "checkbox", onchange: () => latest && take(latest) });
  const check = button("Check the gradient", checkGradient, { "aria-keyshortcuts": "G" });
  const copies = ["Text", "LaTeX", "Python"].map((name) =>
    button(name, (event) => copyAs(name.toLowerCase(), event.currentTarget), {
            "aria-label": `Copy as ${name}`,
    }),
  );
  const tools = make(
    "div",
    { class: "rg-row rg-inspector-tools" },
    make("label", { class: "rg-check" }, exact, "all digits"),
    make("span", { class: "rg-copies" }, "copy as ", ...copies),
    check,
  );
  let picked = false; // by the selects: what was there before was but passed through
  const picker = pickerOf((target) => {
    picked = true;
    store.select(target);
    picked = false;
  });
  let lane = 0;
  const lanes = choice("run", [["0", "A"], ["1", "B"]], (value) => {
    lane = Number(value);
    show();
  });
  body.append(
    make("div", { class: "rg-row rg-pick" }, picker.element, lanes, hint, stamp),
    where,
    make("div", { class: "rg-row" }, chain, tools),
    blocks,
    checking,
  );

  let latest = null; // the detail that is shown
  let trail = [];
  const sections = []; // of the blocks that stand there
  const copyAs = (kind, asked) =>
    copy(written(`${nameOf(store.target)}, step ${latest?.step ?? 0}`, latest?.blocks ?? [], kind), asked);

  function subscribe() {
    // an input has no formula
    const targets = store.target === null || store.target.layer === 0 ? [] : [store.target];
    if (store.status !== "open") return;
    for (const index of [0, 1]) if (store.lane(index)) send("watch", { targets }, index);
  }

  function select(target) {
    if (target !== null) {
      if (picked) trail = trail.slice(0, -1);
      trail = [...trail.filter((one) => keyOf(one) !== keyOf(target)), target].slice(-TRAIL);
    }
    checking.replaceChildren();
    check.hidden = !["unit", "weight", "bias"].includes(target?.kind);
    latest = null;
    subscribe();
    show();
  }

  /** All that depends on the target and on the network. */
  function show() {
    const { target } = store;
    const known = target !== null;
    document.body.classList.toggle("rg-pinned", known); // it takes more room then
    lanes.hidden = store.lane(1) === null;
    hint.hidden = known;
    tools.hidden = stamp.hidden = blocks.hidden = checking.hidden = !known;
    picker.show(target);
    const crumbs = trail.map((one) => {
      const here = keyOf(one) === keyOf(target);
      return make(
        "li",
        {},
        button(nameOf(one), () => store.select(one), { class: "rg-crumb", "aria-current": here && "true" }),
      );
    });
    where.replaceChildren(make("ol", {}, ...crumbs));
    where.hidden = trail.length < 2;
    chain.replaceChildren(
      ...neighbours(target, store.lane(lane)?.spec?.layers ?? [], (one) => store.select(one)),
    );
    chain.hidden = !known || chain.childElementCount === 0;
    const detail = known ? store.lane(lane)?.details.get(keyOf(target)) : null;
    if (detail) take(detail);
    else {
      blocks.replaceChildren();
      sections.length = 0;
      const x = store.lane(lane)?.state?.focus.x ?? "";
      const given = `x = (${x}), the sample in focus: given, not computed.`;
      setText(stamp, target?.layer === 0 ? given : known ? "Waiting for the numbers…" : "");
    }
  }

  function take(detail) {
    latest = detail;
    detail.blocks.forEach((block, k) => place(block, k, detail));
    while (blocks.children.length > detail.blocks.length) blocks.lastChild.remove();
    sections.length = detail.blocks.length;
    reach();
    const stale = detail.weights_step < detail.step;
    const old = stale ? `; z, a and δ are of step ${detail.weights_step}, before this update` : "";
    setText(stamp, `step ${detail.step}${old}`);
    setAttribute(stamp, "data-stale", stale ? "" : null);
  }

  /** A block in its place; what is there already gets new texts only. */
  function place(block, k, detail) {
    let section = sections[k];
    if (!section) {
      const [title, lines, text] = [
        make("h3"),
        make("div", { class: "rg-lines" }),
        make("p", { class: "rg-block-text" }),
      ];
      section = sections[k] = {
        element: make("section", { class: "rg-block" }, title, lines, text),
        title,
        lines,
        text,
        rows: [],
      };
      blocks.append(section.element);
    }
    const old = OLD.has(block.id) && detail.weights_step < detail.step;
    setAttribute(section.element, "data-block", block.id);
    setAttribute(section.element, "data-old", old ? "" : null);
    setText(section.title, block.title);
    setText(section.text, block.text ?? "");
    block.lines.forEach((line, n) => {
      const row = (section.rows[n] ??= lineOf());
      if (!row.element.parentNode) section.lines.append(row.element);
      row.show(
        line,
        exact.checked,
        (formula) => link(formula, line.refs ?? [], store.target, (target) => store.select(target)),
      );
    });
    for (const { element } of section.rows.splice(block.lines.length)) element.remove();
  }

  /** A formula that does not fit can be scrolled, and so must be reached by keyboard. */
  function reach() {
    for (const formula of blocks.querySelectorAll(".rg-formula")) {
      setAttribute(formula, "tabindex", formula.scrollWidth > formula.clientWidth ? 0 : null);
    }
  }

  async function checkGradient() {
    const { target } = store;
    if (target === null || check.hidden) return;
    setText(check, "Checking…");
    try {
      const found = await send("gradcheck", { target }, lane);
      const pairs = [
        ["backpropagation", found.backpropagation],
        ["central difference", found.difference],
        ["relative error", found.relative_error],
      ];
      const verdict = found.passed ? "✓ They agree." : "✗ They differ.";
      checking.replaceChildren(
        make("h3", {}, `Check at step ${latest?.step ?? 0}`),
        make(
          "dl",
          { class: "rg-pairs" },
          ...pairs.flatMap(([name, text]) => [make("dt", {}, name), make("dd", {}, text)]),
        ),
        make("p", { class: found.passed ? "rg-good" : "rg-bad", role: "status" }, verdict),
      );
    } catch (error) {
      checking.replaceChildren(make("p", { class: "rg-soft", role: "status" }, error.message));
    }
    setText(check, "Check the gradient");
    checking.scrollIntoView({ block: "nearest" });
  }

  new ResizeObserver(reach).observe(blocks);
  store.on("target", select);
  store.on("hello", subscribe);
  store.on("spec", (spec) => {
    picker.build(spec);
    const { target } = store;
    const gone = target !== null && !exists(target, store.lane(0)?.spec?.layers ?? []);
    if (gone) {
      trail = [];
      store.select(null);
    } else {
      trail = trail.filter((one) => exists(one, store.lane(0)?.spec?.layers ?? []));
      latest = null;
      subscribe();
      show();
    }
  });
  store.on("detail", (detail) => {
    if (detail.lane === lane && keyOf(detail.target) === keyOf(store.target)) take(detail);
  });
  store.on("event", (event) => {
    if (event.kind !== "dropped") return;
    lane = 0;
    show();
  });
  store.on("gradcheck", checkGradient);
  show();
}

/** Formula, substituted numbers and result of one line. */
function lineOf() {
  const formula = make("div", { class: "rg-formula" });
  const numbers = make("div", { class: "rg-numbers" });
  const result = make("div", { class: "rg-result" });
  const note = make("div", { class: "rg-line-note" });
  let before = "";
  return {
    element: make("div", { class: "rg-line" }, formula, numbers, result, note),
    show(line, exact, linked) {
      const key = line.symbol + line.formula;
      if (key !== before) {
        const maths = formulaOf(line.mathml ?? "");
        const plain = [line.symbol, line.formula].filter(Boolean).join(" = ");
        formula.replaceChildren(...(maths.length ? maths.flatMap((piece) => [piece, "\u200b"]) : [plain]));
        linked(formula);
      }
      before = key;
      const texts = shown(line, exact);
      [numbers, result].forEach((place, k) => {
        setText(place, texts[k]);
        place.hidden = texts[k] === "";
      });
      setText(note, line.note ?? "");
    },
  };
}

function exists(target, layers) {
  if (target.kind === "loss") return true;
  const sizes = [layers[0]?.inputs ?? 0, ...layers.map((layer) => layer.units)];
  if (target.kind === "layer") return target.layer < sizes.length;
  const fits = target.unit < (sizes[target.layer] ?? 0);
  return target.kind === "weight" ? fits && target.input < sizes[target.layer - 1] : fits;
}

/** Ways on: what a unit gets its a from and its δ from, and what a weight connects. */
function neighbours(target, layers, go) {
  if (target === null || layers.length === 0) return [];
  const sizes = [layers[0].inputs, ...layers.map((layer) => layer.units)];
  const chip = (text, one) => button(
    text,
    () => go(one),
    { class: "rg-chip", "aria-label": `${text}: ${nameOf(one)}` },
  );
  const units = (letter, layer) =>
    Array.from(
      { length: Math.min(sizes[layer], 8) },
      (_, unit) => chip(letter + subscript(unit + 1), { kind: "unit", layer, unit }),
    );
  const group = (text, chips) => make(
    "span",
    { class: "rg-group" },
    make("span", { class: "rg-soft" }, text),
    ...chips,
  );
  const { kind, layer, unit, input } = target;
  if (kind === "loss") return [group("of", units("ŷ", sizes.length - 1))];
  if (kind === "layer") return [group("units", units(layer === 0 ? "x" : "a", layer))];
  const found = [];
  if (kind === "unit") {
    if (layer > 0) found.push(group("a from", units(layer === 1 ? "x" : "a", layer - 1)));
    if (layer > 0) {
      const weights = Array.from({ length: Math.min(sizes[layer - 1], 8) }, (_, k) =>
        chip(`w${subscript(unit + 1, k + 1)}`, { kind: "weight", layer, unit, input: k }),
      );
      found.push(group("by", [...weights, chip(`b${subscript(unit + 1)}`, { kind: "bias", layer, unit })]));
    }
    found.push(
      group("δ from", layer === sizes.length - 1 ? [chip("L", { kind: "loss" })] : units("δ", layer + 1)),
    );
  } else {
    found.push(group("to", [chip(`δ${subscript(unit + 1)}`, { kind: "unit", layer, unit })]));
    if (kind === "weight") {
      found.push(
        group(
          "from",
          [
            chip(
              (layer === 1 ? "x" : "a") + subscript(input + 1),
              { kind: "unit", layer: layer - 1, unit: input },
            ),
          ],
        ),
      );
    }
  }
  return found;
}

/** Choosing a target without the picture: by kind and numbers. */
function pickerOf(select) {
  const element = make("span", { class: "rg-picker" });
  const kinds = [
    ["", "nothing"],
    ["unit", "unit"],
    ["weight", "weight"],
    ["bias", "bias"],
    ["layer", "layer"],
    ["loss", "loss"],
  ];
  const parts = { kind: choice("show", kinds, go) };
  for (const name of ["layer", "unit", "input"]) parts[name] = choice(name, [], go);
  element.append(...Object.values(parts));
  const list = (name) => parts[name].lastChild;
  let sizes = [];

  function fill(name, first, count, chosen) {
    const options = list(name);
    const key = `${first}.${count}`;
    if (options.dataset.key !== key) {
      options.dataset.key = key;
      options.replaceChildren(
        ...Array.from({ length: count }, (_, k) => make("option", { value: first + k }, String(first + k))),
      );
    }
    options.value = String(Math.min(Math.max(chosen, first), first + count - 1));
  }

  function show(target) {
    const kind = target?.kind ?? "";
    list("kind").value = kind;
    const used = {
      unit: ["layer", "unit"],
      weight: ["layer", "unit", "input"],
      bias: ["layer", "unit"],
      layer: ["layer"],
    }[kind] ?? [];
    for (const name of ["layer", "unit", "input"]) parts[name].hidden = !used.includes(name);
    if (sizes.length < 2) return;
    const first = kind === "unit" && target.layer === 0 ? 0 : 1;
    fill("layer", first, sizes.length - first, target?.layer ?? 1);
    const layer = Number(list("layer").value);
    fill("unit", 1, sizes[layer], (target?.unit ?? 0) + 1);
    fill("input", 1, sizes[layer - 1] ?? 1, (target?.input ?? 0) + 1);
  }

  function go() {
    const kind = list("kind").value;
    if (kind === "") return select(null);
    if (kind === "loss") return select({ kind });
    const layer = Math.max(1, Math.min(Number(list("layer").value) || 1, sizes.length - 1));
    const target = { kind, layer };
    if (kind !== "layer") target.unit = Math.min(Number(list("unit").value) || 1, sizes[layer]) - 1;
    if (kind === "weight") target.input = Math.min(Number(list("input").value) || 1, sizes[layer - 1]) - 1;
    select(target);
  }

  return {
    element,
    show,
    build(spec) {
      if (spec.lane === 0) sizes = [spec.layers[0].inputs, ...spec.layers.map((layer) => layer.units)];
    },
  };
}
