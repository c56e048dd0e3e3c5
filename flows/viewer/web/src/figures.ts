// Numbers as people read them.

const WHOLE = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });

export function whole(value: number): string {
  return WHOLE.format(value);
}

/** Three significant digits, thousands grouped. */
export function short(value: number): string {
  if (!Number.isFinite(value)) return String(value);
  if (Math.abs(value) >= 1000) return whole(value);
  return String(Number(value.toPrecision(3)));
}

/** A length in um, or in mm where that is shorter. */
export function length(um: number): string {
  return um >= 1000 ? `${short(um / 1000)} mm` : `${short(um)} µm`;
}

export function duration(seconds: number): string {
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return `${(seconds / 3600).toFixed(1)} h`;
}

/** `nuclei_per_mm2` as a person would write it. */
export function words(name: string): string {
  return name
    .replace(/_level0_px$/, " (level-0 px)")
    .replace(/_um2$/, " (µm²)")
    .replace(/_mm2$/, " (mm²)")
    .replace(/_um$/, " (µm)")
    .replaceAll("_", " ");
}
