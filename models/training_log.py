"""The log of a training: one CSV row for each look at the validation images, and a picture of the curves."""

from __future__ import annotations

import csv
import logging
from pathlib import Path

CSV_FILE, CURVES_FILE = "log.csv", "curves.png"
FIXED = ("iteration", "minutes", "learning_rate", "loss")

Row = dict[str, float]
_log = logging.getLogger(__name__)


class TrainingLog:
    """Rows of numbers, kept in memory and in `log.csv`; `curves.png` is redrawn with each row."""

    def __init__(self, folder: Path, *, up_to_iteration: int = 0) -> None:
        """Go on from the rows that are there, up to the iteration of the checkpoint."""
        self.folder = folder
        self.rows = [row for row in _read(folder / CSV_FILE) if row["iteration"] <= up_to_iteration]

    def add(self, row: Row) -> None:
        """Append a row and write both files; a disk that refuses does not end a training, the checkpoint's word counts.

        The rows stay in memory and are written with the next one.
        """
        self.rows.append(row)
        try:
            self._write()
        except OSError as error:
            _log.warning("%s cannot be written (%s); the training goes on", self.folder / CSV_FILE, error)

    def _write(self) -> None:
        columns = list(dict.fromkeys([*FIXED, *(name for one in self.rows for name in one)]))
        with (self.folder / CSV_FILE).open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, columns)
            writer.writeheader()
            writer.writerows({name: f"{value:.6g}" for name, value in one.items()} for one in self.rows)
        self._draw([name for name in columns if name not in ("iteration", "minutes")])

    def _draw(self, names: list[str]) -> None:
        # Without pyplot: no window system, no global state.
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        figure = Figure(figsize=(4 * len(names), 3), layout="constrained")
        FigureCanvasAgg(figure)
        for axes, name in zip(figure.subplots(1, len(names), squeeze=False)[0], names, strict=True):
            points = [(row["iteration"], row[name]) for row in self.rows if name in row]
            axes.plot(*zip(*points, strict=True))
            axes.set(xlabel="iteration", title=name.replace("_", " "))
            axes.grid(alpha=0.3)
        figure.savefig(self.folder / CURVES_FILE, dpi=80)


def _read(path: Path) -> list[Row]:
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return [{name: float(value) for name, value in row.items() if value} for row in csv.DictReader(file)]
