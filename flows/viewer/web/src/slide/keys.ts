// Keys of a pane. They work where the pane has the focus, and nowhere else: letters stay free for who types or dictates.

import OpenSeadragon from "openseadragon";
import type { Pane } from "./pane";

export interface Actions {
  inspect: (pane: Pane) => void;
  clear: () => void;
  mode: () => void;
  nuclei: () => void;
  squares: () => void;
  actual: () => void;
  help: () => void;
}

/** Keys and what they do, as the help says it. */
export const KEYS: readonly (readonly [string, string])[] = [
  ["Arrow keys", "move the picture; with Shift further"],
  ["+ and −", "zoom in and out"],
  ["0", "the whole slide"],
  ["1", "one screen pixel for each pixel of level 0"],
  ["Enter", "what lies under the cross in the middle: nucleus and patches"],
  ["Escape", "forget what was selected"],
  ["m", "next mode: one picture, split, two panes"],
  ["n", "nuclei on and off"],
  ["p", "pixels as squares on and off"],
  ["?", "this help"],
];

const MOVES: Record<string, readonly [number, number]> = {
  ArrowLeft: [-1, 0],
  ArrowRight: [1, 0],
  ArrowUp: [0, -1],
  ArrowDown: [0, 1],
};

export function listenToKeys(pane: Pane, actions: Actions): void {
  const { viewport } = pane.viewer;
  const zoom = (factor: number): void => {
    viewport.zoomBy(factor);
    viewport.applyConstraints();
  };
  const doing: Record<string, () => void> = {
    "+": () => zoom(1.5),
    "=": () => zoom(1.5),
    "-": () => zoom(1 / 1.5),
    "0": () => pane.goHome(),
    "1": actions.actual,
    Enter: () => actions.inspect(pane),
    Escape: actions.clear,
    m: actions.mode,
    n: actions.nuclei,
    p: actions.squares,
    "?": actions.help,
  };
  pane.viewer.canvas.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const move = MOVES[event.key];
    if (move !== undefined) pan(viewport, move, event.shiftKey ? 0.5 : 0.1);
    else if (doing[event.key] !== undefined) doing[event.key]!();
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
}

function pan(viewport: OpenSeadragon.Viewport, [right, down]: readonly [number, number], share: number): void {
  const { width, height } = viewport.getBounds();
  viewport.panBy(new OpenSeadragon.Point(right * share * width, down * share * height));
  viewport.applyConstraints();
}
