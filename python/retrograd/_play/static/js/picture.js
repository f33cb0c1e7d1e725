// A panel as a picture: its canvases and its SVG as they stand on the page, as one SVG, or as PNG.

const SVG = "http://www.w3.org/2000/svg";
const KEPT = [
  ...[
    "fill",
    "fill-opacity",
    "stroke",
    "stroke-width",
    "stroke-dasharray",
    "stroke-opacity",
    "stroke-linecap",
  ],
  ...[
    "opacity",
    "font",
    "font-size",
    "font-family",
    "font-weight",
    "text-anchor",
    "dominant-baseline",
    "paint-order",
    "display",
    "visibility",
  ],
];

/** What can be drawn in a panel. */
export const drawn = (root) =>
  [...root.querySelectorAll("canvas, svg")].filter((one) =>
    one.getClientRects().length > 0 && !one.closest("button, .rg-legend") && !one.parentElement.closest("svg"),
  );

/** The look of an element by its own attributes, without any style sheet. */
function withLook(original, copy) {
  const style = getComputedStyle(original);
  for (const name of KEPT) copy.setAttribute(name, style.getPropertyValue(name));
  copy.removeAttribute("class");
  [...original.children].forEach((child, k) => withLook(child, copy.children[k]));
}

/** @param {Element} root @param {string} title @returns {string} an SVG document */
export function svgOf(root, title) {
  const parts = drawn(root);
  const boxes = parts.map((part) => part.getBoundingClientRect());
  const left = Math.min(...boxes.map((box) => box.left));
  const top = Math.min(...boxes.map((box) => box.top));
  const width = Math.ceil(Math.max(...boxes.map((box) => box.right)) - left);
  const height = Math.ceil(Math.max(...boxes.map((box) => box.bottom)) - top);
  const picture = document.createElementNS(SVG, "svg");
  const put = (tag, attributes, parent = picture) => {
    const element = document.createElementNS(SVG, tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    parent.append(element);
    return element;
  };
  picture.setAttribute("viewBox", `0 0 ${width} ${height}`);
  picture.setAttribute("width", width);
  picture.setAttribute("height", height);
  put("title", {}).textContent = title;
  put("rect", { width, height, fill: getComputedStyle(root).getPropertyValue("--card") });
  parts.forEach((part, k) => {
    const box = boxes[k];
    const place = { x: box.left - left, y: box.top - top, width: box.width, height: box.height };
    if (part instanceof HTMLCanvasElement) return void put("image", { ...place, href: part.toDataURL() });
    const copy = part.cloneNode(true);
    withLook(part, copy);
    for (const [name, value] of Object.entries(place)) copy.setAttribute(name, value);
    picture.append(copy);
  });
  return new XMLSerializer().serializeToString(picture);
}

/** @param {string} svg @param {number} scale @returns {Promise<Blob>} */
export async function pngOf(svg, scale = 2) {
  const image = new Image();
  const address = URL.createObjectURL(new Blob([svg], { type: "image/svg+xml" }));
  image.src = address;
  await image.decode();
  const canvas = document.createElement("canvas");
  canvas.width = image.naturalWidth * scale;
  canvas.height = image.naturalHeight * scale;
  canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
  URL.revokeObjectURL(address);
  return new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
}
