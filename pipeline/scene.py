"""What a picture of a finished slide needs, read from its folder in bounded memory.

Nothing here reads a layer whole unless it is about the size of the picture; tables are read a few rows at a time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import shapely
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import uniform_filter

from pipeline.errors import StoreError
from pipeline.geometry import Box, Frame
from pipeline.nuclei_table import NucleiIndex
from pipeline.record import Record
from pipeline.store import SlideStore

# A slide smaller than the picture is enlarged by whole pixels, up to this.
_MOST_ZOOM = 8


@dataclass(frozen=True, slots=True)
class Overview:
    """The whole slide at a picture's size."""

    pixels: NDArray[np.uint8]
    """(y, x, 3) RGB."""
    frame: Frame
    """One pixel of it a pixel of the picture; mpp in um."""
    tissue: NDArray[np.bool_] | None
    """(y, x); None where the store has no mask."""


@dataclass(frozen=True, slots=True)
class Heat:
    """One class of a heat map, as a picture shows it."""

    classifier: str
    label: str
    values: NDArray[np.float32]
    """(y, x) in 0..1 over an overview; NaN where nothing was classified."""


@dataclass(frozen=True, slots=True)
class Scene:
    """A slide's folder, opened to be looked at."""

    folder: Path
    record: Record
    store: SlideStore
    base: Frame
    """Of the pixels that the slide was read at."""
    level0: Frame
    """Of the coordinates in the tables."""
    sr: Frame | None
    """Of the super-resolved pixels."""

    @property
    def name(self) -> str:
        """The slide's name."""
        return self.folder.name

    @property
    def nuclei_path(self) -> Path | None:
        """The table of nuclei, where there is one."""
        path = self.folder / "nuclei.parquet"
        return path if path.is_file() else None

    @property
    def sr_scale(self) -> int:
        """Super-resolved pixels along a side of one that was read; 1 where nothing was super-resolved."""
        return round(self.sr.pixels_per(self.base)) if self.sr else 1


def open_scene(folder: Path, run: Mapping[str, Any]) -> Scene:
    """Open the results in `folder`, which `run` (the content of run.json) tells about.

    Raises
    ------
    StoreError
        if there is no store with an image in it
    """
    stores = sorted(folder.glob("*.ome.zarr"))
    store = SlideStore(stores[0]) if stores else None
    if store is None or not store.has(""):
        msg = f"{folder}: no image to make a picture of"
        raise StoreError(msg, "Run the slide again with --force.")
    record = Record(run)
    base = store.pyramid("").levels[0]
    sr = store.pyramid("sr").levels[0] if store.has("sr") else None
    level0 = record.frame("resolution", "level0")
    return Scene(folder, record, store, base, level0 if level0 and _same_place(level0, base) else base, sr)


def _same_place(level0: Frame, base: Frame) -> bool:
    """Whether both span the same um, but for overhanging pixels: what anyone may have written is no reason to crash."""
    slack_um = 4 * max(level0.mpp, base.mpp)
    pairs = zip(level0.shape, base.shape, strict=True)
    return all(abs(one * level0.mpp - other * base.mpp) <= slack_um for one, other in pairs)


def look_over(scene: Scene, room_px: tuple[int, int]) -> Overview:
    """The whole slide, as large as fits into room_px (height, width); small slides are enlarged by whole pixels."""
    levels = scene.store.pyramid("").levels
    shrink = max(scene.base.height / room_px[0], scene.base.width / room_px[1])
    if shrink <= 1:
        zoom = min(int(1 / shrink), _MOST_ZOOM)
        pixels = scene.store.layer("0").read(scene.base.box)
        pixels = pixels.repeat(zoom, axis=0).repeat(zoom, axis=1)
        frame = scene.base.finer(zoom)
    else:
        frame = Frame(
            max(1, int(scene.base.height / shrink)), max(1, int(scene.base.width / shrink)), scene.base.mpp * shrink
        )
        index = max(level for level, finer in enumerate(levels) if level == 0 or finer.mpp <= frame.mpp)
        whole = Image.fromarray(scene.store.layer(str(index)).read(levels[index].box))
        ratio = frame.pixels_per(levels[index])
        seen = (0.0, 0.0, min(frame.width / ratio, whole.width), min(frame.height / ratio, whole.height))
        pixels = np.asarray(whole.resize((frame.width, frame.height), Image.Resampling.LANCZOS, box=seen))
    tissue = sample(scene.store, "labels/tissue", frame)
    return Overview(pixels, frame, None if tissue is None else tissue > 0)


def heats(scene: Scene, frame: Frame) -> list[Heat]:
    """Of every classifier, the class that a picture shows, over the pixels of `frame`.

    Of two classes the second is shown (the first is the absence of it), of more the one that varies most.
    """
    found = []
    for name in scene.store.images("heatmaps"):
        group = f"heatmaps/{name}"
        values = sample(scene.store, group, frame)
        classes = scene.store.classes(group)
        if values is not None and np.isfinite(values).any():
            shown = 1 if len(classes) == 2 else int(np.argmax(np.nanvar(values, axis=(0, 1), dtype=np.float64)))
            found.append(Heat(name, classes[shown], values[..., shown]))
    return found


def sample(store: SlideStore, group: str, frame: Frame) -> NDArray[Any] | None:
    """The nearest pixel of an image's fitting level, for each pixel of `frame`; None where there is no such image."""
    if not store.has(group):
        return None
    levels = store.pyramid(group).levels
    index = max(level for level, finer in enumerate(levels) if level == 0 or finer.mpp <= frame.mpp)
    level = levels[index]
    rows, columns = (
        np.minimum((np.arange(size) + 0.5) * level.pixels_per(frame), most - 1).astype(int)
        for size, most in zip(frame.shape, level.shape, strict=True)
    )
    sampled: NDArray[Any] = store.layer(f"{group}/{index}").read(level.box)[rows[:, None], columns]
    return sampled


def choose_window(scene: Scene, overview: Overview, shape_px: tuple[int, int]) -> Box:
    """The box of the base frame, of shape_px or the whole frame's side where that is less, with most nuclei in it.

    Without nuclei it is where the tissue is stained most.
    """
    height, width = min(shape_px[0], scene.base.height), min(shape_px[1], scene.base.width)
    y_um, x_um = _densest_um(scene, (height, width)) or _darkest_um(scene.base, overview, (height, width))
    y = min(max(0, round(y_um / scene.base.mpp - height / 2)), scene.base.height - height)
    x = min(max(0, round(x_um / scene.base.mpp - width / 2)), scene.base.width - width)
    return Box(y, x, height, width)


def _densest_um(scene: Scene, shape_px: tuple[int, int]) -> tuple[float, float] | None:
    """The centre of the window that most centroids lie in, of all windows on a grid of half a window."""
    height, width = (max(1.0, side * scene.level0.pixels_per(scene.base) / 2) for side in shape_px)
    counts = np.zeros((int(scene.level0.height / height) + 2, int(scene.level0.width / width) + 2), np.int64)
    for y, x in centroids_px(scene):
        inside = (y >= 0) & (x >= 0) & (y < scene.level0.height) & (x < scene.level0.width)
        np.add.at(counts, ((y[inside] // height).astype(int), (x[inside] // width).astype(int)), 1)
    if not counts.any():
        return None
    windows = counts[:-1, :-1] + counts[1:, :-1] + counts[:-1, 1:] + counts[1:, 1:]
    row, column = np.unravel_index(np.argmax(windows), windows.shape)
    return (int(row) + 1) * height * scene.level0.mpp, (int(column) + 1) * width * scene.level0.mpp


def _darkest_um(base: Frame, overview: Overview, shape_px: tuple[int, int]) -> tuple[float, float]:
    stain = 255.0 - overview.pixels.mean(axis=2)
    if overview.tissue is not None:
        stain *= overview.tissue
    ratio = overview.frame.pixels_per(base)
    around = uniform_filter(stain, [max(1, round(side * ratio)) for side in shape_px], mode="constant")
    row, column = np.unravel_index(np.argmax(around.round(6)), around.shape)
    return (int(row) + 0.5) * overview.frame.mpp, (int(column) + 0.5) * overview.frame.mpp


def centroids_px(scene: Scene) -> Iterator[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """(y, x) of all nuclei in level-0 px, some thousands at a time."""
    if scene.nuclei_path is None:
        return
    with pq.ParquetFile(scene.nuclei_path) as table:
        for batch in table.iter_batches(columns=["centroid_y_level0_px", "centroid_x_level0_px"]):
            y, x = (batch.column(f"centroid_{axis}_level0_px").to_numpy(zero_copy_only=False) for axis in "yx")
            yield y.astype(np.float64), x.astype(np.float64)


def outlines_um(scene: Scene, window: Box) -> list[NDArray[np.float64]]:
    """Outlines, (points, (x, y)), of the nuclei that touch a box of the base frame, in um from its first corner."""
    if scene.nuclei_path is None:
        return []
    geometry, _ = NucleiIndex.open(scene.nuclei_path).touching(scene.level0.cover(window, scene.base))
    origin_um = np.array([window.x, window.y]) * scene.base.mpp
    rings = shapely.get_exterior_ring(shapely.from_wkb(geometry))
    return [shapely.get_coordinates(ring) * scene.level0.mpp - origin_um for ring in rings if ring is not None]
