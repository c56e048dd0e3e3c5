// The layers' controls: each its own opacity, threshold, colours and words on what it is.

import type { Layer, Slide } from "../api";
import { el } from "../dom";
import { short, whole } from "../figures";
import { ColourBar } from "./colour_bar";
import { classColour, colourMap, type MapName } from "./colour_maps";
import { checkbox, choice, slider } from "./controls";
import { DENSEST_PER_MM2, DENSITY_COLOURS } from "./nuclei_paint";
import { overlays, type LayerLook, type State } from "./state";

const percent = (value: number): string => `${Math.round(100 * value)} %`;

export function layersPanel(slide: Slide, state: State): HTMLElement {
  const list = el("ul", { class: "layers" });
  if (slide.nuclei !== null) list.append(nucleiItem(slide.nuclei, state));
  for (const layer of overlays(slide)) list.append(layerItem(layer, state));
  if (list.childElementCount === 0) list.append(el("li", { class: "quiet" }, "No layers yet beside the picture."));
  list.append(
    el("li", {}, checkbox(state, "True pixels", { get: (now) => now.squares, set: (squares) => state.change({ squares }) }),
      el("p", { class: "hint quiet" }, "Squares instead of smoothing, sent without compression.")),
  );
  return list;
}

/** Shows a layer's settings only where the layer is shown. */
function under(state: State, shown: () => boolean, ...content: (HTMLElement | null)[]): HTMLElement {
  const element = el("div", { class: "settings" }, ...content);
  const draw = (): void => {
    element.hidden = !shown();
  };
  state.listen(draw);
  draw();
  return element;
}

function layerItem(layer: Layer, state: State): HTMLElement {
  const look = (): LayerLook => state.now.layers[layer.id]!;
  const part = <K extends keyof LayerLook>(key: K): { get: () => LayerLook[K]; set: (value: LayerLook[K]) => void } => ({
    get: () => look()[key],
    set: (value) => state.changeLayer(layer.id, { [key]: value }),
  });
  const opacity = slider(state, "Opacity", layer.title, part("opacity"), percent);
  const rest = layer.kind === "scalar" ? scalarSettings(layer, state, part) : [legend(layer)];
  const words = layer.explanation === "" ? null : el("p", { class: "quiet" }, layer.explanation);
  return el(
    "li",
    {},
    checkbox(state, layer.title, part("shown")),
    under(state, () => look().shown, opacity, ...rest, words),
  );
}

type Part = <K extends keyof LayerLook>(key: K) => { get: () => LayerLook[K]; set: (value: LayerLook[K]) => void };

function scalarSettings(layer: Layer, state: State, part: Part): HTMLElement[] {
  const [low, high] = layer.range ?? [0, 1];
  const bar = new ColourBar([low, high], layer.unit);
  const draw = (): void => bar.draw(colourMap(part("map").get()), part("low").get());
  state.listen(draw);
  draw();
  const words = (value: number): string => short(low + value * (high - low));
  const maps: [MapName, string][] = [["magma", "Magma"], ["viridis", "Viridis"], ["grey", "Grey"]];
  return [
    slider(state, "Show from", layer.title, part("low"), words),
    choice(state, "Colours", layer.title, maps, part("map")),
    bar.element,
  ];
}

function swatch(colour: string): HTMLElement {
  const element = el("span", { class: "swatch", "aria-hidden": "true" });
  element.style.backgroundColor = colour;
  return element;
}

function legend(layer: Layer): HTMLElement {
  const list = el("ul", { class: "legend" });
  for (const { title, colour } of layer.legend ?? []) list.append(el("li", {}, swatch(colour), title));
  return list;
}

function nucleiItem(nuclei: NonNullable<Slide["nuclei"]>, state: State): HTMLElement {
  const part = <K extends keyof State["now"]["nuclei"]>(key: K): { get: () => State["now"]["nuclei"][K]; set: (value: State["now"]["nuclei"][K]) => void } => ({
    get: () => state.now.nuclei[key],
    set: (value) => state.changeNuclei({ [key]: value }),
  });
  const by = choice(state, "Colour by", "nuclei", [["class", nuclei.classes.length > 0 ? "Class" : "One colour"], ["probability", "Probability"]], part("by"));
  const classes = el("ul", { class: "legend" });
  nuclei.classes.forEach((title, index) => classes.append(el("li", {}, swatch(classColour(index)), title)));
  const bar = new ColourBar([0, 1], null);
  bar.draw(colourMap("viridis"), 0);
  const density = new ColourBar([0, DENSEST_PER_MM2], "/mm²");
  density.draw(DENSITY_COLOURS, 0);
  return el(
    "li",
    {},
    checkbox(state, `Nuclei (${whole(nuclei.count)})`, part("shown")),
    under(
      state,
      () => state.now.nuclei.shown,
      slider(state, "Opacity", "nuclei", part("opacity"), percent),
      slider(state, "Probability from", "nuclei", part("least"), (value) => value.toFixed(2)),
      by,
      under(state, () => state.now.nuclei.by === "class", classes),
      under(state, () => state.now.nuclei.by === "probability", bar.element),
      el("details", {}, el("summary", {}, "Seen from afar: nuclei per mm², of every probability"), density.element),
    ),
  );
}
