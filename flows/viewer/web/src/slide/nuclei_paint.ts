// Outlines and densities onto a tile's canvas.

import { classColour, colourMap, type Rgb } from "./colour_maps";
import type { Box } from "./geometry";
import type { Density, Outlines } from "./nuclei_format";

/** How nuclei are shown: coloured by what, and from which probability on. */
export interface NucleiLook {
  by: "class" | "probability";
  least: number;
}

const LINE_PX = 1.6;
const STEPS = 16;
const PROBABILITY = colourMap("viridis");
/** Colours of densities, from few to many; the map's darkest would be taken for nuclei themselves. */
export const DENSITY_COLOURS: readonly Rgb[] = colourMap("magma").map((_, index, colours) => colours[Math.round(40 + (215 * index) / 255)]!);

/** Where the colours of densities end: tightly packed lymphocytes. */
export const DENSEST_PER_MM2 = 12_000;

function css([red, green, blue]: Rgb): string {
  return `rgb(${red} ${green} ${blue})`;
}

function paletteOf(look: NucleiLook, kinds: number): string[] {
  if (look.by === "probability") {
    return Array.from({ length: STEPS }, (_, step) => css(PROBABILITY[Math.round((255 * step) / (STEPS - 1))]!));
  }
  return Array.from({ length: kinds }, (_, kind) => classColour(kind));
}

function bucketOf(nuclei: Outlines, index: number, look: NucleiLook, buckets: number): number {
  if (look.by === "class") return nuclei.kind[index]! % buckets;
  return Math.min(STEPS - 1, Math.max(0, Math.round(nuclei.probability[index]! * (STEPS - 1))));
}

/** Strokes outlines: `box` is the tile in level-0 px, `scale` its px per level-0 px. One path a colour. */
export function paintOutlines(
  context: CanvasRenderingContext2D,
  nuclei: Outlines,
  box: Box,
  scale: number,
  look: NucleiLook,
): void {
  const palette = paletteOf(look, 8);
  const paths = palette.map(() => new Path2D());
  for (let index = 0; index < nuclei.count; index++) {
    if (nuclei.probability[index]! < look.least) continue;
    trace(paths[bucketOf(nuclei, index, look, palette.length)]!, nuclei, index, box, scale);
  }
  context.lineJoin = "round";
  context.lineWidth = LINE_PX;
  paths.forEach((path, bucket) => {
    context.strokeStyle = palette[bucket]!;
    context.stroke(path);
  });
}

function trace(path: Path2D, nuclei: Outlines, index: number, box: Box, scale: number): void {
  const from = nuclei.first[index]!;
  const to = nuclei.first[index + 1]!;
  for (let point = from; point < to; point++) {
    const x = (nuclei.points[2 * point]! - box.x0) * scale;
    const y = (nuclei.points[2 * point + 1]! - box.y0) * scale;
    if (point === from) path.moveTo(x, y);
    else path.lineTo(x, y);
  }
  if (to > from) path.closePath();
}

/** Fills cells by how many nuclei they hold a mm2. */
export function paintDensity(context: CanvasRenderingContext2D, density: Density, box: Box, scale: number, mpp: number): void {
  const mm2 = (density.cell * mpp) ** 2 / 1e6;
  for (let row = 0; row < density.rows; row++) {
    for (let column = 0; column < density.columns; column++) {
      const count = density.counts[row * density.columns + column]!;
      if (count === 0) continue;
      const share = Math.min(1, count / mm2 / DENSEST_PER_MM2);
      context.fillStyle = css(DENSITY_COLOURS[Math.round(255 * share)]!);
      context.globalAlpha = 0.25 + 0.6 * Math.sqrt(share);
      const x = Math.round((density.x0 + column * density.cell - box.x0) * scale);
      const y = Math.round((density.y0 + row * density.cell - box.y0) * scale);
      const right = Math.round((density.x0 + (column + 1) * density.cell - box.x0) * scale);
      const bottom = Math.round((density.y0 + (row + 1) * density.cell - box.y0) * scale);
      context.fillRect(x, y, right - x, bottom - y);
    }
  }
  context.globalAlpha = 1;
}
