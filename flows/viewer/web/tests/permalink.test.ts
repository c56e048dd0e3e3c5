import assert from "node:assert/strict";
import { test } from "node:test";
import type { Slide } from "../src/api";
import { fromHash, toHash } from "../src/slide/permalink";
import { initial, type Shown } from "../src/slide/state";

const layer = (id: string, kind: "rgb" | "scalar" | "mask") => ({
  id, kind, title: id, width_px: 10, height_px: 10, tile_px: 512, max_level: 0, mpp: 0.5,
  place: { x_level0_px: 0, y_level0_px: 0, width_level0_px: 10, height_level0_px: 10 },
  range: [0, 1] as [number, number], unit: null, colours: null, legend: null, explanation: "",
});
const slide = {
  width_level0_px: 10, height_level0_px: 10, nuclei: { count: 1, classes: [], columns: [] },
  layers: [layer("image", "rgb"), layer("sr", "rgb"), layer("heatmap:c:a,b & <i>=#%", "scalar"), layer("tissue", "mask")],
} as unknown as Slide;
const pictures = ["image", "sr"];

test("what is shown comes back from the address, whatever a class is called", () => {
  const base = initial(slide);
  const shown: Shown = {
    ...base,
    view: { x: 1234.56, y: -7.25, zoom: 3.25 },
    mode: "split", left: "sr", right: "image", divider: 33.3, squares: true, row: 12,
    layers: { ...base.layers, "heatmap:c:a,b & <i>=#%": { shown: true, opacity: 0.4, low: 0.25, map: "viridis" } },
    nuclei: { shown: true, opacity: 0.5, by: "probability", least: 0.75 },
  };
  assert.deepEqual(fromHash(toHash(shown), base, pictures), shown);
});

test("nothing that an address says breaks the page", () => {
  const base = initial(slide);
  for (const hash of ["#", "#zoom=NaN&x=1e999&divider=-4", "#left=nothing&mode=nine&layer=,,,&layer=9,9,plasma,tissue", "#nuclei=a,b&row=x", "#%%%"]) {
    const shown = fromHash(hash, base, pictures);
    assert.ok(pictures.includes(shown.left) && ["one", "split", "two"].includes(shown.mode));
    for (const value of [shown.view.x, shown.view.y, shown.view.zoom, shown.divider, shown.nuclei.least]) assert.ok(Number.isFinite(value));
    for (const look of Object.values(shown.layers)) assert.ok(look.opacity >= 0 && look.opacity <= 1 && look.low >= 0 && look.low <= 1);
  }
});
