// What belongs to no panel: tabs, dialogs, the drawer, and what moves where on a phone.

const PHONE = "(max-width: 699.98px)";

/** @param {Document} document  @param {{store: import("./store.js").Store}} context */
export function mountLayout(document, { store }) {
  mountTabs(document, store);
  mountDialogs(document);
}

/** Tabs by click and by arrow keys; store event "tab" says which is open. */
function mountTabs(document, store) {
  const list = document.querySelector('[role="tablist"]');
  const tabs = [...list.querySelectorAll('[role="tab"]')];
  const shown = () => tabs.filter((tab) => tab.offsetParent !== null);
  const open = (tab, focus) => {
    for (const other of tabs) {
      const chosen = other === tab;
      other.setAttribute("aria-selected", String(chosen));
      other.tabIndex = chosen ? 0 : -1;
      document.getElementById(other.getAttribute("aria-controls")).hidden = !chosen;
    }
    if (focus) tab.focus();
    store.emit("tab", tab.id.replace("rg-tab-", ""));
  };
  list.addEventListener("click", ({ target }) => {
    const tab = target.closest('[role="tab"]');
    if (tab) open(tab, false);
  });
  list.addEventListener("keydown", (event) => {
    const here = shown();
    const at = here.indexOf(document.activeElement);
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: here.length - 1 }[event.key];
    if (to === undefined || at < 0) return;
    event.preventDefault();
    open(here[(to + here.length) % here.length], true);
  });

  const phone = matchMedia(PHONE);
  const place = () => {
    const view = (name) => document.getElementById(`rg-view-${name}`);
    const setup = document.getElementById("rg-setup");
    const curves = document.querySelector('[data-panel="curves"]');
    if (phone.matches) {
      view("setup").append(setup);
      view("loss").append(curves);
    } else {
      document.querySelector(".rg-main").prepend(setup);
      view("output").append(curves);
      const chosen = tabs.find((tab) => tab.getAttribute("aria-selected") === "true");
      if (chosen.dataset.only === "phone") open(tabs[0], false);
    }
  };
  phone.addEventListener("change", place);
  place();
}

/** Buttons with data-opens="NAME" open the dialog of that panel; data-closes, Escape and the backdrop close it. */
function mountDialogs(document) {
  document.addEventListener("click", ({ target }) => {
    const opener = target.closest("[data-opens]");
    if (opener) openDialog(document, opener.dataset.opens);
    if (target.closest("[data-closes]") || target.matches("dialog")) target.closest("dialog")?.close();
  });
}

/** Open the dialog of a panel, and tell the panel. */
export function openDialog(document, name) {
  const dialog = document.querySelector(`dialog[data-panel="${name}"]`);
  if (!dialog || dialog.open) return;
  dialog.showModal();
  dialog.dispatchEvent(new CustomEvent("rg-open"));
}
