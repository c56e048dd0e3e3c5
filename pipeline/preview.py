"""preview.png: the whole slide beside a close look at the place richest in nuclei, drawn from the store alone.

Every panel is as many pixels of the picture as it shows, and its axes count um from its own first corner: so overlays
from any frame are placed by one subtraction, nothing is resampled on the way, and the same store gives the same bytes.
"""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.patches import Rectangle
from matplotlib.textpath import text_to_path
from numpy.typing import NDArray
from PIL import Image

from pipeline.density import DENSITY
from pipeline.geometry import Box, Frame
from pipeline.heatmap_picture import heat_over, heat_scale
from pipeline.page import write_if_changed
from pipeline.record import plain
from pipeline.report_facts import rounded
from pipeline.scene import Heat, Overview, Scene, choose_window, heats, look_over, open_scene, outlines_um
from pipeline.thumbnail_file import write_thumbnail

_WIDTH_PX = 1600
_MARGIN_PX, _HEADER_PX, _FOOTER_PX, _LINE_PX = 28, 84, 52, 24
_NARROW_PX = 1200  # a picture no wider has its footer in two lines
_INSET_UM = 150.0
_DPI = 100

_INK, _QUIET, _PAPER = "#1b1f24", "#59636e", "#ffffff"
_CHIP = "#ffffffd9"
_TISSUE, _NUCLEUS, _FRAME = "#00695c", "#fff04d", "#111111"


@dataclass(frozen=True, slots=True)
class _Panel:
    """A rectangle of the picture, in px from its top left corner."""

    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class _Inset:
    """A close look: pixels already as large as their panel, and what is drawn over them."""

    pixels: NDArray[np.uint8]
    caption: str
    outlined: bool = False
    estimated: bool = False


def write_preview(folder: Path, run: Mapping[str, Any]) -> Path:
    """Draw preview.png and thumbnail.jpg of the results in `folder`, which `run` (the content of run.json) tells about.

    Raises
    ------
    StoreError
        if there is no store with an image in it
    """
    return save_preview(folder, draw_preview(folder, run))


def draw_preview(folder: Path, run: Mapping[str, Any]) -> NDArray[np.uint8]:
    """Return the pixels of preview.png, (y, x, 3) RGB; thumbnail.jpg is written."""
    scene = open_scene(folder, run)
    write_thumbnail(scene)
    canvas = _draw(scene)
    with warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", message="Glyph"
        )  # a name in a script that the typeface lacks is drawn as boxes
        canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3]


def save_preview(folder: Path, pixels: NDArray[np.uint8]) -> Path:
    """Write preview.png."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=6)
    path = folder / "preview.png"
    write_if_changed(path, buffer.getvalue())
    return path


def classifier_heats(scene: Scene, frame: Frame) -> list[Heat]:
    """The heat maps that are probabilities: all but the density of nuclei."""
    return [heat for heat in heats(scene, frame) if f"heatmaps/{heat.classifier}" != DENSITY]


def _draw(scene: Scene) -> FigureCanvasAgg:
    wide = scene.base.width > 1.7 * scene.base.height
    overview = look_over(scene, (620, _WIDTH_PX - 2 * _MARGIN_PX) if wide else (860, 920))
    rooms = _rooms(overview, 2 if scene.sr or scene.nuclei_path else 1, wide=wide)
    window, zoom = _choose_window(scene, overview, rooms[0])
    insets = _insets(scene, window, zoom)
    whole = _Panel(_MARGIN_PX, _HEADER_PX, overview.frame.width, overview.frame.height)
    panels = [_Panel(room.x, room.y, *inset.pixels.shape[1::-1]) for room, inset in zip(rooms, insets, strict=False)]
    ends = [(panel.x + panel.width, panel.y + panel.height) for panel in (whole, *panels)]
    width = max(max(x for x, _ in ends), 700) + _MARGIN_PX
    height = max(y for _, y in ends) + _FOOTER_PX + (0 if width > _NARROW_PX else _LINE_PX)
    figure = Figure(figsize=(width / _DPI, height / _DPI), dpi=_DPI, facecolor=_PAPER)
    canvas = FigureCanvasAgg(figure)
    _write_header(figure, scene)
    heat = next(iter(classifier_heats(scene, overview.frame)), None)
    _draw_overview(_axes(figure, whole, overview.frame.mpp), overview, heat, scene, window)
    for inset, panel in zip(insets, panels, strict=False):
        axes = _axes(figure, panel, scene.base.mpp / zoom)
        _show(axes, inset.pixels)
        _write_chip(axes, inset.caption)
        _draw_scale_bar(axes)
        if inset.outlined:
            lines = LineCollection(outlines_um(scene, window), colors=_NUCLEUS, linewidths=1.1, joinstyle="round")
            axes.add_collection(lines, autolim=False)
    _write_footer(figure, overview, heat, insets)
    return canvas


def _rooms(overview: Overview, count: int, *, wide: bool) -> list[_Panel]:
    """Where insets may go: below a wide slide, else to its right."""
    gap = _MARGIN_PX // 2
    if wide:
        width = (_WIDTH_PX - 2 * _MARGIN_PX - gap * (count - 1)) // count
        top = _HEADER_PX + overview.frame.height + gap
        return [_Panel(_MARGIN_PX + index * (width + gap), top, width, 430) for index in range(count)]
    left = _MARGIN_PX + overview.frame.width + gap
    width = min(_WIDTH_PX - _MARGIN_PX - left, 760)
    height = (max(overview.frame.height, 560) - gap * (count - 1)) // count
    return [_Panel(left, _HEADER_PX + index * (height + gap), width, height) for index in range(count)]


def _choose_window(scene: Scene, overview: Overview, room: _Panel) -> tuple[Box, int]:
    """The box of the base frame to look at closely, and how many pixels of the picture span one of its pixels."""
    scale = scene.sr_scale
    mpp = scene.base.mpp / scale
    fill = min(room.height // (scene.base.height * scale), room.width // (scene.base.width * scale), 16)
    zoom = scale * max(1, round(room.width * mpp / _INSET_UM) if mpp < 1 else 2, fill)
    return choose_window(scene, overview, (max(1, room.height // zoom), max(1, room.width // zoom))), zoom


def _insets(scene: Scene, window: Box, zoom: int) -> list[_Inset]:
    """What was read, and beside it the pixels that nuclei were found in; one of them where they are the same."""
    read = _enlarge(scene.store.layer("0").read(window), zoom)
    found = "  ·  nuclei outlined" if scene.nuclei_path else ""
    insets = [_Inset(read, f"as read, {scene.base.mpp:.3g} µm/px")]
    if scene.sr:
        pixels = scene.store.layer("sr/0").read(window.times(scene.sr_scale))
        caption = f"super-resolved ×{scene.sr_scale}, {scene.sr.mpp:.3g} µm/px{found}"
        insets.append(_Inset(_enlarge(pixels, zoom // scene.sr_scale), caption, bool(found), True))
    elif found:
        insets.append(_Inset(read, found.strip(" ·"), outlined=True))
    return insets


def _enlarge(pixels: NDArray[np.uint8], times: int) -> NDArray[np.uint8]:
    return pixels.repeat(times, axis=0).repeat(times, axis=1)


def _axes(figure: Figure, panel: _Panel, mpp: float) -> Axes:
    """Axes over a panel that count um, x to the right and y down."""
    width, height = (round(size * _DPI) for size in figure.get_size_inches())
    axes = figure.add_axes(
        (panel.x / width, 1 - (panel.y + panel.height) / height, panel.width / width, panel.height / height)
    )
    axes.set_axis_off()
    axes.set_xlim(0, panel.width * mpp)
    axes.set_ylim(panel.height * mpp, 0)
    return axes


def _show(axes: Axes, pixels: NDArray[Any]) -> None:
    extent = (*axes.get_xlim(), *axes.get_ylim())
    axes.imshow(pixels, extent=extent, interpolation="none", aspect="auto", origin="upper")
    axes.add_patch(Rectangle((0, 0), 1, 1, transform=axes.transAxes, fill=False, edgecolor="#00000033", linewidth=1.0))


def _draw_overview(axes: Axes, overview: Overview, heat: Heat | None, scene: Scene, window: Box) -> None:
    _show(axes, heat_over(overview.pixels, heat.values) if heat else overview.pixels)
    tissue = overview.tissue
    if tissue is not None and tissue.any() and not tissue.all() and min(tissue.shape) > 1:
        y, x = ((np.arange(size) + 0.5) * overview.frame.mpp for size in tissue.shape)
        axes.contour(x, y, tissue, levels=[0.5], colors=_TISSUE, linewidths=1.2)
    mpp = scene.base.mpp
    corner, size = (window.x * mpp, window.y * mpp), (window.width * mpp, window.height * mpp)
    for colour, width in (("#ffffff", 4.2), (_FRAME, 2.0)):
        axes.add_patch(Rectangle(corner, *size, fill=False, edgecolor=colour, linewidth=width, joinstyle="miter"))
    _draw_scale_bar(axes)


def _draw_scale_bar(axes: Axes) -> None:
    """A bar of a round length, at most a quarter of the panel, in its lower left corner; none in a tiny panel."""
    if min(axes.bbox.height, axes.bbox.width) < 80:
        return
    width_um, height_um = axes.get_xlim()[1], axes.get_ylim()[0]
    um_a_px = width_um / axes.bbox.width
    length_um = round_length_um(width_um / 4)
    words = f"{length_um / 1000:g} mm" if length_um >= 1000 else f"{length_um:g} µm"
    left, bottom, pad = 16 * um_a_px, height_um - 16 * um_a_px, 8 * um_a_px
    chip_um = max(length_um, _width_px(words, 13) * um_a_px) + 2 * pad
    chip = Rectangle((left - pad, bottom - 32 * um_a_px), chip_um, 32 * um_a_px + pad)
    chip.set(facecolor=_CHIP, edgecolor="none")
    axes.add_patch(chip)
    axes.add_patch(Rectangle((left, bottom - 5 * um_a_px), length_um, 5 * um_a_px, facecolor=_INK, edgecolor="none"))
    axes.text(left, bottom - 10 * um_a_px, words, va="bottom", color=_INK, **_type(13))


def _width_px(words: str, size_px: float) -> float:
    """How wide a line of text is drawn."""
    font = _type(size_px)["fontproperties"]
    return float(text_to_path.get_text_width_height_descent(words, font, ismath=False)[0]) * _DPI / 72


def round_length_um(most_um: float) -> float:
    """The largest of 1, 2, 5, 10, 20, 50, ... um (and their tenths) that is at most most_um."""
    power = 10.0 ** math.floor(math.log10(most_um))
    return next(step * power for step in (5, 2, 1) if step * power <= most_um * (1 + 1e-9))


def _write_chip(axes: Axes, words: str) -> None:
    box = {"boxstyle": "square,pad=0.45", "facecolor": _CHIP, "edgecolor": "none"}
    axes.text(
        0.018,
        1 - 14 / max(axes.bbox.height, 28),
        words,
        transform=axes.transAxes,
        va="top",
        color=_INK,
        bbox=box,
        **_type(13),
    )


def _type(size_px: float, *, bold: bool = False) -> dict[str, Any]:
    """Text of a size in px, in the typeface that comes with matplotlib; file names are no formulas."""
    font = FontProperties(family="DejaVu Sans", weight="bold" if bold else "normal", size=size_px * 72 / _DPI)
    return {"fontproperties": font, "parse_math": False}


def _write_header(figure: Figure, scene: Scene) -> None:
    width, height = _size_px(figure)
    left = _MARGIN_PX / width
    figure.text(left, 1 - 22 / height, plain(scene.name, 56), va="top", color=_INK, **_type(22, bold=True))
    figure.text(left, 1 - 54 / height, "   ·   ".join(_facts(scene, width)), va="top", color=_QUIET, **_type(15))


def _facts(scene: Scene, width_px: float) -> list[str]:
    """The slide in a line, as much of it as fits."""
    base, record = scene.base, scene.record
    facts = [f"{base.width * base.mpp / 1000:.3g} × {base.height * base.mpp / 1000:.3g} mm"]
    nuclei, tissue_mm2 = record.count("counts", "nuclei"), record.number("tissue", "area_mm2")
    if tissue_mm2 is not None:
        facts.append(f"{rounded(tissue_mm2, 3)} mm² tissue")
    if nuclei is not None:
        facts.append(f"{nuclei:,} {'nucleus' if nuclei == 1 else 'nuclei'}")
    facts.append(f"scanned at {scene.level0.mpp:.3g} µm/px")
    if scene.sr:
        facts.append(f"super-resolved ×{scene.sr_scale} to {scene.sr.mpp:.3g} µm/px")
    return facts if width_px > _NARROW_PX else facts[:3]


def _size_px(figure: Figure) -> tuple[float, float]:
    width, height = figure.get_size_inches() * _DPI
    return float(width), float(height)


def _write_footer(figure: Figure, overview: Overview, heat: Heat | None, insets: list[_Inset]) -> None:
    """The legend, and what the picture is not."""
    width, height = _size_px(figure)
    x_px, note_y = float(_MARGIN_PX), (_FOOTER_PX / 2 - 2) / height
    y = note_y if width > _NARROW_PX else note_y + _LINE_PX / height
    entries = [(_FRAME, "close look")]
    if overview.tissue is not None and overview.tissue.any() and not overview.tissue.all():
        entries.insert(0, (_TISSUE, "tissue"))
    for colour, words in entries:
        line = Rectangle((x_px / width, y - 1.5 / height), 24 / width, 3 / height, facecolor=colour, edgecolor="none")
        figure.add_artist(line)
        x_px = _write(figure, x_px + 32, y, words) + 28
    if heat:
        x_px = _write(figure, x_px, y, f"{plain(heat.classifier, 24)}: probability of {plain(heat.label, 24)}   0") + 7
        scale = figure.add_axes((x_px / width, y - 6 / height, 110 / width, 12 / height))
        scale.imshow(heat_scale(110), aspect="auto")
        scale.set_axis_off()
        x_px = _write(figure, x_px + 117, y, "1") + 28
    note = "Not a medical device."
    if any(inset.estimated for inset in insets):
        note = f"Super-resolved detail is estimated, not measured.  {note}"
    figure.text(1 - _MARGIN_PX / width, note_y, note, va="center", ha="right", color=_QUIET, **_type(13))


def _write(figure: Figure, x_px: float, y: float, words: str) -> float:
    """Write a line of the legend; return where it ends, in px."""
    figure.text(x_px / _size_px(figure)[0], y, words, va="center", color=_QUIET, **_type(13))
    return x_px + _width_px(words, 13)
