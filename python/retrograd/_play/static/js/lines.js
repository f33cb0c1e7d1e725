// Lines of arithmetic as text to take along. They are the server's words: nothing is computed here.

const FUNCTIONS = "from math import *";

/**
 * A detail message as "text", "latex" or "python".
 * @param {string} title @param {{title: string, lines: object[]}[]} blocks
 */
export function written(title, blocks, kind) {
  if (kind === "latex") {
    const rows = blocks.flatMap(({ lines }) => lines.map((line) => line.latex)).filter(Boolean);
    return `% ${title}\n\\begin{gather*}\n${rows.join(" \\\\\n")}\n\\end{gather*}\n`;
  }
  if (kind === "python") {
    const parts = blocks.map(({ title: name, lines }) =>
      [`# ${name}`, ...lines.map((line) => `${line.python}  # ${line.result}`)].join("\n"),
    );
    return `# ${title}\n${FUNCTIONS}\n\n${parts.join("\n\n")}\n`;
  }
  const parts = blocks.map(({ title: name, lines }) =>
    [
      name,
      ...lines.map((line) =>
        `  ${[line.symbol, line.formula, line.substituted, line.result].filter(Boolean).join("\n    = ")}`,
      ),
    ].join("\n"),
  );
  return `${title}\n\n${parts.join("\n\n")}\n`;
}

/** Numbers and result of a line as they are shown, each behind its sign: ≈ where a number is rounded. */
export function shown({ substituted, result, short }, exact) {
  const rows = exact || !short ? { substituted, result } : short;
  const plain = (text) => text.replaceAll("−", "-");
  const sign = (name) => (plain(rows[name]) === plain({ substituted, result }[name]) ? "=" : "≈");
  return ["substituted", "result"].map((name) => (rows[name] ? `${sign(name)} ${rows[name]}` : ""));
}
