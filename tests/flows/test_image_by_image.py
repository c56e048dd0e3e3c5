"""Images are judged side by side, told in order, and named where they cannot be read."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from flows.image_by_image import Skipped, judge_each
from models.errors import EvaluationError, UnreadableImage

FILES = [Path(f"images/{name}.png") for name in "dbca"]


def judge(path: Path) -> str:
    """What comes first takes longest; c is unreadable."""
    time.sleep(0.02 if path.stem == "d" else 0)
    if path.stem == "c":
        raise UnreadableImage.about(path, "no readable image", "Take it out.")
    return path.stem.upper()


def test_results_come_in_the_order_of_the_files() -> None:
    heard: list[tuple[int, int]] = []
    judged, skipped = judge_each(FILES, judge, lambda done, count: heard.append((done, count)))
    assert list(judged.items()) == [(FILES[0], "D"), (FILES[1], "B"), (FILES[3], "A")]
    assert skipped == [Skipped("c.png", "images/c.png: no readable image")]
    assert heard == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_none_readable_is_an_error_that_names_some() -> None:
    with pytest.raises(EvaluationError, match=r"images: none of 1 files .* images/c\.png"):
        judge_each(FILES[2:3], judge)


def test_any_other_error_ends_the_evaluation() -> None:
    def refuse(path: Path) -> str:
        raise EvaluationError.about(path, "labels of another size", "Correct them.")

    with pytest.raises(EvaluationError, match="another size"):
        judge_each(FILES, refuse)
