"""The kinds of plot that pages have: bars over a scale, and bars with names; each also as a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.ticker import FuncFormatter, MaxNLocator
from matplotlib.transforms import blended_transform_factory

from pipeline.plot import BAR, FONT_PX, INK, LINE, MARK, QUIET, Drawing, Plot
from pipeline.record import plain

_WIDTH_PX = 620.0
_HEIGHT_PX = 250.0
_ROW_PX = 26.0
_NAMES_PX = 190.0
_NAME_LETTERS = 26
# Wide enough for any typeface that a page may have.
_LETTER_PX = 7.0
_MOST_WORDS_PX = 250.0


@dataclass(frozen=True, slots=True)
class Scale:
    """What lies along a histogram's axis."""

    label: str
    """With the unit."""
    width: float
    """Of a bar."""
    open_end: bool = False
    """Whether the last bar also holds all that is larger."""

    def span(self, index: int, bars: int) -> str:
        """What a bar stands for."""
        start = self.width * index
        if self.open_end and index == bars - 1:
            return f"{start:g} and more"
        return f"{start:g} to {start + self.width:g}"


@dataclass(frozen=True, slots=True)
class Mark:
    """A line across a histogram, or between `at` and `until` a band."""

    at: float
    words: str
    until: float | None = None


def histogram(
    name: str, alt: str, values: Sequence[float], scale: Scale, what: str, marks: Sequence[Mark] = ()
) -> Plot:
    """Bars from 0 on; `what` is counted, with its unit. A band comes under the bars, a line over them."""
    drawing = Drawing(_WIDTH_PX, _HEIGHT_PX)
    axes = drawing.axes(62, 30 if marks else 12, 14, 46)
    end = scale.width * len(values)
    for mark in marks:
        if mark.until is not None:
            axes.axvspan(min(mark.at, end), min(mark.until, end), facecolor=LINE, edgecolor="none", zorder=0)
    starts = [scale.width * index for index in range(len(values))]
    drawn = axes.bar(starts, values, width=scale.width * 0.9, align="edge", color=BAR, zorder=2)
    rows = [(scale.span(index, len(values)), _amount(value)) for index, value in enumerate(values)]
    for bar, (span, amount) in zip(drawn, rows, strict=True):
        bar.set_gid(drawing.tip(f"{span}: {amount}"))
    above = blended_transform_factory(axes.transData, axes.transAxes)
    for mark in (mark for mark in marks if mark.until is None):
        at = min(mark.at, end)
        axes.axvline(at, color=MARK, linewidth=2, zorder=3)
        side = "left" if at < end / 2 else "right"
        axes.text(at, 1.02, mark.words, transform=above, ha=side, va="bottom", color=INK, fontsize=FONT_PX)
    axes.set_xlim(0, end)
    axes.set_ylim(0, max([*values, 0]) * 1.04 or 1)
    axes.set_xlabel(scale.label, labelpad=6)
    axes.set_ylabel(what, labelpad=6)
    axes.yaxis.set_major_locator(MaxNLocator(4, integer=all(float(value).is_integer() for value in values)))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.6g}"))
    axes.grid(axis="y", color=LINE, linewidth=1, zorder=1)
    return Plot(drawing.svg(name, alt), alt, (scale.label, what), rows)


def named_bars(name: str, alt: str, entries: Sequence[tuple[str, float, str]], what: str) -> Plot:
    """A bar a name, one below the other: (name, value, the value in words)."""
    drawing = Drawing(_WIDTH_PX, _ROW_PX * len(entries) + 8)
    words_px = 14 + _LETTER_PX * max((len(words) for _, _, words in entries), default=0)
    axes = drawing.axes(_NAMES_PX, 4, min(words_px, _MOST_WORDS_PX), 4)
    axes.spines["bottom"].set_visible(False)
    places = range(len(entries))
    most = max([value for _, value, _ in entries] + [0.0]) or 1.0
    axes.barh(places, [most] * len(entries), height=0.5, color=LINE, zorder=1)
    drawn = axes.barh(places, [value for _, value, _ in entries], height=0.5, color=BAR, zorder=2)
    for place, bar, (label, _, words) in zip(places, drawn, entries, strict=True):
        bar.set_gid(drawing.tip(f"{plain(label)}: {words}"))
        beside: dict[str, Any] = {"va": "center", "fontsize": FONT_PX, "clip_on": False}
        axes.text(most * 1.02, place, words, ha="left", color=QUIET, **beside)
        axes.text(-most * 0.02, place, plain(label, _NAME_LETTERS), ha="right", color=INK, **beside)
    axes.set_xlim(0, most)
    axes.set_ylim(len(entries) - 0.5, -0.5)
    axes.set_axis_off()
    return Plot(drawing.svg(name, alt), alt, ("", what), [(plain(label), words) for label, _, words in entries])


def _amount(value: float) -> str:
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.4g}"
