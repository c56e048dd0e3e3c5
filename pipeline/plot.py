"""Plots as SVG inside a page: drawn by matplotlib, coloured and lettered by the page's own style.

The drawing says which colour of the page a line has, not which colour it is: so one plot reads in light and dark and on
paper. Letters stay letters: they can be searched, copied and read aloud. The same figures give the same bytes.
"""

from __future__ import annotations

import io
import re
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from xml.etree import ElementTree

import matplotlib as mpl
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.text import Text

_SVG = "http://www.w3.org/2000/svg"
_HREF = "{http://www.w3.org/1999/xlink}href"

# Colours that stand for variables of the page's style sheet (templates/base.html).
INK, QUIET, LINE, BAR, MARK, PAPER = "#010101", "#010102", "#010103", "#010104", "#010105", "#010106"
_VARIABLES = {INK: "ink", QUIET: "quiet", LINE: "line", BAR: "bar", MARK: "mark", PAPER: "paper"}

FONT_PX = 12.0
_DPI = 72  # a px of the drawing is a px of the page
_SETTINGS = {"svg.hashsalt": "histoloom", "svg.fonttype": "none", "text.parse_math": False, "axes.unicode_minus": True}
# Settings of matplotlib are of the process; two pages may be written at once.
_one_at_a_time = threading.Lock()


@dataclass(frozen=True, slots=True)
class Plot:
    """A plot as a page carries it."""

    svg: Markup
    alt: str
    """What it shows, in a sentence."""
    columns: tuple[str, ...] = ()
    """Headings of the same as a table."""
    rows: Sequence[tuple[str, ...]] = ()


@dataclass(slots=True)
class Drawing:
    """A figure being drawn, `width_px` x `height_px`."""

    width_px: float
    height_px: float
    figure: Figure = field(init=False)
    tips: dict[str, str] = field(default_factory=dict)
    """Id of a mark to the words that a browser shows over it."""

    def __post_init__(self) -> None:
        self.figure = Figure(figsize=(self.width_px / _DPI, self.height_px / _DPI), dpi=_DPI)
        self.figure.patch.set_visible(False)

    def axes(self, left_px: float, top_px: float, right_px: float, bottom_px: float) -> Axes:
        """Axes inside margins, with one line below and nothing else."""
        axes = self.figure.add_axes(
            (
                left_px / self.width_px,
                bottom_px / self.height_px,
                1 - (left_px + right_px) / self.width_px,
                1 - (top_px + bottom_px) / self.height_px,
            )
        )
        axes.patch.set_visible(False)
        for side in ("top", "left", "right"):
            axes.spines[side].set_visible(False)
        axes.spines["bottom"].set_color(QUIET)
        axes.tick_params(length=0, labelsize=FONT_PX, labelcolor=QUIET, pad=5)
        axes.xaxis.label.set(color=QUIET, fontsize=FONT_PX)
        axes.yaxis.label.set(color=QUIET, fontsize=FONT_PX)
        return axes

    def tip(self, words: str) -> str:
        """The id for a mark that shows these words."""
        name = f"tip-{len(self.tips)}"
        self.tips[name] = words
        return name

    def svg(self, name: str, alt: str) -> Markup:
        """The drawing; `name` is what its ids begin with, apart from those of the page's other plots."""
        buffer = io.BytesIO()
        for words in self.figure.findobj(Text):
            words.set_parse_math(False)  # names of files are no formulas
        with _one_at_a_time, mpl.rc_context(_SETTINGS):
            FigureCanvasSVG(self.figure).print_svg(buffer, metadata={"Date": None, "Creator": None})
        return _for_page(buffer.getvalue(), name, alt, self.tips)


def _for_page(svg: bytes, name: str, alt: str, tips: Mapping[str, str]) -> Markup:
    """An SVG file as an element of a page: its own names, the page's colours and letters."""
    root = ElementTree.fromstring(svg)
    used = set(re.findall(r"#([\w.-]+)", " ".join(value for node in root.iter() for value in node.attrib.values())))
    for parent in root.iter():
        for child in [child for child in parent if child.tag.rpartition("}")[2] in ("metadata", "style")]:
            parent.remove(child)
    for node in root.iter():
        node.text, node.tail = (node.text or "").strip() or None, None  # matplotlib's line breaks
        _adapt(node, name, used, tips)
    box = root.attrib["viewBox"]
    root.attrib.clear()
    root.attrib |= {"class": "plot", "viewBox": box, "role": "img", "aria-label": alt}
    root.attrib |= {"stroke-linejoin": "round", "stroke-linecap": "butt"}
    return Markup(ElementTree.tostring(root, encoding="unicode").strip())


def _adapt(node: ElementTree.Element, name: str, used: set[str], tips: Mapping[str, str]) -> None:
    node.tag = node.tag.removeprefix(f"{{{_SVG}}}")  # HTML knows an <svg> without a namespace
    if (target := node.attrib.pop(_HREF, None)) is not None:
        node.set("href", target)
    own = node.attrib.pop("id", None)
    if own is not None and own in tips:
        title = ElementTree.Element("title")
        title.text = tips[own]
        node.insert(0, title)
    if own in used:
        node.set("id", f"{name}-{own}")
    if node.get("transform", "").startswith("rotate(-0 "):
        del node.attrib["transform"]
    for key, value in node.attrib.items():
        node.set(key, _restyle(re.sub(r"(url\(#|^#(?=[\w.-]+$))", rf"\g<1>{name}-", value) if "#" in value else value))


def _restyle(value: str) -> str:
    """A value of an attribute with the page's colours, and without a typeface."""
    for colour, variable in _VARIABLES.items():
        value = value.replace(colour, f"var(--{variable})")
    return re.sub(r"font-family: [^;]*;? ?", "", re.sub(r"font: ([\d.]+px) [^;]*", r"font-size: \1", value))
