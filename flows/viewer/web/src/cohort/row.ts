// A slide's row of the table.

import type { CohortSlide } from "../api";
import { el, link } from "../dom";
import { duration, length, short, whole } from "../figures";

export function slideRow(slide: CohortSlide): HTMLTableRowElement {
  const to = `/slide/${encodeURIComponent(slide.id)}`;
  const openable = slide.status !== "failed" || slide.report !== null; // of a try that failed, whole results may be left
  const name = openable ? el("a", { href: to }, slide.name) : el("span", {}, slide.name);
  return el(
    "tr",
    { "data-slide": slide.id },
    el("td", { class: "shot" }, preview(slide, openable ? to : null)),
    el("th", { scope: "row" }, name, slide.report === null ? null : el("div", { class: "small" }, reportLink(slide))),
    el("td", {}, status(slide)),
    number(slide.width_um === null || slide.height_um === null ? null : `${length(slide.width_um)} × ${length(slide.height_um)}`),
    number(resolution(slide)),
    number(slide.tissue_mm2 === null ? null : short(slide.tissue_mm2)),
    number(slide.nuclei === null ? null : whole(slide.nuclei)),
    number(slide.nuclei_per_mm2 === null ? null : whole(slide.nuclei_per_mm2)),
    el("td", {}, flags(slide)),
  );
}

function reportLink(slide: CohortSlide): HTMLElement {
  const anchor = link(slide.report ?? "#", "Report");
  anchor.setAttribute("aria-label", `Report of ${slide.name}`);
  return anchor;
}

function preview(slide: CohortSlide, to: string | null): HTMLElement {
  if (slide.preview === null) return el("div", { class: "noshot" }, "no preview yet");
  const image = el("img", { src: slide.preview, alt: "", loading: "lazy", width: 160 });
  if (to === null) return image;
  return el("a", { href: to, tabindex: -1, "aria-hidden": "true" }, image);
}

function number(text: string | null): HTMLElement {
  return el("td", { class: "n" }, text ?? el("span", { class: "quiet", "aria-label": "not known" }, "–"));
}

/** `0.499 → 0.25`: an arrow marks what was super-resolved. */
function resolution(slide: CohortSlide): string | null {
  if (slide.mpp === null) return null;
  const scale = slide.sr_scale ?? 1;
  return scale > 1 ? `${short(slide.mpp)} → ${short(slide.mpp / scale)}` : short(slide.mpp);
}

function status(slide: CohortSlide): HTMLElement {
  const parts: (HTMLElement | null)[] = [el("span", { class: `badge ${slide.status}` }, slide.status)];
  if (slide.status === "done" && slide.seconds !== null) parts.push(el("div", { class: "small quiet" }, duration(slide.seconds)));
  if (slide.status === "running" || slide.status === "unfinished") parts.push(stages(slide));
  if (slide.reason !== null) parts.push(el("p", { class: "small" }, slide.reason));
  if (slide.cure !== null) parts.push(el("p", { class: "small quiet" }, slide.cure));
  return el("div", { class: "status" }, ...parts);
}

function stages(slide: CohortSlide): HTMLElement {
  const list = el("ul", { class: "stages" });
  for (const [name, { done, total }] of Object.entries(slide.stages)) {
    const words = total === null ? whole(done) : `${whole(done)} of ${whole(total)}`;
    const bar = el("progress", { "aria-label": `${name} of ${slide.name}`, max: total ?? 1, value: total === null ? null : done });
    list.append(el("li", {}, el("span", {}, name), bar, el("span", { class: "quiet" }, words)));
  }
  return list;
}

function flags(slide: CohortSlide): HTMLElement {
  const list = el("ul", { class: "flags" });
  for (const flag of slide.qc) {
    list.append(el("li", { class: `flag ${flag.severity === "warning" ? "warns" : ""}` }, el("span", { class: "unseen" }, `${flag.severity}: `), flag.text));
  }
  return list;
}
