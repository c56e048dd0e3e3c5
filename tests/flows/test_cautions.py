"""What a reader is told before the figures, word for word where it matters."""

from __future__ import annotations

from dataclasses import replace

from flows.cautions import cautions
from flows.networks import ChosenNetworks
from models.card import Card
from models.shelf import read_card
from pipeline.config import SlideConfig
from pipeline.geometry import Frame
from pipeline.recipe import Recipe
from pipeline.stage import Network

LEVEL0 = Frame(2000, 3000, 0.5)
SR = Network("sr-x2", None, 0.5, scale=2)  # type: ignore[arg-type] # nothing is loaded
NUCLEI = Network("nuclei-unet", None, 0.25)  # type: ignore[arg-type]


def recipe(sr: Network | None = None, nuclei: Network | None = None, base: Frame = LEVEL0) -> Recipe:
    return Recipe("slide", LEVEL0, base, 1024, sr=sr, nuclei=nuclei)


def told(
    *classifiers: Card, nuclei: Card | None = None, config: SlideConfig | None = None, of: Recipe | None = None
) -> str:
    networks = ChosenNetworks((), nuclei, classifiers, {})
    return "\n".join(cautions(of or recipe(), config or SlideConfig(), networks))


def test_nothing_is_said_where_nothing_needs_saying() -> None:
    assert told() == ""
    assert told(nuclei=replace(read_card("nuclei-unet"), licence="MIT")) == ""


def test_super_resolved_nuclei_are_estimated_not_measured() -> None:
    words = "read at 0.5 um/px, super-resolved x2: nuclear detail below 0.5 um is estimated, not measured"
    assert told(of=recipe(SR, NUCLEI)) == words
    assert told(of=recipe(SR)) == words.replace("nuclear detail", "detail")
    assert "30% of the weights were trained against an adversary" in told(
        of=recipe(SR, NUCLEI), config=SlideConfig(sr_blend=0.3, measure_blended=True)
    )


def test_a_resolution_that_the_user_gave_is_the_users() -> None:
    assert "0.5 um/px was given with --mpp, whatever the file says" in told(config=SlideConfig(mpp=0.5))


def test_pixels_that_were_interpolated_are_said_to_be() -> None:
    base = Frame(4000, 6000, 0.25)
    assert told(of=recipe(base=base)) == "scanned at 0.5 um/px and interpolated to 0.25 um/px"


def test_weights_that_are_not_for_every_use_are_named_with_their_licence() -> None:
    card = read_card("nuclei-unet")
    assert told(nuclei=card) == f"nuclei-unet: the licence of its weights is {card.licence}"
    for licence in ("CC BY-NC 4.0", "research use only", "Non-Commercial"):
        assert licence in told(nuclei=replace(card, licence=licence))
    for licence in ("Apache-2.0", "CC BY 4.0", "CC0", "ENCLOSED"):
        assert told(nuclei=replace(card, licence=licence)) == ""


def test_a_classifier_says_where_a_class_begins_and_how_far_its_probabilities_hold() -> None:
    card = replace(read_card("idc-hybrid"), licence="MIT")
    words = told(replace(card, metrics={"test": {"ece": 0.0384}}, postprocessing={"operating_point": 0.4}))
    assert "idc-hybrid: counts as IDC from a probability of 0.4\n" in words
    assert "expected calibration error 3.8%" in words
    bare = told(replace(card, metrics={}, postprocessing={}))
    assert "from a probability of 0.5 for want of one in its card" in bare
    assert "nobody measured whether its probabilities are calibrated" in bare
    odd = told(replace(card, metrics={"test": {"ece": True}}))
    assert "nobody measured" in odd


def test_of_three_classes_none_begins_anywhere() -> None:
    card = replace(read_card("idc-hybrid"), classes=("a", "b", "c"), licence="MIT")
    assert "counts as" not in told(card)
