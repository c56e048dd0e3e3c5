// What lies at a point: the nucleus's row, the patches' rows, in words.

import { fetchJson, fetchJsonIfAny, slideUrl, type Nucleus, type Patch, type Slide, type Value } from "../api";
import { el } from "../dom";
import { short, words } from "../figures";
import { say } from "../spoken";
import { trouble } from "../trouble";
import type { Point } from "./geometry";
import type { Panes } from "./panes";
import type { State } from "./state";

export class Inspector {
  readonly element = el("div", { class: "found" }, el("p", { class: "quiet" }, HINT));
  private asked: AbortController | null = null;

  constructor(
    private slide: Slide,
    private readonly state: State,
    private readonly panes: Panes,
  ) {}

  /** Takes a newer description: what there was nothing to be found in before may have come. */
  renew(slide: Slide): void {
    this.slide = slide;
  }

  /** Shows what lies at a level-0 point. */
  async at(point: Point): Promise<void> {
    const query = `?x=${point.x}&y=${point.y}`;
    await this.show(async (signal) => {
      const [nucleus, patches] = await Promise.all([
        this.slide.nuclei === null ? null : fetchJsonIfAny<Nucleus>(slideUrl(this.slide.id, `/nuclei/at${query}`), signal),
        this.slide.patches === null ? null : fetchJsonIfAny<{ patches: Patch[] }>(slideUrl(this.slide.id, `/patches/at${query}`), signal),
      ]);
      return [nucleus, patches?.patches ?? []];
    });
  }

  /** Shows a row of the table of nuclei, as a permalink names it. */
  async row(row: number): Promise<void> {
    await this.show(async (signal) => [await fetchJson<Nucleus>(slideUrl(this.slide.id, `/nuclei/${row}`), signal), []]);
  }

  clear(): void {
    this.asked?.abort();
    this.element.replaceChildren(el("p", { class: "quiet" }, HINT));
    this.panes.mark(null);
    this.state.change({ row: null });
  }

  private async show(ask: (signal: AbortSignal) => Promise<[Nucleus | null, Patch[]]>): Promise<void> {
    this.asked?.abort();
    const asked = new AbortController();
    this.asked = asked;
    try {
      const [nucleus, patches] = await ask(asked.signal);
      if (!asked.signal.aborted) this.fill(nucleus, patches);
    } catch (error) {
      if (!asked.signal.aborted) this.element.replaceChildren(trouble(error));
    }
  }

  private fill(nucleus: Nucleus | null, patches: Patch[]): void {
    this.element.replaceChildren(
      ...(nucleus === null ? [] : [nucleusTable(nucleus)]),
      ...patches.map(patchTable),
      ...(nucleus === null && patches.length === 0 ? [el("p", { class: "quiet" }, "Neither nucleus nor patch at this point.")] : []),
    );
    this.panes.mark(nucleus?.outline ?? (patches[0] === undefined ? null : square(patches[0])));
    this.state.change({ row: nucleus?.row ?? null });
    say(spoken(nucleus, patches));
  }
}

const HINT = "Click on a nucleus or a patch. With keys: move the cross, press Enter.";

function square(patch: Patch): [number, number][] {
  const { x_level0_px: x, y_level0_px: y, size_level0_px: side } = patch;
  return [[x, y], [x + side, y], [x + side, y + side], [x, y + side]];
}

function written(value: Value): string {
  if (value === null) return "–";
  return typeof value === "number" ? (Number.isInteger(value) ? String(value) : short(value)) : String(value);
}

function facts(caption: string, rows: Iterable<[string, string]>): HTMLElement {
  const body = el("tbody");
  for (const [name, value] of rows) body.append(el("tr", {}, el("th", { scope: "row" }, name), el("td", {}, value)));
  return el("table", { class: "facts" }, el("caption", {}, caption), body);
}

function nucleusTable(nucleus: Nucleus): HTMLElement {
  return facts(`Nucleus, row ${nucleus.row}`, Object.entries(nucleus.columns).map(([name, value]) => [words(name), written(value)]));
}

function patchTable(patch: Patch): HTMLElement {
  const rows: [string, string][] = Object.entries(patch.probabilities).map(([name, value]) => [name, value.toFixed(3)]);
  rows.push(["corner (level-0 px)", `${short(patch.x_level0_px)}, ${short(patch.y_level0_px)}`]);
  rows.push(["side (level-0 px)", short(patch.size_level0_px)]);
  return facts(`Patch, ${patch.classifier}`, rows);
}

function spoken(nucleus: Nucleus | null, patches: Patch[]): string {
  if (nucleus === null && patches.length === 0) return "Neither nucleus nor patch at this point.";
  const parts = nucleus === null ? [] : [`Nucleus, row ${nucleus.row}`];
  if (patches.length > 0) parts.push(`${patches.length} ${patches.length === 1 ? "patch" : "patches"}`);
  return `${parts.join(" and ")}. Details in the panel Selected.`;
}
