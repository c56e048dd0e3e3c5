"""The nuclei task: crops with three classes, cross-entropy and soft Dice, figures of instances."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from models.batches import Batch, Better, network_input, normalise
from models.card import Normalisation
from models.data_nuclei import LabelledImage, NucleiAugmentation, NucleiSet, draw_nuclei, read_nuclei
from models.evaluate import NUCLEI_PROTOCOL, Figures, evaluate_nuclei
from models.instances import InstanceStep
from models.losses import contour_dice, nuclei_cross_entropy, soft_dice
from models.train_config import TrainConfig, from_table
from models.turns import Rival, Turn, alone


@dataclass(frozen=True, slots=True, kw_only=True)
class NucleiOptions:
    """Table `options` of a nuclei training."""

    crop_px: int = 256
    class_weights: tuple[float, float, float] = (1.0, 1.0, 2.0)
    """Of background, interior, contour in the cross-entropy."""
    contour_dice: float = 0.0
    """Weight of an additional soft Dice over the contour alone."""
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    augmentation: dict[str, float] = field(default_factory=dict)
    """Keyword arguments of `NucleiAugmentation`."""
    instances: dict[str, float] = field(default_factory=dict)
    """Keyword arguments of `InstanceStep`."""


class NucleiTask:
    """Learn background, interior and contour by cross-entropy and soft Dice."""

    better: Better = None

    def __init__(self, config: TrainConfig) -> None:
        self.options = from_table(NucleiOptions, config.options, config.name)
        self.augmentation = from_table(NucleiAugmentation, self.options.augmentation, config.name)
        self.instances = from_table(InstanceStep, self.options.instances, config.name)
        self.normalisation = Normalisation(self.options.mean, self.options.std)
        root = Path(config.data_root)
        self.sets: list[NucleiSet] = [read_nuclei(one, root, config.seed) for one in config.sources]

    def draw(self, rng: np.random.Generator, count: int) -> Batch:
        """Return `count` crops: `image` (n, 3, y, x) uint8 and `classes` (n, y, x) uint8."""
        drawn = [draw_nuclei(self.sets, self.options.crop_px, self.augmentation, rng) for _ in range(count)]
        images, classes = (torch.from_numpy(np.stack(arrays)) for arrays in zip(*drawn, strict=True))
        return {"image": images.permute(0, 3, 1, 2), "classes": classes}

    def rivals(self) -> dict[str, Rival]:
        """Nobody."""
        return {}

    def turns(self) -> Sequence[Turn]:
        """Every step is the network's."""
        return alone(self.loss)

    def loss(self, network: nn.Module, batch: Batch) -> Tensor:
        """Return weighted cross-entropy + soft Dice of the nuclei."""
        logits, target = network(normalise(batch["image"], self.normalisation)), batch["classes"].long()
        weights = logits.new_tensor(self.options.class_weights)
        total = nuclei_cross_entropy(logits, target, weights) + soft_dice(logits, target)
        if self.options.contour_dice:
            total = total + self.options.contour_dice * contour_dice(logits, target)
        return total

    def validate(self, network: nn.Module) -> dict[str, float]:
        """Return Dice, AJI and PQ on the validation images."""
        images = [image for one in self.sets for image in one.validation]
        if not images:
            return {}
        figures, _ = self._figures(images, network)
        return {name: figures[name]["mean"] for name in ("dice", "aji", "pq") if name in figures}

    def _figures(self, images: list[LabelledImage], network: nn.Module) -> tuple[Figures, Figures]:
        return evaluate_nuclei(images, lambda image: segment(network, image, self.normalisation), self.instances)

    def finish(self, network: nn.Module) -> None:
        """Nothing is fitted after the training."""

    def card_fields(self) -> dict[str, Any]:
        """Return the card's fields that follow from the task."""
        return {
            "classes": ("background", "interior", "contour"),
            "normalisation": self.normalisation,
            "postprocessing": dict(self.instances.as_dict()),
        }

    def split(self) -> dict[str, Any]:
        """Return who was trained on and who was held out."""
        return {
            "train_patients": [f"{one.name}: {name}" for one in self.sets for name in one.train_patients],
            "test_patients": [f"{one.name}: {name}" for one in self.sets for name in one.test_patients],
        }

    def test(self, network: nn.Module) -> dict[str, Any]:
        """Return the card's metrics: each source's held-out images, beside finding nothing."""
        test, baseline = {}, {}
        for one in self.sets:
            if one.test:
                test[one.name], baseline[one.name] = self._figures(one.test, network)
        return {"protocol": NUCLEI_PROTOCOL, "test": test, "baseline": {"method": "all background", **baseline}}


def segment(network: nn.Module, image: NDArray[np.uint8], normalisation: Normalisation) -> NDArray[np.float32]:
    """Return class probabilities (y, x, k) of an image (y, x, 3), the border mirrored up to the network's stride."""
    height, width = image.shape[:2]
    stride_px: int = network.stride_px  # type: ignore[assignment]
    padding = [(0, -length % stride_px) for length in (height, width)]
    tensor = network_input(network, np.pad(image, [*padding, (0, 0)], mode="reflect"), normalisation)
    probabilities = functional.softmax(network(tensor), dim=1)[0].permute(1, 2, 0)
    found: NDArray[np.float32] = probabilities[:height, :width].cpu().numpy()
    return found
