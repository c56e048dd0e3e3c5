// Tiles that OpenSeadragon draws and places, and that this side paints: heat maps and masks (from grey values) and nuclei
// (from outlines). OpenSeadragon keeps what was fetched, so that other colours need no second fetch.

import OpenSeadragon from "openseadragon";

/** What was fetched for one tile, painted anew whenever the layer's look changes. */
export interface Paintable {
  paint(): CanvasRenderingContext2D;
}

const TYPE = "histoloom-paintable";

export function blank(width: number, height: number): CanvasRenderingContext2D {
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext("2d", { willReadFrequently: true });
  if (context === null) throw new Error("This browser gives no 2D canvas.");
  return context;
}

OpenSeadragon.converter.learn(TYPE, "context2d", (_tile: OpenSeadragon.Tile, tile: Paintable) => tile.paint());
OpenSeadragon.converter.learn(TYPE, TYPE, (_tile: OpenSeadragon.Tile, tile: Paintable) => tile);

/** Fetches a tile for an image job of OpenSeadragon, and gives it up when the job is given up. */
export function supply(job: OpenSeadragon.ImageJob, fetched: (signal: AbortSignal) => Promise<Paintable>): void {
  const stop = new AbortController();
  (job.userData as { stop?: AbortController }).stop = stop;
  fetched(stop.signal).then(
    (tile) => job.finish(tile, null, TYPE),
    (error: unknown) => job.fail(error instanceof Error ? error.message : String(error), null),
  );
}

export function giveUp(job: OpenSeadragon.ImageJob): void {
  (job.userData as { stop?: AbortController }).stop?.abort();
}

/** Whether a tile source supplies such tiles. */
export interface PaintedSource {
  readonly painted: true;
}

/** Paints tiles of painted sources as they come, and again when they are called stale. */
export function paintTilesOf(viewer: OpenSeadragon.Viewer): void {
  viewer.addHandler("tile-invalidated", async (event) => {
    if (!("painted" in event.tiledImage.source)) return;
    const tile = (await event.getData(TYPE)) as Paintable;
    await event.setData(tile.paint(), "context2d");
  });
}
