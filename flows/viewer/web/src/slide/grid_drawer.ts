// Draws tiles edge to edge on the screen's pixels.

import OpenSeadragon from "openseadragon";

/**
 * The library's canvas drawer, with the edges of tiles rounded to device pixels: neighbours share a rounded edge, so that
 * there is neither a seam nor a column that is drawn twice, and no edge is more than half a pixel off.
 */
export class GridDrawer extends OpenSeadragon.CanvasDrawer {
  override getDataToDraw(tile: OpenSeadragon.Tile): ReturnType<OpenSeadragon.CanvasDrawer["getDataToDraw"]> {
    snap(tile, OpenSeadragon.pixelDensityRatio);
    return super.getDataToDraw(tile);
  }
}

function snap(tile: OpenSeadragon.Tile, ratio: number): void {
  const { position, size } = tile;
  if (position === null || size === null) return;
  const edge = (place: number): number => Math.round(place * ratio) / ratio;
  const [left, top] = [edge(position.x), edge(position.y)];
  tile.size = new OpenSeadragon.Point(edge(position.x + size.x) - left, edge(position.y + size.y) - top);
  tile.position = new OpenSeadragon.Point(left, top);
}
