"""What a slide's page says about the quality of the slide, and of what super-resolution made of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipeline.heatmap_picture import Picture, heat_over
from pipeline.heatmap_summary import mask_beside
from pipeline.plot import Plot
from pipeline.plots import Mark, Scale, histogram
from pipeline.recipe import CONSISTENCY
from pipeline.record import Record, number, plain
from pipeline.report_facts import Row, rounded
from pipeline.scene import Overview, Scene, look_over, sample
from pipeline.summary import summarise_consistency

FLAGS = "labels/qc"
_ROOM_PX = (640, 840)
_MOST_BARS = 40
_GREY_LEVELS = (0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0)


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that was noticed about a slide."""

    code: str
    text: str
    severity: str
    """`warning` or `note`, or what else the record says."""
    share: float | None
    """Of the tissue; None where it makes no sense."""


@dataclass(frozen=True, slots=True)
class LayerPicture:
    """A layer of findings, over the slide."""

    title: str
    picture: Picture


@dataclass(frozen=True, slots=True)
class FlagsPicture:
    """The map of flags, over the slide."""

    picture: Picture
    legend: tuple[tuple[str, str], ...]
    """Colour (#rrggbb) and what it stands for, of the flags that were raised."""


@dataclass(frozen=True, slots=True)
class ConsistencySection:
    """How far super-resolved pixels, reduced again, are from those that were read; in grey levels of 255."""

    median: float
    most: float
    """99% of the tissue differs by less."""
    picture: Picture
    end: float
    """What the last colour of the picture stands for, and all above it."""
    plot: Plot


def findings(record: Record) -> list[Finding]:
    """What quality control found, warnings first; nothing where it did not run."""
    told = [
        Finding(
            entry.text("code", limit=60),
            entry.text("text") or entry.text("code", limit=60),
            entry.text("severity", limit=20) or "note",
            entry.number("share"),
        )
        for entry in record.records("qc", "findings")
    ]
    return sorted(told, key=lambda finding: finding.severity != "warning")


def figures(record: Record) -> list[Row]:
    """Figures of quality control, simple values alone."""
    rows = []
    for name, value in record.members("qc", "figures").items():
        amount = number(value)
        words = plain(value) if isinstance(value, str) else ""
        if amount is not None:
            words = f"{amount:.2%}" if name.endswith("_share") else rounded(amount, 4)
        if words:
            rows.append((plain(name, 80).replace("_", " "), words))
    return rows


def flags_picture(scene: Scene) -> FlagsPicture | None:
    """The map of flags; None where quality control did not run, or flagged nothing."""
    if not scene.store.has(FLAGS):
        return None
    overview = look_over(scene, _ROOM_PX)
    values = sample(scene.store, FLAGS, overview.frame)
    if values is None or not values.any():
        return None
    pixels, raised = overview.pixels.astype(np.float64), []
    for value, title, colour in scene.store.legend(FLAGS):
        flagged = values == value
        if flagged.any():
            pixels[flagged] = 0.45 * pixels[flagged] + 0.55 * np.frombuffer(bytes.fromhex(colour[1:]), np.uint8)
            raised.append((colour, plain(title, 80)))
    alt = f"The slide with what was flagged in colour: {', '.join(title for _, title in raised)}."
    return FlagsPicture(Picture.of(pixels.round().astype(np.uint8), alt), tuple(raised))


def layer_pictures(scene: Scene) -> list[LayerPicture]:
    """The layers of quality control but for consistency, each channel over the slide where it marks anything."""
    names = [name for name in scene.store.images("qc") if f"qc/{name}" != CONSISTENCY]
    overview = look_over(scene, _ROOM_PX) if names else None
    return [shown for name in names if overview for shown in _channels(scene, overview, name)]


def _channels(scene: Scene, overview: Overview, name: str) -> list[LayerPicture]:
    group = f"qc/{name}"
    values = sample(scene.store, group, overview.frame)
    shown = []
    for index, label in enumerate(scene.store.classes(group) if values is not None else []):
        channel = np.asarray(values[..., index], np.float32)  # type: ignore[index] # there are no classes without
        if np.isfinite(channel).any() and np.nanmax(channel) > 0:
            title = plain(label if label == name else f"{name}: {label}", 80)
            alt = f"The slide, coloured by {title}: blue where it is 0, red where it is 1."
            shown.append(LayerPicture(title, Picture.of(heat_over(overview.pixels, channel), alt)))
    return shown


def consistency_section(scene: Scene) -> ConsistencySection | None:
    """The map of consistency; None where nothing was super-resolved."""
    if not scene.store.has(CONSISTENCY):
        return None
    layer = scene.store.layer(f"{CONSISTENCY}/0")
    found = summarise_consistency(layer, mask_beside(scene.store, layer.frame))
    overview = look_over(scene, _ROOM_PX)
    values = sample(scene.store, CONSISTENCY, overview.frame)
    if found is None or values is None:
        return None
    width = next((width for width in _GREY_LEVELS if found.most <= width * _MOST_BARS), _GREY_LEVELS[-1])
    bars = max(1, int(-(-found.most // width)) + 1)
    each = max(1, round(width / found.spread.width))
    shares = [100 * count / found.spread.total for count in found.spread.bars(each, bars)]
    scale = Scale("difference, of 255 grey levels", each * found.spread.width, open_end=True)
    alt = (
        f"Histogram of the differences between the pixels read and the super-resolved ones, reduced again: the median "
        f"is {found.median:.1f} of 255 grey levels, 99% of the tissue differs by less than {found.most:.1f}."
    )
    marks = [Mark(found.median, f"median {found.median:.1f}")]
    plot = histogram("consistency", alt, shares, scale, "% of the tissue", marks)
    end = max(1.0, float(np.ceil(found.most)))
    pixels = heat_over(overview.pixels, np.asarray(values[..., 0] * (255 / end), np.float32))
    words = f"The slide, coloured by that difference: blue where there is none, red where it is {end:g} grey levels."
    return ConsistencySection(found.median, found.most, Picture.of(pixels, words), end, plot)
