// Formulas: MathML of the server brought in safely, MathML of a short notation, and what a symbol leads to.

import { keyOf } from "./store.js";

const NAMESPACE = "http://www.w3.org/1998/Math/MathML";
const FORBIDDEN = "script, style, iframe, object, embed, link, meta, base, form, foreignObject, animate, set";
const adopted = new Set(); // rules of pictures and reports: once each, as an inline style sheet is not let in

/**
 * What the server wrote as SVG, MathML or HTML, without anything that could act; null where it cannot be
 * read.
 * @param {string} text @param {"image/svg+xml"|"text/html"} kind
 */
export function bring(text, kind = "text/html") {
  // the policy of the page refuses inline styles as soon as they are read
  const bare = text.replace(
    /<style>([\s\S]*?)<\/style>/g,
    (_, rules) => adopt(rules),
  ).replace(/(<[^>]*?) style="[^"]*"/g, "$1");
  const parsed = new DOMParser().parseFromString(bare, kind);
  const found = kind === "text/html" ? parsed.body.firstElementChild : parsed.documentElement;
  if (found === null || parsed.querySelector("parsererror")) return null;
  for (const element of [found, ...found.querySelectorAll("*")]) {
    if (element.matches(FORBIDDEN)) {
      element.remove();
      continue;
    }
    for (const { name, value } of [...element.attributes]) {
      const address = /^(xlink:)?href$|^src$/i.test(name) && !value.startsWith("#");
      if (/^on/i.test(name) || address) element.removeAttribute(name);
    }
  }
  return document.importNode(found, true);
}

function adopt(rules) {
  const ofPage = /^html/m.test(rules); // a report is a page of its own elsewhere
  if (!ofPage && !adopted.has(rules)) {
    adopted.add(rules);
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(rules);
    document.adoptedStyleSheets.push(sheet);
  }
  return "";
}

/**
 * A short notation as a tree: letters, numbers and signs, `_` and `^` with what follows or with {…}.
 * @returns {{kind: "mi"|"mn"|"mo", text: string, sub?: object[], sup?: object[]}[]}
 */
export function parse(source) {
  const tokens = source.match(/[A-Za-zŷΔ]{2,}|[\p{L}∂][\u0300-\u036f]?|[0-9.]+|\S/gu) ?? [];
  let at = 0;
  const group = (end) => {
    const nodes = [];
    while (at < tokens.length && tokens[at] !== end) {
      const text = tokens[at++];
      if ((text === "_" || text === "^") && nodes.length) {
        nodes[nodes.length - 1][text === "_" ? "sub" : "sup"] = script();
        continue;
      }
      nodes.push({ kind: /^[\p{L}]/u.test(text) ? "mi" : /^[0-9]/.test(text) ? "mn" : "mo", text });
    }
    at += 1;
    return nodes;
  };
  const script = () => {
    if (tokens[at] === "{") {
      at += 1;
      return group("}");
    }
    if (tokens[at] === "(") {
      at += 1;
      return [{ kind: "mo", text: "(" }, ...group(")"), { kind: "mo", text: ")" }];
    }
    const text = tokens[at++];
    return [{ kind: /^[0-9]/.test(text) ? "mn" : "mi", text }];
  };
  return group(null);
}

function node(tag, ...children) {
  const element = document.createElementNS(NAMESPACE, tag);
  element.append(...children);
  return element;
}

/** The notation of `parse` as MathML. */
export function maths(source) {
  const row = (nodes) => node("mrow", ...nodes.map(written));
  const written = ({ kind, text, sub, sup }) => {
    const base = node(kind, text);
    if (sub && sup) return node("msubsup", base, row(sub), row(sup));
    if (sub) return node("msub", base, row(sub));
    return sup ? node("msup", base, row(sup)) : base;
  };
  return node("math", ...parse(source).map(written));
}

/**
 * An equation of the server up to its numbers, which are shown as text; in pieces, between which a row
 * may end.
 * @param {string} mathml children of <math>
 * @returns {Element[]}
 */
export function formulaOf(mathml) {
  const whole = bring(`<math>${mathml}</math>`);
  if (whole === null) return [];
  const signs = [...whole.children].filter((child) =>
    child.localName === "mo" && /^[=≈]$/.test(child.textContent),
  );
  if (signs.length > 1) {
    while (whole.lastElementChild !== signs[1]) whole.lastElementChild.remove();
    signs[1].remove();
  }
  // a browser breaks between two formulas, but never within one: each term of a sum is one
  const terms = [...(whole.lastElementChild?.children ?? [])];
  const isSum = terms.length > 1 && terms.slice(1).every((term) =>
    /^[+−]$/.test(term.firstElementChild?.textContent ?? ""),
  );
  if (whole.lastElementChild?.localName !== "mrow" || !isSum) return [whole];
  return [whole, ...terms.slice(1).map((term) => node("math", term))];
}

const raised = (text) => text.replace(/[0-9()]/g, (sign) => "⁰¹²³⁴⁵⁶⁷⁸⁹⁽⁾"["0123456789()".indexOf(sign)]);

/**
 * Lets the symbols within an element lead to what they name.
 * @param {{text: string, target: object}[]} refs of the server
 */
export function link(formula, refs, current, go) {
  const targets = new Map(refs.map(({ text, target }) => [text, target]));
  for (const symbol of formula.querySelectorAll("msubsup")) {
    const [base, sub, sup] = [...symbol.children].map((child) => child.textContent);
    const target = targets.get(base + subscript(sub) + raised(sup));
    if (!target || keyOf(target) === keyOf(current)) continue;
    symbol.classList.add("rg-leads");
    symbol.addEventListener("click", () => go(target));
  }
}

/** Indices as small letters below the line; a comma where two digits would run together. */
export function subscript(...indices) {
  const text = indices.join(indices.some((index) => index > 9) ? "," : "");
  return text.replace(/[0-9]/g, (digit) => "₀₁₂₃₄₅₆₇₈₉"[digit]).replaceAll(",", "‚");
}

/** What a target is called in running text, such as "w₂₁ of layer 3". */
export function nameOf(target) {
  if (target === null) return "";
  const unit = target.unit + 1;
  switch (target.kind) {
    case "loss":
      return "Loss L";
    case "layer":
      return target.layer === 0 ? "Input" : `Layer ${target.layer}`;
    case "unit":
      return target.layer === 0 ? `Input x${subscript(unit)}` : `Unit ${unit} of layer ${target.layer}`;
    case "bias":
      return `Bias b${subscript(unit)} of layer ${target.layer}`;
    default:
      return `Weight w${subscript(unit, target.input + 1)} of layer ${target.layer}`;
  }
}
