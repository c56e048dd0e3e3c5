// Colour maps and colours: from a value in 0..1, or from a class, to red, green, blue.

export type MapName = "viridis" | "magma" | "grey";

export const MAP_NAMES: readonly MapName[] = ["viridis", "magma", "grey"];

// matplotlib's viridis and magma (CC0) at 35 even places; what lies between is at most 2 of 255 off.
const ANCHORS: Record<MapName, string> = {
  viridis:
    "440154460c5f481769482072472a7a463480433d844046883d4e8a39568c355e8d32668e2e6d8e2c748e297b8e26828e23898e21908c1f978b1f9e88" +
    "21a58526ac822eb37c39ba7646c06f55c66865cb5e76d05489d5489cd93cb0dd2fc4e022d8e219ebe51afde725",
  magma:
    "000004030310090720120c301a10422412543111653e0f724a107956147e6219806e1b81792282852681912b819d2e7faa337db6367ac23b75ce4070" +
    "d9466be44e64ec5860f2645cf7725cfa805efc8e64fe9c6cfeaa74feb87efec68afed496fde2a3fcefb1fcfdbf",
  grey: "000000ffffff",
};

export type Rgb = readonly [number, number, number];

/** The three bytes of `#rrggbb`; anything else is grey. */
export function rgbOf(hex: string): Rgb {
  const match = /^#?([0-9a-f]{2})([0-9a-f]{2})([0-9a-f]{2})$/i.exec(hex);
  if (match === null) return [128, 128, 128];
  return [parseInt(match[1]!, 16), parseInt(match[2]!, 16), parseInt(match[3]!, 16)];
}

function anchors(name: MapName): Rgb[] {
  return (ANCHORS[name].match(/.{6}/g) ?? []).map(rgbOf);
}

/** The 256 colours of a map. */
export function colourMap(name: MapName): Rgb[] {
  const stops = anchors(name);
  return Array.from({ length: 256 }, (_, index) => {
    const place = (index / 255) * (stops.length - 1);
    const below = Math.min(Math.floor(place), stops.length - 2);
    const share = place - below;
    const mix = (channel: 0 | 1 | 2): number =>
      Math.round(stops[below]![channel] * (1 - share) + stops[below + 1]![channel] * share);
    return [mix(0), mix(1), mix(2)] as const;
  });
}

// Told apart with any common kind of colour vision, and on pink and violet tissue.
const CLASS_COLOURS = ["#00e5ff", "#ffd500", "#ff7a00", "#7cff4f", "#ffffff", "#1f6bff", "#ff4fd8", "#101010"] as const;

export function classColour(index: number): string {
  return CLASS_COLOURS[index % CLASS_COLOURS.length]!;
}
