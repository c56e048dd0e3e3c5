// Which slides the table shows, in which order.

import type { CohortSlide, Status } from "../api";

export type Column = "name" | "status" | "area" | "mpp" | "nuclei" | "density" | "tissue" | "flags";

export interface Selection {
  search: string;
  status: Status | "all";
  column: Column;
  descending: boolean;
}

/** What is told of first: what needs somebody. */
const STATUS_ORDER: readonly Status[] = ["failed", "running", "unfinished", "done"];

function keyOf(slide: CohortSlide, column: Column): string | number | null {
  switch (column) {
    case "name":
      return slide.name;
    case "status":
      return STATUS_ORDER.indexOf(slide.status);
    case "area":
      return slide.width_um === null || slide.height_um === null ? null : slide.width_um * slide.height_um;
    case "mpp":
      return slide.mpp;
    case "nuclei":
      return slide.nuclei;
    case "density":
      return slide.nuclei_per_mm2;
    case "tissue":
      return slide.tissue_mm2;
    case "flags":
      return slide.qc.length;
  }
}

/** Numbers by size, names as people count (2 before 10); what is not known comes last either way. */
function compare(one: string | number | null, other: string | number | null, sign: number): number {
  if (one === null || other === null) return Number(one === null) - Number(other === null);
  if (typeof one === "number" && typeof other === "number") return sign * (one - other);
  return sign * String(one).localeCompare(String(other), "en", { numeric: true });
}

/** Every word of the search is somewhere in the name, the reason or the flags. */
function matches(slide: CohortSlide, search: string): boolean {
  const text = [slide.name, slide.id, slide.status, slide.reason ?? "", ...slide.qc.map((flag) => `${flag.code} ${flag.text}`)].join(" ").toLowerCase();
  return search.toLowerCase().split(/\s+/).every((word) => text.includes(word));
}

export function select(slides: readonly CohortSlide[], selection: Selection): CohortSlide[] {
  const sign = selection.descending ? -1 : 1;
  return slides
    .filter((slide) => (selection.status === "all" || slide.status === selection.status) && matches(slide, selection.search))
    .sort((one, other) => compare(keyOf(one, selection.column), keyOf(other, selection.column), sign));
}
