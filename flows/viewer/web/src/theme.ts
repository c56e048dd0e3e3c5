// Dark and light: what the system prefers, until the reader says otherwise.

import { button } from "./dom";
import { say } from "./spoken";

type Theme = "dark" | "light";

const KEY = "histoloom-theme";

function remembered(): Theme | null {
  const value = localStorage.getItem(KEY);
  return value === "dark" || value === "light" ? value : null;
}

function preferred(): Theme {
  return matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
}

/** Sets the page's colours to what was chosen before. */
export function applyTheme(): void {
  const theme = remembered();
  if (theme !== null) document.documentElement.dataset["theme"] = theme;
}

/** The switch between dark and light. */
export function themeSwitch(): HTMLButtonElement {
  const current = (): Theme => remembered() ?? preferred();
  const element = button("", () => {
    const next = current() === "dark" ? "light" : "dark";
    localStorage.setItem(KEY, next);
    applyTheme();
    label();
    say(`${next} colours`);
  }, { class: "plain" });
  const label = (): void => {
    element.textContent = current() === "dark" ? "Light" : "Dark";
    element.setAttribute("aria-label", `Switch to ${current() === "dark" ? "light" : "dark"} colours`);
  };
  label();
  return element;
}
