"""Real tissue with artefacts put on it whose place is known, and quality control of such pictures without a store."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy import ndimage

from pipeline.geometry import Frame
from pipeline.halving import halve_mean
from pipeline.qc_flags import CellGrid, QcMap
from pipeline.qc_measure import HALO_PX, measure
from pipeline.qc_stage import INSPECTED_MPP
from pipeline.qc_thumbnail import glance
from pipeline.qc_verdict import judge
from pipeline.tissue import TissueMask, tissue_on

Pixels = NDArray[np.uint8]
Mask = NDArray[np.bool_]

WHITE = 240.0

# As pens look on bare glass: light through a stroke, RGB; as scanned with white at 240.
PENS = {
    "blue": (38, 58, 140), "light blue": (88, 108, 186), "green": (28, 112, 70), "light green": (90, 170, 120),
    "black": (32, 32, 36), "red": (196, 34, 44),
}  # fmt: skip


def inspect_picture(pixels: Pixels, mpp: float, tile_px: int = 4096) -> tuple[QcMap, TissueMask, dict[str, float]]:
    """Quality control of (y, x, 3) RGB as a slide of `mpp`, in tiles of any size, without a store."""
    level0 = Frame(pixels.shape[0], pixels.shape[1], mpp)
    picture, coarse = thumbnail_of(pixels, level0)
    tissue = tissue_on(picture, coarse)
    seen = glance(picture, coarse, tissue.mask)
    times = max(0, round(np.log2(INSPECTED_MPP / mpp)))
    inspected = pixels
    for _ in range(times):
        inspected = halve_mean(inspected)
    cells = CellGrid.over(level0, 16 * 2**times)
    measures = measure_in_tiles(inspected, cells.side_px // 2**times, tile_px, seen.white)
    flags, figures = judge(measures, cells.frame, seen, tissue, mpp * 2**times)
    return flags, tissue, figures


def thumbnail_of(pixels: Pixels, level0: Frame) -> tuple[Pixels, Frame]:
    """The picture that tissue is looked for on: as `tissue.look_over`, of an array."""
    mpp = max(min(8.0, level0.mpp * max(1.0, min(level0.shape) / 128)), level0.mpp)
    factor = max(1, round(mpp / level0.mpp))
    height, width = (-(-side // factor) * factor for side in level0.shape)
    padded = np.pad(pixels, ((0, height - level0.height), (0, width - level0.width), (0, 0)), mode="edge")
    means = padded.reshape(height // factor, factor, width // factor, factor, 3).mean(axis=(1, 3))
    return np.rint(means).astype(np.uint8), level0.at(level0.mpp * factor)


def measure_in_tiles(
    pixels: Pixels, cell_px: int, tile_px: int, white: tuple[float, float, float]
) -> NDArray[np.float32]:
    """What `measure` says of a whole picture, asked tile by tile; tile_px is a whole number of cells."""
    height, width = pixels.shape[:2]
    rows = []
    for y in range(0, height, tile_px):
        row = []
        for x in range(0, width, tile_px):
            top, left = max(0, y - HALO_PX), max(0, x - HALO_PX)
            bottom, right = min(height, y + tile_px), min(width, x + tile_px)
            read = pixels[top : bottom + HALO_PX, left : right + HALO_PX]
            inner = slice(y - top, bottom - top), slice(x - left, right - left)
            row.append(measure(read, inner, cell_px, white))
        rows.append(np.concatenate(row, axis=1))
    return np.concatenate(rows)


def through_camera(light: NDArray[np.float64], seed: int = 0, noise: float = 1.5, quality: int = 85) -> Pixels:
    """What a camera and JPEG make of light (y, x, 3): a blurred picture of a sharp one has no noise, a real one has."""
    noisy = light + np.random.default_rng(seed).normal(0, noise, light.shape)
    buffer = io.BytesIO()
    Image.fromarray(np.clip(np.rint(noisy), 0, 255).astype(np.uint8)).save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer).convert("RGB"))


def out_of_focus(pixels: Pixels, where: Mask, sigma_px: float) -> Pixels:
    """Blurred by a Gaussian of sigma_px inside `where`; the camera comes after the lens, everywhere."""
    light = pixels.astype(np.float64)
    blurred = ndimage.gaussian_filter(light, (sigma_px, sigma_px, 0), mode="nearest")
    return np.asarray(np.where(where[..., np.newaxis], through_camera(blurred), pixels), np.uint8)


def folded_over(pixels: Pixels, where: Mask, layers: int, shift_px: tuple[int, int]) -> Pixels:
    """More layers of the same tissue on itself inside `where`, each shifted: densities add, light is multiplied."""
    light = pixels.astype(np.float64)
    for layer in range(1, layers):
        above = np.roll(pixels, (layer * shift_px[0], layer * shift_px[1]), axis=(0, 1))
        light *= np.minimum(above / WHITE, 1.0)
    return np.asarray(np.where(where[..., np.newaxis], np.rint(light), pixels), np.uint8)


def inked(pixels: Pixels, where: Mask, pen: str, mpp: float) -> Pixels:
    """A stroke over a picture: light is multiplied by what the ink lets through, thicker and thinner in places."""
    uneven = ndimage.gaussian_filter(np.random.default_rng(1).normal(0, 1, where.shape), 30 / mpp / 4)
    uneven = 1 + 0.12 * uneven / max(float(uneven.std()), 1e-9)
    amount = ndimage.gaussian_filter(where.astype(np.float64), 4 / mpp) * uneven
    through = (np.array(PENS[pen]) / WHITE) ** amount[..., np.newaxis]
    return np.asarray(np.clip(np.rint(pixels * through), 0, 255), np.uint8)


def dusty(pixels: Pixels, mpp: float, count: int, seed: int = 0) -> tuple[Pixels, Mask]:
    """Grains of 20 to 60 um, dark and grey, over a picture; and where they lie."""
    random = np.random.default_rng(seed)
    drawing = Image.new("L", (pixels.shape[1], pixels.shape[0]))
    pen = ImageDraw.Draw(drawing)
    for _ in range(count):
        y, x = random.uniform(0, pixels.shape[0]), random.uniform(0, pixels.shape[1])
        points = 9
        angles = np.sort(random.uniform(0, 2 * np.pi, points))
        reach = random.uniform(10, 30) / mpp * random.uniform(0.7, 1.0, points)
        pen.polygon([(x + r * np.cos(a), y + r * np.sin(a)) for r, a in zip(reach, angles, strict=True)], fill=255)
    where = np.asarray(drawing) > 0
    amount = ndimage.gaussian_filter(where.astype(np.float64), 1.5 / mpp)
    return np.rint(pixels * 0.13 ** amount[..., np.newaxis]).astype(np.uint8), where


def bubble(pixels: Pixels, mpp: float, centre_um: tuple[float, float], radius_um: float) -> tuple[Pixels, Mask]:
    """The rim of an air bubble, 30 um of grey shadow; and where it lies."""
    y, x = np.ogrid[: pixels.shape[0], : pixels.shape[1]]
    away = np.hypot(y * mpp - centre_um[0], x * mpp - centre_um[1]) - radius_um
    where = np.abs(away) < 15
    amount = ndimage.gaussian_filter(where.astype(np.float64), 3 / mpp)
    return np.rint(pixels * 0.22 ** amount[..., np.newaxis]).astype(np.uint8), where


def band(shape: tuple[int, ...], mpp: float, width_um: float, across: float = 0.5) -> Mask:
    """A diagonal band of width_um through a picture."""
    y, x = np.ogrid[: shape[0], : shape[1]]
    middle = across * (shape[0] + shape[1])
    return np.asarray(np.abs(y + x - middle) * mpp / np.sqrt(2) < width_um / 2)


def on_cells(mask: Mask, mpp: float, flags: QcMap) -> NDArray[np.float64]:
    """The share of every cell that a mask of level-0 pixels covers."""
    side = round(flags.frame.mpp / mpp)
    height, width = (side * count for count in flags.frame.shape)
    padded = np.pad(mask.astype(np.float64), ((0, height - mask.shape[0]), (0, width - mask.shape[1])))
    return np.asarray(padded.reshape(flags.frame.height, side, flags.frame.width, side).mean(axis=(1, 3)))
