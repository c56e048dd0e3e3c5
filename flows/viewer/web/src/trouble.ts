// What went wrong, in two lines: what, and what to do.

import { Refused } from "./api";
import { el } from "./dom";

export function trouble(error: unknown): HTMLElement {
  const what = error instanceof Error ? error.message : String(error);
  const cure = error instanceof Refused ? error.cure : "Reload the page.";
  return el("div", { class: "note bad", role: "alert" }, el("p", {}, el("strong", {}, what)), el("p", {}, cure));
}
