"""How fast probabilities become rows of nuclei, on one core: `python -m tests.benchmarks.bench_nuclei`.

With HISTOLOOM_DATA, on what a bundle says of MoNuSeg images (its own time is not counted), with the parameters of its
card; without, on drawn maps.
Best of several passes, in CPU time.
"""

from __future__ import annotations

import os

# One thread, before anything loads a numerical library.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["OPENBLAS_NUM_THREADS"] = "1"
os.environ["MKL_NUM_THREADS"] = "1"

import argparse
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.nuclei import owned_nuclei
from pipeline.nuclei_instances import CONTOUR, INTERIOR, NucleiParameters, segment
from pipeline.nuclei_measure import Seen, measure
from pipeline.nuclei_outline import trace
from tests.pipeline.nuclei_maps import discs, frame_of, probabilities_of, random_pixels, tile_of

BAR_MEGAPIXELS_S = 5.0


@dataclass(frozen=True, slots=True)
class Map:
    """A picture and what a network says of it."""

    pixels: NDArray[np.uint8]
    probabilities: NDArray[np.float32]
    parameters: NucleiParameters = field(default_factory=NucleiParameters)


def drawn_maps() -> Iterator[Map]:
    """Maps of 1,000 x 1,000 px with some 1,000 discs of 8 to 14 px, every other one touching its neighbour."""
    for seed in range(100):
        random = np.random.default_rng(seed)
        grid = [(y, x) for y in range(20, 1000, 32) for x in range(20, 1000, 32)]
        places = np.array(grid) + random.uniform(-6, 6, (len(grid), 2))
        radii = random.uniform(8, 14, len(grid))
        labels = discs((1000, 1000), [(y, x, radius) for (y, x), radius in zip(places, radii, strict=True)])
        yield Map(random_pixels(seed, labels.shape), probabilities_of(labels))


def real_maps(data: Path, bundle: str) -> Iterator[Map]:
    """MoNuSeg images, 1,000 x 1,000 px at 0.25 um/px."""
    from models.predict import load_predictor

    predict = load_predictor(bundle, "cpu", "fp32")
    parameters = NucleiParameters.from_card(predict.card.postprocessing)
    for path in sorted((data / "nuclei/monuseg/images").iterdir()):
        with Image.open(path) as image:
            pixels = np.asarray(image.convert("RGB"))
        yield Map(pixels, predict(pixels[None])[0].astype(np.float32), parameters)


def steps(one: Map) -> dict[str, Callable[[], object]]:
    """What is timed of a map, by name."""
    parameters, frame = one.parameters, frame_of(one.pixels)
    labels = segment(one.probabilities, parameters)
    nucleus = one.probabilities[..., INTERIOR] + one.probabilities[..., CONTOUR]
    numbers = np.arange(1, labels.max() + 1)
    seen, tile = Seen(frame.box, one.pixels, nucleus), tile_of(frame.box)
    return {
        "segment": lambda: segment(one.probabilities, parameters),
        "outlines": lambda: trace(labels, numbers, (0, 0)),
        "measure, outlines included": lambda: measure(labels, seen, frame, frame, lambda y, x: y + x >= 0),
        "all": lambda: owned_nuclei(one.probabilities, one.pixels, tile, frame, frame, None, parameters),
    }


def seconds(run: Callable[[], object], passes: int) -> float:
    """The least CPU time of several passes."""
    times = []
    for _ in range(passes):
        begin = time.process_time()
        run()
        times.append(time.process_time() - begin)
    return min(times)


def main() -> None:
    """Time each step and print megapixels a second."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=4)
    parser.add_argument("--passes", type=int, default=5)
    parser.add_argument("--bundle", default="nuclei-unet")
    given = parser.parse_args()
    data = os.environ.get("HISTOLOOM_DATA")
    maps = list(islice(real_maps(Path(data), given.bundle) if data else drawn_maps(), given.images))
    megapixels = sum(one.pixels.shape[0] * one.pixels.shape[1] for one in maps) / 1e6
    spent: dict[str, float] = {}
    for one in maps:
        for name, run in steps(one).items():
            spent[name] = spent.get(name, 0.0) + seconds(run, given.passes)
    print(f"{megapixels:.1f} megapixels, {'MoNuSeg' if data else 'drawn'}; bar {BAR_MEGAPIXELS_S:g} megapixels/s")
    for name, total in spent.items():
        print(f"{name:28} {megapixels / total:8.1f} megapixels/s {1e3 * total / megapixels:8.1f} ms a megapixel")


if __name__ == "__main__":
    main()
