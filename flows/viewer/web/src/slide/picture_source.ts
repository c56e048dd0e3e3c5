// The slide's pictures, as scanned and super-resolved: tiles that the browser decodes.

import { slideUrl, type Layer, type Slide } from "../api";
import { GridSource } from "./tile_source";

/** Where a layer's tile is; `revision` changes when a run may have written more of it. */
export function tileUrl(slide: Slide, layer: Layer, place: readonly [number, number, number], revision: number): string {
  const [level, x, y] = place;
  const newer = revision > 0 ? `?revision=${revision}` : "";
  return slideUrl(slide.id, `/tiles/${encodeURIComponent(layer.id)}/${level}/${x}_${y}${newer}`);
}

export class PictureSource extends GridSource {
  constructor(
    readonly slide: Slide,
    readonly layer: Layer,
    readonly revision: number,
  ) {
    super({ width: layer.width_px, height: layer.height_px, tile: layer.tile_px, top: layer.max_level });
  }

  override getTileUrl(level: number, x: number, y: number): string {
    return tileUrl(this.slide, this.layer, [level, x, y], this.revision);
  }
}
