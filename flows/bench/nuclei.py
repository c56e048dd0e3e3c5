"""From a network's answer to nuclei, to their table and their label image."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from time import process_time
from typing import TYPE_CHECKING, Any

from flows.bench.measurement import Measurement, Trial, rates, seconds_of
from flows.bench.subject import Subject
from pipeline.errors import SlideError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pipeline.geometry import Frame
    from pipeline.grid import Tile
    from pipeline.nuclei_instances import NucleiParameters

_GROUP, _BUNDLE = "nuclei", "nuclei-unet"


def trials(subject: Subject) -> Iterator[Trial]:
    """In the order of a run."""
    answered = _Answered(subject)
    for name, measure in {"post-processing, a core": _find, "table and GeoJSON": _gather, "label image": _draw}.items():
        yield Trial(_GROUP, (name,), partial(measure, answered, name))


@dataclass(frozen=True, slots=True)
class _Answer:
    """A tile of the slide, and what the shipped network says of it."""

    tile: Tile
    frame: Frame
    pixels: NDArray[np.uint8]
    probabilities: NDArray[np.float32]
    parameters: NucleiParameters


class _Answered:
    """The part of the slide with the most tissue, at the network's resolution; made the first time it is wanted."""

    def __init__(self, subject: Subject) -> None:
        self.subject = subject

    @cached_property
    def answer(self) -> _Answer:
        from models.predict import load_predictor
        from pipeline.grid import Tile
        from pipeline.nuclei_instances import NucleiParameters
        from pipeline.slide import base_source, open_slide

        predict = load_predictor(_BUNDLE)
        with open_slide(self.subject.read_slide) as slide:
            source = base_source(slide, predict.card.mpp)
            side = min(self.subject.sizes.nuclei_px, *source.frame.shape)
            (box,) = self.subject.boxes(source.frame, side, 1)
            pixels = source.read(box)
        parameters = NucleiParameters.from_card(predict.card.postprocessing)
        return _Answer(Tile(0, 0, box, box), source.frame, pixels, predict(pixels[None])[0].astype("f4"), parameters)

    @cached_property
    def rows(self) -> Any:
        """The table of the nuclei. Raises SlideError where there are none to measure with."""
        found = self.find()
        if not len(found):
            msg = (
                f"{self.subject.read_slide}: {_BUNDLE} finds no nuclei in the {self.megapixels:g} megapixels looked at"
            )
            raise SlideError(msg, "Name a slide that holds some: --slide PATH.")
        return found

    def find(self) -> Any:
        from pipeline.nuclei import owned_nuclei

        one = self.answer
        return owned_nuclei(one.probabilities, one.pixels, one.tile, one.frame, one.frame, None, one.parameters)

    @property
    def megapixels(self) -> float:
        return self.answer.tile.core.area_px / 1e6


def _find(answered: _Answered, name: str) -> list[Measurement]:
    found = len(answered.rows)
    took = seconds_of(answered.find, answered.subject.repeat, process_time)
    note = f"post-processing: {found:,} nuclei, seconds of one core's work"
    return [Measurement(_GROUP, name, "megapixels/s", "higher", rates(answered.megapixels, took), note)]


def _gather(answered: _Answered, name: str) -> list[Measurement]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    from pipeline.nuclei_geojson import write_geojson_gz
    from pipeline.nuclei_table import merge_fragments

    folder = answered.subject.scratch / "nuclei"
    folder.mkdir()
    times = math.ceil(answered.subject.sizes.nuclei_rows / max(1, len(answered.rows)))
    rows = pa.concat_tables([answered.rows] * times)
    pq.write_table(rows, folder / "fragment.parquet")

    def gather() -> None:
        merge_fragments([folder / "fragment.parquet"], folder / "nuclei.parquet")
        write_geojson_gz(folder / "nuclei.parquet", folder / "nuclei.geojson.gz")

    took = seconds_of(gather, answered.subject.repeat)
    return [Measurement(_GROUP, name, "nuclei/s", "higher", rates(len(rows), took))]


def _draw(answered: _Answered, name: str) -> list[Measurement]:
    import numpy as np

    from pipeline.nuclei_table import draw_labels

    one = answered.answer
    geometry = answered.rows["geometry"].to_numpy()
    numbers = np.arange(1, len(geometry) + 1, dtype=np.uint32)
    took = seconds_of(
        lambda: draw_labels(geometry, numbers, one.tile.core, one.frame, one.frame), answered.subject.repeat
    )
    return [Measurement(_GROUP, name, "megapixels/s", "higher", rates(answered.megapixels, took))]
