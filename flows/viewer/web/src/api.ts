// The server's answers, as it promises them, and how they are fetched.

export type Status = "done" | "running" | "failed" | "unfinished";

export interface Finding {
  code: string;
  text: string;
  severity: "warning" | "note";
}

export interface CohortSlide {
  id: string;
  name: string;
  status: Status;
  stages: Record<string, { done: number; total: number | null }>;
  reason: string | null;
  cure: string | null;
  preview: string | null;
  mpp: number | null;
  width_um: number | null;
  height_um: number | null;
  sr_scale: number | null;
  nuclei: number | null;
  nuclei_per_mm2: number | null;
  tissue_mm2: number | null;
  qc: Finding[];
  report: string | null;
  seconds: number | null;
}

export interface Cohort {
  title: string;
  slides: CohortSlide[];
}

export interface Layer {
  id: string;
  kind: "rgb" | "scalar" | "mask";
  title: string;
  width_px: number;
  height_px: number;
  tile_px: number;
  max_level: number;
  mpp: number;
  place: { x_level0_px: number; y_level0_px: number; width_level0_px: number; height_level0_px: number };
  range: [number, number] | null;
  unit: string | null;
  colours: [number, string][] | null;
  legend: { value: number; title: string; colour: string }[] | null;
  explanation: string;
}

export interface Slide {
  id: string;
  name: string;
  status: Status;
  mpp_level0: number;
  width_level0_px: number;
  height_level0_px: number;
  layers: Layer[];
  nuclei: { count: number; classes: string[]; columns: string[] } | null;
  patches: { count: number; classifiers: string[] } | null;
  warnings: string[];
  summary: Record<string, unknown>;
  links: {
    report: string | null;
    neuroglancer: string | null;
    store: string | null;
    download: { title: string; url: string }[];
  };
}

export type Value = string | number | boolean | null;

export interface Nucleus {
  row: number;
  columns: Record<string, Value>;
  outline: [number, number][];
}

export interface Patch {
  classifier: string;
  x_level0_px: number;
  y_level0_px: number;
  size_level0_px: number;
  probabilities: Record<string, number>;
}

/** The server said no: what is wrong, and what to do about it. */
export class Refused extends Error {
  constructor(
    readonly status: number,
    what: string,
    readonly cure: string,
  ) {
    super(what);
  }
}

export function slideUrl(id: string, rest = ""): string {
  return `/api/slides/${encodeURIComponent(id)}${rest}`;
}

async function answer(url: string, signal?: AbortSignal): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(url, signal ? { signal } : {});
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new Refused(0, "The server does not answer.", "Is `histoloom view` still running? Start it again, then reload.");
  }
  if (response.ok) return response;
  const body: unknown = await response.json().catch(() => null);
  const said = typeof body === "object" && body !== null ? (body as Record<string, unknown>) : {};
  const what = typeof said["error"] === "string" ? said["error"] : `The server answered ${response.status}.`;
  throw new Refused(response.status, what, typeof said["cure"] === "string" ? said["cure"] : "Reload the page.");
}

export async function fetchJson<T>(url: string, signal?: AbortSignal): Promise<T> {
  return (await (await answer(url, signal)).json()) as T;
}

/** The answer, or null where there is nothing (404). */
export async function fetchJsonIfAny<T>(url: string, signal?: AbortSignal): Promise<T | null> {
  try {
    return await fetchJson<T>(url, signal);
  } catch (error) {
    if (error instanceof Refused && error.status === 404) return null;
    throw error;
  }
}

export async function fetchBytes(url: string, signal?: AbortSignal): Promise<ArrayBuffer> {
  return (await answer(url, signal)).arrayBuffer();
}
