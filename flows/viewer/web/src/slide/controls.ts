// Inputs that show a part of the state and change it.

import { el, uniqueId } from "../dom";
import type { Shown, State } from "./state";

/** How an input reads the state, and what it does to it. */
export interface Bound<T> {
  get: (now: Shown) => T;
  set: (value: T) => void;
}

export function checkbox(state: State, label: string, bound: Bound<boolean>): HTMLElement {
  const input = el("input", { type: "checkbox" });
  input.addEventListener("change", () => bound.set(input.checked));
  const draw = (): void => {
    input.checked = bound.get(state.now);
  };
  state.listen(draw);
  draw();
  return el("label", { class: "check" }, input, el("span", {}, label));
}

/** A slider over 0..1; `words` says its value to people. `of` names what it belongs to, for who cannot see. */
export function slider(state: State, label: string, of: string, bound: Bound<number>, words: (value: number) => string): HTMLElement {
  const id = uniqueId("slider");
  const input = el("input", { type: "range", min: 0, max: 1, step: 0.01, id, "aria-label": `${label}: ${of}` });
  const shown = el("output", { for: id });
  input.addEventListener("input", () => bound.set(Number(input.value)));
  const draw = (): void => {
    const value = bound.get(state.now);
    input.value = String(value);
    input.setAttribute("aria-valuetext", words(value));
    shown.textContent = words(value);
  };
  state.listen(draw);
  draw();
  return el("div", { class: "row" }, el("label", { for: id }, label), input, shown);
}

export function choice<T extends string>(
  state: State,
  label: string,
  of: string | null,
  options: readonly (readonly [T, string])[],
  bound: Bound<T>,
): HTMLElement {
  const id = uniqueId("choice");
  const select = el("select", { id, "aria-label": of === null ? null : `${label}: ${of}` });
  for (const [value, title] of options) select.append(el("option", { value }, title));
  select.addEventListener("change", () => {
    const chosen = options[select.selectedIndex];
    if (chosen !== undefined) bound.set(chosen[0]);
  });
  const draw = (): void => {
    select.value = bound.get(state.now);
  };
  state.listen(draw);
  draw();
  return el("div", { class: "row" }, el("label", { for: id }, label), select);
}

/** One of a few, as buttons side by side: radio buttons to the keyboard and to screen readers. */
export function segments<T extends string>(
  state: State,
  legend: string,
  options: readonly (readonly [T, string])[],
  bound: Bound<T>,
): HTMLElement {
  const name = uniqueId("segments");
  const group = el("fieldset", { class: "segments" }, el("legend", { class: "unseen" }, legend));
  const inputs = options.map(([value, title]) => {
    const input = el("input", { type: "radio", name, value });
    input.addEventListener("change", () => bound.set(value));
    group.append(el("label", {}, input, el("span", {}, title)));
    return input;
  });
  const draw = (): void => {
    for (const input of inputs) input.checked = input.value === bound.get(state.now);
  };
  state.listen(draw);
  draw();
  return group;
}
