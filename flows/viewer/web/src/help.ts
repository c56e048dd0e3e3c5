// The help: what can be done with keys.

import { button, el } from "./dom";

export interface Help {
  button: HTMLButtonElement;
  open: () => void;
}

export function helpButton(keys: readonly (readonly [string, string])[]): Help {
  const title = el("h2", { id: "help-title" }, "Help");
  const body = el("tbody");
  for (const [key, deed] of keys) body.append(el("tr", {}, el("th", { scope: "row" }, el("kbd", {}, key)), el("td", {}, deed)));
  const dialog = el(
    "dialog",
    { "aria-labelledby": "help-title" },
    title,
    el("p", {}, "Drag moves, the wheel zooms, a click shows the nucleus or patch under it. These keys work when the picture has the focus (Tab goes there):"),
    el("table", { class: "facts" }, el("caption", { class: "unseen" }, "Keys"), body),
    el("p", {}, "In split mode the line between the pictures is reached by Tab: arrow keys move it, Page Up and Page Down faster, Home and End to the edges. The address of the page keeps position, zoom and layers: copy it to come back or to show somebody."),
    button("Close", () => dialog.close()),
  );
  document.body.append(dialog);
  const open = (): void => dialog.showModal();
  return { button: button("Help", open, { class: "plain", "aria-haspopup": "dialog" }), open };
}
