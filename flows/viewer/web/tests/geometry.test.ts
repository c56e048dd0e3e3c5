import assert from "node:assert/strict";
import { test } from "node:test";
import { gridOver, tileBox } from "../src/slide/geometry";
import { roundLength } from "../src/slide/scale_bar";

test("the tiles of a level partition it, whatever its size", () => {
  for (const [width, height] of [[1, 1], [512, 513], [2220, 2967], [100_001, 3]] as const) {
    const grid = gridOver(width, height, 512);
    for (let level = 0; level <= grid.top; level++) {
      const step = 2 ** (grid.top - level);
      let px = 0;
      for (let y = 0; y * 512 * step < height; y++) {
        for (let x = 0; x * 512 * step < width; x++) {
          const box = tileBox(grid, level, x, y);
          px += (box.x1 - box.x0) * (box.y1 - box.y0);
        }
      }
      assert.equal(px, Math.ceil(width / step) * Math.ceil(height / step));
    }
    const one = tileBox(grid, 0, 0, 0);
    assert.ok(one.x1 <= 512 && one.y1 <= 512 && one.x1 === Math.ceil(width / 2 ** grid.top));
  }
});

test("the scale bar is round and fits", () => {
  for (const um of [0.0011, 0.25, 0.499, 3.7, 120]) {
    const length = roundLength(um, 180);
    assert.ok(length <= um * 180 && length > um * 180 * 0.39);
    assert.match(length.toPrecision(1), /^[125]|^0\.0*[125]|e/);
  }
});
