// Elements from script alone: text is always text, never markup, whatever a slide or class is called.

export type Child = Node | string | null;

type Attributes = Record<string, string | number | boolean | null>;

/** An element with attributes (false and null: absent; true: empty) and children. */
export function el<K extends keyof HTMLElementTagNameMap>(
  name: K,
  attributes: Attributes = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === false) continue;
    element.setAttribute(key, value === true ? "" : String(value));
  }
  element.append(...children.filter((child): child is Node | string => child !== null));
  return element;
}

/** A button that does something. */
export function button(label: string, act: () => void, attributes: Attributes = {}): HTMLButtonElement {
  const element = el("button", { type: "button", ...attributes }, label);
  element.addEventListener("click", act);
  return element;
}

/** A link to a place that the server names, and to no other kind of place: `javascript:` links lead nowhere. */
export function link(href: string, ...children: Child[]): HTMLAnchorElement {
  const address = new URL(href, location.href);
  const fit = address.protocol === "http:" || address.protocol === "https:";
  return el("a", { href: fit ? address.href : "#" }, ...children);
}

let last = 0;

/** An id that no other element of the page has. */
export function uniqueId(stem: string): string {
  last += 1;
  return `${stem}-${last}`;
}
