// The line between the two pictures of split mode: dragged, or moved by keys (the ARIA pattern of a window splitter).

import { el } from "../dom";
import type { State } from "./state";

const STEPS: Record<string, number> = { ArrowLeft: -1, ArrowRight: 1, ArrowDown: -1, ArrowUp: 1, PageDown: -10, PageUp: 10 };

export function divider(state: State, titles: (id: string) => string): HTMLElement {
  const element = el("div", {
    class: "divider",
    role: "separator",
    tabindex: 0,
    "aria-orientation": "vertical",
    "aria-label": "Split between the two pictures",
    "aria-valuemin": 0,
    "aria-valuemax": 100,
  });
  const left = el("span", { class: "tag left", "aria-hidden": "true" });
  const right = el("span", { class: "tag right", "aria-hidden": "true" });
  element.append(left, el("span", { class: "grip", "aria-hidden": "true" }), right);
  const set = (percent: number): void => state.change({ divider: Math.min(100, Math.max(0, percent)) });
  element.addEventListener("keydown", (event) => {
    const step = STEPS[event.key];
    if (step !== undefined) set(state.now.divider + step * (event.shiftKey ? 10 : 1));
    else if (event.key === "Home") set(0);
    else if (event.key === "End") set(100);
    else return;
    event.preventDefault();
  });
  element.addEventListener("pointerdown", (event) => {
    element.setPointerCapture(event.pointerId);
    element.focus();
    event.preventDefault();
  });
  element.addEventListener("pointermove", (event) => {
    if (!element.hasPointerCapture(event.pointerId) || element.parentElement === null) return;
    const box = element.parentElement.getBoundingClientRect();
    set((100 * (event.clientX - box.left)) / box.width);
  });
  const draw = (): void => {
    const now = state.now;
    element.hidden = now.mode !== "split";
    element.style.left = `${now.divider}%`;
    element.setAttribute("aria-valuenow", String(Math.round(now.divider)));
    const words = `${titles(now.left)} on the left ${Math.round(now.divider)} percent, ${titles(now.right)} on the right`;
    element.setAttribute("aria-valuetext", words);
    left.textContent = titles(now.left);
    right.textContent = titles(now.right);
  };
  state.listen(draw);
  draw();
  return element;
}
