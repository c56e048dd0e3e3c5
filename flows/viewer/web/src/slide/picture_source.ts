// The slide's pictures, as scanned and super-resolved: tiles that the browser decodes.

import { slideUrl, type Layer, type Slide } from "../api";
import { GridSource } from "./tile_source";

/** Which state of a layer is fetched: `revision` changes when a run may have written more, `exact` asks for no loss. */
export interface Edition {
  revision: number;
  exact: boolean;
}

export function tileUrl(slide: Slide, layer: Layer, place: readonly [number, number, number], edition: Edition): string {
  const [level, x, y] = place;
  const query = new URLSearchParams();
  if (edition.exact) query.set("format", "png");
  if (edition.revision > 0) query.set("revision", String(edition.revision));
  const asked = query.size > 0 ? `?${query.toString()}` : "";
  return slideUrl(slide.id, `/tiles/${encodeURIComponent(layer.id)}/${level}/${x}_${y}${asked}`);
}

export class PictureSource extends GridSource {
  constructor(
    readonly slide: Slide,
    readonly layer: Layer,
    readonly edition: Edition,
  ) {
    super({ width: layer.width_px, height: layer.height_px, tile: layer.tile_px, top: layer.max_level });
  }

  override getTileUrl(level: number, x: number, y: number): string {
    return tileUrl(this.slide, this.layer, [level, x, y], this.edition);
  }
}
