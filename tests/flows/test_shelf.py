"""The table of bundles: complete for our own cards, patient with anybody's."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.shelf import main_figure, makes, print_cards
from models.card import Card

ENLARGER = Card(
    name="my-x2",
    task="superresolution",
    architecture="srresnet",
    parameters={},
    mpp=0.5,
    scale=2,
    receptive_radius_px=20,
    licence="CC BY 4.0",
    limits="For tests.",
    metrics={
        "test": {"MoNuSeg": {"psnr_rgb": {"mean": 37.104, "sd": 4.1}, "images": 6}},
        "baseline": {"method": "bicubic interpolation", "MoNuSeg": {"psnr_rgb": {"mean": 34.68, "sd": 4.3}}},
    },
)
CLASSIFIER = replace(
    ENLARGER, name="my-classes", task="classification", scale=None, classes=("benign", "malignant"), field_px=50
)


def test_a_row_has_name_resolution_output_figure_beside_baseline_and_licence(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "220")
    print_cards([ENLARGER, CLASSIFIER])
    heading, first, _, second, classes = capsys.readouterr().out.splitlines()
    assert heading.split()[:2] == ["name", "task"]
    for part in ("my-x2", "superresolution", "0.5", "37.10 dB; bicubic interpolation 34.68 dB", "CC BY 4.0"):
        assert part in first
    assert "classification" in second
    assert "benign, malignant" in classes


def test_a_narrow_terminal_cuts_nothing_off(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    print_cards([replace(ENLARGER, licence="CC BY-NC-SA 4.0 (non-commercial, as the images are)")])
    out = capsys.readouterr().out
    assert all(word in out for word in ["37.10", "dB;", "bicubic", "34.68", "MoNuSeg", "BY-NC-SA"])
    assert "\N{HORIZONTAL ELLIPSIS}" not in out


def test_figures_of_a_single_test_set_need_no_name() -> None:
    metrics = {
        "test": {"balanced_accuracy": 0.81, "auc": 0.9},
        "baseline": {"method": "a coin", "balanced_accuracy": 0.5},
    }
    assert main_figure(replace(CLASSIFIER, metrics=metrics)) == "balanced accuracy 0.810; a coin 0.500"
    assert main_figure(replace(CLASSIFIER, metrics={"auc": 0.9})) == "AUC 0.900"


def test_words_from_a_card_are_shown_as_they_are(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "220")
    print_cards([replace(ENLARGER, licence="[red]mine[/red]")])
    assert "[red]mine[/red]" in capsys.readouterr().out


def test_no_bundles_at_all_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    print_cards([])
    assert "No bundle" in capsys.readouterr().out


JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["test", "baseline", "method", "psnr_rgb", "auc", "mean", "A"]), inner, max_size=4
        )
    ),
    max_leaves=12,
)


@given(metrics=st.dictionaries(st.sampled_from(["test", "baseline", "protocol", "auc", "psnr_rgb"]), JSON))
def test_any_metrics_give_a_line_or_nothing(metrics: dict[str, object]) -> None:
    for card in (ENLARGER, CLASSIFIER):
        assert isinstance(main_figure(replace(card, metrics=metrics)), str)


def test_scale_or_classes_say_what_a_network_makes() -> None:
    assert makes(ENLARGER) == "x2"
    assert makes(CLASSIFIER) == "benign, malignant"
