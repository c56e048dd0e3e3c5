"""docs/pictures/halo.png: what a nuclei network says of a real slide, tile by tile, without a halo and with one.

Run by `make pictures`; takes some ten seconds. The sample slide is fetched where HISTOLOOM_DATA has none.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from models.predict import Predictor, load_predictor
from pipeline.geometry import Box, Frame
from pipeline.grid import TileGrid
from pipeline.sample import SAMPLE_NAME, fetch_sample
from pipeline.slide import open_slide

PICTURE = Path(__file__).parent / "pictures" / "halo.png"
REGION = Box(1200, 900, 320, 320)
CORE_PX = 160


def enlarged() -> NDArray[np.uint8]:
    """A region of the sample slide at 0.25 um/px, (y, x, 3)."""
    given = Path(os.environ.get("HISTOLOOM_DATA", ""), "wsi", SAMPLE_NAME)
    with tempfile.TemporaryDirectory() as folder:
        path = given if os.environ.get("HISTOLOOM_DATA") and given.is_file() else fetch_sample(Path(folder))
        with open_slide(path) as slide:
            region = slide.level(0).read(REGION)
    return np.asarray(load_predictor("sr-x2", "cpu", "fp32")(region[np.newaxis])[0], np.uint8)


def tile_by_tile(predict: Predictor, image: NDArray[np.uint8], halo_px: int) -> NDArray[np.float32]:
    """The probability of a nucleus's interior, (y, x), each core as its own tile says."""
    frame = Frame(image.shape[0], image.shape[1], 0.25)
    answer = np.empty(image.shape[:2], np.float32)
    for tile in TileGrid(frame, CORE_PX, halo_px):
        said = predict(image[tile.read.slices()][np.newaxis])[0]
        answer[tile.core.slices()] = said[tile.core.relative_to(tile.read).slices()][..., 1]
    return answer


def main() -> None:
    """Compute, say the largest differences, draw."""
    mpl.use("Agg")
    image = enlarged()
    predict = load_predictor("nuclei-unet", "cpu", "fp32")
    whole = predict(image[np.newaxis])[0][..., 1]
    wrong = {halo_px: np.abs(tile_by_tile(predict, image, halo_px) - whole) for halo_px in (0, 32, predict.halo_px)}
    for halo_px, difference in wrong.items():
        print(f"halo {halo_px} px: largest difference {difference.max():.3g}, mean {difference.mean():.3g}")
    figure = Figure(figsize=(14, 3.9), dpi=100, layout="constrained")
    axes = figure.subplots(1, 4)
    axes[0].imshow(image)
    axes[0].set_title("super-resolved slide, 0.25 um/px")
    for axis, (halo_px, difference) in zip(axes[1:], wrong.items(), strict=True):
        drawn = axis.imshow(difference, cmap="magma", vmin=0, vmax=0.5)
        axis.set_title(f"halo {halo_px} px: at most {difference.max():.2g} off")
    for axis in axes:
        axis.set_xticks(range(0, image.shape[1] + 1, CORE_PX))
        axis.set_yticks(range(0, image.shape[0] + 1, CORE_PX))
        axis.tick_params(labelbottom=False, labelleft=False)
    figure.colorbar(drawn, ax=axes, label="|tiles - whole image|", shrink=0.9)
    figure.savefig(PICTURE)


if __name__ == "__main__":
    main()
