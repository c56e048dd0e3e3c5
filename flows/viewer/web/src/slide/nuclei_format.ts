// The server's answer about nuclei in a box, from bytes: outlines, or how many there are in each cell of a grid.

const MAGIC = 0x314e4c48;
const HEAD = 24;
const RECORD = 24;

export interface Outlines {
  mode: "outlines";
  count: number;
  row: Uint32Array;
  x: Float32Array;
  y: Float32Array;
  probability: Float32Array;
  kind: Uint32Array;
  /** Where each nucleus's points begin in `points`; one more than there are nuclei. */
  first: Uint32Array;
  /** x, y, x, y ... in level-0 px. */
  points: Float64Array;
}

export interface Density {
  mode: "density";
  x0: number;
  y0: number;
  cell: number;
  columns: number;
  rows: number;
  counts: Uint32Array;
}

export function parseNuclei(bytes: ArrayBuffer): Outlines | Density {
  const view = new DataView(bytes);
  if (bytes.byteLength < HEAD || view.getUint32(0, true) !== MAGIC) throw new Error("The server's answer is no table of nuclei.");
  return view.getUint32(12, true) === 1 ? density(view) : outlines(view);
}

function density(view: DataView): Density {
  const columns = view.getUint32(HEAD, true);
  const rows = view.getUint32(HEAD + 4, true);
  const counts = new Uint32Array(columns * rows);
  for (let index = 0; index < counts.length; index++) counts[index] = view.getUint32(HEAD + 12 + 4 * index, true);
  const cell = view.getFloat32(HEAD + 8, true);
  return { mode: "density", x0: view.getFloat32(16, true), y0: view.getFloat32(20, true), cell, columns, rows, counts };
}

function outlines(view: DataView): Outlines {
  const count = view.getUint32(4, true);
  const total = view.getUint32(8, true);
  const x0 = view.getFloat32(16, true);
  const y0 = view.getFloat32(20, true);
  const result: Outlines = {
    mode: "outlines",
    count,
    row: new Uint32Array(count),
    x: new Float32Array(count),
    y: new Float32Array(count),
    probability: new Float32Array(count),
    kind: new Uint32Array(count),
    first: new Uint32Array(count + 1),
    points: new Float64Array(2 * total),
  };
  for (let index = 0; index < count; index++) {
    const at = HEAD + RECORD * index;
    result.row[index] = view.getUint32(at, true);
    result.x[index] = view.getFloat32(at + 4, true);
    result.y[index] = view.getFloat32(at + 8, true);
    result.probability[index] = view.getFloat32(at + 12, true);
    result.kind[index] = view.getUint32(at + 16, true);
    result.first[index + 1] = result.first[index]! + view.getUint32(at + 20, true);
  }
  const from = HEAD + RECORD * count;
  for (let index = 0; index < total; index++) {
    result.points[2 * index] = view.getFloat32(from + 8 * index, true) + x0;
    result.points[2 * index + 1] = view.getFloat32(from + 8 * index + 4, true) + y0;
  }
  return result;
}
