// Nuclei, streamed by what is in view: tiles of a pyramid that ends finer than the slide, so that lines stay thin when one
// zooms in.

import type OpenSeadragon from "openseadragon";
import { fetchBytes, slideUrl, type Slide } from "../api";
import { gridOver, tileBox, type Box } from "./geometry";
import { parseNuclei, type Density, type Outlines } from "./nuclei_format";
import { paintDensity, paintOutlines, type NucleiLook } from "./nuclei_paint";
import { blank, giveUp, supply, type Paintable, type PaintedSource } from "./painted_tiles";
import { GridSource } from "./tile_source";

const FINEST_PER_LEVEL0_PX = 16;
const TILE_PX = 512;
/** Outlines just outside a tile reach into it by half their line's width. */
const MARGIN_PX = 2;

/** What a tile needs to know to be painted. */
interface Site {
  box: Box;
  scale: number;
  mpp: number;
  look: () => NucleiLook;
}

class NucleiTile implements Paintable {
  constructor(
    private readonly content: Outlines | Density,
    private readonly site: Site,
  ) {}

  paint(): CanvasRenderingContext2D {
    const { box, scale, mpp, look } = this.site;
    const context = blank(Math.round((box.x1 - box.x0) * scale), Math.round((box.y1 - box.y0) * scale));
    if (this.content.mode === "outlines") paintOutlines(context, this.content, box, scale, look());
    else paintDensity(context, this.content, box, scale, mpp);
    return context;
  }
}

export class NucleiSource extends GridSource implements PaintedSource {
  readonly painted = true;

  constructor(
    readonly slide: Slide,
    readonly look: () => NucleiLook,
  ) {
    super(gridOver(slide.width_level0_px * FINEST_PER_LEVEL0_PX, slide.height_level0_px * FINEST_PER_LEVEL0_PX, TILE_PX));
  }

  /** Tile px per level-0 px at a level. */
  private scale(level: number): number {
    return FINEST_PER_LEVEL0_PX / 2 ** (this.grid.top - level);
  }

  private box(level: number, x: number, y: number): Box {
    const px = tileBox(this.grid, level, x, y);
    const scale = this.scale(level);
    return { x0: px.x0 / scale, y0: px.y0 / scale, x1: px.x1 / scale, y1: px.y1 / scale };
  }

  override getTileUrl(level: number, x: number, y: number): string {
    const box = this.box(level, x, y);
    const px = 1 / this.scale(level);
    const margin = MARGIN_PX * px;
    const query = new URLSearchParams({
      x0: String(Math.max(0, box.x0 - margin)),
      y0: String(Math.max(0, box.y0 - margin)),
      x1: String(box.x1 + margin),
      y1: String(box.y1 + margin),
      px: String(px),
    });
    return slideUrl(this.slide.id, `/nuclei?${query.toString()}`);
  }

  override downloadTileStart(job: OpenSeadragon.ImageJob): void {
    const { level, x, y } = job.tile;
    const site = { box: this.box(level, x, y), scale: this.scale(level), mpp: this.slide.mpp_level0, look: this.look };
    supply(job, async (signal) => new NucleiTile(parseNuclei(await fetchBytes(job.src, signal)), site));
  }

  override downloadTileAbort(job: OpenSeadragon.ImageJob): void {
    giveUp(job);
  }
}
