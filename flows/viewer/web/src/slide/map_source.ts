// Heat maps and masks: grey tiles that this side colours.

import type OpenSeadragon from "openseadragon";
import { fetchBytes, type Layer, type Slide } from "../api";
import { paint, places } from "./colouring";
import { blank, giveUp, supply, type Paintable, type PaintedSource } from "./painted_tiles";
import { tileUrl, type Edition } from "./picture_source";
import { GridSource } from "./tile_source";

class GreyTile implements Paintable {
  constructor(
    private readonly content: Uint16Array,
    private readonly width: number,
    private readonly table: () => Uint32Array,
  ) {}

  paint(): CanvasRenderingContext2D {
    const context = blank(this.width, this.content.length / this.width);
    const image = context.createImageData(this.width, this.content.length / this.width);
    paint(this.content, this.table(), new Uint32Array(image.data.buffer));
    context.putImageData(image, 0, 0);
    return context;
  }
}

/** A PNG's pixels as they were written: no colour management, no premultiplied alpha. */
async function decode(bytes: ArrayBuffer): Promise<ImageData> {
  const bitmap = await createImageBitmap(new Blob([bytes]), { colorSpaceConversion: "none", premultiplyAlpha: "none" });
  const context = blank(bitmap.width, bitmap.height);
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  return context.getImageData(0, 0, context.canvas.width, context.canvas.height);
}

export class MapSource extends GridSource implements PaintedSource {
  readonly painted = true;

  constructor(
    readonly slide: Slide,
    readonly layer: Layer,
    readonly edition: Edition,
    readonly table: () => Uint32Array,
  ) {
    super({ width: layer.width_px, height: layer.height_px, tile: layer.tile_px, top: layer.max_level });
  }

  override getTileUrl(level: number, x: number, y: number): string {
    return tileUrl(this.slide, this.layer, [level, x, y], this.edition);
  }

  override downloadTileStart(job: OpenSeadragon.ImageJob): void {
    supply(job, async (signal) => {
      const image = await decode(await fetchBytes(job.src, signal));
      return new GreyTile(places(image.data), image.width, this.table);
    });
  }

  override downloadTileAbort(job: OpenSeadragon.ImageJob): void {
    giveUp(job);
  }
}
