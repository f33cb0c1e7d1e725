// Taking things along and bringing them back: files, pictures, and the address.

import { addressOf, configOf, hiddenOf, sameConfig } from "../address.js";
import { bodyOf, button, choice, copy, download, make, setText } from "../elements.js";
import { drawn, pngOf, svgOf } from "../picture.js";
import { PARTS } from "./lessons.js";

const FILES = [
  ["snippet", "Python", "a program that makes this network and repeats this training"],
  ["model", "Model", "weights and structure, for rg.load in Python (.safetensors)"],
  ["config", "Settings", "everything in the set-up, to load again here (.json)"],
  ["csv", "History", "loss and accuracy of every step, for a table (.csv)"],
  ["replay", "Replay", "this run as one page that opens without Python (.html)"],
];

/** @param {HTMLElement} root @param {{store: import("../store.js").Store, send: Function}} context */
export function mount(root, { store, send }) {
  const body = bodyOf(root);
  const said = make("p", { class: "rg-said", role: "status" });
  const tell = (text) => setText(said, text);
  const tried = (action) => async (...given) => {
    try {
      await action(...given);
    } catch (error) {
      tell(error.message);
    }
  };

  const files = FILES.map(([kind, title, text]) =>
    make(
      "li",
      {},
      button(title, tried(() => send("save", { kind }))),
      make("span", { class: "rg-soft" }, text),
    ),
  );
  store.on("file", ({ name, mime, content }) => {
    download(name, new Blob([content], { type: mime }));
    tell(`Saved ${name}.`);
  });

  let panel = "network";
  const panels = choice("picture of", [], (value) => (panel = value));
  const picture = (kind) =>
    tried(async () => {
      const place = document.querySelector(`[data-panel="${panel}"]`);
      const name = panels.lastChild.selectedOptions[0]?.textContent ?? panel;
      const title = `${name}, step ${store.lane(0)?.state?.step ?? 0}`;
      const text = svgOf(place, title);
      download(
        `${panel}.${kind}`,
        kind === "svg" ? new Blob([text], { type: "image/svg+xml" }) : await pngOf(text),
      );
      tell(`Saved ${panel}.${kind}.`);
    });
  root.addEventListener("rg-open", () => {
    tell("");
    const found = [
      ...document.querySelectorAll("section[data-panel]"),
    ].filter((one) => drawn(one).length > 0);
    const options = found.map((one) =>
      [
        one.dataset.panel,
        document.getElementById(one.getAttribute("aria-labelledby"))?.textContent ?? one.dataset.panel,
      ],
    );
    if (!options.some(([name]) => name === panel)) panel = options[0]?.[0] ?? panel;
    panels.lastChild.replaceChildren(
      ...options.map(([name, title]) => make("option", { value: name }, title)),
    );
    panels.lastChild.value = panel;
  });

  const load = tried(async (file) => {
    if (file.size > 700_000) throw new Error(
      `${file.name} has ${file.size} bytes; at most 700 000 can be loaded here.`,
    );
    const json = /\.json$/i.test(file.name);
    if (json) await send("load", { kind: "config", text: await file.text() });
    else await send("load", { kind: "model", base64: await base64Of(file) });
    tell(`Loaded ${file.name}.`);
  });
  const input = make(
    "input",
    {
      type: "file",
      accept: ".json,.safetensors",
      onchange: () => input.files[0] && load(input.files[0]).then(() => (input.value = "")),
    },
  );
  root.addEventListener("dragover", (event) => event.preventDefault());
  root.addEventListener("drop", (event) => {
    event.preventDefault();
    if (event.dataTransfer.files[0]) load(event.dataTransfer.files[0]);
  });

  body.append(
    make("ul", { class: "rg-files" }, ...files),
    make("h3", {}, "Pictures"),
    make("div", { class: "rg-row" }, panels, button("PNG", picture("png")), button("SVG", picture("svg"))),
    make("h3", {}, "Load"),
    make(
      "label",
      { class: "rg-file" },
      make("span", {}, "Settings (.json) or a model (.safetensors) of the same shape"),
      input,
    ),
    make("h3", {}, "Link"),
    make(
      "p",
      { class: "rg-soft" },
      "The address of this page holds the settings, not the key of this session: put what stands after # " +
        "behind the address of another session.",
    ),
    make(
      "div",
      { class: "rg-row" },
      button(
        "Copy the settings as a link",
        (event) => copy(
          `${location.pathname}#${store.lane(0) ? addressOf(store.lane(0).spec.config, store.view.hide) : ""}`,
          event.currentTarget,
        ),
      ),
    ),
    said,
  );
  followAddress({ store, send });
}

/** The address says the settings and what is hidden; settings in an address are used when the page opens, or when
    it is edited. */
function followAddress({ store, send }) {
  let asked = location.hash;
  const use = () => {
    const spec = store.lane(0)?.spec;
    const config = spec && !store.hello.given ? configOf(asked, spec.config) : null;
    asked = "";
    if (config !== null && !sameConfig(config, spec.config)) send("build", { config });
    return config !== null;
  };
  const hide = () => store.setView({ hide: hiddenOf(location.hash, PARTS.map(([name]) => name)) });
  addEventListener("hashchange", () => {
    asked = location.hash;
    hide();
    if (!use()) write();
  });
  const write = () => {
    const spec = store.lane(0)?.spec;
    // inside a notebook's frame there is no address
    if (!spec || asked || location.protocol === "about:") return;
    const address = `#${addressOf(spec.config, store.view.hide)}`;
    if (address !== location.hash) history.replaceState(history.state, "", location.pathname + location.search + address);
  };
  store.on("spec", (spec) => {
    if (spec.lane === 0 && !(asked && use())) write();
  });
  store.on("view", write);
  hide();
}

async function base64Of(file) {
  const bytes = new Uint8Array(await file.arrayBuffer());
  let text = "";
  for (let k = 0; k < bytes.length; k += 0x8000) {
    text += String.fromCharCode(...bytes.subarray(k, k + 0x8000));
  }
  return btoa(text);
}
