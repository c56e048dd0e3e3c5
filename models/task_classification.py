"""The classification task: patches, smoothed cross-entropy, a fitted temperature."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from models.batches import Batch, Better, network_input, normalise
from models.card import Normalisation
from models.data_patches import PatchSet, draw_patch, read_patches, split_patches
from models.errors import TrainingError
from models.evaluate_classification import CLASSIFICATION_PROTOCOL, Figures, evaluate_classification
from models.hybrid_resnet import HybridResNet
from models.losses import hybrid_cross_entropy, patch_cross_entropy
from models.train_config import TrainConfig, from_table
from models.turns import Rival, Turn, alone


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassificationOptions:
    """Table `options` of a classification training."""

    classes: tuple[str, ...]
    field_px: int
    label_smoothing: float = 0.05
    auxiliary: float = 0.3
    """Weight of the loss of each auxiliary head."""
    stain: float = 0.15
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)


class ClassificationTask:
    """Learn a patch's class by smoothed cross-entropy, every class drawn equally often."""

    better: Better = ("auc", "highest")

    def __init__(self, config: TrainConfig) -> None:
        if len(config.sources) != 1:
            what = f"{config.name}: {len(config.sources)} sources"
            raise TrainingError(what, "Give a classification one source.")
        self.options = from_table(ClassificationOptions, config.options, config.name)
        self.normalisation = Normalisation(self.options.mean, self.options.std)
        source, root = config.sources[0], Path(config.data_root)
        patches = read_patches(source, root, self.options.classes, self.options.field_px)
        self.parts = split_patches(patches, source, config.seed)
        self.train_patches, self.validation_patches, self.test_patches = (
            patches.of(part) for part in (self.parts.train, self.parts.validation, self.parts.test)
        )
        self.by_class = [np.flatnonzero(self.train_patches.labels == label) for label in range(self.classes)]

    @property
    def classes(self) -> int:
        """How many classes there are."""
        return len(self.options.classes)

    def draw(self, rng: np.random.Generator, count: int) -> Batch:
        """Return `count` patches: `image` (n, 3, y, x) uint8 and `label` (n,)."""
        drawn = [draw_patch(self.train_patches, self.by_class, self.options.stain, rng) for _ in range(count)]
        images, labels = zip(*drawn, strict=True)
        return {"image": torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2), "label": torch.tensor(labels)}

    def rivals(self) -> dict[str, Rival]:
        """Nobody."""
        return {}

    def turns(self) -> Sequence[Turn]:
        """Every step is the network's."""
        return alone(self.loss)

    def loss(self, network: nn.Module, batch: Batch) -> Tensor:
        """Return the smoothed cross-entropy, of all heads where the network has several."""
        image, smoothing = normalise(batch["image"], self.normalisation), self.options.label_smoothing
        if isinstance(network, HybridResNet):
            return hybrid_cross_entropy(network.all_heads(image), batch["label"], smoothing, self.options.auxiliary)
        return patch_cross_entropy(network(image), batch["label"], smoothing)

    def validate(self, network: nn.Module) -> dict[str, float]:
        """Return balanced accuracy and AUC on the validation patients."""
        if not len(self.validation_patches.labels):
            return {}
        figures = self._figures(self.validation_patches, network)[0]
        return {name: figures[name] for name in ("balanced_accuracy", "auc", "ece")}

    def _figures(self, patches: PatchSet, network: nn.Module) -> tuple[Figures, Figures]:
        logits = classify(network, patches.pixels, self.normalisation)
        probabilities = functional.softmax(torch.from_numpy(logits), dim=1).numpy()
        return evaluate_classification(patches.labels, probabilities, patches.patients)

    def finish(self, network: nn.Module) -> None:
        """Fit a temperature on the validation patients and fold it into the last layer: softmax is then calibrated."""
        if not len(self.validation_patches.labels):
            return
        logits = classify(network, self.validation_patches.pixels, self.normalisation)
        temperature = fit_temperature(logits, self.validation_patches.labels)
        last = [module for module in network.head.modules() if isinstance(module, nn.Linear)][-1]  # type: ignore[union-attr]
        with torch.no_grad():
            last.weight.div_(temperature)
            last.bias.div_(temperature)

    def card_fields(self) -> dict[str, Any]:
        """Return the card's fields that follow from the task."""
        return {
            "classes": self.options.classes,
            "field_px": self.options.field_px,
            "normalisation": self.normalisation,
        }

    def split(self) -> dict[str, Any]:
        """Return who was trained on and who was held out."""
        return {
            "train_patients": list(self.parts.train),
            "validation_patients": list(self.parts.validation),
            "test_patients": list(self.parts.test),
        }

    def test(self, network: nn.Module) -> dict[str, Any]:
        """Return the card's metrics on the test patients, beside always saying the commonest class."""
        test, baseline = self._figures(self.test_patches, network) if len(self.test_patches.labels) else ({}, {})
        return {
            "protocol": CLASSIFICATION_PROTOCOL,
            "test": test,
            "baseline": {"method": "always the commonest class", **baseline},
        }


def classify(
    network: nn.Module, patches: NDArray[np.uint8], normalisation: Normalisation, at_once: int = 64
) -> NDArray[np.float32]:
    """Return logits (n, k) of patches (n, y, x, 3)."""
    logits = [
        network(network_input(network, patches[start : start + at_once], normalisation)).cpu().numpy()
        for start in range(0, len(patches), at_once)
    ]
    return np.concatenate(logits)


def fit_temperature(logits: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
    """Return the T > 0 that makes the cross-entropy of logits / T least, by golden section in log T.

    Guo et al. 2017, "On calibration of modern neural networks".
    """
    scores, truth = torch.from_numpy(logits).double(), torch.from_numpy(labels)

    def cross_entropy(log_temperature: float) -> float:
        return float(functional.cross_entropy(scores / np.exp(log_temperature), truth))

    low, high, ratio = -3.0, 3.0, (5**0.5 - 1) / 2
    while high - low > 1e-4:
        left, right = high - ratio * (high - low), low + ratio * (high - low)
        low, high = (low, right) if cross_entropy(left) < cross_entropy(right) else (left, high)
    return float(np.exp((low + high) / 2))
