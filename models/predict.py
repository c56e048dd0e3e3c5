"""Predictor: tiles in, results out, as numpy arrays; the only place that knows device, precision and memory.

    predict = load_predictor("sr-x2")
    enlarged = predict(tiles)             # (n, y, x, 3) uint8 -> (n, 2y, 2x, 3) uint8

The same tile gives the same bytes whatever other tiles come with it: dense networks see one tile at a time, classifiers
always see batches of one size, the last one filled up. Several threads may call one predictor: on a CPU they compute at
the same time, each with its share of the cores; on a GPU two passes take turns with copies (`models.lanes`).
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models.bundle import load_network
from models.cache import own_cache
from models.card import Card, join_cards
from models.cores import Cores, Sharing
from models.device import Precision, choose_device, choose_precision, resolve_device
from models.engine import Engine, EngineName, require
from models.engine_openvino import OpenVinoEngine
from models.engine_torch import TorchEngine
from models.errors import BundleError, DeviceError
from models.gate import COMPUTING
from models.lanes import CpuPasses, CudaPasses, cuda_passes, download
from models.nuclei_channels import count_classes
from models.shelf import read_card
from models.views import MIRRORED, average_views

__all__ = ["Cascade", "Precision", "Predictor", "load_cascade", "load_predictor", "resolve_device"]

CLASSIFIED_AT_ONCE_CPU = 16
CLASSIFIED_AT_ONCE_CUDA = 256


class Predictor:
    """One bundle's network on one device."""

    def __init__(
        self,
        card: Card,
        network: nn.Module,
        device: torch.device,
        precision: Precision,
        views: int = 1,
        sharing: Sharing | None = None,
        engine: Engine | None = None,
    ) -> None:
        if views not in MIRRORED or (views > 1 and card.task != "nuclei"):
            cure = f"Nuclei networks look at {', '.join(map(str, MIRRORED))} views, others at one."
            raise BundleError.about(card.name, f"cannot look at {views} views", cure)
        if getattr(network, "looks_everywhere", False):
            cure = "Take one whose gates or anchors are fixed, or whose attention keeps to windows."
            raise BundleError.about(card.name, "looks at whole images; it cannot work tile by tile", cure)
        self.card = card
        self.device = str(device)
        self.precision: Precision = precision
        self._views = views
        self._at_once = 1 if card.task != "classification" else _classified_at_once(device)
        chosen = engine or TorchEngine()
        self.engine: EngineName = chosen.name
        self._compute = chosen.prepare(network, card, device, precision, self._at_once)
        self._mean, self._std = (
            torch.tensor(values, device=device).view(1, 3, 1, 1)
            for values in (card.normalisation.mean, card.normalisation.std)
        )
        self._passes = cuda_passes(device) if device.type == "cuda" else CpuPasses()
        self._cores = Cores(sharing) if sharing and device.type == "cpu" else None

    @property
    def at_once(self) -> int:
        """How many tiles or patches go through the network together."""
        return self._at_once

    @property
    def scale(self) -> int:
        """Output side over input side."""
        return self.card.scale or 1

    @property
    def stride_px(self) -> int:
        """What corners of tiles lie on a multiple of."""
        return self.card.stride_px

    @property
    def halo_px(self) -> int:
        """Input px to read around a core so that tiles join without a seam; 0 for classifiers."""
        return self.card.halo_px

    def __call__(self, tiles: NDArray[np.uint8]) -> NDArray[np.uint8] | NDArray[np.float32]:
        """Map (n, y, x, 3) uint8 RGB to what the task gives.

        superresolution: (n, scale y, scale x, 3) uint8. nuclei: (n, y, x, classes) float32 probabilities, offsets
        as they are.
        classification: (n, classes) float32 probabilities, of patches whose sides are the card's field.

        Raises
        ------
        ValueError
            if the array is not of that shape and type.
        DeviceError
            if one tile alone does not fit the device's memory.
        """
        self._check(tiles)
        results = np.empty(self._result_shape(tiles), np.uint8 if self.card.scale else np.float32)
        start = 0
        with COMPUTING.passing(), torch.inference_mode():
            while start < len(tiles):
                if self._cores:  # of a stage's last batches some end earlier than others
                    self._cores.take()
                at_once = self._at_once
                chunk = tiles[start : start + at_once]
                output = self._attempt(chunk, at_once)
                if output is None:
                    self._halve(tiles, at_once)
                else:
                    results[start : start + len(chunk)] = output
                    start += len(chunk)
        return results

    def _attempt(self, chunk: NDArray[np.uint8], at_once: int) -> NDArray[np.uint8] | NDArray[np.float32] | None:
        """Return the output, or None if memory ran out; by then the error no longer holds what it ran out over."""
        ways = [self._passes.one, self._passes.alone] if isinstance(self._passes, CudaPasses) else [self._passes.one]
        for way in ways:
            with suppress(torch.OutOfMemoryError), way():
                return self._predict(chunk, at_once)
        return None

    def _predict(self, chunk: NDArray[np.uint8], at_once: int) -> NDArray[np.uint8] | NDArray[np.float32]:
        count, height, width = chunk.shape[:3]
        filled = [(0, at_once - count)] + [(0, -side % self.stride_px) for side in (height, width)] + [(0, 0)]
        pixels = self._passes.upload(np.pad(chunk, filled, mode="edge")).permute(0, 3, 1, 2)
        image = pixels.float().div_(255).sub_(self._mean).div_(self._std)
        if self.card.task != "superresolution":
            channels = self.card.classes or ()
            answers = average_views(partial(self._answer, count_classes(channels)), image, self._views, channels)
            return answers[:count] if self.card.task == "classification" else answers[:count, :height, :width]
        output: Tensor = self._compute(image)[:count, :, : height * self.scale, : width * self.scale]
        eight_bits = output.clamp(0, 1).mul_(255).round_().to(torch.uint8)
        return download(eight_bits.permute(0, 2, 3, 1))

    def _answer(self, classes: int, image: Tensor) -> NDArray[np.float32]:
        return _probabilities(self._compute(image), classes)

    def _halve(self, tiles: NDArray[np.uint8], at_once: int) -> None:
        """Go on with half as many tiles at once after the device's memory ran out over `at_once`."""
        if at_once == 1:
            height, width = tiles.shape[1:3]
            what = f"a tile of {height} x {width} px does not fit the memory of {self.device}"
            raise DeviceError.about(self.card.name, what, "Take smaller tiles (--core-px), or --device cpu.")
        self._at_once = min(self._at_once, at_once // 2)  # another thread may have been here

    def _check(self, tiles: NDArray[np.uint8]) -> None:
        field = self.card.field_px
        wanted = "(n, y, x, 3)" if field is None else f"(n, {field}, {field}, 3)"
        fits = tiles.ndim == 4 and tiles.shape[3] == 3 and min(tiles.shape[1:3]) > 0
        if not fits or tiles.dtype != np.uint8 or (field is not None and tiles.shape[1:3] != (field, field)):
            msg = f"{self.card.name} wants uint8 {wanted}, not {tiles.dtype} {tiles.shape}"
            raise ValueError(msg)

    def _result_shape(self, tiles: NDArray[np.uint8]) -> tuple[int, ...]:
        count, height, width = tiles.shape[:3]
        if self.card.task == "classification":
            return count, len(self.card.classes or ())
        return count, height * self.scale, width * self.scale, len(self.card.classes or "RGB")


class Cascade:
    """Several super-resolution networks, one behind the other: x2 and x2 make x4. Between them lies uint8 RGB.

    `card` describes the whole, in px of the first input (`models.card.join_cards`).
    """

    def __init__(self, predictors: Sequence[Predictor]) -> None:
        if not predictors or any(predictor.card.task != "superresolution" for predictor in predictors):
            names = ", ".join(predictor.card.name for predictor in predictors) or "no network"
            cure = "Name super-resolution bundles only."
            raise BundleError.about(names, "only super-resolution networks can follow each other", cure)
        self.predictors = tuple(predictors)
        self.card = join_cards([predictor.card for predictor in predictors])
        self.device = predictors[0].device
        self.precision: Precision = predictors[0].precision

    @property
    def scale(self) -> int:
        """Last output's side over first input's side."""
        return self.card.scale or 1

    @property
    def stride_px(self) -> int:
        """What corners of tiles lie on a multiple of, in px of the first input."""
        return self.card.stride_px

    @property
    def halo_px(self) -> int:
        """First input's px to read around a core so that tiles join without a seam."""
        return self.card.halo_px

    def __call__(self, tiles: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Map (n, y, x, 3) uint8 RGB to (n, scale y, scale x, 3) uint8 RGB."""
        for predictor in self.predictors:
            tiles = predictor(tiles).astype(np.uint8, copy=False)
        return tiles


def load_predictor(
    bundle: str | Path,
    device: str = "auto",
    precision: str = "auto",
    blend: float = 0.0,
    views: int = 1,
    sharing: Sharing | None = None,
    engine: str = "torch",
) -> Predictor:
    """Return a bundle's network, ready on a device. What travels to workers is `functools.partial` of this.

    Parameters
    ----------
    bundle
        Name of a shipped bundle, or the path of a bundle's folder.
    device
        `auto` (the first CUDA device, else the CPU), `cpu`, `cuda` or `cuda:N`.
    precision
        `auto` (bf16 where the device computes it natively, else fp32), `fp32` or `bf16`.
    blend
        Share of the second weights of a super-resolver (`models.bundle.load_network`).
    views
        Mirrored views of each tile that a nuclei network answers from: 1, 2 or 4 (`models.views`).
    sharing
        Where several threads call it: says how many share the cores just now. Else a call takes what torch gives it.
    engine
        `torch`, or `openvino` on a CPU where it is installed.

    Raises
    ------
    BundleError
        if card or weights are not what they claim to be, or the engine cannot compute this network.
    DeviceError
        if there is no such device or engine.
    """
    place = choose_device(device)
    computing = _engine(engine, place, read_card(bundle).weights_hash(blend), side_by_side=sharing is not None)
    network = load_network(bundle, blend)
    exactly = choose_precision(precision, str(place))
    return Predictor(read_card(bundle), network, place, exactly, views, sharing, computing)


def load_cascade(
    bundles: Sequence[str | Path],
    device: str = "auto",
    precision: str = "auto",
    blend: float = 0.0,
    sharing: Sharing | None = None,
    engines: Sequence[str] = (),
) -> Cascade:
    """Return several super-resolution networks, one behind the other; the same bundle may come twice.

    `engines` names one for each, as `load_predictor` has it; without, torch computes all.
    """
    wanted = dict(zip(bundles, engines or ["torch"] * len(bundles), strict=True))
    loaded = {
        bundle: load_predictor(bundle, device, precision, blend, sharing=sharing, engine=engine)
        for bundle, engine in wanted.items()
    }
    return Cascade([loaded[bundle] for bundle in bundles])


def _engine(name: str, device: torch.device, weights: str, *, side_by_side: bool) -> Engine:
    """What an engine needs to know of networks with these weights."""
    if require(name, str(device)) == "torch":
        return TorchEngine()
    return OpenVinoEngine(own_cache() / "openvino" / weights.replace("*", "x"), side_by_side)


def _classified_at_once(device: torch.device) -> int:
    return CLASSIFIED_AT_ONCE_CPU if device.type == "cpu" else CLASSIFIED_AT_ONCE_CUDA


def _probabilities(output: Tensor, classes: int) -> NDArray[np.float32]:
    """Map (n, k, ...) to (n, ..., k) in fp32: the first `classes` channels to probabilities, others as they are."""
    channels = output.movedim(1, 0).float().contiguous()
    if channels.is_cuda:
        channels[:classes] = channels[:classes].softmax(0)
        return np.moveaxis(download(channels), 0, -1)
    # In numpy, on one thread: torch shares the work out, and at the seams between threads its exponential rounds
    # differently, so that the bytes would depend on their number.
    array: NDArray[np.float32] = channels.numpy()
    planes = array[:classes]
    planes -= planes.max(0)
    np.exp(planes, out=planes)
    planes /= planes.sum(0)
    return np.moveaxis(array, 0, -1)
