// What belongs to no panel: tabs, dialogs, the drawer, and what moves where on a phone.

const PHONE = "(max-width: 699.98px)";

/** @param {Document} document  @param {{store: import("./store.js").Store}} context */
export function mountLayout(document, { store }) {
  const openTab = mountTabs(document, store);
  const openDrawer = mountDrawer(document);
  mountDialogs(document);
  // "show" with a name brings a part that may be hidden into view
  store.on("show", (name) => {
    if (document.getElementById(`rg-tab-${name}`)?.hidden) return;
    if (name === "setup" && !matchMedia(PHONE).matches) openDrawer();
    else openTab(name);
  });
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
  return (name) => {
    const tab = tabs.find((one) => one.id === `rg-tab-${name}`);
    if (tab) open(tab, false);
  };
}

/** On a tablet the set-up slides in from the left. @returns {() => void} opens it */
function mountDrawer(document) {
  const button = document.querySelector('[data-do="drawer"]');
  const drawer = document.getElementById("rg-setup");
  const set = (open) => {
    document.body.toggleAttribute("data-drawer", open);
    button.setAttribute("aria-expanded", String(open));
  };
  button.addEventListener("click", () => {
    const open = !document.body.hasAttribute("data-drawer");
    set(open);
    if (open) document.getElementById("rg-set-search").focus();
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !document.body.hasAttribute("data-drawer") || event.defaultPrevented) {
      return;
    }
    set(false);
    button.focus();
  });
  document.addEventListener("pointerdown", ({ target }) => {
    if (document.body.hasAttribute("data-drawer") && !drawer.contains(target) && !button.contains(target)) {
      set(false);
    }
  });
  return () => set(true);
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
