// A part of the page that follows the slide while it grows.

import type { Slide } from "../api";
import type { State } from "./state";

/** Drawn anew only where what it shows has changed: a look that finds nothing new takes nobody's focus. */
export class Redrawn {
  private shown = "";
  private listening = new AbortController();

  constructor(
    private readonly state: State,
    private readonly place: HTMLElement,
    private readonly of: (slide: Slide) => unknown,
    private readonly draw: (slide: Slide) => (HTMLElement | null)[],
  ) {}

  follow(slide: Slide): void {
    const now = JSON.stringify(this.of(slide));
    if (now === this.shown) return;
    this.shown = now;
    this.listening.abort();
    this.listening = new AbortController();
    const drawn = this.state.during(this.listening.signal, () => this.draw(slide));
    this.place.replaceChildren(...drawn.filter((element) => element !== null));
  }
}
