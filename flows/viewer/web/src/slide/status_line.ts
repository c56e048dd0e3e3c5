// Where the pointer is, in um and level-0 px, and how large things are shown.

import type { Slide } from "../api";
import { el } from "../dom";
import { short } from "../figures";
import type { Point } from "./geometry";

export class StatusLine {
  private readonly place = el("output", { class: "place", "aria-label": "Coordinates" });
  private readonly zoom = el("output", { class: "zoom", "aria-label": "Magnification" });
  readonly element = el("div", { class: "statusline" }, this.place, this.zoom);

  constructor(private readonly slide: Slide) {}

  point(point: Point, of: "pointer" | "centre"): void {
    const { mpp_level0: mpp } = this.slide;
    const um = `x ${(point.x * mpp).toFixed(1)} µm, y ${(point.y * mpp).toFixed(1)} µm`;
    const px = `level-0 px ${point.x.toFixed(1)}, ${point.y.toFixed(1)}`;
    this.place.textContent = `${of === "centre" ? "centre: " : ""}${um} · ${px}`;
  }

  magnify(zoom: number): void {
    const um = this.slide.mpp_level0 / zoom;
    this.zoom.textContent = `${short(um)} µm per screen px · ${short(10 / um)}×`;
  }
}
