"""Figures that were computed already, a JSON line each: a comparison that is stopped goes on where it was.

A line is filed under what decides its figures: the network and its weights, how the image was made coarser and
enlarged, what the instance step and the metrics do with a fixed probe, and the bytes of image and labels. What changes
any of these is computed anew; what changes comments is not. Whose the image is and what it shows is not kept: that is
for the comparison's file to say, whenever it is read.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from models.errors import EvaluationError
from models.evaluate_nuclei import Row, judge_instances
from models.nuclei_image import LabelledImage

_PROBE_PX = 192
_BLOB_PX = 5.0
"""Sigma of the probe's noise: its blobs are as large as nuclei, and many touch."""
_CONTRAST = 4.0


@dataclass(frozen=True, slots=True)
class ImageFigures:
    """The figures of one image: of a method, and of finding nothing."""

    method: Row
    nothing: Row


def key_of(step: Callable[[NDArray[np.float32]], NDArray[np.int32]], **facts: Any) -> str:
    """Return a hash of the facts that figures follow from, and of what the instance step and the metrics do."""
    found = step(probe())
    other = LabelledImage("probe", np.zeros((*found.shape, 3), np.uint8), np.roll(found, 3, axis=0), instances=True)
    behaviour = [sha256(found.tobytes()).hexdigest(), judge_instances(other, found)]
    return sha256(json.dumps([facts, behaviour], sort_keys=True).encode()).hexdigest()


def probe() -> NDArray[np.float32]:
    """Return class probabilities (y, x, 3) with blobs of all sizes: smoothed noise, always the same."""
    noise = np.random.default_rng(0).normal(size=(_PROBE_PX, _PROBE_PX, 3))
    smooth = ndimage.gaussian_filter(noise, (_BLOB_PX, _BLOB_PX, 0))
    powers = np.exp(_CONTRAST * smooth / smooth.std())
    return np.asarray(powers / powers.sum(axis=2, keepdims=True), np.float32)


class FiguresCache:
    """The figures of images, by key and the image's fingerprint, in one file that only grows."""

    def __init__(self, path: Path) -> None:
        """Read what is there. A line that was cut short, by a power cut perhaps, counts as none.

        Raises
        ------
        EvaluationError
            if the file can be neither read nor made.
        """
        self._path = path
        self._found: dict[tuple[str, str], ImageFigures] = {}
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            text = path.read_text(encoding="utf-8") if path.exists() else ""
            if text and not text.endswith("\n"):
                self._append("\n")
        except OSError as error:
            raise EvaluationError.about(path, f"cannot be used ({error})", "Name another --work.") from error
        for line in text.splitlines():
            try:
                table = json.loads(line)
            except json.JSONDecodeError:
                continue
            self._found[table["key"], table["image"]] = ImageFigures(table["method"], table["nothing"])

    def get(self, key: str, fingerprint: str) -> ImageFigures | None:
        """Return the figures of an image, if they are there."""
        return self._found.get((key, fingerprint))

    def add(self, key: str, fingerprint: str, figures: ImageFigures) -> None:
        """Keep the figures of an image, on disk before this returns."""
        self._append(json.dumps({"key": key, "image": fingerprint, **asdict(figures)}) + "\n")
        self._found[key, fingerprint] = figures

    def _append(self, text: str) -> None:
        with self._path.open("a", encoding="utf-8") as file:
            file.write(text)
