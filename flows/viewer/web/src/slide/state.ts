// What is shown: one value that controls change, panes draw and the address bar keeps.

import type { Layer, Slide } from "../api";
import type { MapName } from "./colour_maps";

export type Mode = "one" | "split" | "two";

export interface LayerLook {
  shown: boolean;
  opacity: number;
  /** The threshold, 0..1 of the layer's range. */
  low: number;
  map: MapName;
}

export interface View {
  /** The centre, level-0 px. */
  x: number;
  y: number;
  /** Screen (CSS) px per level-0 px; 0 for the whole slide. */
  zoom: number;
}

export interface Shown {
  view: View;
  mode: Mode;
  /** Ids of the pictures left and right; of one picture, `left`. */
  left: string;
  right: string;
  /** Where the split lies, percent from the left. */
  divider: number;
  /** Pixels as squares when enlarged, instead of smoothed. */
  squares: boolean;
  layers: Readonly<Record<string, LayerLook>>;
  nuclei: { shown: boolean; opacity: number; by: "class" | "probability"; least: number };
  /** Row of the nucleus that was chosen. */
  row: number | null;
}

export function pictures(slide: Slide): Layer[] {
  return slide.layers.filter((layer) => layer.kind === "rgb");
}

export function overlays(slide: Slide): Layer[] {
  return slide.layers.filter((layer) => layer.kind !== "rgb");
}

function lookOf(layer: Layer): LayerLook {
  return { shown: false, opacity: layer.kind === "mask" ? 0.35 : 0.6, low: 0, map: layer.id.startsWith("heatmap") ? "magma" : "viridis" };
}

/** What one sees on first opening: the slide as scanned, and its nuclei. */
export function initial(slide: Slide): Shown {
  const rgb = pictures(slide).map((layer) => layer.id);
  return {
    view: { x: slide.width_level0_px / 2, y: slide.height_level0_px / 2, zoom: 0 },
    mode: "one",
    left: rgb[0] ?? "",
    right: rgb[1] ?? rgb[0] ?? "",
    divider: 50,
    squares: false,
    layers: Object.fromEntries(overlays(slide).map((layer) => [layer.id, lookOf(layer)])),
    nuclei: { shown: slide.nuclei !== null, opacity: 1, by: "class", least: 0 },
    row: null,
  };
}

type Listener = (now: Shown, before: Shown) => void;

/** Holds the value and tells who listens when it changes. */
export class State {
  private listeners: Listener[] = [];

  constructor(private value: Shown) {}

  get now(): Shown {
    return this.value;
  }

  listen(listener: Listener): void {
    this.listeners.push(listener);
  }

  /** Builds something that listens, and hears it no more once `signal` is aborted: what has left the page is not drawn on. */
  during<T>(signal: AbortSignal, build: () => T): T {
    const before = this.listeners.length;
    const built = build();
    const added = new Set(this.listeners.slice(before));
    signal.addEventListener("abort", () => {
      this.listeners = this.listeners.filter((listener) => !added.has(listener));
    });
    return built;
  }

  /** Takes in what a newer description of the slide has: layers as they are first shown, a second picture on the right. */
  welcome(slide: Slide): void {
    const fresh = initial(slide);
    const { left, right, layers } = this.value;
    this.change({ layers: { ...fresh.layers, ...layers }, left: left || fresh.left, right: right === left ? fresh.right : right });
  }

  change(part: Partial<Shown>): void {
    const before = this.value;
    this.value = { ...before, ...part };
    for (const listener of this.listeners) listener(this.value, before);
  }

  changeLayer(id: string, part: Partial<LayerLook>): void {
    const look = this.value.layers[id];
    if (look !== undefined) this.change({ layers: { ...this.value.layers, [id]: { ...look, ...part } } });
  }

  changeNuclei(part: Partial<Shown["nuclei"]>): void {
    this.change({ nuclei: { ...this.value.nuclei, ...part } });
  }
}
