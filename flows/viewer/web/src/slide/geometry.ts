// Coordinates. Level-0 px count from the slide's corner, pixel i covering i to i + 1; OpenSeadragon's world is as wide as
// the slide: 1.

import type { Layer, Slide } from "../api";

export interface Point {
  x: number;
  y: number;
}

export interface Box {
  x0: number;
  y0: number;
  x1: number;
  y1: number;
}

export function worldOf(slide: Slide, point: Point): Point {
  return { x: point.x / slide.width_level0_px, y: point.y / slide.width_level0_px };
}

export function level0Of(slide: Slide, point: Point): Point {
  return { x: point.x * slide.width_level0_px, y: point.y * slide.width_level0_px };
}

/** Where a layer's picture lies in the world. */
export function placeOf(slide: Slide, layer: Layer): { x: number; y: number; width: number } {
  const { x_level0_px, y_level0_px, width_level0_px } = layer.place;
  return { ...worldOf(slide, { x: x_level0_px, y: y_level0_px }), width: width_level0_px / slide.width_level0_px };
}

export interface Grid {
  width: number;
  height: number;
  tile: number;
  top: number;
}

/** The levels of a pyramid over `width` x `height` px: `top` is full resolution, 0 fits into one tile. */
export function gridOver(width: number, height: number, tile: number): Grid {
  return { width, height, tile, top: Math.max(0, Math.ceil(Math.log2(Math.max(width, height) / tile))) };
}

/** A tile's own pixels at its level: edge tiles are cut where the level, its odd sizes rounded up, ends. */
export function tileBox(grid: Grid, level: number, x: number, y: number): Box {
  const step = 2 ** (grid.top - level);
  return {
    x0: x * grid.tile,
    y0: y * grid.tile,
    x1: Math.min((x + 1) * grid.tile, Math.ceil(grid.width / step)),
    y1: Math.min((y + 1) * grid.tile, Math.ceil(grid.height / step)),
  };
}

export function holds(box: Box, point: Point): boolean {
  return point.x >= box.x0 && point.x < box.x1 && point.y >= box.y0 && point.y < box.y1;
}
