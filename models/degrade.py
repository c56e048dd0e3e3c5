"""How the small image of a pair is made from the large one: the operator that a super-resolver learns to undo.

Every degradation is a function of (y, x, 3) uint8 to (y / scale, x / scale, 3) uint8, rounded to 8 bits before any
network sees it. `bicubic_aa` is what the figures of the field are quoted for; `blur_noise_jpeg` is nearer to a scanner
(the order blur, reduction, noise, JPEG follows Real-ESRGAN: Wang et al. 2021, with milder strengths); `box_jpeg` is
what was found in slides' own lower levels: the mean of each square, compressed on its own; `pyramid` is not computed at
all: the small image is the slide's own lower level, which `models.data_slides` reads.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from models.errors import TrainingError

Pixels = NDArray[np.uint8]
Degradation = Literal["bicubic_aa", "bilinear_aa", "blur_noise_jpeg", "box_jpeg", "pyramid"]
BY_LOT: tuple[Degradation, ...] = ("blur_noise_jpeg", "box_jpeg")
"""Those that come out differently each time."""

_BLUR_SIGMA_PX = (0.2, 1.5)
_PHOTONS_AT_WHITE = (2_000.0, 20_000.0)  # shot noise of 5.7 to 1.8 grey levels at white, where a scanner's glass is
_READ_NOISE_LEVELS = (0.0, 2.0)
_JPEG_QUALITY = (60, 95)
_LEVEL_JPEG_QUALITY = (70, 95)
_SUBSAMPLINGS = ("4:4:4", "4:2:2", "4:2:0")
_TRUNCATE_SIGMAS = 4.0
_JPEG_UNIT_PX = 16  # 8 x 8 blocks, with colour at half the resolution


@dataclass(frozen=True, slots=True)
class Reach:
    """What a px of the reduction depends on, in px of the reduction.

    Cut a large image by `around`, reduce it, and the inner part is what the whole image's reduction shows there.
    """

    filter_px: int
    """How far blur and reduction look beyond a px."""
    unit_px: int = 1
    """Side of the blocks that are compressed as one: of a px's block, all px must be right."""
    blend_px: int = 0
    """How far a decoder smooths over the border of a block."""

    def around(self, box: slice, length_px: int) -> slice:
        """Return the part of an axis of `length_px` that the px of `box` depend on; it begins with a block."""
        start = self._first_of_unit(self._first_of_unit(box.start - self.blend_px) - self.filter_px)
        stop = self._end_of_unit(self._end_of_unit(box.stop + self.blend_px) + self.filter_px)
        return slice(max(start, 0), min(stop, length_px))

    def _first_of_unit(self, place: int) -> int:
        return place // self.unit_px * self.unit_px

    def _end_of_unit(self, place: int) -> int:
        return -(-place // self.unit_px) * self.unit_px


def reach_of(kind: Degradation, scale: int) -> Reach:
    """Return how far a degradation looks: bilinear 1 px beyond a px's centre, bicubic 2, a Gaussian 4 sigma."""
    if kind == "blur_noise_jpeg":
        blur_px = math.ceil(_TRUNCATE_SIGMAS * _BLUR_SIGMA_PX[1] / scale)
        return Reach(blur_px + 2, unit_px=_JPEG_UNIT_PX, blend_px=2)
    if kind == "box_jpeg":
        return Reach(0, unit_px=_JPEG_UNIT_PX, blend_px=2)
    return Reach(1 if kind == "bilinear_aa" else 2)


def degrade(image: Pixels, scale: int, kind: Degradation, rng: np.random.Generator) -> Pixels:
    """Return (y, x, 3) reduced to (y // scale, x // scale, 3); what exceeds a multiple of the scale is cut off first.

    Raises
    ------
    TrainingError
        if there is no such degradation of an image.
    """
    if kind not in _DEGRADATIONS:
        what = f"degradation: {kind!r} is not made from an image"
        raise TrainingError(what, f"Take one of {', '.join(_DEGRADATIONS)}; `pyramid` needs a source of kind `slide`.")
    return _DEGRADATIONS[kind](cut_to_multiple(image, scale), scale, rng)


def cut_to_multiple(image: Pixels, scale: int) -> Pixels:
    """Return (y, x, 3) without the rows below and the columns to the right that exceed a multiple of the scale."""
    height, width = (length // scale * scale for length in image.shape[:2])
    return np.ascontiguousarray(image[:height, :width])


def reduce_bicubic(image: Pixels, scale: int) -> Pixels:
    """Return (y, x, 3) reduced to (y / scale, x / scale, 3) by antialiased bicubic (a = -0.5), rounded."""
    return _resize(image, image.shape[0] // scale, image.shape[1] // scale, Image.Resampling.BICUBIC)


def reduce_bilinear(image: Pixels, scale: int) -> Pixels:
    """Return (y, x, 3) reduced to (y / scale, x / scale, 3) by antialiased bilinear (a triangle), rounded."""
    return _resize(image, image.shape[0] // scale, image.shape[1] // scale, Image.Resampling.BILINEAR)


def reduce_box(image: Pixels, scale: int) -> Pixels:
    """Return (y, x, 3) reduced to (y / scale, x / scale, 3), each px the mean of a square, rounded."""
    return _resize(image, image.shape[0] // scale, image.shape[1] // scale, Image.Resampling.BOX)


def enlarge_bicubic(image: Pixels, scale: int) -> Pixels:
    """Return (y, x, 3) enlarged to (scale y, scale x, 3) by bicubic, rounded: the baseline."""
    return _resize(image, image.shape[0] * scale, image.shape[1] * scale, Image.Resampling.BICUBIC)


def _resize(image: Pixels, height: int, width: int, resampling: Image.Resampling) -> Pixels:
    return np.asarray(Image.fromarray(image).resize((width, height), resampling))


@dataclass(frozen=True, slots=True)
class Scanner:
    """What a coarser scan does to a picture, besides having larger pixels."""

    blur_sigma_px: float
    """Of a Gaussian, in px before the reduction."""
    photons_at_white: float
    """Shot noise is Poisson: the fewer photons, the more of it."""
    read_noise_levels: float
    """Deviation of the Gaussian noise that does not depend on the light, in grey levels."""
    jpeg_quality: int
    """Of libjpeg, colour at half the resolution."""


def draw_scanner(rng: np.random.Generator) -> Scanner:
    """Return a scanner by lot: blur 0.2 to 1.5 px, JPEG quality 60 to 95, noise as of 2,000 to 20,000 photons."""
    return Scanner(
        blur_sigma_px=float(rng.uniform(*_BLUR_SIGMA_PX)),
        photons_at_white=float(np.exp(rng.uniform(*np.log(_PHOTONS_AT_WHITE)))),
        read_noise_levels=float(rng.uniform(*_READ_NOISE_LEVELS)),
        jpeg_quality=int(rng.integers(_JPEG_QUALITY[0], _JPEG_QUALITY[1] + 1)),
    )


def scan(image: Pixels, scale: int, scanner: Scanner, rng: np.random.Generator) -> Pixels:
    """Return (y, x, 3) as a scanner of `scale` times the mpp would show it: blurred, reduced, noisy, compressed."""
    sigmas = (scanner.blur_sigma_px, scanner.blur_sigma_px, 0)
    blurred = ndimage.gaussian_filter(image.astype(np.float32), sigmas, mode="nearest", truncate=_TRUNCATE_SIGMAS)
    size = (image.shape[1] // scale, image.shape[0] // scale)
    channels = [Image.fromarray(blurred[..., channel]).resize(size, Image.Resampling.BICUBIC) for channel in range(3)]
    light = np.clip(np.stack([np.asarray(one) for one in channels], axis=2), 0, 255)
    photons_per_level = scanner.photons_at_white / 255
    noisy = rng.poisson(light * photons_per_level) / photons_per_level
    noisy += rng.normal(0, scanner.read_noise_levels, noisy.shape)
    return _through_jpeg(np.clip(np.rint(noisy), 0, 255).astype(np.uint8), scanner.jpeg_quality)


def _through_jpeg(image: Pixels, quality: int, subsampling: str = "4:2:0") -> Pixels:
    compressed = io.BytesIO()
    Image.fromarray(image).save(compressed, "JPEG", quality=quality, subsampling=subsampling)
    return np.asarray(Image.open(compressed))


def _bicubic_aa(image: Pixels, scale: int, rng: np.random.Generator) -> Pixels:
    return reduce_bicubic(image, scale)


def _bilinear_aa(image: Pixels, scale: int, rng: np.random.Generator) -> Pixels:
    return reduce_bilinear(image, scale)


def _blur_noise_jpeg(image: Pixels, scale: int, rng: np.random.Generator) -> Pixels:
    return scan(image, scale, draw_scanner(rng), rng)


def _box_jpeg(image: Pixels, scale: int, rng: np.random.Generator) -> Pixels:
    quality = int(rng.integers(_LEVEL_JPEG_QUALITY[0], _LEVEL_JPEG_QUALITY[1] + 1))
    return _through_jpeg(reduce_box(image, scale), quality, str(rng.choice(_SUBSAMPLINGS)))


_DEGRADATIONS: dict[str, Callable[[Pixels, int, np.random.Generator], Pixels]] = {
    "bicubic_aa": _bicubic_aa,
    "bilinear_aa": _bilinear_aa,
    "blur_noise_jpeg": _blur_noise_jpeg,
    "box_jpeg": _box_jpeg,
}
