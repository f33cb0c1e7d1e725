// Elements without markup: whatever was typed or sent becomes text, never tags.

const SVG = "http://www.w3.org/2000/svg";

/** An element with attributes; children are nodes or text. Functions become listeners: {onclick: f}. */
export function make(tag, attributes = {}, ...children) {
  return furnish(document.createElement(tag), attributes, children);
}

/** The same for SVG. */
export function svg(tag, attributes = {}, ...children) {
  return furnish(document.createElementNS(SVG, tag), attributes, children);
}

function furnish(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.flat());
  return element;
}

export function button(text, onclick, attributes = {}) {
  return make("button", { type: "button", class: "rg-button", ...attributes, onclick }, text);
}

/** A choice of texts: [[value, text], ...]. */
export function choice(label, options, onchange, value = null) {
  const select = make("select", { "aria-label": label, onchange: () => onchange(select.value) });
  select.append(...options.map(([key, text]) => make("option", { value: key }, text)));
  if (value !== null) select.value = value;
  return make("label", { class: "rg-choice" }, make("span", { "aria-hidden": "true" }, label), select);
}

/** Writes only what is another text than before, so that nothing is laid out again in vain. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export function setAttribute(element, name, value) {
  if (value === null || value === false) {
    if (element.hasAttribute(name)) element.removeAttribute(name);
  } else if (element.getAttribute(name) !== String(value)) element.setAttribute(name, value);
}

/** A custom property, which the style sheet makes something of. */
export function setProperty(element, name, value) {
  if (element.style.getPropertyValue(name) !== String(value)) element.style.setProperty(name, value);
}

/** Where a panel puts what it has: a dialog has a place already. */
export function bodyOf(root) {
  const body = root.querySelector(":scope > .rg-body") ?? make("div", { class: "rg-body" });
  if (!body.parentNode) root.append(body);
  body.classList.add(`rg-${root.dataset.panel}-body`);
  return body;
}

export const visible = (element) => element.getClientRects().length > 0;

/** Calls `fetch` when the element is seen and `changed()` was called, at most once in `wait` milliseconds. */
export function whileSeen(element, wait, fetch) {
  let wanted = false;
  let last = -Infinity;
  let timer = 0;
  let busy = false;
  const run = async () => {
    timer = 0;
    if (!wanted || busy || !visible(element)) return;
    wanted = false;
    busy = true;
    last = performance.now();
    try {
      await fetch();
    } catch {
      // the page says so, by the "failed" event
    }
    busy = false;
    if (wanted) plan();
  };
  const plan = () => {
    timer ||= setTimeout(run, Math.max(0, last + wait - performance.now()));
  };
  new IntersectionObserver(([entry]) => entry.isIntersecting && wanted && plan()).observe(element);
  return () => {
    wanted = true;
    if (visible(element)) plan();
  };
}

/** Gives a file to the reader. @param {string} name @param {Blob} content */
export function download(name, content) {
  const link = make("a", { href: URL.createObjectURL(content), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

/** Copies, and says so for a moment on the button that asked for it. */
export async function copy(text, asked) {
  const label = (asked.dataset.label ??= asked.textContent);
  const said = await navigator.clipboard.writeText(text).then(
    () => "Copied",
    () => "Not allowed",
  );
  setText(asked, said);
  setTimeout(() => setText(asked, label), 1500);
}
