import assert from "node:assert/strict";
import { test } from "node:test";
import type { CohortSlide } from "../src/api";
import { select, type Selection } from "../src/cohort/selection";

const slide = (name: string, part: Partial<CohortSlide> = {}): CohortSlide => ({
  id: name, name, status: "done", stages: {}, reason: null, cure: null, preview: null, mpp: null, width_um: null, height_um: null,
  sr_scale: null, nuclei: null, nuclei_per_mm2: null, tissue_mm2: null, qc: [], report: null, seconds: null, ...part,
});
const slides = [
  slide("case 10", { nuclei: 5 }),
  slide("case 2", { nuclei: 50, qc: [{ code: "pen", text: "A pen mark", severity: "warning" }] }),
  slide("case 1", { status: "failed", reason: "no um/px" }),
];
const base: Selection = { search: "", status: "all", column: "name", descending: false };
const names = (part: Partial<Selection>): string[] => select(slides, { ...base, ...part }).map((one) => one.name);

test("names are sorted as people count", () => assert.deepEqual(names({}), ["case 1", "case 2", "case 10"]));
test("what is not known comes last either way", () => {
  assert.deepEqual(names({ column: "nuclei" }), ["case 10", "case 2", "case 1"]);
  assert.deepEqual(names({ column: "nuclei", descending: true }), ["case 2", "case 10", "case 1"]);
});
test("the search finds words of names, reasons and flags", () => {
  assert.deepEqual(names({ search: "PEN case" }), ["case 2"]);
  assert.deepEqual(names({ search: "um/px" }), ["case 1"]);
  assert.deepEqual(names({ search: "(" }), []);
});
test("one status can be looked at alone", () => assert.deepEqual(names({ status: "failed" }), ["case 1"]));
