"""preview.png: the whole slide beside a close look at the place richest in nuclei, drawn from the store alone.

Every panel is as many pixels of the picture as it shows, and its axes count um from its own first corner: so overlays
from any frame are placed by one subtraction, nothing is resampled on the way, and the same store gives the same bytes.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.patches import Rectangle
from numpy.typing import NDArray
from PIL import Image

from pipeline.geometry import Box
from pipeline.record import plain
from pipeline.scene import Heat, Overview, Scene, choose_window, heats, look_over, open_scene, outlines_um

_WIDTH_PX = 1600
_MARGIN_PX, _HEADER_PX, _FOOTER_PX = 28, 84, 52
_INSET_UM = 150.0
_DPI = 100

_INK, _QUIET, _PAPER = "#1b1f24", "#59636e", "#ffffff"
_TISSUE, _NUCLEUS, _FRAME = "#00695c", "#fff04d", "#111111"

HEAT_COLOURS = LinearSegmentedColormap.from_list("heat", ["#2b5fd9", "#25b7b0", "#f4d03f", "#e8622c", "#b0122b"])


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
    outlined: bool


def write_preview(folder: Path, run: Mapping[str, Any]) -> Path:
    """Draw `folder`/preview.png of the results in `folder`, which `run` (the content of run.json) tells about.

    Raises
    ------
    StoreError
        if there is no store with an image in it
    """
    scene = open_scene(folder, run)
    figure = _draw(scene)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    path = folder / "preview.png"
    draft = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3]).save(draft, format="PNG", optimize=True)
    draft.replace(path)
    return path


def tint(overview: Overview, heat: Heat) -> NDArray[np.float64]:
    """A heat map as a layer to lay over an overview: (y, x, 4) RGBA in 0..1, clear where nothing was classified."""
    seen = np.isfinite(heat.values)
    values = np.where(seen, heat.values, 0).clip(0, 1)
    rgba = np.asarray(HEAT_COLOURS(values), np.float64)
    rgba[..., 3] = np.where(seen, 0.22 + 0.30 * values, 0)
    return rgba


def _draw(scene: Scene) -> Figure:
    wide = scene.base.width > 1.7 * scene.base.height
    overview = look_over(scene, (620, _WIDTH_PX - 2 * _MARGIN_PX) if wide else (860, 920))
    rooms = _rooms(overview, 2 if scene.sr or scene.nuclei_path else 1, wide=wide)
    window, zoom = _choose_window(scene, overview, rooms[0])
    insets = _insets(scene, window, zoom)
    whole = _Panel(_MARGIN_PX, _HEADER_PX, overview.frame.width, overview.frame.height)
    panels = [_Panel(room.x, room.y, *inset.pixels.shape[1::-1]) for room, inset in zip(rooms, insets, strict=False)]
    ends = [(panel.x + panel.width, panel.y + panel.height) for panel in (whole, *panels)]
    width, height = max(max(x for x, _ in ends), 700) + _MARGIN_PX, max(y for _, y in ends) + _FOOTER_PX
    figure = Figure(figsize=(width / _DPI, height / _DPI), dpi=_DPI, facecolor=_PAPER)
    _write_header(figure, scene)
    heat = next(iter(heats(scene, overview.frame)), None)
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
    return figure


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
    insets = [_Inset(read, f"as read, {scene.base.mpp:.3g} µm/px", False)]
    if scene.sr:
        pixels = scene.store.layer("sr/0").read(window.times(scene.sr_scale))
        caption = f"super-resolved ×{scene.sr_scale}, {scene.sr.mpp:.3g} µm/px{found}"
        insets.append(_Inset(_enlarge(pixels, zoom // scene.sr_scale), caption, bool(found)))
    elif found:
        insets.append(_Inset(read, found.strip(" ·"), True))
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
    _show(axes, overview.pixels)
    if heat:
        _show(axes, tint(overview, heat))
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
    """A bar of a round length, about a fifth of the panel, in its lower left corner."""
    width_um, height_um = axes.get_xlim()[1], axes.get_ylim()[0]
    um_a_px = width_um / (axes.get_position().width * axes.figure.get_size_inches()[0] * _DPI)
    length_um = round_length_um(width_um / 4)
    left, bottom, pad = 14 * um_a_px, height_um - 14 * um_a_px, 8 * um_a_px
    words = f"{length_um / 1000:g} mm" if length_um >= 1000 else f"{length_um:g} µm"
    chip_um = max(length_um, 8.2 * len(words) * um_a_px)
    chip = Rectangle((left - pad, bottom - 24 * um_a_px - pad / 2), chip_um + 2 * pad, 24 * um_a_px + pad * 1.25)
    chip.set(facecolor="#ffffffd9", edgecolor="none")
    bar = Rectangle((left, bottom - 5 * um_a_px), length_um, 5 * um_a_px, facecolor=_INK, edgecolor="none")
    axes.add_patch(chip)
    axes.add_patch(bar)
    axes.text(left, bottom - 9 * um_a_px, words, va="bottom", color=_INK, **_type(13))


def round_length_um(most_um: float) -> float:
    """The largest of 1, 2, 5, 10, 20, 50, ... um (and their tenths) that is at most most_um."""
    power = 10.0 ** math.floor(math.log10(most_um))
    return next(step * power for step in (5, 2, 1) if step * power <= most_um * (1 + 1e-9))


def _write_chip(axes: Axes, words: str) -> None:
    box = {"boxstyle": "square,pad=0.45", "facecolor": "#ffffffd9", "edgecolor": "none"}
    size = axes.get_position().height * axes.figure.get_size_inches()[1] * _DPI
    axes.text(0.018, 1 - 14 / max(size, 28), words, transform=axes.transAxes, va="top", color=_INK, bbox=box, **_type(13))


def _type(size_px: float, *, bold: bool = False) -> dict[str, Any]:
    """Text of a size in px, in the typeface that comes with matplotlib; file names are no formulas."""
    font = FontProperties(family="DejaVu Sans", weight="bold" if bold else "normal", size=size_px * 72 / _DPI)
    return {"fontproperties": font, "parse_math": False}


def _write_header(figure: Figure, scene: Scene) -> None:
    height = figure.get_size_inches()[1] * _DPI
    left = _MARGIN_PX / (figure.get_size_inches()[0] * _DPI)
    figure.text(left, 1 - 22 / height, plain(scene.name, 70), va="top", color=_INK, **_type(22, bold=True))
    figure.text(left, 1 - 54 / height, "   ·   ".join(_facts(scene)), va="top", color=_QUIET, **_type(15))


def _facts(scene: Scene) -> list[str]:
    """The slide in a line."""
    base, record = scene.base, scene.record
    facts = [f"{base.width * base.mpp / 1000:.3g} × {base.height * base.mpp / 1000:.3g} mm"]
    facts.append(f"scanned at {scene.level0.mpp:.3g} µm/px")
    tissue_mm2, nuclei = record.number("tissue", "area_mm2"), record.count("counts", "nuclei")
    if tissue_mm2 is not None:
        facts.append(f"{tissue_mm2:.3g} mm² tissue")
    if nuclei is not None:
        facts.append(f"{nuclei:,} nuclei")
    return facts


def _write_footer(figure: Figure, overview: Overview, heat: Heat | None, insets: list[_Inset]) -> None:
    """The legend, and what the picture is not."""
    width, height = (size * _DPI for size in figure.get_size_inches())
    x_px, y = float(_MARGIN_PX), (_FOOTER_PX / 2 - 2) / height
    entries = [(_FRAME, "close look")]
    if overview.tissue is not None and overview.tissue.any() and not overview.tissue.all():
        entries.insert(0, (_TISSUE, "tissue"))
    for colour, words in entries:
        figure.add_artist(
            Rectangle((x_px / width, y - 1.5 / height), 24 / width, 3 / height, facecolor=colour, edgecolor="none")
        )
        figure.text((x_px + 32) / width, y, words, va="center", color=_QUIET, **_type(13))
        x_px += 32 + 8.0 * len(words) + 28
    if heat:
        x_px = _write_heat_scale(figure, heat, x_px, y)
    note = "Not a medical device."
    if any("super-resolved" in inset.caption for inset in insets):
        note = f"Super-resolved detail is estimated, not measured.  {note}"
    figure.text(1 - _MARGIN_PX / width, y, note, va="center", ha="right", color=_QUIET, **_type(13))


def _write_heat_scale(figure: Figure, heat: Heat, x_px: float, y: float) -> float:
    width, height = (size * _DPI for size in figure.get_size_inches())
    words = f"{plain(heat.classifier, 24)}: probability of {plain(heat.label, 24)}   0"
    figure.text(x_px / width, y, words, va="center", color=_QUIET, **_type(13))
    x_px += 7.9 * len(words) + 6
    scale = figure.add_axes((x_px / width, y - 5 / height, 110 / width, 10 / height))
    scale.imshow(np.linspace(0, 1, 110)[None], cmap=HEAT_COLOURS, aspect="auto")
    scale.set_axis_off()
    figure.text((x_px + 118) / width, y, "1", va="center", color=_QUIET, **_type(13))
    return x_px + 150
