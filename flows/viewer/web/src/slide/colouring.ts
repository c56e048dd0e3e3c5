// From a tile's grey values to colours: one table of 257 colours a layer, looked up for each pixel.

import type { Layer } from "../api";
import { colourMap, rgbOf, type MapName } from "./colour_maps";

/** How a scalar layer is shown: `low` is the threshold, 0..1 of the layer's range. */
export interface Scheme {
  map: MapName;
  low: number;
}

/** Packs as canvases hold pixels: red first, on the little-endian machines that browsers run on. */
function packed([red, green, blue]: readonly [number, number, number]): number {
  return ((255 << 24) | (blue << 16) | (green << 8) | red) >>> 0;
}

/** 257 packed colours: place 0 is "no value", place g + 1 is grey g. Below the threshold is transparent. */
export function scalarTable(scheme: Scheme): Uint32Array {
  const colours = colourMap(scheme.map);
  const table = new Uint32Array(257);
  for (let grey = 0; grey < 256; grey++) table[grey + 1] = grey / 255 < scheme.low ? 0 : packed(colours[grey]!);
  return table;
}

/** The same for a mask: each value its legend's colour, 0 and values that the legend does not know transparent. */
export function maskTable(layer: Layer): Uint32Array {
  const table = new Uint32Array(257);
  const pairs = layer.legend?.map(({ value, colour }) => [value, colour] as const) ?? layer.colours ?? [];
  for (const [value, colour] of pairs) if (value > 0 && value < 256) table[value + 1] = packed(rgbOf(colour));
  if (pairs.length === 0) table.fill(packed(rgbOf("#00a3a3")), 2);
  return table;
}

export function tableFor(layer: Layer, scheme: Scheme): Uint32Array {
  return layer.kind === "mask" ? maskTable(layer) : scalarTable(scheme);
}

/** Places in such a table, one a pixel, of a tile's red-green-blue-alpha bytes. */
export function places(rgba: Uint8ClampedArray): Uint16Array {
  const result = new Uint16Array(rgba.length / 4);
  for (let index = 0; index < result.length; index++) {
    result[index] = rgba[4 * index + 3]! === 0 ? 0 : rgba[4 * index]! + 1;
  }
  return result;
}

export function paint(tile: Uint16Array, table: Uint32Array, into: Uint32Array): void {
  for (let index = 0; index < tile.length; index++) into[index] = table[tile[index]!]!;
}
