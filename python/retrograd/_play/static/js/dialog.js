// Dialogs: the browser's own, which keep the focus inside, close by Esc and give the focus back.

import { button, make } from "./elements.js";

/**
 * Fills a <dialog> with a heading, a way out and an empty body. It opens by a click on [data-open=NAME], and by
 * store.emit("open", NAME).
 * @returns {{body: HTMLElement, open: () => void, close: () => void}}
 */
export function dialog(root, { store }, title, onOpen = () => {}) {
  const name = root.dataset.panel;
  const id = root.getAttribute("aria-labelledby") ?? `rg-${name}-title`;
  root.setAttribute("aria-labelledby", id);
  const close = () => root.close();
  const body = make("div", { class: `rg-dialog-body rg-${name}` });
  root.classList.add("rg-dialog");
  root.replaceChildren(
    make(
      "header",
      { class: "rg-dialog-head" },
      make("h2", { id }, title),
      button("×", close, { class: "rg-button rg-close", "aria-label": `Close ${title.toLowerCase()}` }),
    ),
    body,
  );
  const open = () => {
    if (root.open) return;
    root.showModal();
    onOpen();
  };
  root.addEventListener("click", (event) => event.target === root && close()); // beside it
  document.addEventListener("click", (event) => event.target.closest?.(`[data-open="${name}"]`) && open());
  store.on("open", (asked) => asked === name && open());
  return { body, open, close };
}
