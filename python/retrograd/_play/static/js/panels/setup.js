// Every setting of a run. The server alone judges a value: what it refuses is said next to the field, and
// the last value that it took goes on.

import { el, icon } from "../draw.js";
import { setAttribute, setText } from "../elements.js";

const GENERATED = ["xor", "circles", "moons", "spirals", "gaussians", "linear", "plane"];
const BETAS = ["adam", "adamw", "nadam", "radam", "adamax", "lion"];

/**
 * path: of the setting; choices: of hello; range: a slider; empty: what stands for no value; when: for which settings.
 * @type {{title: string, fields: {path: string, label: string, title?: string, choices?: string, range?: number[], empty?: string, list?: boolean, when?: (config: object) => boolean, structure?: boolean}[]}[]}
 */
const GROUPS = [
  {
    title: "Data",
    fields: [
      { path: "dataset", label: "data set", choices: "datasets", structure: true },
      { path: "rows", label: "samples", when: (c) => GENERATED.includes(c.dataset), structure: true },
      {
        path: "noise",
        label: "noise",
        range: [0, 1, 0.05],
        when: (c) => GENERATED.includes(c.dataset),
        structure: true,
      },
      {
        path: "classes",
        label: "classes",
        when: (c) => ["spirals", "gaussians"].includes(c.dataset),
        structure: true,
      },
      { path: "test_share", label: "test share", range: [0, 0.9, 0.05], structure: true },
    ],
  },
  {
    title: "Training",
    fields: [
      { path: "lr", label: "learning rate" },
      { path: "batch_size", label: "batch size" },
      { path: "loss", label: "loss", choices: "losses", structure: true },
      { path: "optimizer", label: "optimizer", choices: "optimizers" },
      { path: "momentum", label: "momentum", when: (c) => ["sgd", "rmsprop"].includes(c.optimizer) },
      { path: "beta1", label: "β₁", when: (c) => BETAS.includes(c.optimizer) },
      { path: "beta2", label: "β₂", when: (c) => BETAS.includes(c.optimizer) },
      { path: "l1", label: "L1 penalty" },
      { path: "l2", label: "L2 penalty" },
      { path: "clip_norm", label: "clip norm", empty: "off" },
      { path: "seed", label: "seed" },
      { path: "stop_epoch", label: "stop at epoch", empty: "never" },
      { path: "stop_loss", label: "stop at loss", empty: "never" },
    ],
  },
  {
    title: "Network",
    fields: [
      {
        path: "hidden",
        label: "hidden units",
        title: "Units of each hidden layer, such as 4, 3; none: no hidden layer",
        list: true,
        structure: true,
      },
      { path: "activations", label: "activation", choices: "activations", list: true, structure: true },
      { path: "output", label: "output", choices: "outputs", structure: true },
      { path: "init", label: "initialisation", choices: "initialisers", structure: true },
      {
        path: "init_scale",
        label: "initial scale",
        title: "A factor for all initial weights",
        structure: true,
      },
      { path: "dropout", label: "dropout", range: [0, 0.9, 0.05], structure: true },
    ],
  },
];

/** What a step of the arrow keys does to a number: 0.1, 0.3, 1 for rates, one for counts. */
const LADDER = { lr: true, l1: true, l2: true, clip_norm: true, init_scale: true };
const COUNTS = { rows: 10, classes: 1, batch_size: 1, seed: 1, stop_epoch: 1 };

/** @param {HTMLElement} root  @param {object} context */
export function mount(root, context) {
  const { store, send } = context;
  const fields = new Map();
  const apply = (field, value) => {
    send("set", { path: field.path, value }).then(
      () => field.accept(),
      (error) => error.code !== "closed" && showError(fields, error, field),
    );
  };
  const groups = GROUPS.map((group) => {
    const made = group.fields.map((options) => {
      const field = fieldOf(options, apply);
      fields.set(field.path, field);
      return field.root;
    });
    const extra = group.title === "Data" ? [ownData(context)] : [];
    return el("fieldset", {}, [el("legend", {}, [group.title]), ...made, ...extra]);
  });
  addDice(fields.get("seed"), apply);
  const given = el("p", { class: "rg-note", hidden: true }, [
    "The network came from Python: its structure and data are read only here.",
  ]);
  const lesson = lessonField(context);
  const search = searchField(fields, groups);
  root.append(search, given, lesson.root, ...groups);

  store.on("hello", (hello) => {
    given.hidden = !hello.given;
    for (const { choices, input, structure } of fields.values()) {
      if (choices) fill(input, hello.choices[choices] ?? []);
      input.disabled = hello.given && structure === true;
    }
    root.toggleAttribute("data-given", hello.given);
    lesson.fill(hello.lessons ?? [], hello.given);
  });
  store.on("spec", (spec) => {
    if (spec.lane !== 0) return;
    lesson.show(spec);
    for (const field of fields.values()) {
      if (!(field.path in spec.config)) continue;
      field.show(spec.config[field.path], spec.config);
      field.root.hidden = field.when ? !field.when(spec.config) : false;
    }
  });
}

/** The field that an error is of, or the one that was changed, says what is wrong. */
function showError(fields, error, asked) {
  const name = (error.field ?? "").split(/[[.]/)[0];
  const field = fields.get(name) ?? asked;
  field.refuse(error.message);
  if (field !== asked) asked.accept();
}

function fieldOf(options, apply) {
  const id = `rg-set-${options.path}`;
  const error = el("p", { class: "rg-error", id: `${id}-error`, hidden: true });
  const input = options.choices ? el("select", { id }) : el("input", inputOf(options, id));
  const output = options.range ? el("span", { class: "rg-range-value", "aria-hidden": "true" }) : null;
  const root = el("div", { class: "rg-field", "data-path": options.path }, [
    el("label", { for: id, ...(options.title ? { title: options.title } : {}) }, [options.label]),
    el("span", { class: "rg-control" }, output ? [input, output] : [input]),
    error,
  ]);
  const field = {
    ...options,
    root,
    input,
    last: null,
    accept() {
      error.hidden = true;
      input.removeAttribute("aria-invalid");
      input.removeAttribute("aria-describedby");
    },
    refuse(message) {
      setText(error, message);
      error.hidden = false;
      setAttribute(input, "aria-invalid", "true");
      setAttribute(input, "aria-describedby", error.id);
    },
    show(value) {
      field.last = value;
      // what is being typed, and what was refused, stays for the reader to mend
      if (
        input.getAttribute("aria-invalid") === "true" || (document.activeElement === input && field.dirty)
      ) return;
      const text = textOf(options, value);
      if (options.choices) addChoice(input, text);
      if (input.value !== text) input.value = text;
      if (output) setText(output, text);
    },
  };
  if (output) input.addEventListener("input", () => setText(output, input.value));
  else input.addEventListener("input", () => void (field.dirty = true));
  input.addEventListener("change", () => {
    field.dirty = false;
    apply(field, valueOf(options, input.value));
  });
  if (!options.choices && !options.range) {
    input.addEventListener("keydown", (event) => nudge(event, options.path, input));
    input.addEventListener("keydown", ({ key }) => {
      if (key !== "Escape") return;
      field.dirty = false;
      field.accept();
      field.show(field.last);
    });
  }
  return field;
}

function inputOf({ range, empty, list }, id) {
  if (range) {
    return { id, type: "range", min: String(range[0]), max: String(range[1]), step: String(range[2]) };
  }
  return {
    id,
    type: "text",
    inputMode: list ? "text" : "decimal",
    autocomplete: "off",
    spellcheck: false,
    placeholder: empty ?? "",
  };
}

/** A setting as text; several activations are one word where they are equal. */
function textOf({ list, choices }, value) {
  if (value === null || value === undefined) return "";
  if (!list) return String(value);
  if (!choices) return value.join(", ");
  if (value.length === 0) return "none";
  return value.every((name) => name === value[0]) ? value[0] : "mixed";
}

/** What is sent: a number where it is one, else the text as it stands, which the server will refuse in words. */
function valueOf({ list, choices, empty }, text) {
  const number = (part) => (part.trim() !== "" && Number.isFinite(Number(part)) ? Number(part) : part.trim());
  if (choices) return list ? [text] : text;
  if (list) return text.trim() === "" ? [] : text.split(/[,\s]+/).filter(Boolean).map(number);
  if (empty && ["", empty].includes(text.trim())) return null;
  return number(text);
}

/** Arrow keys change numbers in useful steps. */
function nudge(event, path, input) {
  if (event.key !== "ArrowUp" && event.key !== "ArrowDown") return;
  const value = Number(input.value);
  const up = event.key === "ArrowUp";
  if (!Number.isFinite(value)) return;
  let next = null;
  if (COUNTS[path]) next = value + (up ? COUNTS[path] : -COUNTS[path]);
  else if (LADDER[path] && value > 0) {
    next = Number(
      (up === isOne(value) ? value * (up ? 3 : 0.3) : value * (up ? 10 / 3 : 1 / 3)).toPrecision(1),
    );
  }
  if (next === null) return;
  event.preventDefault();
  input.value = String(next);
  input.dispatchEvent(new Event("change"));
}

const isOne = (value) => /^1/.test(value.toExponential());

function fill(select, names) {
  const chosen = select.value;
  select.replaceChildren(...names.map((name) => el("option", { value: name }, [name.replaceAll("_", " ")])));
  if (chosen) addChoice(select, chosen);
  select.value = chosen;
}

/** A value that is no choice of its own (own points, mixed activations) is shown all the same. */
function addChoice(select, name) {
  if ([...select.options].some((option) => option.value === name)) return;
  select.append(el("option", { value: name, disabled: true }, [name.replaceAll("_", " ")]));
}

/** Another seed by chance. */
function addDice(field, apply) {
  const button = el("button", {
    type: "button",
    class: "rg-small",
    title: "Another seed",
    "aria-label": "Another seed",
  }, [icon("dice")]);
  button.addEventListener("click", () => apply(field, Math.floor(Math.random() * 10000)));
  field.root.querySelector(".rg-control").append(button);
}

/** Points by hand, or a CSV file. */
function ownData({ store, send }) {
  const draw = el("button", { type: "button", class: "rg-button" }, ["Draw points"]);
  const file = el("input", {
    type: "file",
    accept: ".csv,.tsv,.txt,text/csv",
    class: "rg-hidden",
    id: "rg-csv",
    tabIndex: -1,
    "aria-label": "CSV file",
  });
  const choose = el("button", {
    type: "button",
    class: "rg-button",
    title: "Rows of numbers; the last column is the target",
  }, ["Open CSV"]);
  const error = el("p", { class: "rg-error", hidden: true, role: "alert" });
  draw.addEventListener(
    "click",
    () => store.setView({ draw: store.view.draw === undefined || store.view.draw === null ? 0 : null }),
  );
  choose.addEventListener("click", () => file.click());
  file.addEventListener("change", async () => {
    const chosen = file.files[0];
    file.value = "";
    if (!chosen) return;
    try {
      await send("csv", { text: await chosen.text() });
      error.hidden = true;
    } catch (problem) {
      setText(error, problem.message);
      error.hidden = false;
    }
  });
  store.on("view", ({ draw: label }) => draw.setAttribute("aria-pressed", String(typeof label === "number")));
  draw.setAttribute("aria-pressed", "false");
  store.on("hello", ({ given }) => [draw, choose].forEach((button) => (button.disabled = given)));
  store.on("spec", (spec) => {
    if (spec.lane !== 0) return;
    draw.disabled = store.hello?.given || spec.grid === null;
    draw.title = spec.grid === null ? "Points need a plane: two inputs" : "";
  });
  return el("div", { class: "rg-own" }, [draw, choose, file, error]);
}

/** A lesson's settings and captions, or none. */
function lessonField({ send }) {
  const select = el("select", { id: "rg-set-lesson" });
  const root = el("div", { class: "rg-field rg-lesson-field", hidden: true }, [
    el("label", { for: "rg-set-lesson", class: "rg-hidden" }, ["lesson"]),
    el("span", { class: "rg-control" }, [select]),
  ]);
  select.addEventListener("change", () => select.value && send("lesson", { id: select.value }));
  return {
    root,
    fill(lessons, given) {
      root.hidden = lessons.length === 0 || given;
      select.replaceChildren(
        el("option", { value: "" }, ["Choose a lesson …"]),
        ...lessons.map(({ id, title }) => el("option", { value: id }, [title])),
      );
    },
    show(spec) {
      const id = spec.lesson?.id ?? "";
      if (select.value !== id) select.value = id;
    },
  };
}

/** Only the settings whose name has the words that are typed. */
function searchField(fields, groups) {
  const input = el("input", {
    type: "search",
    id: "rg-set-search",
    placeholder: "Find a setting",
    "aria-label": "Find a setting",
    autocomplete: "off",
  });
  input.addEventListener("input", () => {
    const wanted = input.value.trim().toLowerCase();
    for (const { root, label, path } of fields.values()) {
      root.toggleAttribute("data-out", !`${label} ${path}`.includes(wanted));
    }
    for (const group of groups) {
      group.toggleAttribute("data-out", !group.querySelector(".rg-field:not([data-out]):not([hidden])"));
    }
  });
  return el("div", { class: "rg-search" }, [input, el("kbd", { "aria-hidden": "true" }, ["/"])]);
}
