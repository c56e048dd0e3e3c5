// What is shown, as the part of an address behind `#`, and back. Whatever an address says, the result can be shown.

import { MAP_NAMES, type MapName } from "./colour_maps";
import type { LayerLook, Mode, Shown } from "./state";

const MODES: readonly Mode[] = ["one", "split", "two"];

function plain(value: number, digits: number): string {
  return String(Number(value.toFixed(digits)));
}

export function toHash(shown: Shown): string {
  const query = new URLSearchParams();
  query.set("x", plain(shown.view.x, 2));
  query.set("y", plain(shown.view.y, 2));
  if (shown.view.zoom > 0) query.set("zoom", String(Number(shown.view.zoom.toPrecision(9))));
  if (shown.mode !== "one") query.set("mode", shown.mode);
  query.set("left", shown.left);
  if (shown.mode !== "one") query.set("right", shown.right);
  if (shown.mode === "split") query.set("divider", plain(shown.divider, 1));
  if (shown.squares) query.set("pixels", "squares");
  for (const [id, look] of Object.entries(shown.layers)) {
    if (look.shown) query.append("layer", `${plain(look.opacity, 2)},${plain(look.low, 3)},${look.map},${id}`);
  }
  const { nuclei } = shown;
  query.set("nuclei", nuclei.shown ? `${plain(nuclei.opacity, 2)},${plain(nuclei.least, 3)},${nuclei.by}` : "off");
  if (shown.row !== null) query.set("row", String(shown.row));
  return `#${query.toString()}`;
}

function number(text: string | null | undefined, low: number, high: number): number | null {
  if (text === null || text === undefined || text === "") return null;
  const value = Number(text);
  return Number.isFinite(value) ? Math.min(high, Math.max(low, value)) : null;
}

function withLayers(base: Shown, entries: string[]): Record<string, LayerLook> {
  const layers = Object.fromEntries(Object.entries(base.layers).map(([id, look]) => [id, { ...look, shown: false }]));
  for (const entry of entries) {
    const [opacity, low, map, ...rest] = entry.split(",");
    const look = layers[rest.join(",")];
    if (look === undefined) continue;
    look.shown = true;
    look.opacity = number(opacity, 0, 1) ?? look.opacity;
    look.low = number(low, 0, 1) ?? look.low;
    look.map = MAP_NAMES.find((name) => name === map) ?? (look.map satisfies MapName);
  }
  return layers;
}

function nucleiOf(base: Shown["nuclei"], text: string | null): Shown["nuclei"] {
  if (text === null) return base;
  if (text === "off") return { ...base, shown: false };
  const [opacity, least, by] = text.split(",");
  return {
    shown: true,
    opacity: number(opacity, 0, 1) ?? base.opacity,
    least: number(least, 0, 1) ?? base.least,
    by: by === "probability" ? "probability" : "class",
  };
}

/** `base` as the hash changes it; layers that the slide does not have are left out. */
export function fromHash(hash: string, base: Shown, pictures: readonly string[]): Shown {
  const query = new URLSearchParams(hash.replace(/^#/, ""));
  if ([...query].length === 0) return base;
  const picture = (name: string, otherwise: string): string => pictures.find((id) => id === query.get(name)) ?? otherwise;
  return {
    view: {
      x: number(query.get("x"), -1e7, 1e7) ?? base.view.x,
      y: number(query.get("y"), -1e7, 1e7) ?? base.view.y,
      zoom: number(query.get("zoom"), 0, 1e4) ?? base.view.zoom,
    },
    mode: MODES.find((mode) => mode === query.get("mode")) ?? "one",
    left: picture("left", base.left),
    right: picture("right", base.right),
    divider: number(query.get("divider"), 0, 100) ?? base.divider,
    squares: query.get("pixels") === "squares",
    layers: withLayers(base, query.getAll("layer")),
    nuclei: nucleiOf(base.nuclei, query.get("nuclei")),
    row: number(query.get("row"), 0, 2 ** 32),
  };
}
