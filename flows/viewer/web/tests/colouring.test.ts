import assert from "node:assert/strict";
import { test } from "node:test";
import { paint, places, scalarTable } from "../src/slide/colouring";
import { colourMap, rgbOf } from "../src/slide/colour_maps";

test("viridis and magma begin and end where matplotlib's do", () => {
  assert.deepEqual([colourMap("viridis")[0], colourMap("viridis")[255]], [[68, 1, 84], [253, 231, 37]]);
  assert.deepEqual([colourMap("magma")[0], colourMap("magma")[255]], [[0, 0, 4], [252, 253, 191]]);
  assert.deepEqual(colourMap("viridis")[128]!.map((value, channel) => Math.abs(value - [33, 145, 140][channel]!) <= 2), [true, true, true]);
});

test("no value and values below the threshold are clear, the others opaque", () => {
  const tile = places(new Uint8ClampedArray([0, 0, 0, 0, 100, 100, 100, 255, 200, 200, 200, 255]));
  assert.deepEqual([...tile], [0, 101, 201]);
  const painted = new Uint32Array(3);
  paint(tile, scalarTable({ map: "grey", low: 0.5 }), painted);
  assert.deepEqual([...painted], [0, 0, 0xffc8c8c8]);
});

test("what is no colour is grey", () => assert.deepEqual(rgbOf("red; background: url(x)"), [128, 128, 128]));
