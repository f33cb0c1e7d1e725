// Scales for drawing. Full width always stands for 1, 2 or 5 times a power of ten, so that its label is
// exact and does not flicker with every frame.

/**
 * The smallest of 1, 2, 5 times a power of ten that is not below `value`, with its label.
 * @param {number} value
 * @returns {{value: number, label: string}}
 */
export function snapUp(value) {
  if (!(value > 1e-30) || !Number.isFinite(value)) return { value: 1e-30, label: "0" };
  let power = Math.floor(Math.log10(value));
  for (;; power += 1) {
    for (const digit of [1, 2, 5]) {
      const snapped = digit * 10 ** power;
      if (snapped >= value * (1 - 1e-9)) return { value: snapped, label: labelOf(digit, power) };
    }
  }
}

/** The text of digit times ten to the power; a power of ten is not always exact as a float, its text is. */
function labelOf(digit, power) {
  if (power < -3 || power > 4) return `${digit}e${power}`;
  return power < 0 ? `0.${"0".repeat(-power - 1)}${digit}` : `${digit}${"0".repeat(power)}`;
}

/** The value below which a share of all magnitudes lie; what is not finite is left out. */
export function magnitudeAt(share, arrays) {
  const all = [];
  for (const array of arrays) for (const v of array) if (Number.isFinite(v)) all.push(Math.abs(v));
  if (all.length === 0) return 0;
  all.sort((p, q) => p - q);
  return all[Math.min(all.length - 1, Math.floor(share * all.length))];
}

/** A scale that grows at once and shrinks only when far too large, for pictures that do not pump. */
export class Scale {
  /** @param {number} least never below this */
  constructor(least = 0) {
    this.least = least;
    this.value = 0;
    this.label = "0";
  }

  /** Take in what is to be shown; true where the scale is another one now. @param {number} magnitude */
  fit(magnitude) {
    const wanted = Math.max(magnitude, this.least);
    if (this.value > 0 && wanted <= this.value && wanted > this.value / 4) return false;
    const { value, label } = snapUp(wanted);
    if (value === this.value) return false;
    this.value = value;
    this.label = label;
    return true;
  }

  reset() {
    this.value = 0;
  }
}

/**
 * Ticks from low to high, evenly far apart, with labels.
 * @returns {{value: number, label: string}[]}
 */
export function ticks(low, high, most) {
  const span = high - low;
  if (!(span > 0) || !Number.isFinite(span)) return [{ value: low, label: tickLabel(low, 0) }];
  let power = Math.floor(Math.log10(span / most));
  let distance = 0;
  search: for (;; power += 1) {
    for (const digit of [1, 2, 5]) {
      distance = digit * 10 ** power;
      if (span / distance <= most) break search;
    }
  }
  const found = [];
  for (let k = Math.ceil(low / distance - 1e-9); k * distance <= high + 1e-9 * span; k += 1) {
    found.push({ value: k * distance, label: tickLabel(k * distance, power) });
  }
  return found;
}

/** Powers of ten from low to high. */
export function logTicks(low, high, most) {
  const first = Math.ceil(Math.log10(low) - 1e-9);
  const last = Math.floor(Math.log10(high) + 1e-9);
  const stride = Math.max(1, Math.ceil((last - first + 1) / most));
  const found = [];
  for (let power = first; power <= last; power += stride) {
    found.push({ value: 10 ** power, label: labelOf(1, power) });
  }
  return found;
}

function tickLabel(value, power) {
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 1e5 || size < 1e-3) return value.toExponential(1).replace(".0e", "e").replace("e+", "e");
  return value.toFixed(Math.max(0, -power));
}
