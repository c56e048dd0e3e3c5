// What screen readers are told of that others see happen.

/** Says a sentence in the page's live region; the same sentence twice is said twice. */
export function say(sentence: string): void {
  const region = document.getElementById("spoken");
  if (region === null) return;
  region.textContent = "";
  requestAnimationFrame(() => {
    region.textContent = sentence;
  });
}
