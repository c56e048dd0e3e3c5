"""The super-resolution task: pairs, L1, PSNR."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models.batches import Batch, Better, network_input
from models.data_super_resolution import Pair, PairSet, draw_pair, read_pairs
from models.evaluate import SUPER_RESOLUTION_PROTOCOL, evaluate_super_resolution
from models.losses import l1
from models.train_config import TrainConfig, from_table


@dataclass(frozen=True, slots=True, kw_only=True)
class SuperResolutionOptions:
    """Table `options` of a super-resolution training."""

    crop_px: int = 96
    """Side of the crops at the output's resolution."""
    validation_px: int = 512
    """Side of the middle of each validation image that is looked at."""


class SuperResolutionTask:
    """Learn to undo the antialiased bicubic reduction, by L1."""

    better: Better = None

    def __init__(self, config: TrainConfig) -> None:
        self.options = from_table(SuperResolutionOptions, config.options, config.name)
        self.scale = int(config.network.get("scale", 2))
        root = Path(config.data_root)
        self.sets: list[PairSet] = [read_pairs(one, root, self.scale, config.seed) for one in config.sources]
        self.names = [one.name for one in config.sources]

    def draw(self, rng: np.random.Generator, count: int) -> Batch:
        """Return `count` crops: `low` and `high`, (n, 3, y, x) uint8."""
        drawn = [draw_pair(self.sets, self.options.crop_px, self.scale, rng) for _ in range(count)]
        low, high = (torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2) for images in zip(*drawn, strict=True))
        return {"low": low, "high": high}

    def loss(self, network: nn.Module, batch: Batch) -> Tensor:
        """Return the mean absolute error on [0, 1]."""
        return l1(network(batch["low"].float() / 255), batch["high"].float() / 255)

    def validate(self, network: nn.Module) -> dict[str, float]:
        """Return PSNR and its gain over bicubic on the middle of the validation images."""
        pairs = [self._middle(pair) for one in self.sets for pair in one.validation]
        if not pairs:
            return {}
        figures, _ = evaluate_super_resolution(pairs, lambda low: enlarge(network, low), self.scale)
        return {"psnr_rgb": figures["psnr_rgb"]["mean"], "gain_db": figures["psnr_rgb_gain"]["mean"]}

    def _middle(self, pair: Pair) -> Pair:
        half = self.options.validation_px // self.scale // 2
        y, x = (length // 2 for length in pair.low.shape[:2])
        low = (slice(max(y - half, 0), y + half), slice(max(x - half, 0), x + half))
        high = tuple(slice(side.start * self.scale, side.stop * self.scale) for side in low)
        return Pair(pair.name, pair.high[high], pair.low[low])

    def finish(self, network: nn.Module) -> None:
        """Nothing is fitted after the training."""

    def card_fields(self) -> dict[str, Any]:
        """Return the card's fields that follow from the task."""
        return {"scale": self.scale, "classes": None, "field_px": None}

    def split(self) -> dict[str, Any]:
        """Return who was trained on and who was held out."""
        return {
            "train_patients": [name for one in self.sets for name in one.train_patients],
            "test_patients": [name for one in self.sets for name in one.test_patients],
        }

    def test(self, network: nn.Module) -> dict[str, Any]:
        """Return the card's metrics: each source's held-out images, beside bicubic interpolation."""
        test, baseline = {}, {}
        for name, one in zip(self.names, self.sets, strict=True):
            if one.test:
                figures = evaluate_super_resolution(one.test, lambda low: enlarge(network, low), self.scale)
                test[name], baseline[name] = figures
        protocol = SUPER_RESOLUTION_PROTOCOL.format(border=self.scale)
        return {"protocol": protocol, "test": test, "baseline": {"method": "bicubic interpolation", **baseline}}


def enlarge(network: nn.Module, low: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return (scale y, scale x, 3) uint8 of (y, x, 3) uint8, computed in float32."""
    drawn = network(network_input(network, low)).clamp(0, 1)[0].permute(1, 2, 0)
    enlarged: NDArray[np.uint8] = (drawn * 255).round().byte().cpu().numpy()
    return enlarged
