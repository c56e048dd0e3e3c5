// Keeps pictures on the screen's pixel grid: text above them gives boxes of broken heights, and a canvas in such a box is
// resampled by the browser, so that no pixel would be shown as it is.

/** The largest box inside `low` .. `high` (CSS px) that begins and ends on device pixels and is an even number of them long. */
export function snapped(low: number, high: number, ratio: number): { start: number; length: number } {
  const first = Math.ceil(low * ratio - 1e-6);
  const length = Math.max(2, Math.floor(high * ratio + 1e-6) - first);
  return { start: first / ratio, length: (length - (length % 2)) / ratio };
}

/** Holds `inner` on the grid inside `outer`, whatever becomes of the window. */
export function holdOnPixels(outer: HTMLElement, inner: HTMLElement): void {
  const hold = (): void => {
    const box = outer.getBoundingClientRect();
    const across = snapped(box.left, box.right, devicePixelRatio);
    const down = snapped(box.top + scrollY, box.bottom + scrollY, devicePixelRatio);
    Object.assign(inner.style, {
      left: `${across.start - box.left}px`,
      top: `${down.start - scrollY - box.top}px`,
      width: `${across.length}px`,
      height: `${down.length}px`,
    });
  };
  new ResizeObserver(hold).observe(outer);
  hold();
}
