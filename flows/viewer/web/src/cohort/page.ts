// The cohort page: every slide, what became of it, and the way to its picture.

import { fetchJson, type Cohort, type Status } from "../api";
import { el, uniqueId } from "../dom";
import { whole } from "../figures";
import { helpButton } from "../help";
import { say } from "../spoken";
import { themeSwitch } from "../theme";
import { trouble } from "../trouble";
import { select, type Selection } from "./selection";
import { SlideTable } from "./table";

const STATUSES: readonly (Status | "all")[] = ["all", "done", "running", "unfinished", "failed"];
const BUSY_MS = 2_000;
const IDLE_MS = 15_000;

export async function cohortPage(root: HTMLElement): Promise<void> {
  let cohort = await fetchJson<Cohort>("/api/cohort");
  document.title = `${cohort.title} · Histoloom`;
  let selection: Selection = { search: "", status: "all", column: "name", descending: false };
  const change = (part: Partial<Selection>): void => {
    selection = { ...selection, ...part };
    draw();
  };
  const table = new SlideTable((column, descending) => change({ column, descending }));
  const totals = el("ul", { class: "cards", "aria-label": "Totals" });
  const count = el("p", { class: "quiet", id: "count" });
  const notice = el("div");

  const draw = (): void => {
    const shown = select(cohort.slides, selection);
    table.draw(shown, selection);
    totals.replaceChildren(...cards(cohort));
    count.textContent = shown.length === 0 ? "No slide fits. Empty the search or choose another status." : `${whole(shown.length)} of ${whole(cohort.slides.length)} slides`;
  };
  const filters = filterBar((part) => {
    change(part);
    say(count.textContent ?? "");
  });
  root.replaceChildren(
    el("header", { class: "top" }, el("h1", {}, cohort.title), el("span", { class: "grow" }), helpButton([["Tab, Enter", "go through the table and open a slide"], ["Enter on a heading", "sort by it; again: the other way"]]).button, themeSwitch()),
    el("main", { id: "main", class: "cohort", tabindex: -1 }, totals, notice, filters, count, table.element, el("p", { class: "quiet" }, "An arrow in µm/px marks slides that were super-resolved: detail finer than the first number is estimated, not measured. For research. Not a medical device.")),
  );
  draw();

  const again = async (): Promise<void> => {
    try {
      const newer = await fetchJson<Cohort>("/api/cohort");
      tell(cohort, newer);
      cohort = newer;
      notice.replaceChildren();
      draw();
    } catch (error) {
      if (notice.childElementCount === 0) notice.replaceChildren(trouble(error));
    }
    later();
  };
  const later = (): void => {
    const busy = cohort.slides.some((slide) => slide.status === "running");
    window.setTimeout(() => void (document.hidden ? later() : again()), busy ? BUSY_MS : IDLE_MS);
  };
  later();
}

/** Says what has ended since, for who does not see the table change. */
function tell(before: Cohort, now: Cohort): void {
  const old = new Map(before.slides.map((slide) => [slide.id, slide.status]));
  const news = now.slides.filter((slide) => old.has(slide.id) && old.get(slide.id) !== slide.status);
  if (news.length > 0) say(news.map((slide) => `${slide.name}: ${slide.status}`).join(". "));
}

function cards(cohort: Cohort): HTMLElement[] {
  const { slides } = cohort;
  const items: [string, string][] = [[whole(slides.length), slides.length === 1 ? "slide" : "slides"]];
  for (const status of ["running", "unfinished", "failed"] as const) {
    const number = slides.filter((slide) => slide.status === status).length;
    if (number > 0) items.push([whole(number), status]);
  }
  const nuclei = slides.reduce((sum, slide) => sum + (slide.nuclei ?? 0), 0);
  const tissue = slides.reduce((sum, slide) => sum + (slide.tissue_mm2 ?? 0), 0);
  if (nuclei > 0) items.push([whole(nuclei), "nuclei"]);
  if (tissue > 0) items.push([tissue.toFixed(tissue < 10 ? 2 : 0), "mm² of tissue"]);
  return items.map(([value, label]) => el("li", {}, el("b", {}, value), el("span", {}, label)));
}

function filterBar(change: (part: Partial<Selection>) => void): HTMLElement {
  const searchId = uniqueId("search");
  const statusId = uniqueId("status");
  const search = el("input", { type: "search", id: searchId, placeholder: "name, reason or flag", autocomplete: "off" });
  search.addEventListener("input", () => change({ search: search.value.trim() }));
  const status = el("select", { id: statusId });
  for (const value of STATUSES) status.append(el("option", { value }, value));
  status.addEventListener("change", () => change({ status: STATUSES[status.selectedIndex] ?? "all" }));
  return el(
    "div",
    { class: "filters", role: "search" },
    el("label", { for: searchId }, "Search"),
    search,
    el("label", { for: statusId }, "Status"),
    status,
  );
}
