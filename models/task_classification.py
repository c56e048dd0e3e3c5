"""The classification task: patches, smoothed cross-entropy, a fitted temperature."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
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
from models.data import refuse_shared_patients
from models.data_patches import PatchSet
from models.errors import TrainingError
from models.evaluate_classification import (
    CLASSIFICATION_MEASURES,
    CLASSIFICATION_PROTOCOL,
    evaluate_classes,
    evaluate_classification,
    figures,
)
from models.hybrid_resnet import HybridResNet
from models.losses import hybrid_cross_entropy, patch_cross_entropy
from models.operating_point import choose_operating_point, figures_at
from models.patch_parts import (
    LEAK_PREFIX,
    PatchParts,
    draw_from,
    part_by_image,
    part_by_patient,
    pool,
    refuse_untaught_classes,
)
from models.patches_seen import NATIVE, Sight, distort, distort_all, mix, read_seen
from models.slide_reader import OpenSlide, open_tiff
from models.train_config import SourceConfig, TrainConfig, from_table
from models.turns import Rival, Turn, alone

ReadSeen = Callable[[SourceConfig, Sight], PatchSet]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassificationOptions:
    """Table `options` of a classification training."""

    classes: tuple[str, ...]
    field_px: int
    """Side of a patch as the network sees it."""
    label_smoothing: float = 0.05
    auxiliary: float = 0.3
    """Weight of the loss of each auxiliary head."""
    stain: float = 0.15
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    mixup: float = 0.0
    """Both parameters of the Beta distribution by which two patches of a batch are mixed; 0 mixes none."""
    sr_pre: str = NATIVE
    """What enlarges the patches before the network sees them: `bicubic-x2`, a super-resolution bundle, or `none`. The
    training's mpp and `field_px` are those of the enlarged patch."""
    distortion: float = 0.0
    """Strength of a random affine distortion of all patches, those of the test too: a case of its own, for networks
    that are to undo it."""
    leak_split_by_image: tuple[int, int] | None = None
    """Which of how many folds, from 0, dealt out image by image, is the test. Patients are then on both sides, and the
    figures are worthless: it shows by how much. The training's name must begin with `leak-`, and
    no bundle is made of it but by the comparison."""

    def __post_init__(self) -> None:
        ranges = {
            "mixup": 0 <= self.mixup <= 10,
            "distortion": 0 <= self.distortion <= 1,
            "leak_split_by_image": self.leak_split_by_image is None or len(self.leak_split_by_image) == 2,
        }
        wrong = [f"{name}={getattr(self, name)!r}" for name, holds in ranges.items() if not holds]
        if wrong:
            msg = f"a classification training cannot have {', '.join(wrong)}"
            raise ValueError(msg)


class ClassificationTask:
    """Learn a patch's class by smoothed cross-entropy, every class drawn equally often."""

    better: Better = ("auc", "highest")

    def __init__(self, config: TrainConfig, open_slide: OpenSlide = open_tiff, read: ReadSeen = read_seen) -> None:
        self.options = from_table(ClassificationOptions, config.options, config.name)
        self._refuse_hidden_leak(config.name)
        self.normalisation = Normalisation(self.options.mean, self.options.std)
        self._operating_point: float | None = None
        sight = Sight(
            root=Path(config.data_root),
            classes=self.options.classes,
            field_px=self.options.field_px,
            mpp=config.mpp,
            sr_pre=self.options.sr_pre,
            device=config.device,
            open_slide=open_slide,
        )
        several = len(config.sources) > 1
        self.sources = [self._part(read(one, sight), one, config.seed, several) for one in config.sources]
        refuse_untaught_classes(self.sources, self.options.classes, config.name)
        self.validation_patches = self._judged([one.validation for one in self.sources], config.seed)
        self.test_patches = self._judged([one.test for one in self.sources], config.seed + 1)

    def _part(self, patches: PatchSet, source: SourceConfig, seed: int, several: bool) -> PatchParts:
        fold = self.options.leak_split_by_image
        parts = part_by_image(patches, source, seed, fold) if fold else part_by_patient(patches, source, seed)
        return parts.named_by(source.name) if several else parts

    def _judged(self, sets: Sequence[PatchSet], seed: int) -> PatchSet:
        return distort_all(pool(sets), self.options.distortion, seed)

    def _refuse_hidden_leak(self, name: str) -> None:
        leaks = self.options.leak_split_by_image is not None
        if leaks and not name.startswith(LEAK_PREFIX):
            what = f"{name}: leak_split_by_image puts patients on both sides of the split, and the name hides it"
            raise TrainingError(what, f"Let the name begin with {LEAK_PREFIX}, or leave the option out.")

    @property
    def classes(self) -> int:
        """How many classes there are."""
        return len(self.options.classes)

    def draw(self, rng: np.random.Generator, count: int) -> Batch:
        """Return `count` patches: `image` (n, 3, y, x) uint8 and `label` (n,), or where they are mixed (n, classes)."""
        drawn = [self._draw_one(rng) for _ in range(count)]
        images, labels = zip(*drawn, strict=True)
        image, label = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2), torch.tensor(labels)
        if self.options.mixup:
            image, label = mix(image, label, self.classes, self.options.mixup, rng)
        return {"image": image, "label": label}

    def _draw_one(self, rng: np.random.Generator) -> tuple[NDArray[np.uint8], int]:
        image, label = draw_from(self.sources, self.options.stain, rng)
        return (distort(image, self.options.distortion, rng) if self.options.distortion else image), label

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
        """Return balanced accuracy, AUC and calibration error on the validation patients, those that are numbers."""
        patches = self.validation_patches
        if not len(patches.labels):
            return {}
        found = figures(patches.labels, probabilities(network, patches.pixels, self.normalisation))
        return {name: found[name] for name in ("balanced_accuracy", "auc", "ece") if math.isfinite(found[name])}

    def finish(self, network: nn.Module) -> None:
        """Fit a temperature on the validation patients and fold it into the last layer: softmax is then calibrated.

        Where there are two classes, the operating point is chosen on them, too.
        """
        patches = self.validation_patches
        if not len(patches.labels):
            return
        logits = classify(network, patches.pixels, self.normalisation)
        temperature = fit_temperature(logits, patches.labels)
        last = [module for module in network.head.modules() if isinstance(module, nn.Linear)][-1]  # type: ignore[union-attr]
        with torch.no_grad():
            last.weight.div_(temperature)
            last.bias.div_(temperature)
        if self.classes == 2:
            calibrated = probabilities(network, patches.pixels, self.normalisation)
            self._operating_point = choose_operating_point(patches.labels, calibrated[:, 1], patches.patients)

    def card_fields(self) -> dict[str, Any]:
        """Return the card's fields that follow from the task."""
        return {
            "classes": self.options.classes,
            "field_px": self.options.field_px,
            "normalisation": self.normalisation,
            "postprocessing": {} if self._operating_point is None else {"operating_point": self._operating_point},
        }

    def split(self) -> dict[str, Any]:
        """Return who was trained on and who was held out, and what was done to their patches."""
        learned = [one.train for one in self.sources if one.share]
        named = {
            "train": _patients(learned),
            "validation": _patients([self.validation_patches]),
            "test": _patients([self.test_patches]),
        }
        facts: dict[str, Any] = {f"{part}_patients": patients for part, patients in named.items()}
        if self.options.leak_split_by_image is not None:
            shared = len({*named["test"]} & {*named["train"]})
            facts["split"] = f"LEAK, by image: {shared} of {len(named['test'])} test patients were trained on"
        else:
            refuse_shared_patients(**named)
        if self.options.sr_pre != NATIVE:
            facts["patches_enlarged_by"] = self.options.sr_pre
        if self.options.distortion:
            facts["patches_distorted_by"] = self.options.distortion
        return facts

    def test(self, network: nn.Module) -> dict[str, Any]:
        """Return the card's metrics on the test patients, beside always saying the commonest class."""
        patches = self.test_patches
        metrics: dict[str, Any] = {"protocol": self._protocol(), "test": {}}
        baseline: dict[str, Any] = {"method": "always the commonest class"}
        if len(patches.labels):
            found = probabilities(network, patches.pixels, self.normalisation)
            metrics["test"], commonest = evaluate_classification(patches.labels, found, patches.patients)
            metrics["by_class"] = evaluate_classes(patches.labels, found, self.options.classes)
            baseline |= commonest
            if self._operating_point is not None:
                metrics["operating_point"] = figures_at(
                    self._operating_point, patches.labels, found[:, 1], patches.patients
                )
        return metrics | {"baseline": baseline}

    def _protocol(self) -> str:
        if self.options.leak_split_by_image is None:
            return CLASSIFICATION_PROTOCOL
        return f"LEAK: patches of patients that training saw, too; they measure nothing; {CLASSIFICATION_MEASURES}"


def _patients(sets: Sequence[PatchSet]) -> list[str]:
    return sorted({str(patient) for one in sets for patient in one.patients})


def probabilities(network: nn.Module, patches: NDArray[np.uint8], normalisation: Normalisation) -> NDArray[np.float32]:
    """Return softmax probabilities (n, k) of patches (n, y, x, 3)."""
    logits = torch.from_numpy(classify(network, patches, normalisation))
    return functional.softmax(logits, dim=1).numpy()


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
