// The configuration as the part of an address after the #: readable, and never with the token. Beside it,
// hide=setup,speed names parts of the page that are out of sight.

const LEFT_OUT = new Set(["data"]); // own points are too much for an address; a configuration file has them

const scalar = (value) => (typeof value === "string" ? value : JSON.stringify(value));
const flat = (value) => Array.isArray(value) && value.every((item) =>
  item === null || typeof item !== "object",
);

/** @param {Record<string, unknown>} config @param {string[]} hide @returns {string} "dataset=moons&hidden=4,3" */
export function addressOf(config, hide = []) {
  const parts = Object.entries(config)
    .filter(([name, value]) => value !== null && !LEFT_OUT.has(name))
    .map(([name, value]) =>
      `${name}=${encodeURIComponent(flat(value) ? value.map(scalar).join(",") : scalar(value))}`,
    );
  if (hide.length > 0) parts.push(`hide=${hide}`);
  return parts.map((part) => part.replaceAll("%2C", ",")).join("&");
}

const read = (text) => {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
};

/**
 * The settings that an address names, of the kinds that the present ones have; null where it names none.
 * @param {string} hash @param {Record<string, unknown>} known
 */
export function configOf(hash, known) {
  const found = {};
  for (const [name, text] of new URLSearchParams(hash.replace(/^#/, ""))) {
    if (!(name in known) || LEFT_OUT.has(name)) continue;
    const list = Array.isArray(known[name]) && !text.startsWith("[");
    found[name] = list ? text.split(",").filter(Boolean).map(read) : read(text);
  }
  return Object.keys(found).length ? found : null;
}

/** The known names behind hide=. @param {string} hash @param {string[]} known @returns {string[]} */
export function hiddenOf(hash, known) {
  const named = new URLSearchParams(hash.replace(/^#/, "")).get("hide")?.split(",") ?? [];
  return known.filter((name) => named.includes(name));
}

/** Whether they say the same. */
export const sameConfig = (a, b) => Object.keys(a).every((name) =>
  JSON.stringify(a[name]) === JSON.stringify(b[name]),
);
