from __future__ import annotations

import csv
from pathlib import Path

from PIL import Image

from models.training_log import TrainingLog


def row(iteration: int, **figures: float) -> dict[str, float]:
    return {"iteration": iteration, "minutes": iteration / 10, "learning_rate": 0.1, "loss": 1 / iteration, **figures}


def test_rows_are_written_with_their_figures_and_drawn(tmp_path: Path) -> None:
    log = TrainingLog(tmp_path)
    log.add(row(10))
    log.add(row(20, dice=0.5))
    with (tmp_path / "log.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [one["loss"] for one in rows] == ["0.1", "0.05"]
    assert [one["dice"] for one in rows] == ["", "0.5"]
    with Image.open(tmp_path / "curves.png") as picture:
        assert picture.width > 900


def test_a_resumed_log_forgets_what_came_after_the_checkpoint(tmp_path: Path) -> None:
    log = TrainingLog(tmp_path)
    for iteration in (10, 20, 30):
        log.add(row(iteration))
    assert [one["iteration"] for one in TrainingLog(tmp_path, up_to_iteration=20).rows] == [10, 20]
    assert TrainingLog(tmp_path).rows == []
