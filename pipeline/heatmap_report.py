"""What a slide's page shows of its heat maps: pictures, figures, and the patches that a classifier was surest of."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

from pipeline.density import DENSITY, DENSITY_END
from pipeline.foci import Focus
from pipeline.heatmap_picture import Picture, frame_box, heat_over
from pipeline.heatmap_summary import ClassArea, HeatmapSummary, operating_point, summarise_heatmap
from pipeline.heatmap_top import TopPatch, cut_patch, top_patches
from pipeline.plot import Plot
from pipeline.plots import Mark, Scale, histogram
from pipeline.record import plain
from pipeline.report_facts import Row, rounded
from pipeline.scene import Heat, Overview, Scene, heats, look_over

_ROOM_PX = (640, 840)
_SHOTS = 8
_SHOT_PX = 128
_MOST_SPREADS = 6


@dataclass(frozen=True, slots=True)
class Shot:
    """A patch as the page shows it."""

    picture: Picture
    caption: str


@dataclass(frozen=True, slots=True)
class MapSection:
    """One classifier's heat map."""

    shown: str
    """The class that the picture shows; empty where nothing was judged."""
    picture: Picture | None
    framed: bool
    """Whether a focus is framed in the picture."""
    facts: tuple[Row, ...]
    areas: tuple[ClassArea, ...]
    places: dict[str, str]
    """Class to the size and place of its largest focus."""
    spreads: tuple[Plot, ...]
    """How the probabilities are spread over the tissue; of two classes the second's alone."""


@dataclass(frozen=True, slots=True)
class DensitySection:
    """The map of how close nuclei lie."""

    picture: Picture
    most_per_mm2: int
    """What the last colour stands for, and all above it."""


def map_sections(scene: Scene) -> dict[str, MapSection]:
    """Classifier to what its heat map shows, of every heat map of probabilities in the store."""
    names = [name for name in scene.store.images("heatmaps") if f"heatmaps/{name}" != DENSITY]
    if not names:
        return {}
    overview = look_over(scene, _ROOM_PX)
    seen = {heat.classifier: heat for heat in heats(scene, overview.frame)}
    return {name: _map_section(scene, overview, name, seen.get(name)) for name in names}


def density_section(scene: Scene) -> DensitySection | None:
    """The map of how close nuclei lie; None where there is none. Its colours mean the same on every slide."""
    if not scene.store.has(DENSITY):
        return None
    overview = look_over(scene, _ROOM_PX)
    found = [heat for heat in heats(scene, overview.frame) if f"heatmaps/{heat.classifier}" == DENSITY]
    if not found:
        return None
    alt = "The slide, coloured by how many nuclei lie in a square millimetre: blue where there are few, red where many."
    values = (found[0].values / DENSITY_END).astype(np.float32)
    return DensitySection(Picture.of(heat_over(overview.pixels, values), alt), int(DENSITY_END))


def top_shots(scene: Scene) -> dict[str, list[tuple[str, list[Shot]]]]:
    """Classifier to class to the patches that it was surest of, of every heat map of probabilities in the store."""
    shots = {}
    for name in scene.store.images("heatmaps"):
        path, classes = scene.folder / "patches.parquet", scene.store.classes(f"heatmaps/{name}")
        if f"heatmaps/{name}" != DENSITY and path.is_file():
            found = top_patches(path, name, classes, _threshold(scene, name), _SHOTS)
            shots[name] = [
                (plain(label, 60), [_shot(scene, patch, label) for patch in patches])
                for label, patches in zip(classes, found, strict=True)
            ]
    return shots


def _threshold(scene: Scene, classifier: str) -> float:
    return operating_point(scene.record.members("plan", "postprocessing", classifier), classifier)


def _map_section(scene: Scene, overview: Overview, name: str, heat: Heat | None) -> MapSection:
    summary = summarise_heatmap(scene.store, name, _threshold(scene, name))
    facts = _facts(summary, masked=scene.record.text("qc", "mode") == "mask")
    if heat is None:
        return MapSection("", None, False, facts, (), {}, ())
    pixels = heat_over(overview.pixels, heat.values)
    largest = next(area.largest for area in summary.classes if area.label == heat.label)
    if largest:
        pixels = frame_box(pixels, overview.frame.cover(largest.box, summary.frame))
    label = plain(heat.label, 60)
    alt = f"The slide, coloured by the probability of {label}: blue where it is 0, red where it is 1."
    places = {plain(area.label): describe_place(area.largest, summary) for area in summary.classes if area.largest}
    picture = Picture.of(pixels, alt)
    spreads = _spreads(name, summary)
    return MapSection(label, picture, largest is not None, facts, summary.classes, places, spreads)


def _spreads(name: str, summary: HeatmapSummary) -> tuple[Plot, ...]:
    """Of two classes the second's probabilities, with the operating point; of more, those of the largest ones."""
    two = len(summary.classes) == 2
    shown = summary.classes[1:] if two else sorted(summary.classes, key=lambda area: -area.area_mm2)[:_MOST_SPREADS]
    px_mm2 = summary.frame.mpp**2 / 1e6
    plots = []
    for area in shown:
        label = plain(area.label, 40)
        values = [count * px_mm2 for count in area.spread.counts.tolist()]
        alt = (
            f"Histogram of the probability of {label} over {rounded(summary.judged_mm2, 3)} mm² of tissue, from 0 to 1"
        )
        marks = []
        if two:
            marks = [Mark(summary.operating_point, f"counts as {label} from {summary.operating_point:.3g}")]
            alt += f": {area.share:.1%} of it has {summary.operating_point:.3g} or more"
        scale = Scale(f"probability of {label}", area.spread.width)
        ids = f"spread-{hashlib.sha256(f'{name}/{area.label}'.encode('utf-8', 'replace')).hexdigest()[:8]}"
        plots.append(histogram(ids, f"{alt}.", values, scale, "tissue, mm²", marks))
    return tuple(plots)


def _facts(summary: HeatmapSummary, *, masked: bool) -> tuple[Row, ...]:
    facts = [("Tissue judged", f"{rounded(summary.judged_mm2, 4)} mm²")]
    if summary.left_out_mm2:
        why = "in patches of which less than half is tissue" + (", or flagged by quality control" if masked else "")
        facts.append(("Left out", f"{rounded(summary.left_out_mm2, 3)} mm², {why}"))
    if len(summary.classes) == 2:
        label = plain(summary.classes[1].label, 60)
        facts.append((f"Counts as {label}", f"from a probability of {summary.operating_point:.3g}"))
    return tuple(facts)


def describe_place(focus: Focus, summary: HeatmapSummary) -> str:
    """A focus's area, and where the middle of it lies on the slide."""
    mm = summary.frame.mpp / 1000
    return f"{rounded(focus.area_px * mm**2, 3)} mm², around x {focus.x_px * mm:.2f} mm, y {focus.y_px * mm:.2f} mm"


def _shot(scene: Scene, patch: TopPatch, label: str) -> Shot:
    mm = scene.level0.mpp / 1000
    x, y = ((corner + patch.side_px / 2) * mm for corner in (patch.x_px, patch.y_px))
    alt = f"A patch that the classifier takes for {plain(label, 60)}."
    pixels = cut_patch(scene.store, scene.level0.mpp, patch, _SHOT_PX)
    return Shot(Picture.of(pixels, alt), f"{patch.probability:.3f} at x {x:.2f}, y {y:.2f} mm")
