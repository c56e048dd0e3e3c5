// While a run is going on, what it has written since is looked for.

import { fetchJson, slideUrl, type Slide } from "../api";

const EVERY_MS = 10_000;

/** Calls `renew` with newer descriptions until the slide is done. */
export function keepFresh(slide: Slide, renew: (newer: Slide) => void): void {
  if (slide.status === "done" || slide.status === "failed") return;
  window.setTimeout(() => {
    if (document.hidden) {
      keepFresh(slide, renew);
      return;
    }
    fetchJson<Slide>(slideUrl(slide.id)).then(
      (newer) => {
        renew(newer);
        keepFresh(newer, renew);
      },
      () => keepFresh(slide, renew),
    );
  }, EVERY_MS);
}
