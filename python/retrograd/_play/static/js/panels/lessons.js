// Lessons: settings to begin with, sentences that appear as the run goes on, and a question.

import { bodyOf, button, make, setText } from "../elements.js";

// What a class may do without: the name behind hide= in the address, what it is called, what it is on the page.
export const PARTS = [
  ["setup", "set-up", '#rg-setup, #rg-tab-setup, [data-do="drawer"]'],
  ["inspector", "inspector", "#rg-inspector"],
  ["timeline", "timeline", ".rg-timeline"],
  ["compare", "compare", ".rg-compare"],
  ["speed", "speed", ".rg-speed"],
  ["lessons", "lessons", '[data-opens="lessons"], .rg-lesson-field > *'],
];

/** @param {HTMLElement} root @param {{store: import("../store.js").Store, send: Function}} context */
export function mount(root, { store, send }) {
  const body = bodyOf(root);
  const list = make("ul", { class: "rg-lessons" });
  const said = make("p", { class: "rg-bad", role: "alert", hidden: true });
  const boxes = PARTS.map(([value]) =>
    make("input", {
      type: "checkbox",
      value,
      onchange: () => store.setView({ hide: boxes.filter((one) => one.checked).map((one) => one.value) }),
    }),
  );
  const hides = PARTS.map(([, text], k) => make("label", { class: "rg-check" }, boxes[k], text));
  store.on("view", ({ hide }) => {
    PARTS.forEach(([name, , parts], k) => {
      const out = hide.includes(name);
      boxes[k].checked = out;
      document.body.classList.toggle(`rg-without-${name}`, out);
      for (const part of document.querySelectorAll(parts)) part.hidden = out;
    });
    if (document.querySelector("#rg-tab-setup[hidden][aria-selected=true]")) store.emit("show", "output");
  });
  body.append(
    make("p", { class: "rg-soft" }, "A lesson brings its own settings; the present run is replaced."),
    list,
    said,
    make("fieldset", { class: "rg-row" }, make("legend", {}, "For a class, hide"), ...hides),
    make(
      "p",
      { class: "rg-soft" },
      "The address and the link under Save then say hide=…; without that all is back. It is no lock.",
    ),
  );

  const strip = stripOf({ store, send });
  document.querySelector("main").before(strip.element);

  store.on("hello", ({ lessons, given }) => {
    list.replaceChildren(
      ...lessons.map(({ id, title }) =>
        make(
          "li",
          {},
          button(title, async () => {
            try {
              strip.open();
              if (store.lane(1)) await send("drop"); // a lesson has one run, unless it brings a second
              await send("lesson", { id });
              said.hidden = true;
              root.close();
            } catch (error) {
              setText(said, error.message);
              said.hidden = false;
            }
          }, { disabled: given }),
        ),
      ),
    );
    if (given) list.append(
      make("li", { class: "rg-soft" }, "The network was given from Python; lessons need one of their own."),
    );
  });
}

/** What is said while a lesson runs: the newest sentence whose step has come. */
function stripOf({ store, send }) {
  const title = make("h2", { id: "rg-lesson-title" });
  const text = make("p", { class: "rg-caption", role: "status" });
  const count = make("span", { class: "rg-soft" });
  const earlier = button("‹", () => turn(-1), { "aria-label": "Sentence before" });
  const later = button("›", () => turn(1), { "aria-label": "Next sentence" });
  const question = make("p", { class: "rg-question" });
  const cures = make("div", { class: "rg-row" });
  const element = make(
    "aside",
    { class: "rg-card rg-lesson", "aria-labelledby": "rg-lesson-title", hidden: true },
    make(
      "div",
      { class: "rg-row rg-lesson-head" },
      title,
      earlier,
      count,
      later,
      button("×", () => end(), { "aria-label": "End the lesson", class: "rg-button rg-close-lesson" }),
    ),
    text,
    question,
    cures,
  );
  let lesson = null;
  let ended = false;
  let page = 0; // the sentence that is read
  let reached = 0;

  const end = () => {
    ended = true;
    appear(false);
  };

  function appear(on) {
    element.hidden = !on;
    document.body.classList.toggle("rg-in-lesson", on);
  }

  function turn(by) {
    page = Math.min(Math.max(page + by, 0), reached);
    show();
  }

  function show() {
    const { captions } = lesson;
    setText(title, lesson.title);
    setText(text, captions[page]?.text ?? "");
    setText(count, `${page + 1} of ${captions.length}`);
    earlier.disabled = page === 0;
    later.disabled = page >= reached;
    const next = captions[reached + 1];
    later.title = next ? `The next one comes at step ${next.step}` : "";
    const last = reached === captions.length - 1;
    question.hidden = !last;
    setText(question, lesson.question ? `Question: ${lesson.question}` : "");
    cures.hidden = !last || cures.childElementCount < 2;
  }

  function follow(state) {
    if (!lesson || ended) return;
    const now = Math.max(0, lesson.captions.findLastIndex(({ step }) => step <= state.step));
    if (now === reached) return;
    reached = now;
    page = now;
    show();
  }

  store.on("spec", (spec) => {
    if (spec.lane !== 0) return;
    const other = spec.lesson?.id !== lesson?.id || spec.lesson?.cure !== lesson?.cure;
    lesson = spec.lesson ?? null;
    appear(!ended && lesson !== null);
    if (lesson === null || !other) return;
    reached = page = 0;
    cures.replaceChildren(
      make("span", { class: "rg-soft" }, "Try:"),
      ...(lesson.cures ?? []).map(({ label }, cure) =>
        button(
          label,
          () => send("lesson", { id: spec.lesson.id, cure }),
          { "aria-pressed": cure === spec.lesson.cure },
        ),
      ),
    );
    show();
  });
  store.on("state", (state) => state.lane === 0 && follow(state));
  return {
    element,
    open() {
      ended = false;
      lesson = null;
    },
  };
}
