// The computation graph of the sample in focus, drawn by the engine: to be moved and enlarged.

import { bodyOf, button, make, setText, whileSeen } from "../elements.js";
import { bring } from "../maths.js";

const READABLE = 0.8; // CSS pixels for each unit of the picture, at which its text can be read

/** @param {HTMLElement} root @param {{store: import("../store.js").Store, send: Function}} context */
export function mount(root, { store, send }) {
  const body = bodyOf(root);
  const told = make("p", { class: "rg-soft" });
  const stage = make("div", {
    class: "rg-graph-stage",
    tabindex: 0,
    role: "group",
    "aria-label": "Computation graph. Arrow keys move it, plus and minus change its size, 0 shows all of it.",
  });
  const view = { x: 0, y: 0, width: 1, height: 1 };
  let whole = { ...view };
  let picture = null;

  function look() {
    picture?.setAttribute("viewBox", `${view.x} ${view.y} ${view.width} ${view.height}`);
  }

  /** Closer by a factor, keeping a place of the stage (0 to 1) where it is. */
  function zoom(factor, across = 0.5, down = 0.5) {
    const width = Math.min(Math.max(view.width / factor, whole.width / 40), whole.width * 2);
    const scale = width / view.width;
    view.x += view.width * (1 - scale) * across;
    view.y += view.height * (1 - scale) * down;
    view.width = width;
    view.height *= scale;
    look();
  }

  function move(across, down) {
    view.x += across * view.width;
    view.y += down * view.height;
    look();
  }

  function fit() {
    Object.assign(view, whole);
    look();
  }

  /** All of it where that can be read, else its beginning. */
  function begin() {
    fit();
    const { clientWidth: width, clientHeight: height } = picture;
    const scale = Math.min(width / whole.width, height / whole.height);
    if (scale < READABLE) Object.assign(view, { width: width / READABLE, height: height / READABLE });
    look();
  }

  const large = make("dialog", { class: "rg-dialog rg-large-graph", "aria-label": "Computation graph" });
  large.addEventListener("close", () => {
    body.prepend(tools, stage);
    enlarge.hidden = false;
    begin();
    enlarge.focus();
  });
  const enlarge = button("Whole window", () => {
    large.append(tools, stage);
    large.showModal();
    enlarge.hidden = true;
    begin();
    stage.focus();
  });

  const refresh = whileSeen(body, 500, async () => {
    const found = await send("graph");
    if (found.svg) show(found);
    else {
      stage.replaceChildren();
      picture = null;
      setText(told, found.refused);
    }
    stage.hidden = tools.hidden = !found.svg;
  });

  function show(found) {
    const next = bring(found.svg, "image/svg+xml");
    if (next === null) return;
    const [x, y, width, height] = next.getAttribute("viewBox").split(/[ ,]+/).map(Number);
    const same = picture !== null && width === whole.width && height === whole.height;
    whole = { x, y, width, height };
    picture = next;
    for (const name of ["width", "height"]) picture.removeAttribute(name);
    stage.replaceChildren(picture);
    if (same) look();
    else begin();
    setText(told, found.text ?? picture.querySelector("desc")?.textContent ?? "");
  }

  stage.addEventListener("wheel", (event) => {
    // a page that scrolls is not to be caught
    if (!event.ctrlKey && !stage.matches(":focus, :focus-within")) return;
    event.preventDefault();
    const box = stage.getBoundingClientRect();
    zoom(
      event.deltaY < 0 ? 1.15 : 1 / 1.15,
      (event.clientX - box.left) / box.width,
      (event.clientY - box.top) / box.height,
    );
  });
  let held = null;
  stage.addEventListener("pointerdown", (event) => {
    held = [event.clientX, event.clientY];
    stage.setPointerCapture(event.pointerId);
  });
  stage.addEventListener("pointermove", (event) => {
    if (held === null) return;
    const box = stage.getBoundingClientRect();
    move((held[0] - event.clientX) / box.width, (held[1] - event.clientY) / box.height);
    held = [event.clientX, event.clientY];
  });
  for (const name of ["pointerup", "pointercancel"]) stage.addEventListener(name, () => (held = null));
  stage.addEventListener("keydown", (event) => {
    const act = {
      ArrowLeft: () => move(-0.1, 0),
      ArrowRight: () => move(0.1, 0),
      ArrowUp: () => move(0, -0.1),
      ArrowDown: () => move(0, 0.1),
      "+": () => zoom(1.25),
      "=": () => zoom(1.25),
      "-": () => zoom(0.8),
      0: fit,
    }[event.key];
    if (!act || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    event.stopPropagation();
    act();
  });

  const tools = make(
    "div",
    { class: "rg-row" },
    button("+", () => zoom(1.25), { "aria-label": "Larger" }),
    button("−", () => zoom(0.8), { "aria-label": "Smaller" }),
    button("Fit", fit, { "aria-label": "Show all of the graph" }),
    enlarge,
    button("Close", () => large.close(), { class: "rg-button rg-large-close" }),
  );
  body.append(tools, stage, told, large);
  store.on("state", (state) => state.lane === 0 && !state.playing && refresh());
  store.on("tab", (tab) => tab === "graph" && refresh());
}
