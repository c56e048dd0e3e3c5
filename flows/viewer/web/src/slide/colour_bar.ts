// A colour bar: what the colours of a layer mean, and what the threshold leaves out.

import { el } from "../dom";
import { short } from "../figures";
import type { Rgb } from "./colour_maps";

export class ColourBar {
  private readonly canvas = el("canvas", { width: 256, height: 12, "aria-hidden": "true" });
  private readonly ends: HTMLElement;
  readonly element: HTMLElement;

  constructor(range: readonly [number, number], unit: string | null) {
    const [low, high] = range;
    this.ends = el(
      "div",
      { class: "ends" },
      el("span", {}, short(low)),
      el("span", {}, short((low + high) / 2)),
      el("span", {}, `${short(high)}${unit === null ? "" : ` ${unit}`}`),
    );
    this.element = el("div", { class: "colourbar" }, this.canvas, this.ends);
  }

  /** `colours`: 256 of them; `low`: the threshold, 0..1 of the range. */
  draw(colours: readonly Rgb[], low: number): void {
    const context = this.canvas.getContext("2d");
    if (context === null) return;
    context.clearRect(0, 0, 256, 12);
    colours.forEach(([red, green, blue], index) => {
      if (index / 255 < low) return;
      context.fillStyle = `rgb(${red} ${green} ${blue})`;
      context.fillRect(index, 0, 1, 12);
    });
  }
}
