from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pipeline.geometry import Frame
from pipeline.record import Record, plain

RUN = {
    "a": {"n": 3, "x": 2.5, "t": "one\n two\x00", "list": ["a", 1, None], "yes": True, "huge": 10**400},
    "m": [{}, 1],
}


def test_values_of_the_wrong_kind_count_as_absent() -> None:
    record = Record(RUN)
    assert (record.count("a", "n"), record.number("a", "n"), record.number("a", "x")) == (3, 3.0, 2.5)
    assert record.count("a", "x") is None
    assert record.count("a", "yes") is record.number("a", "yes") is None
    assert record.count("a", "huge") is record.number("a", "huge") is None
    assert record.number("a", "t") is record.number("a", "n", "deeper") is record.number("nowhere") is None
    assert Record({"x": float("nan")}).number("x") is Record({"x": float("inf")}).number("x") is None


def test_text_is_one_printable_line() -> None:
    assert Record(RUN).text("a", "t") == "one two\N{REPLACEMENT CHARACTER}"
    assert Record(RUN).text("a") == ""
    assert Record(RUN).texts("a", "list") == ["a"]
    assert Record(RUN).texts("a") == []


@given(st.text(st.characters()), st.integers(1, 40))
def test_a_plain_line_is_printable_short_and_can_be_encoded(words: str, limit: int) -> None:
    line = plain(words, limit)
    assert len(line) <= limit
    assert line.isprintable()
    line.encode("utf-8")


def test_a_frame_is_whole_or_absent() -> None:
    frame = {"height": 4, "width": 5, "mpp": 0.5}
    assert Record({"f": frame}).frame("f") == Frame(4, 5, 0.5)
    for key, value in (("height", 0), ("width", -1), ("width", 2.5), ("mpp", 0), ("mpp", "0.5"), ("mpp", float("nan"))):
        assert Record({"f": {**frame, key: value}}).frame("f") is None
