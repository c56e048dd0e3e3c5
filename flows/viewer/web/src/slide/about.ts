// What the slide is and where its files are.

import type { Slide } from "../api";
import { el, link } from "../dom";
import { length, short, words } from "../figures";

/** Figures of the run, nested ones flattened: `tissue · share`. */
export function flat(summary: Record<string, unknown>, before = ""): [string, string][] {
  const rows: [string, string][] = [];
  for (const [key, value] of Object.entries(summary)) {
    const name = before === "" ? words(key) : `${before} · ${words(key)}`;
    if (typeof value === "object" && value !== null && !Array.isArray(value)) rows.push(...flat(value as Record<string, unknown>, name));
    else if (Array.isArray(value)) rows.push([name, value.map(String).join(", ")]);
    else if (typeof value === "number") rows.push([name, short(value)]);
    else if (value !== null && value !== undefined) rows.push([name, String(value)]);
  }
  return rows;
}

export function aboutTable(slide: Slide): HTMLElement {
  const { width_level0_px: width, height_level0_px: height, mpp_level0: mpp } = slide;
  const rows: [string, string][] = [
    ["size", `${length(width * mpp)} × ${length(height * mpp)} (${width} × ${height} px)`],
    ["resolution", `${short(mpp)} µm/px`],
    ...flat(slide.summary),
  ];
  const body = el("tbody");
  for (const [name, value] of rows) body.append(el("tr", {}, el("th", { scope: "row" }, name), el("td", {}, value)));
  return el("table", { class: "facts" }, el("caption", { class: "unseen" }, "About the slide"), body);
}

export function linksList(slide: Slide): HTMLElement {
  const list = el("ul", { class: "links" });
  const { report, neuroglancer, store, download } = slide.links;
  if (report !== null) list.append(el("li", {}, link(report, "Report")));
  if (neuroglancer !== null) list.append(el("li", {}, link(neuroglancer, "Open in Neuroglancer"), el("span", { class: "quiet" }, " (another site's program; it reads from this computer)")));
  for (const { title, url } of download) {
    const anchor = link(url, title);
    anchor.setAttribute("download", "");
    list.append(el("li", {}, anchor));
  }
  if (store !== null) list.append(el("li", {}, el("span", { class: "quiet" }, "Store, for napari and others: "), el("code", {}, new URL(store, location.href).href)));
  return list;
}

/** What is seen at once; the rest of the words would push the layers out of sight. */
const SHOWN_AT_ONCE = 3;

export function warningsNote(warnings: readonly string[]): HTMLElement | null {
  if (warnings.length === 0) return null;
  const note = el("div", { class: "note", role: "note", "aria-label": "To keep in mind" }, bullets(warnings.slice(0, SHOWN_AT_ONCE)));
  const more = warnings.slice(SHOWN_AT_ONCE);
  if (more.length > 0) note.append(el("details", {}, el("summary", {}, `${more.length} more`), bullets(more)));
  return note;
}

function bullets(lines: readonly string[]): HTMLElement {
  const list = el("ul");
  for (const line of lines) list.append(el("li", {}, line));
  return list;
}
