// The whole step written out, as the engine's report has it.

import { bodyOf, button, copy, download, make, setText } from "../elements.js";
import { bring } from "../maths.js";

const FORMATS = [
  ["text", "Text", "txt"],
  ["markdown", "Markdown", "md"],
  ["latex", "LaTeX", "tex"],
  ["html", "HTML", "html"],
];

/** @param {HTMLElement} root @param {{store: import("../store.js").Store, send: Function}} context */
export function mount(root, { store, send }) {
  const body = bodyOf(root);
  const said = make("p", { class: "rg-soft", role: "status" });
  const page = make("div", { class: "rg-report", tabindex: 0, role: "group", "aria-label": "Report" });
  const asked = async (format, use) => {
    try {
      const found = await send("explain", { format });
      await use(found.text, found);
    } catch (error) {
      setText(said, error.message);
    }
  };
  const copies = FORMATS.slice(0, 3).map(([format, title]) =>
    button(`Copy ${title}`, (event) => {
      const here = event.currentTarget;
      return asked(format, (text) => copy(text, here));
    }),
  );
  const saves = FORMATS.map(([format, title, end]) =>
    button(
      title,
      () => asked(format, (text) => download(`step.${end}`, new Blob([text], { type: "text/plain" }))),
    ),
  );
  body.append(
    make("div", { class: "rg-row" }, ...copies, make("span", { class: "rg-soft" }, "save as"), ...saves),
    said,
    page,
  );

  root.addEventListener("rg-open", () => {
    setText(said, "Writing the report…");
    page.replaceChildren();
    asked("html", (text, { samples, batch }) => {
      const found = bring(text);
      // a heading that is a formula has its text beside it, for those who do not see it
      for (const formula of found?.querySelectorAll("th > math") ?? []) {
        formula.after(make("span", { class: "rg-hidden" }, formula.textContent));
        formula.setAttribute("aria-hidden", "true");
      }
      for (const corner of found?.querySelectorAll("th:empty") ?? []) corner.replaceWith(make("td"));
      if (found) page.replaceChildren(found);
      const few = ` For ${samples} of the ${batch} samples of the batch: of all it could not be read.`;
      const step = store.lane(0)?.state?.step ?? 0;
      setText(said, `Step ${step}, with every number of the engine.${samples < batch ? few : ""}`);
    });
  });
}
