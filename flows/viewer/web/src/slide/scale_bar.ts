// The scale bar: a round length in um, as long as it is.

import { el } from "../dom";
import { length } from "../figures";

/** The longest of 1, 2, 5 x 10^n um that is at most `most_px` long at `um_per_px`. */
export function roundLength(um_per_px: number, most_px: number): number {
  const most = um_per_px * most_px;
  const power = 10 ** Math.floor(Math.log10(most));
  return ([5, 2, 1].find((digit) => digit * power <= most) ?? 1) * power;
}

export class ScaleBar {
  private readonly label = el("span", {});
  private readonly bar = el("div", { class: "bar" });
  readonly element = el("div", { class: "scalebar" }, this.label, this.bar);

  set(um_per_px: number): void {
    if (!(um_per_px > 0) || !Number.isFinite(um_per_px)) return;
    const um = roundLength(um_per_px, 180);
    this.bar.style.width = `${um / um_per_px}px`;
    this.label.textContent = length(um);
    this.element.dataset["um"] = String(um);
  }
}
