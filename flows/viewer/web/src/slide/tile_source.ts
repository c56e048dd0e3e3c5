// Tile sources for OpenSeadragon on the levels that stores have: each half the one before, odd sizes rounded up.

import OpenSeadragon from "openseadragon";
import { tileBox, type Grid } from "./geometry";

/** Places tiles by their pixels. The library's own bounds end where the picture does, which squeezes the last column. */
export class GridSource extends OpenSeadragon.TileSource {
  constructor(readonly grid: Grid) {
    super({
      width: grid.width,
      height: grid.height,
      tileSize: grid.tile,
      tileOverlap: 0,
      minLevel: 0,
      maxLevel: grid.top,
    } as OpenSeadragon.TileSourceOptions);
    // Tiles without overlap are drawn a pixel too large by the library, to hide seams that `GridDrawer` has not.
    this.tileOverlap = Number.MIN_VALUE;
  }

  override getTileBounds(level: number, x: number, y: number, isSource?: boolean): OpenSeadragon.Rect {
    const box = tileBox(this.grid, level, x, y);
    const width = box.x1 - box.x0;
    const height = box.y1 - box.y0;
    if (isSource === true) return new OpenSeadragon.Rect(0, 0, width, height);
    const px = 2 ** (this.grid.top - level) / this.grid.width;
    return new OpenSeadragon.Rect(box.x0 * px, box.y0 * px, width * px, height * px);
  }
}
