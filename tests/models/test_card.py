"""Cards may come from anyone: what is impossible is refused, in two lines that name the file."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.card import Card, Normalisation, join_cards
from models.errors import BundleError
from tests.models.examples import SMALL_HYBRID, SMALL_SR, SMALL_UNET, card

HASH = "0" * 64
SR = json.loads(card(SMALL_SR, sha256=HASH).to_json())
NUCLEI = json.loads(card(SMALL_UNET, sha256=HASH).to_json())
PATCHES = json.loads(card(SMALL_HYBRID, sha256=HASH).to_json())

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


def refusal(text: str) -> str:
    with pytest.raises(BundleError) as caught:
        Card.from_json(text, "their/card.json")
    message = str(caught.value)
    assert len(message.splitlines()) == 2
    assert message.startswith("their/card.json: ")
    return message


@pytest.mark.parametrize("facts", [SR, NUCLEI, PATCHES], ids=["superresolution", "nuclei", "classification"])
def test_a_card_survives_json(facts: dict[str, Any]) -> None:
    read = Card.from_json(json.dumps(facts), "card.json")
    assert json.loads(read.to_json()) == facts
    assert Card.from_json(read.to_json(), "card.json") == read


def test_lists_become_tuples() -> None:
    read = Card.from_json(json.dumps(NUCLEI), "card.json")
    assert read.classes == ("background", "interior", "contour")
    assert read.normalisation == Normalisation((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("format", 2),
        ("format", True),
        ("name", "../../etc"),
        ("name", "A Network"),
        ("name", "a" * 65),
        ("task", "diagnosis"),
        ("architecture", ""),
        ("parameters", [1]),
        ("mpp", 0),
        ("mpp", -0.5),
        ("mpp", 1e9),
        ("mpp", "0.5"),
        ("mpp", True),
        ("mpp", None),
        ("scale", 3),
        ("scale", 2.0),
        ("scale", None),
        ("classes", ["a", "b"]),
        ("field_px", 50),
        ("receptive_radius_px", -1),
        ("receptive_radius_px", 10**6),
        ("receptive_radius_px", 12.5),
        ("receptive_radius_px", None),
        ("stride_px", 0),
        ("stride_px", None),
        ("normalisation", None),
        ("normalisation", {"mean": [0, 0, 0]}),
        ("normalisation", {"mean": [0, 0, 0], "std": [1, 1, 0]}),
        ("normalisation", {"mean": [0, 0], "std": [1, 1]}),
        ("normalisation", {"mean": "abc", "std": [1, 1, 1]}),
        ("sha256", "0123"),
        ("sha256", ""),
        ("sha256", "G" * 64),
        ("licence", " "),
        ("training", "long"),
        ("limits", 7),
    ],
)
def test_an_impossible_value_is_refused_by_name(field: str, value: object) -> None:
    assert field in refusal(json.dumps(SR | {field: value}))


@pytest.mark.parametrize(
    ("facts", "field", "value"),
    [
        (NUCLEI, "classes", None),
        (NUCLEI, "classes", ["background", "background", "contour"]),
        (NUCLEI, "classes", ["background", 1]),
        (NUCLEI, "classes", "abc"),
        (NUCLEI, "scale", 2),
        (PATCHES, "field_px", None),
        (PATCHES, "field_px", 4),
        (PATCHES, "receptive_radius_px", 10),
    ],
)
def test_a_field_must_fit_the_task(facts: dict[str, Any], field: str, value: object) -> None:
    assert field in refusal(json.dumps(facts | {field: value}))


@pytest.mark.parametrize("field", sorted(SR))
def test_a_missing_key_is_refused_by_name(field: str) -> None:
    assert f"missing key '{field}'" in refusal(json.dumps({key: value for key, value in SR.items() if key != field}))


def test_an_unknown_key_is_refused_by_name() -> None:
    assert "unknown key 'weights_url'" in refusal(json.dumps(SR | {"weights_url": "http://example.org"}))


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_a_number_that_is_not_finite_is_refused_wherever_it_stands(number: str) -> None:
    refusal(json.dumps(SR).replace('"mpp": 0.5', f'"mpp": {number}'))
    refusal(json.dumps(SR | {"metrics": {"test": {"psnr": "HERE"}}}).replace('"HERE"', number))


@pytest.mark.parametrize(
    "text",
    ["", "null", "[]", "{", "\x00", "[" * 100_000, '{"a": ' * 50 + "1" + "}" * 50, '{"a": 1, "a": 2}', "9" * 10_000],
    ids=["empty", "null", "list", "torn", "zero", "deep list", "deep object", "key twice", "long number"],
)
def test_what_is_no_card_is_refused(text: str) -> None:
    refusal(text)


@settings(deadline=None)
@given(field=st.sampled_from(sorted(PATCHES)), value=JSON_VALUES)
def test_any_value_in_any_field_gives_a_card_or_a_refusal(field: str, value: object) -> None:
    text = json.dumps(PATCHES | {field: value})
    try:
        read = Card.from_json(text, "card.json")
    except BundleError as error:
        assert len(str(error).splitlines()) == 2  # noqa: PT017  # the other outcome is as good
    else:
        assert math.isfinite(read.mpp)
        read.check("card.json")


@pytest.mark.parametrize(
    ("radius_px", "stride_px", "halo_px"), [(40, 1, 40), (107, 16, 112), (112, 16, 112), (0, 16, 0)]
)
def test_the_halo_is_the_radius_in_whole_strides(radius_px: int, stride_px: int, halo_px: int) -> None:
    assert card(SMALL_SR, receptive_radius_px=radius_px, stride_px=stride_px).halo_px == halo_px


def test_a_classifier_needs_no_halo() -> None:
    assert card(SMALL_HYBRID).halo_px == 0


def test_a_single_card_joins_to_itself() -> None:
    alone = card(SMALL_SR)
    assert join_cards([alone]) is alone


def test_joined_cards_multiply_scales_and_add_radii_in_px_of_the_first_input() -> None:
    first = card(SMALL_SR, name="a", mpp=1.0, receptive_radius_px=24, sha256="1" * 64)
    last = replace(first, name="b", mpp=0.5, receptive_radius_px=25, sha256="2" * 64)
    joined = join_cards([first, last])
    assert (joined.name, joined.scale, joined.mpp) == ("a+b", 4, 1.0)
    assert joined.receptive_radius_px == 24 + 13
    assert joined.sha256 == "1" * 64 + "+" + "2" * 64


def test_a_bundle_that_follows_itself_begins_where_it_ends_as_trained() -> None:
    once = card(SMALL_SR, mpp=0.5)  # gives 0.25 um/px
    assert join_cards([once, once]).mpp == 1.0
    assert join_cards([once, once, once]).mpp == 2.0


@pytest.mark.parametrize(("stride_px", "joined_px"), [(1, 1), (2, 2), (8, 8)])
def test_joined_strides_keep_every_networks_grid(stride_px: int, joined_px: int) -> None:
    once = card(SMALL_SR, stride_px=stride_px)
    assert join_cards([once, once]).stride_px == joined_px
    assert join_cards([card(SMALL_SR), once]).stride_px == max(1, stride_px // 2)
