// The slide page: a picture with its layers, what is selected, what the slide is.

import { fetchJson, slideUrl, type Slide } from "../api";
import { button, el } from "../dom";
import { helpButton, type Help } from "../help";
import { say } from "../spoken";
import { themeSwitch } from "../theme";
import { aboutTable, linksList, warningsNote } from "./about";
import { choice, segments } from "./controls";
import { divider } from "./divider";
import { Inspector } from "./inspector";
import { KEYS, listenToKeys } from "./keys";
import { layersPanel } from "./layers_panel";
import type { Pane } from "./pane";
import { Panes } from "./panes";
import { holdOnPixels } from "./pixel_grid";
import { fromHash, toHash } from "./permalink";
import { ScaleBar } from "./scale_bar";
import { Redrawn } from "./redrawn";
import { initial, pictures, State, type Mode, type View } from "./state";
import { StatusLine } from "./status_line";
import { keepFresh } from "./freshness";

const MODES: readonly (readonly [Mode, string])[] = [["one", "One picture"], ["split", "Split"], ["two", "Two panes"]];

export async function slidePage(root: HTMLElement, id: string): Promise<void> {
  const slide = await fetchJson<Slide>(slideUrl(id));
  document.title = `${slide.name} · Histoloom`;
  const ids = pictures(slide).map((layer) => layer.id);
  const state = new State(fromHash(location.hash, initial(slide), ids));
  const titles = new Map<string, string>();
  const title = (one: string): string => titles.get(one) ?? one;
  const parts = skeleton(slide, state, title);
  const help = helpButton(KEYS);
  root.replaceChildren(header(slide, parts.badge, help), parts.main);
  holdOnPixels(parts.stage, parts.panes);
  const panes = new Panes(parts.panes, slide, state, parts.navigator);
  const inspector = new Inspector(slide, state, panes);
  parts.found.replaceWith(inspector.element);
  const redrawn = redrawnParts(parts, state, panes, title);
  const describe = (now: Slide): void => {
    for (const layer of now.layers) titles.set(layer.id, layer.title);
    for (const part of redrawn) part.follow(now);
  };
  describe(slide);
  wire(slide, state, panes, inspector, { ...parts, help, title });
  panes.begin();
  keepFresh(slide, (newer) => {
    state.welcome(newer);
    inspector.renew(newer);
    panes.renew(newer);
    describe(newer);
  });
}

type Skeleton = ReturnType<typeof skeleton>;

/** What a newer description of the slide changes, beside the picture itself. */
function redrawnParts(parts: Skeleton, state: State, panes: Panes, title: (id: string) => string): Redrawn[] {
  return [
    new Redrawn(state, parts.badge, (slide) => slide.status, (slide) => [statusBadge(slide.status)]),
    new Redrawn(state, parts.tools, (slide) => pictures(slide).map((layer) => layer.id), () => tools(state, panes, title)),
    new Redrawn(state, parts.warnings, (slide) => slide.warnings, (slide) => [warningsNote(slide.warnings)]),
    new Redrawn(state, parts.layers, (slide) => [slide.layers, slide.nuclei], (slide) => [layersPanel(slide, state)]),
    new Redrawn(state, parts.about, (slide) => slide.summary, (slide) => [aboutTable(slide)]),
    new Redrawn(state, parts.files, (slide) => slide.links, (slide) => [linksList(slide)]),
  ];
}

/** Everything but the panes, which want to know how large they are, and what is drawn anew as the slide grows. */
function skeleton(slide: Slide, state: State, title: (id: string) => string) {
  const panes = el("div", { class: "panes" });
  const navigator = el("div", { class: "navigator" });
  const scale = new ScaleBar();
  const status = new StatusLine(slide);
  const tools = el("div", { class: "toolbar", role: "group", "aria-label": "How the picture is shown" });
  const [badge, warnings, layers, found, about, files] = [el("span"), el("div"), el("div"), el("div"), el("div"), el("div")];
  const lost = el("div", { class: "lost", role: "alert" });
  const overview = el("div", { class: "overview", "aria-hidden": "true" }, navigator);
  const stage = el("div", { class: "stage" }, panes, divider(state, title), scale.element, overview, lost);
  const main = el(
    "main",
    { id: "main", class: "slide", tabindex: -1 },
    el("section", { class: "view", "aria-label": "Picture" }, tools, stage, status.element),
    el(
      "aside",
      { class: "side", "aria-label": "Layers and details" },
      warnings,
      el("section", {}, el("h2", {}, "Layers"), layers),
      el("section", {}, el("h2", {}, "Selected"), found),
      el("section", {}, el("h2", {}, "Slide"), about),
      el("section", {}, el("h2", {}, "Files"), files),
      el("p", { class: "quiet" }, "For research. Not a medical device."),
    ),
  );
  return { main, stage, panes, navigator, scale, status, badge, tools, warnings, layers, found, about, files, lost };
}

function statusBadge(status: Slide["status"]): HTMLElement | null {
  return status === "done" ? null : el("span", { class: `badge ${status}` }, status);
}

function header(slide: Slide, badge: HTMLElement, help: Help): HTMLElement {
  const trail = el("nav", { "aria-label": "Where you are" }, el("a", { href: "/" }, "All slides"), el("span", { "aria-hidden": "true" }, "›"));
  return el("header", { class: "top" }, trail, el("h1", {}, slide.name), badge, el("span", { class: "grow" }), help.button, themeSwitch());
}

function tools(state: State, panes: Panes, title: (id: string) => string): HTMLElement[] {
  const options = panes.pictures().map((id): [string, string] => [id, title(id)]);
  const bar: HTMLElement[] = [];
  if (options.length > 1) {
    bar.push(segments(state, "Mode", MODES, { get: (now) => now.mode, set: (mode) => state.change({ mode }) }));
    const left = choice(state, "Picture", null, options, { get: (now) => now.left, set: (value) => state.change({ left: value }) });
    const right = choice(state, "Right", null, options, { get: (now) => now.right, set: (value) => state.change({ right: value }) });
    const draw = (): void => {
      right.hidden = state.now.mode === "one";
      left.querySelector("label")!.textContent = state.now.mode === "one" ? "Picture" : "Left";
    };
    state.listen(draw);
    draw();
    bar.push(left, right);
  }
  const zoomBy = (factor: number): void => {
    panes.active.viewer.viewport.zoomBy(factor);
    panes.active.viewer.viewport.applyConstraints();
  };
  bar.push(
    el("span", { class: "grow" }),
    button("−", () => zoomBy(1 / 1.5), { "aria-label": "Zoom out" }),
    button("+", () => zoomBy(1.5), { "aria-label": "Zoom in" }),
    button("Fit", () => panes.active.goHome(), { "aria-label": "The whole slide" }),
    button("1:1", () => actual(state, panes), { "aria-label": "One screen pixel for each pixel of level 0" }),
  );
  return bar;
}

function actual(state: State, panes: Panes): void {
  panes.show({ ...state.now.view, ...panes.active.centre, zoom: 1 / devicePixelRatio }, false);
}

interface Instruments {
  scale: ScaleBar;
  status: StatusLine;
  help: Help;
  lost: HTMLElement;
  title: (id: string) => string;
}

function wire(slide: Slide, state: State, panes: Panes, inspector: Inspector, instruments: Instruments): void {
  const { scale, status, help, lost, title } = instruments;
  let pointing = false;
  panes.onMove(() => {
    scale.set(slide.mpp_level0 / panes.active.zoom);
    status.magnify(panes.active.zoom);
    if (!pointing) status.point(panes.active.centre, "centre");
  });
  panes.onPoint((point) => {
    pointing = point !== null;
    status.point(point ?? panes.active.centre, pointing ? "pointer" : "centre");
  });
  panes.onLost(() => {
    if (lost.childElementCount > 0) return;
    lost.append("Parts of the picture or of its layers did not come: a gap here need not be one on the slide. ", button("Reload", () => location.reload()));
  });
  panes.onClick((point) => void inspector.at(point));
  panes.onPane((pane) => {
    label(pane, slide.name, state, title);
    listenToKeys(pane, {
      inspect: () => void inspector.at(pane.centre),
      clear: () => inspector.clear(),
      mode: () => nextMode(state, panes),
      nuclei: () => {
        state.changeNuclei({ shown: !state.now.nuclei.shown });
        say(state.now.nuclei.shown ? "nuclei shown" : "nuclei hidden");
      },
      squares: () => state.change({ squares: !state.now.squares }),
      actual: () => actual(state, panes),
      help: () => help.open(),
    });
  });
  keepAddress(state, initial(slide).view, panes, inspector);
}

function nextMode(state: State, panes: Panes): void {
  if (panes.pictures().length < 2) return;
  const [mode, words] = MODES[(MODES.findIndex(([name]) => name === state.now.mode) + 1) % MODES.length]!;
  state.change({ mode });
  say(words);
}

/** What a pane is, to who cannot see it. */
function label(pane: Pane, slide: string, state: State, title: (id: string) => string): void {
  const { canvas } = pane.viewer;
  canvas.setAttribute("role", "application");
  canvas.setAttribute("aria-roledescription", "slide viewer");
  canvas.setAttribute("tabindex", "0");
  const draw = (): void => {
    const id = pane.side === "left" ? state.now.left : state.now.right;
    canvas.setAttribute("aria-label", `${slide}: ${title(id)}. Arrow keys move, plus and minus zoom, Enter selects, question mark helps.`);
  };
  state.listen(draw);
  draw();
}

/** The address bar says what is shown; a changed address is followed. */
function keepAddress(state: State, home: View, panes: Panes, inspector: Inspector): void {
  let timer = 0;
  state.listen(() => {
    clearTimeout(timer);
    timer = window.setTimeout(() => history.replaceState(null, "", toHash(state.now)), 150);
  });
  window.addEventListener("hashchange", () => {
    const shown = fromHash(location.hash, { ...state.now, view: home, row: null }, panes.pictures());
    state.change(shown);
    panes.show(shown.view);
    if (shown.row !== null) void inspector.row(shown.row);
    else inspector.clear();
  });
  if (state.now.row !== null) void inspector.row(state.now.row);
}
