from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.histogram import Histogram
from pipeline.plots import Mark, Scale, histogram, named_bars

HOSTILE = "<script>alert(1)</script>\"'&$\\alpha$"
SCALE = Scale("area, µm²", 2.0, open_end=True)


def test_the_same_figures_give_the_same_bytes_and_no_date() -> None:
    one, other = (histogram("a", "alt", [1, 2, 3], SCALE, "nuclei", [Mark(3, "median")]).svg for _ in range(2))
    assert one == other
    assert not re.search(r"20\d\d-\d\d-\d\d|Matplotlib", one)


def test_a_plot_fetches_nothing_and_has_the_colours_of_the_page() -> None:
    svg = histogram("a", "alt", [1, 2], SCALE, "nuclei", [Mark(1, "", 3), Mark(2, "here")]).svg
    assert "http" not in svg
    assert "<style" not in svg
    assert not re.search(r"#[0-9a-f]{6}", svg)
    assert {"var(--bar)", "var(--mark)", "var(--line)", "var(--quiet)"} <= set(re.findall(r"var\(--\w+\)", svg))
    assert "font-family" not in svg


def test_names_inside_a_plot_are_its_own_and_lead_somewhere() -> None:
    plots = [histogram(name, "alt", [1, 2], SCALE, "nuclei", [Mark(2, "here")]).svg for name in ("one", "other")]
    ids = [set(re.findall(r'\bid="([^"]+)"', svg)) for svg in plots]
    assert ids[0]
    assert not ids[0] & ids[1]
    for known, svg in zip(ids, plots, strict=True):
        assert set(re.findall(r"url\(#([^)]+)\)", svg)) <= known


def test_words_are_letters_and_never_markup_or_formulas() -> None:
    svg = named_bars("a", HOSTILE, [(HOSTILE, 1.0, HOSTILE)], "x").svg
    root = ElementTree.fromstring(svg)
    assert root.get("aria-label") == HOSTILE
    words = [node.text for node in root.iter() if node.text]
    assert HOSTILE in words
    assert not any(node.tag.endswith("script") for node in root.iter())


def test_words_beside_bars_have_room() -> None:
    words = "132 h 39 min, 56%"
    svg = named_bars("a", "alt", [("super-resolution", 9.0, words), ("nuclei", 1.0, "1 s, <1%")], "time").svg
    (text,) = [node for node in ElementTree.fromstring(svg).iter("text") if node.text == words]
    left = float(re.findall(r"(?:translate\(|x=)([\d.]+)", text.get("transform") or f"x={text.get('x')}")[0])
    assert left + 6.5 * len(words) < 620  # digits of 12 px are 7.6 px wide, letters and blanks less


def test_ticks_have_commas_between_thousands() -> None:
    svg = histogram("a", "alt", [1, 2, 3], Scale("per mm²", 2000.0), "slides").svg
    assert "4,000" in svg
    assert ">4000<" not in svg


def test_every_bar_says_what_it_stands_for_and_the_table_says_the_same() -> None:
    plot = histogram("a", "alt", [5, 0, 1200], SCALE, "nuclei")
    titles = [node.text for node in ElementTree.fromstring(plot.svg).iter("title")]
    assert titles == ["0 to 2: 5", "2 to 4: 0", "4 and more: 1,200"]
    assert [f"{span}: {amount}" for span, amount in plot.rows] == titles


def test_a_bar_is_as_high_as_its_value() -> None:
    svg = histogram("a", "alt", [10, 5], Scale("x", 1.0), "y").svg
    bars = [
        node.get("d") or "" for node in ElementTree.fromstring(svg).iter("path") if "--bar" in (node.get("style") or "")
    ]
    spans = [[float(y) for y in re.findall(r"[ML] [\d.]+ ([\d.]+)", path)] for path in bars]
    heights = [max(span) - min(span) for span in spans]
    assert heights[0] == pytest.approx(2 * heights[1], rel=1e-3)


@pytest.mark.parametrize("values", [[0], [0.0, 0.0], [1e-9], [10**12]])
def test_odd_values_have_a_plot(values: list[float]) -> None:
    ElementTree.fromstring(
        histogram("a", "alt", values, SCALE, "nuclei", [Mark(1e9, "far", 2e9), Mark(1e9, "far")]).svg
    )


@settings(max_examples=50, deadline=None)
@given(st.lists(st.lists(st.floats(0, 120), max_size=30), max_size=5), st.floats(0.01, 0.99))
def test_parts_add_up_to_what_numpy_counts_at_once(parts: list[list[float]], share: float) -> None:
    found, every = Histogram(0.5, 200), np.array([value for part in parts for value in part], np.float64)
    for part in parts:
        found.add(np.array(part, np.float64))
    edges = np.append(np.arange(200) * 0.5, np.inf)
    assert found.counts.tolist() == np.histogram(every, edges)[0].tolist()
    assert sum(found.bars(4, 7)) == found.total == len(every)
    if len(every) and every.max() < 99.5:
        low, high = (np.quantile(every, share, method=method) for method in ("lower", "higher"))
        step = 1 / len(every)
        low = min(low, np.quantile(every, max(0, share - step), method="lower"))
        high = max(high, np.quantile(every, min(1, share + step), method="higher"))
        assert low - 0.5 <= found.quantile(share) <= high + 0.5


def test_what_is_no_number_does_not_count() -> None:
    found = Histogram(1.0, 3)
    found.add(np.array([np.nan, np.inf, -1.0, 2.5, 99.0]))
    assert found.counts.tolist() == [0, 0, 2]


def test_pages_style_every_colour_that_plots_name() -> None:
    from pipeline import plot

    base = (Path(plot.__file__).parent / "templates" / "base.html").read_text("utf-8")
    light, dark, paper = re.findall(r":root \{(.*?)\}", base, re.DOTALL)[:3]
    for name in plot._VARIABLES.values():
        assert all(f"--{name}:" in theme for theme in (light, dark, paper)), name
