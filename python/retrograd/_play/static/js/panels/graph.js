// The computation graph of the sample in focus, drawn by the engine: to be moved, enlarged, and gone through node
// by node.

import { bodyOf, button, make, setAttribute, setText, whileSeen } from "../elements.js";
import { bring } from "../maths.js";

const READABLE = 0.8; // CSS pixels for each unit of the picture, at which its text can be read

/** @param {HTMLElement} root @param {{store: import("../store.js").Store, send: Function}} context */
export function mount(root, { store, send }) {
  const body = bodyOf(root);
  const told = make("p", { class: "rg-soft" });
  const said = make("p", { class: "rg-graph-said", role: "status" }); // about the present node
  const stage = make("div", {
    class: "rg-graph-stage",
    tabindex: 0,
    role: "group",
    "aria-label": "Computation graph. Arrow keys go from node to node, Enter opens the node in the inspector. " +
      "Shift and arrow keys move the picture, plus and minus change its size, 0 shows all of it.",
  });
  const view = { x: 0, y: 0, width: 1, height: 1 };
  let whole = { ...view };
  let picture = null;
  let steps = []; // {node, back, text}, as forward and then backward come to the nodes
  let targets = [];
  let at = null; // the present one; null: all nodes as they are in the end

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
    follow();
  }

  function go(by) {
    const last = steps.length - 1;
    at = at === null ? (by > 0 ? 0 : last) : Math.min(Math.max(at + by, 0), last);
    light();
    follow();
    said.scrollIntoView({ block: "nearest" });
  }

  /** What has been reached, what is present and what comes later; a number is there once it is known. */
  function light() {
    const now = steps[at];
    setText(said, now?.text ?? "");
    const later = (now ? steps.slice(at + 1) : []).map((step) => step.node + (step.back ? "b" : ""));
    const valued = (k) => !later.includes(`${k}`);
    // y has no gradient at all
    const graded = (k) => !later.includes(`${k}b`) && steps.some((step) => step.back && step.node === k);
    const lit = (k) => (now?.back ? graded(k) : valued(k));
    const mark = (element, present, done) =>
      setAttribute(element, "data-step", now ? (present ? "now" : done ? "done" : "later") : null);
    picture.querySelectorAll(".node").forEach((node, k) => {
      mark(node, k === now?.node, lit(k));
      for (const head of node.querySelectorAll(".head")) {
        const known = head.textContent === "value" ? valued(k) : graded(k);
        for (const text of [head, head.nextSibling]) setAttribute(text, "data-unknown", known ? null : "");
      }
    });
    for (const edge of picture.querySelectorAll(".edge")) {
      const [from, to] = [Number(edge.dataset.from), Number(edge.dataset.to)];
      mark(edge, now?.node === (now?.back ? from : to), lit(from) && lit(to));
    }
  }

  /** The present node within sight. */
  function follow() {
    if (at === null) return;
    const [box, frame] = [picture.querySelector(".node[data-step=now]"), picture].map((element) =>
      element.getBoundingClientRect(),
    );
    const scale = picture.getScreenCTM().a;
    for (const [place, low, high] of [["x", "left", "right"], ["y", "top", "bottom"]]) {
      if (box[low] >= frame[low] && box[high] <= frame[high]) continue;
      view[place] += (box[low] + box[high] - frame[low] - frame[high]) / 2 / scale;
    }
    look();
  }

  function inspect(k) {
    if (!targets[k]) return;
    if (large.open) large.close();
    store.select(targets[k]);
  }

  const large = make("dialog", { class: "rg-dialog rg-large-graph", "aria-label": "Computation graph" });
  large.addEventListener("close", () => {
    body.prepend(tools, stage, said);
    enlarge.hidden = false;
    begin();
    enlarge.focus();
  });
  const enlarge = button("Whole window", () => {
    large.append(tools, stage, said);
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
      picture = at = null;
      setText(said, "");
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
    ({ targets } = found);
    if (found.steps.length !== steps.length) at = null;
    ({ steps } = found);
    light();
    if (same) look();
    else begin();
    setText(told, found.text);
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
  let pressed = null; // the node under the pointer, until that moves
  stage.addEventListener("pointerdown", (event) => {
    held = [event.clientX, event.clientY];
    pressed = event.target.closest(".node");
    stage.setPointerCapture(event.pointerId);
  });
  stage.addEventListener("pointermove", (event) => {
    if (held === null) return;
    if (pressed && Math.hypot(event.clientX - held[0], event.clientY - held[1]) < 4) return;
    pressed = null;
    const box = stage.getBoundingClientRect();
    move((held[0] - event.clientX) / box.width, (held[1] - event.clientY) / box.height);
    held = [event.clientX, event.clientY];
  });
  stage.addEventListener("pointerup", () => {
    if (pressed) inspect([...picture.querySelectorAll(".node")].indexOf(pressed));
  });
  for (const name of ["pointerup", "pointercancel"]) stage.addEventListener(name, () => (held = null));
  stage.addEventListener("keydown", (event) => {
    const arrow = (by, across, down) => () => (event.shiftKey ? move(across, down) : go(by));
    const act = {
      ArrowLeft: arrow(-1, -0.1, 0),
      ArrowRight: arrow(1, 0.1, 0),
      ArrowUp: arrow(-1, 0, -0.1),
      ArrowDown: arrow(1, 0, 0.1),
      Enter: () => inspect(steps[at]?.node),
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
    button("Previous node", () => go(-1)),
    button("Next node", () => go(1)),
    button("All", () => light((at = null)), { "aria-label": "All nodes" }),
    button("+", () => zoom(1.25), { "aria-label": "Larger" }),
    button("−", () => zoom(0.8), { "aria-label": "Smaller" }),
    button("Fit", fit, { "aria-label": "Show all of the graph" }),
    enlarge,
    button("Close", () => large.close(), { class: "rg-button rg-large-close" }),
  );
  body.append(tools, stage, said, told, large);
  store.on("state", (state) => state.lane === 0 && !state.playing && refresh());
  store.on("tab", (tab) => tab === "graph" && refresh());
}
