// The table of slides: sorted by its headings, and renewed without losing the reader's place.

import type { CohortSlide } from "../api";
import { el } from "../dom";
import { say } from "../spoken";
import { slideRow } from "./row";
import type { Column, Selection } from "./selection";

const COLUMNS: readonly (readonly [Column | null, string, string])[] = [
  [null, "Preview", "shot"],
  ["name", "Slide", ""],
  ["status", "Status", ""],
  ["area", "Size", "n"],
  ["mpp", "µm/px", "n"],
  ["tissue", "Tissue, mm²", "n"],
  ["nuclei", "Nuclei", "n"],
  ["density", "Nuclei per mm²", "n"],
  ["flags", "Quality", ""],
];

/** What most people want first: the most of a number, the first of the names. */
function descendsFirst(column: Column): boolean {
  return column !== "name" && column !== "status";
}

export class SlideTable {
  private readonly body = el("tbody");
  private readonly headings = new Map<Column, HTMLTableCellElement>();
  private readonly rows = new Map<string, { written: string; element: HTMLTableRowElement }>();
  readonly element: HTMLElement;

  constructor(sort: (column: Column, descending: boolean) => void) {
    const head = el("tr");
    let current: [Column, boolean] | null = null;
    for (const [column, title, kind] of COLUMNS) {
      const cell = el("th", { scope: "col", class: kind === "" ? null : kind });
      if (column === null) {
        cell.append(title);
      } else {
        const heading = el("button", { type: "button", class: "sort" }, title);
        heading.addEventListener("click", () => {
          const descending: boolean = current?.[0] === column ? !current[1] : descendsFirst(column);
          current = [column, descending];
          sort(column, descending);
          say(`Sorted by ${title}, ${descending ? "descending" : "ascending"}`);
        });
        cell.append(heading);
        this.headings.set(column, cell);
      }
      head.append(cell);
    }
    const table = el("table", { class: "slides" }, el("caption", { class: "unseen" }, "Slides"), el("thead", {}, head), this.body);
    this.element = el("div", { class: "scroll", role: "region", "aria-label": "Slides", tabindex: 0 }, table);
  }

  draw(slides: readonly CohortSlide[], selection: Selection): void {
    for (const [column, cell] of this.headings) {
      if (column === selection.column) cell.setAttribute("aria-sort", selection.descending ? "descending" : "ascending");
      else cell.removeAttribute("aria-sort");
    }
    const wanted = slides.map((slide) => this.row(slide));
    const same = wanted.length === this.body.children.length && wanted.every((row, index) => row === this.body.children[index]);
    if (same) return;
    const focused = document.activeElement?.closest("tr[data-slide]")?.getAttribute("data-slide");
    this.body.replaceChildren(...wanted);
    if (focused === null || focused === undefined) return;
    wanted.find((row) => row.dataset["slide"] === focused)?.querySelector<HTMLElement>("a:not([tabindex])")?.focus();
  }

  /** The row that is there, unless the slide has changed. */
  private row(slide: CohortSlide): HTMLTableRowElement {
    const written = JSON.stringify(slide);
    const known = this.rows.get(slide.id);
    if (known?.written === written) return known.element;
    const element = slideRow(slide);
    this.rows.set(slide.id, { written, element });
    return element;
  }
}
