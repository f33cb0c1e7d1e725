// Colours: those of the style sheet, readable on their ground, and apart from each other.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";

import { between, paletteOf, rgb, SCHEMES } from "../../python/retrograd/_play/static/js/palette.js";

const luminance = (hex) => {
  const [r, g, b] = rgb(hex).map((
    v,
  ) => (v / 255 <= 0.03928 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const contrast = (p, q) => {
  const [low, high] = [luminance(p), luminance(q)].sort((a, b) => a - b);
  return (high + 0.05) / (low + 0.05);
};

test("black on white is 21 to 1", () => assert.ok(Math.abs(contrast("#000000", "#ffffff") - 21) < 1e-9));

test("marks stand out from the card, texts are read on it", () => {
  for (const scheme of Object.values(SCHEMES)) {
    for (const pair of [scheme.forward, scheme.backward]) {
      assert.ok(contrast(pair.negative, scheme.card) >= 3, pair.negative);
      assert.ok(contrast(pair.positive, scheme.card) >= 3, pair.positive);
    }
    assert.ok(contrast(scheme.ink, scheme.card) >= 7);
    assert.ok(contrast(scheme.muted, scheme.card) >= 4.5);
  }
});

test("the ends and the middle of a ramp", () => {
  for (const name of ["light", "dark"]) {
    const palette = paletteOf(name);
    const css = (hex) => `rgb(${rgb(hex).join()})`;
    assert.equal(palette.fill("forward", -1), css(palette.forward.negative));
    assert.equal(palette.fill("forward", 5), css(palette.forward.positive));
    assert.equal(palette.fill("backward", 0), css(palette.mid));
    assert.equal(palette.fill("backward", NaN), css(palette.mid));
  }
});

test("numbers are read on every fill", () => {
  const hex = (css) => `#${css.match(/\d+/g).map((v) => Number(v).toString(16).padStart(2, "0")).join("")}`;
  for (const name of ["light", "dark"]) {
    const palette = paletteOf(name);
    for (const pair of ["forward", "backward"]) {
      for (let share = -1; share <= 1; share += 0.05) {
        const found = contrast(hex(palette.fill(pair, share)), palette.onFill(pair, share));
        assert.ok(found >= 4.5, `${name} ${pair} ${share.toFixed(2)}: ${found.toFixed(2)}`);
      }
    }
  }
});

test("a map keeps below 55 % of the colour, so that samples stay visible", () => {
  const palette = paletteOf("light");
  const colours = palette.mapColours();
  const [r, g, b] = between(palette.mid, palette.forward.positive, 0.55);
  assert.equal(colours[255] >>> 0, ((255 << 24) | (b << 16) | (g << 8) | r) >>> 0);
  assert.equal(new Set(colours).size > 100, true);
});

test("the style sheet has the same colours", () => {
  const css = readFileSync(
    new URL("../../python/retrograd/_play/static/css/app.css", import.meta.url),
    "utf8",
  );
  const dark = css.indexOf("prefers-color-scheme: dark");
  for (const [name, text] of [["light", css.slice(0, dark)], ["dark", css.slice(dark)]]) {
    const scheme = SCHEMES[name];
    const named = {
      card: scheme.card,
      ink: scheme.ink,
      muted: scheme.muted,
      line: scheme.line,
      mid: scheme.mid,
    };
    for (const pair of ["forward", "backward"]) {
      for (const sign of ["negative", "positive"]) named[`${pair}-${sign}`] = scheme[pair][sign];
    }
    for (const [key, value] of Object.entries(named)) {
      assert.match(text, new RegExp(`--${key}: ${value};`), `${name} ${key}`);
    }
  }
});
