// Dark and light: what the system prefers, until the reader says otherwise.

import { button } from "./dom";
import { say } from "./spoken";

type Theme = "dark" | "light";

const KEY = "histoloom-theme";

/** What was chosen, here and now too where the browser lets pages remember nothing. */
let chosen: Theme | null = null;

function remembered(): Theme | null {
  if (chosen !== null) return chosen;
  try {
    const value = localStorage.getItem(KEY);
    return value === "dark" || value === "light" ? value : null;
  } catch {
    return null;
  }
}

function remember(theme: Theme): void {
  chosen = theme;
  try {
    localStorage.setItem(KEY, theme);
  } catch {
    // It holds until the page is left.
  }
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
    remember(next);
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
