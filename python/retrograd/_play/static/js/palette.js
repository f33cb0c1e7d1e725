// Colours. Two pairs, each told apart by people who see fewer colours: one for what goes forward (weights,
// z, a), one for what goes backward (delta, gradients, updates). Between the pairs hue does not tell
// enough: the marks differ.

/** @typedef {{negative: string, positive: string}} Pair */

export const SCHEMES = {
  light: {
    card: "#ffffff",
    ink: "#1d2026",
    muted: "#5c626c",
    line: "#dedcd5",
    mid: "#eceae4",
    outline: "#ffffff",
    forward: { negative: "#c2500a", positive: "#1565a7" },
    backward: { negative: "#762a83", positive: "#1b7837" },
    series: ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#8f6d00", "#56b4e9"],
  },
  dark: {
    card: "#1b1e24",
    ink: "#eceae6",
    muted: "#a5abb5",
    line: "#343943",
    mid: "#3a3f48",
    outline: "#ffffff",
    forward: { negative: "#f0883e", positive: "#58a6ff" },
    backward: { negative: "#c58fd6", positive: "#5fc77a" },
    series: ["#56b4e9", "#ff9248", "#2fc89a", "#e49ac4", "#f0e442", "#9ab8ff"],
  },
};

const LEVELS = 32; // of each sign: more cannot be seen, and fewer attributes change

/** @param {string} hex */
export function rgb(hex) {
  const n = parseInt(hex.slice(1), 16);
  return [n >> 16, (n >> 8) & 255, n & 255];
}

/** Between two colours, as numbers. @param {number} t 0: from, 1: to */
export function between(from, to, t) {
  const [p, q] = [rgb(from), rgb(to)];
  return p.map((v, k) => Math.round(v + (q[k] - v) * t));
}

/** A colour of each level from full negative over mid to full positive, as text. */
function ramp(pair, mid) {
  const steps = [];
  for (let k = -LEVELS; k <= LEVELS; k += 1) {
    const [r, g, b] = between(mid, k < 0 ? pair.negative : pair.positive, Math.abs(k) / LEVELS);
    steps.push(`rgb(${r},${g},${b})`);
  }
  return steps;
}

function levelOf(share) {
  return LEVELS + Math.round(Math.max(-1, Math.min(1, share || 0)) * LEVELS);
}

/** Black or white, by the relative luminance of the ground (WCAG 2): one of the two always reaches 4.5 to 1. */
function textOn(css) {
  const [r, g, b] = css.match(/\d+/g).map((
    v,
  ) => (v / 255 <= 0.03928 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b > 0.179 ? "#000000" : "#ffffff";
}

/** What panels draw with, for one scheme. */
export class Palette {
  /** @param {"light"|"dark"} name */
  constructor(name) {
    this.name = name;
    Object.assign(this, SCHEMES[name]);
    this.ramps = { forward: ramp(this.forward, this.mid), backward: ramp(this.backward, this.mid) };
    this.texts = { forward: this.ramps.forward.map(textOn), backward: this.ramps.backward.map(textOn) };
  }

  /** The colour of a value. @param {"forward"|"backward"} pair  @param {number} share value over scale, -1 to 1 */
  fill(pair, share) {
    return this.ramps[pair][levelOf(share)];
  }

  /** What is read best on that colour. */
  onFill(pair, share) {
    return this.texts[pair][levelOf(share)];
  }

  /** The colour of a class. @param {number} count how many there are */
  classColour(label, count) {
    if (count <= 2) return label === 0 ? this.forward.negative : this.forward.positive;
    return this.series[label % this.series.length];
  }

  /**
   * 256 pixels, one for each byte of a map: at most `most` of the full colour, so that points on it stay visible.
   * @returns {Uint32Array} little-endian RGBA
   */
  mapColours(most = 0.55) {
    const colours = new Uint32Array(256);
    for (let k = 0; k < 256; k += 1) {
      const share = (k - 127.5) / 127.5;
      const to = share < 0 ? this.forward.negative : this.forward.positive;
      const [r, g, b] = between(this.mid, to, Math.abs(share) * most);
      colours[k] = (255 << 24) | (b << 16) | (g << 8) | r;
    }
    return colours;
  }
}

const made = {};

/** The palette of a scheme. @param {"light"|"dark"} name */
export function paletteOf(name) {
  return (made[name] ??= new Palette(name));
}
