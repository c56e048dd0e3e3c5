import assert from "node:assert/strict";
import { test } from "node:test";
import { parseNuclei } from "../src/slide/nuclei_format";

function bytes(...fields: ["u" | "f", number][]): ArrayBuffer {
  const view = new DataView(new ArrayBuffer(4 * fields.length));
  fields.forEach(([kind, value], index) => (kind === "u" ? view.setUint32(4 * index, value, true) : view.setFloat32(4 * index, value, true)));
  return view.buffer;
}

test("outlines come back in level-0 px", () => {
  const parsed = parseNuclei(bytes(
    ["u", 0x314e4c48], ["u", 2], ["u", 5], ["u", 0], ["f", 1000], ["f", 2000],
    ["u", 7], ["f", 1], ["f", 2], ["f", 0.5], ["u", 1], ["u", 3],
    ["u", 9], ["f", 3], ["f", 4], ["f", 0.25], ["u", 0], ["u", 2],
    ["f", 0.5], ["f", 1], ["f", 2], ["f", 3], ["f", 4], ["f", 5], ["f", 6], ["f", 7], ["f", 8], ["f", 9],
  ));
  assert.equal(parsed.mode, "outlines");
  if (parsed.mode !== "outlines") return;
  assert.deepEqual([...parsed.row], [7, 9]);
  assert.deepEqual([...parsed.first], [0, 3, 5]);
  assert.deepEqual([...parsed.points], [1000.5, 2001, 1002, 2003, 1004, 2005, 1006, 2007, 1008, 2009]);
  assert.deepEqual([...parsed.probability], [0.5, 0.25]);
});

test("a density comes back row by row", () => {
  const parsed = parseNuclei(bytes(["u", 0x314e4c48], ["u", 3], ["u", 0], ["u", 1], ["f", 10], ["f", 20], ["u", 2], ["u", 1], ["f", 8], ["u", 1], ["u", 2]));
  assert.deepEqual(parsed, { mode: "density", x0: 10, y0: 20, cell: 8, columns: 2, rows: 1, counts: new Uint32Array([1, 2]) });
});

test("what is no table is refused", () => {
  assert.throws(() => parseNuclei(new ArrayBuffer(3)), /no table of nuclei/);
  assert.throws(() => parseNuclei(bytes(["u", 1], ["u", 0], ["u", 0], ["u", 0], ["f", 0], ["f", 0])), /no table of nuclei/);
});
