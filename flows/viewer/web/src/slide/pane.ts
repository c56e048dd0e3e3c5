// One picture area: an OpenSeadragon viewer whose layers follow the state.

import OpenSeadragon from "openseadragon";
import type { Layer, Slide } from "../api";
import { tableFor } from "./colouring";
import { level0Of, placeOf, worldOf, type Point } from "./geometry";
import { GridDrawer } from "./grid_drawer";
import { MapSource } from "./map_source";
import { NucleiSource } from "./nuclei_source";
import { keepOverviewAlike } from "./overview";
import { paintTilesOf } from "./painted_tiles";
import { PictureSource } from "./picture_source";
import type { Shown, State, View } from "./state";

export type Side = "left" | "right";

interface Wanted {
  key: string;
  opacity: number;
  half: Side | null;
}

/** What a pane tells the page of. */
export interface Told {
  /** Something has come, or is on its way. */
  loaded: () => void;
  /** A tile did not come: what is shown has a hole. */
  lost: () => void;
}

const NUCLEI = "nuclei";
/** How often a tile that did not come is asked for again. */
const RETRIES = 1;
/** Screen px per pixel of the finest picture, at most. */
const CLOSEST = 24;

export class Pane {
  readonly viewer: OpenSeadragon.Viewer;
  private readonly items = new Map<string, OpenSeadragon.TiledImage>();
  private readonly coming = new Set<string>();
  private readonly leaving = new Set<OpenSeadragon.TiledImage>();
  private readonly tables = new Map<string, Uint32Array>();
  private revision = 0;

  constructor(
    readonly element: HTMLElement,
    private slide: Slide,
    private readonly state: State,
    readonly side: Side,
    navigator: HTMLElement | null,
    private readonly told: Told,
  ) {
    spareInlineStyle();
    this.viewer = new OpenSeadragon.Viewer(options(element, navigator));
    // The library shares one point between what it remembers as the old size and what it sets to the new one, so that the
    // first change of size would change what is shown. A point of its own mends that.
    Object.assign(this.viewer.viewport, { containerSize: this.viewer.viewport.getContainerSize() });
    paintTilesOf(this.viewer);
    pinchPrecisely(this.viewer);
    keepOverviewAlike(this.viewer);
    this.viewer.addHandler("tile-load-failed", (event) => {
      if (event.tries > RETRIES && this.items.get(keyOf(event.tiledImage)) === event.tiledImage) told.lost();
    });
    this.viewer.addHandler("viewport-change", () => this.clip());
    this.viewer.addHandler("resize", () => this.clip());
    this.viewer.drawer.setImageSmoothingEnabled(!state.now.squares);
    state.listen((now, before) => this.follow(now, before));
    this.arrange();
  }

  /** Whether all that is wanted is there and drawn as finely as it can be. */
  get settled(): boolean {
    return this.coming.size === 0 && this.wanted().every(({ key }) => this.items.get(key)?.getFullyLoaded() === true);
  }

  /** Screen (CSS) px per level-0 px. */
  get zoom(): number {
    return (this.viewer.viewport.getZoom(true) * this.width) / this.slide.width_level0_px;
  }

  get centre(): Point {
    return level0Of(this.slide, this.viewer.viewport.getCenter(true));
  }

  private get width(): number {
    return this.viewer.viewport.getContainerSize().x;
  }

  /** Goes where a view says; the whole slide where its zoom is 0. */
  goTo(view: View, immediately = true): void {
    const { viewport } = this.viewer;
    if (view.zoom <= 0) {
      this.goHome(immediately);
      return;
    }
    const centre = worldOf(this.slide, view);
    viewport.zoomTo((view.zoom * this.slide.width_level0_px) / this.width, undefined, immediately);
    viewport.panTo(new OpenSeadragon.Point(centre.x, centre.y), immediately);
  }

  goHome(immediately = false): void {
    const height = this.slide.height_level0_px / this.slide.width_level0_px;
    this.viewer.viewport.fitBounds(new OpenSeadragon.Rect(-0.01, -0.01 * height, 1.02, 1.02 * height), immediately);
  }

  /** The level-0 point under a point of this pane, CSS px from its corner. */
  level0At(point: Point): Point {
    const world = this.viewer.viewport.pointFromPixel(new OpenSeadragon.Point(point.x, point.y), true);
    return level0Of(this.slide, world);
  }

  /** The other way. */
  pixelOf(point: Point): Point {
    const world = worldOf(this.slide, point);
    return this.viewer.viewport.pixelFromPoint(new OpenSeadragon.Point(world.x, world.y), true);
  }

  /** Takes a newer description; layers are fetched anew and swapped when they are there, so that nothing flickers. */
  renew(slide: Slide): void {
    this.slide = slide;
    this.revision += 1;
    this.replace((key) => key !== NUCLEI);
    this.arrange();
  }

  private wanted(): Wanted[] {
    const { mode, left, right, layers, nuclei } = this.state.now;
    const split = mode === "split" && left !== right;
    const single = this.side === "left" ? left : right;
    const list: Wanted[] = split
      ? [{ key: left, opacity: 1, half: "left" }, { key: right, opacity: 1, half: "right" }]
      : [{ key: single, opacity: 1, half: null }];
    for (const layer of this.slide.layers) {
      const look = layers[layer.id];
      if (look?.shown === true) list.push({ key: layer.id, opacity: look.opacity, half: null });
    }
    if (this.slide.nuclei !== null && nuclei.shown) list.push({ key: NUCLEI, opacity: nuclei.opacity, half: null });
    return list;
  }

  /** Adds what is missing, hides what is not wanted, sets opacities and order. */
  private arrange(): void {
    if (this.side === "right" && this.state.now.mode !== "two") return;
    const wanted = this.wanted();
    for (const [key, item] of this.items) if (!wanted.some((want) => want.key === key)) item.setOpacity(0);
    for (const want of wanted) {
      const item = this.items.get(want.key);
      if (item !== undefined) item.setOpacity(want.opacity);
      else if (!this.coming.has(want.key)) this.add(want.key);
    }
    this.order();
    this.clip();
    this.told.loaded();
  }

  private order(): void {
    const keys = [...this.slide.layers.map((layer) => layer.id), NUCLEI];
    const items = keys.map((key) => this.items.get(key)).filter((item) => item !== undefined);
    [...this.leaving, ...items].forEach((item, place) => {
      if (this.viewer.world.getIndexOfItem(item) !== place) this.viewer.world.setItemIndex(item, place);
    });
  }

  /** Fetches layers anew. Those that are not shown are let go until they are: they would never be whole. */
  private replace(which: (key: string) => boolean): void {
    for (const [key, item] of [...this.items]) {
      if (!which(key)) continue;
      if (item.getOpacity() > 0) {
        this.add(key);
      } else {
        this.items.delete(key);
        this.viewer.world.removeItem(item);
      }
    }
  }

  private add(key: string): void {
    const layer = this.slide.layers.find((one) => one.id === key);
    if (layer === undefined && key !== NUCLEI) return;
    this.coming.add(key);
    const place = layer === undefined ? { x: 0, y: 0, width: 1 } : placeOf(this.slide, layer);
    this.viewer.addTiledImage({
      tileSource: this.source(layer) as unknown as string,
      ...place,
      opacity: this.items.get(key)?.getOpacity() ?? 0,
      success: (event: Event) => {
        const item = (event as unknown as { item: OpenSeadragon.TiledImage }).item;
        const old = this.items.get(key);
        this.coming.delete(key);
        this.items.set(key, item);
        item.addHandler("fully-loaded-change", () => this.told.loaded());
        if (old !== undefined) this.leave(old, item);
        this.arrange();
      },
    });
  }

  /** Takes a picture away as soon as its successor is there. */
  private leave(old: OpenSeadragon.TiledImage, successor: OpenSeadragon.TiledImage): void {
    this.leaving.add(old);
    successor.whenFullyLoaded(() => {
      this.leaving.delete(old);
      this.viewer.world.removeItem(old);
    });
  }

  private source(layer: Layer | undefined): OpenSeadragon.TileSource {
    if (layer === undefined) return new NucleiSource(this.slide, () => this.state.now.nuclei);
    if (layer.kind === "rgb") return new PictureSource(this.slide, layer, { revision: this.revision, exact: this.state.now.squares });
    return new MapSource(this.slide, layer, { revision: this.revision, exact: false }, () => this.table(layer));
  }

  private table(layer: Layer): Uint32Array {
    const known = this.tables.get(layer.id);
    if (known !== undefined) return known;
    const table = tableFor(layer, this.state.now.layers[layer.id]!);
    this.tables.set(layer.id, table);
    return table;
  }

  private follow(now: Shown, before: Shown): void {
    if (now.squares !== before.squares) this.sharpen();
    for (const [id, look] of Object.entries(now.layers)) {
      const old = before.layers[id];
      if (old === undefined || (look.map === old.map && look.low === old.low)) continue;
      this.tables.delete(id);
      void this.items.get(id)?.requestInvalidate();
    }
    if (now.nuclei.by !== before.nuclei.by || now.nuclei.least !== before.nuclei.least) {
      void this.items.get(NUCLEI)?.requestInvalidate();
    }
    if (now.divider !== before.divider) this.clip();
    const parts = ["mode", "left", "right", "layers", "nuclei"] as const;
    if (parts.some((part) => now[part] !== before[part])) this.arrange();
  }

  /** Pixels as squares are fetched without loss: who looks at pixels means their values. */
  private sharpen(): void {
    this.viewer.drawer.setImageSmoothingEnabled(!this.state.now.squares);
    this.replace((key) => this.slide.layers.some((layer) => layer.id === key && layer.kind === "rgb"));
  }

  /** In split mode, each picture's half. */
  private clip(): void {
    const at = (this.width * this.state.now.divider) / 100;
    for (const { key, half } of this.wanted()) {
      const item = this.items.get(key);
      if (item === undefined || (half === null && item.getClip() === null)) continue;
      item.setClip(half === null ? null : halfOf(item, half, this.viewer.viewport.pointFromPixel(new OpenSeadragon.Point(at, 0), true)));
    }
  }
}

function halfOf(item: OpenSeadragon.TiledImage, half: Side, at: OpenSeadragon.Point): OpenSeadragon.Rect {
  const { x: width, y: height } = item.getContentSize();
  const x = Math.min(width, Math.max(0, item.viewportToImageCoordinates(at, true).x));
  return half === "left" ? new OpenSeadragon.Rect(0, 0, x, height) : new OpenSeadragon.Rect(x, 0, width - x, height);
}

/** Which layer a tiled image shows. */
function keyOf(image: OpenSeadragon.TiledImage): string {
  return image.source instanceof NucleiSource ? NUCLEI : (image.source as PictureSource | MapSource).layer.id;
}

/**
 * Two fingers keep the tissue that is between them. The library's own way forgets every second step where both fingers'
 * moves arrive within a frame, as they do: it starts from where the picture was last drawn.
 */
function pinchPrecisely(viewer: OpenSeadragon.Viewer): void {
  viewer.addHandler("canvas-pinch", (event) => {
    Object.assign(event, { preventDefaultPanAction: true, preventDefaultZoomAction: true });
    const { viewport } = viewer;
    const held = viewport.pointFromPixel(event.lastCenter);
    viewport.zoomTo((viewport.getZoom() * event.distance) / event.lastDistance, undefined, true);
    viewport.panTo(viewport.getCenter().plus(held.minus(viewport.pointFromPixel(event.center))), true);
    viewport.applyConstraints();
  });
}

/**
 * The library looks for an element named `style` before it writes a style sheet into the page, which the page's
 * Content-Security-Policy forbids. An element of that name without meaning spares it that; slide.css has the rule.
 */
function spareInlineStyle(): void {
  if (document.querySelector("style[data-openseadragon-mobile-css]") !== null) return;
  const stand = document.createElementNS("urn:histoloom", "style");
  stand.setAttribute("data-openseadragon-mobile-css", "true");
  document.head.append(stand);
}

function options(element: HTMLElement, navigator: HTMLElement | null): OpenSeadragon.Options {
  return {
    element,
    drawer: GridDrawer,
    showNavigationControl: false,
    showNavigator: navigator !== null,
    ...(navigator === null ? {} : { navigatorElement: navigator }),
    preserveViewport: true,
    preserveImageSizeOnResize: true,
    keyboardNavEnabled: false,
    gestureSettingsMouse: { clickToZoom: false, dblClickToZoom: true, flickEnabled: true },
    gestureSettingsTouch: { clickToZoom: false, dblClickToZoom: true },
    animationTime: matchMedia("(prefers-reduced-motion: reduce)").matches ? 0 : 0.5,
    springStiffness: 9,
    zoomPerScroll: 1.25,
    visibilityRatio: 0.2,
    minZoomImageRatio: 0.5,
    maxZoomPixelRatio: CLOSEST,
    imageLoaderLimit: 8,
    maxImageCacheCount: 400,
    immediateRender: false,
    smoothTileEdgesMinZoom: Number.POSITIVE_INFINITY,
    blendTime: 0,
    tileRetryMax: RETRIES,
    timeout: 60_000,
    crossOriginPolicy: false,
  } as OpenSeadragon.Options;
}
