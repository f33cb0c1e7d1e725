// Lines of arithmetic as text to take along. They are the server's words: nothing is computed here.

const PYTHON = [
  [/[−–]/g, "-"],
  [/[·×]/g, "*"],
  [/²/g, "**2"],
  [/³/g, "**3"],
  [/\^/g, "**"],
  [/\bln\(/g, "math.log("],
  [/(?<![.\w])(exp|log|tanh|sqrt|sin|cos|erf)\(/g, "math.$1("],
  [/√\(/g, "math.sqrt("],
  [/\|([^|]+)\|/g, "abs($1)"],
];

/** Arithmetic as Python can read it. */
export function pythonOf(text) {
  return PYTHON.reduce((changed, [from, to]) => changed.replace(from, to), text);
}

const NAMES = { "δ": "delta", "∂": "d", "η": "eta", "′": "_new", "ŷ": "yhat", "λ": "lambda_", "β": "beta", "ε": "eps", "σ": "sigma", "Δ": "step_" };
const DIGITS = "₀₁₂₃₄₅₆₇₈₉⁰¹²³⁴⁵⁶⁷⁸⁹";

/** A symbol as the name of a variable. */
export function variableOf(symbol) {
  const plain = [...symbol.normalize("NFC")].map((sign) => {
    const digit = DIGITS.indexOf(sign);
    if (digit >= 0) return (digit % 10).toString();
    return NAMES[sign] ?? sign;
  });
  const name = plain.join("").replace(/[^A-Za-z0-9_]+/g, "_").replace(/_+/g, "_").replace(/^_+|_+$/g, "");
  return /^[A-Za-z_]/.test(name) ? name : `value_${name}`;
}

/** A detail message as "text", "latex" or "python". */
export function written(title, blocks, kind) {
  if (kind === "latex") {
    const rows = blocks.flatMap((block) => block.lines).map((line) => line.latex).filter(Boolean);
    return `% ${title}\n\\begin{align*}\n${rows.join(" \\\\\n")}\n\\end{align*}\n`;
  }
  const parts = blocks.map(({ title: name, lines }) => {
    if (kind === "python") {
      const rows = lines.map((line) =>
        line.substituted
          ? `${variableOf(line.symbol)} = ${pythonOf(line.substituted)}  # ${line.result}`
          : `${variableOf(line.symbol)} = ${pythonOf(line.result)}`,
      );
      return `# ${name}\n${rows.join("\n")}`;
    }
    const rows = lines.map((line) => `  ${[line.symbol, line.formula, line.substituted, line.result].filter(Boolean).join("\n    = ")}`);
    return `${name}\n${rows.join("\n")}`;
  });
  return kind === "python" ? `# ${title}\nimport math\n\n${parts.join("\n\n")}\n` : `${title}\n\n${parts.join("\n\n")}\n`;
}

/**
 * A text in pieces, so that the digits of a number after the fifth can step back: [["0.12345", "678"], ["+ ", ""]].
 * @returns {[string, string][]}
 */
export function digits(text, keep = 5) {
  const found = [];
  let end = 0;
  for (const match of text.matchAll(/(?<![\w.])(\d+)(\.\d+)(e[+-]?\d+)?/g)) {
    const [whole, before, after, power = ""] = match;
    const significant = (before + after).replace(/^[0.]+/, "").replace(".", "").length;
    const tail = Math.min(significant - keep, after.length - 2);
    if (tail <= 1) continue;
    const cut = whole.length - power.length - tail;
    found.push([text.slice(end, match.index + cut), whole.slice(cut, cut + tail)]);
    end = match.index + cut + tail;
  }
  found.push([text.slice(end), ""]);
  return found;
}
