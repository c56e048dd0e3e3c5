"""The nuclei task: crops with three classes, cross-entropy and soft Dice, figures of instances."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models.batches import Batch, Better, network_input, normalise
from models.card import Normalisation
from models.data_nuclei import CONTOUR_PX, LabelledImage, NucleiAugmentation, NucleiSet, draw_nuclei, read_nuclei
from models.device import choose_device
from models.errors import TrainingError
from models.evaluate_nuclei import NUCLEI_PROTOCOL, Figures, evaluate_nuclei
from models.instances import InstanceStep
from models.losses import (
    IGNORED,
    contour_dice,
    nuclei_cross_entropy,
    offset_errors,
    soft_dice,
    taught_cross_entropy,
)
from models.nuclei_channels import CLASSES, OFFSETS, count_classes, probabilities_and_offsets
from models.seen_through import see_through
from models.slide_reader import OpenSlide, open_tiff
from models.teacher import DEFAULT_SHARE, load_teacher, refuse_no_share
from models.train_config import TrainConfig, from_table
from models.turns import Rival, Turn, alone


@dataclass(frozen=True, slots=True, kw_only=True)
class NucleiOptions:
    """Table `options` of a nuclei training."""

    crop_px: int = 256
    classes: tuple[str, ...] = CLASSES
    """What the network tells apart: these three, or `background` and `nucleus` where it knows no contours."""
    offsets: float = 0.0
    """Weight of the errors of offsets; above 0 the network has two channels for them, behind the classes."""
    class_weights: tuple[float, float, float] = (1.0, 1.0, 2.0)
    """Of background, interior, contour in the cross-entropy."""
    dice: float = 1.0
    """Weight of the soft Dice over nuclei."""
    contour_dice: float = 0.0
    """Weight of an additional soft Dice over the contour alone."""
    contour_px: int = CONTOUR_PX
    """Width of the contour inside a nucleus; nuclei of a coarser network have hardly room for 2 px."""
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    seen_through: tuple[str, ...] = ()
    """Ways in which images are also learned from, after a coarser scan: bundles that enlarge them, or `bicubic-x2`."""
    seen_share: float = 0.3
    """Share of crops that come from images seen so."""
    augmentation: dict[str, float] = field(default_factory=dict)
    """Keyword arguments of `NucleiAugmentation`."""
    instances: dict[str, float] = field(default_factory=dict)
    """Keyword arguments of `InstanceStep`."""
    teacher: str = ""
    """Bundle whose probabilities are learned from beside the labels: a shipped name or a path."""
    teacher_share: float = DEFAULT_SHARE
    """Share of the loss that is held against the teacher's probabilities; the rest is held against the labels."""

    def __post_init__(self) -> None:
        refuse_no_share(self.teacher_share)


class NucleiTask:
    """Learn background, interior and contour by cross-entropy and soft Dice."""

    better: Better = None

    def __init__(self, config: TrainConfig, open_slide: OpenSlide = open_tiff) -> None:
        self.options = from_table(NucleiOptions, config.options, config.name)
        self.augmentation = from_table(NucleiAugmentation, self.options.augmentation, config.name)
        self.instances = from_table(InstanceStep, self.options.instances, config.name)
        self.mpp = config.mpp
        wanted = {"task": config.task, "mpp": config.mpp, "classes": self._channels}
        self.teacher = load_teacher(self.options.teacher, wanted, choose_device(config.device), config.precision)
        self._seen_sets: list[NucleiSet] | None = None
        self._seeing = Lock()  # crops are drawn by several threads
        self.normalisation = Normalisation(self.options.mean, self.options.std)
        root = Path(config.data_root)
        self.sets: list[NucleiSet] = [
            read_nuclei(one, root, config.seed, config.mpp, open_slide) for one in config.sources
        ]

    @property
    def _seen(self) -> list[NucleiSet]:
        """The training images as the ways of `seen_through` show them."""
        with self._seeing:
            if self._seen_sets is None:
                self._seen_sets = see_through(self.sets, self.options.seen_through)
        return self._seen_sets

    def draw(self, rng: np.random.Generator, count: int) -> Batch:
        """Return `count` crops: `image` (n, 3, y, x) and `classes` (n, y, x) uint8, `offsets` (n, 2, y, x) if asked."""
        options = self.options
        draw = partial(draw_nuclei, contour_px=options.contour_px, offsets=options.offsets > 0)
        drawn = [draw(self._lot(rng), options.crop_px, self.augmentation, rng) for _ in range(count)]
        images = torch.from_numpy(np.stack([one.image for one in drawn])).permute(0, 3, 1, 2)
        batch = {"image": images, "classes": torch.from_numpy(np.stack([one.classes for one in drawn]))}
        offsets = [one.offsets for one in drawn if one.offsets is not None]
        return batch | ({"offsets": torch.from_numpy(np.stack(offsets))} if offsets else {})

    def _lot(self, rng: np.random.Generator) -> list[NucleiSet]:
        """Return the images that the next crop comes from."""
        seen = self.options.seen_through and rng.random() < self.options.seen_share
        return self._seen if seen else self.sets

    def rivals(self) -> dict[str, Rival]:
        """Nobody."""
        return {}

    def turns(self) -> Sequence[Turn]:
        """Every step is the network's."""
        return alone(self.loss)

    def loss(self, network: nn.Module, batch: Batch) -> Tensor:
        """Return weighted cross-entropy + soft Dice of the nuclei, and how far a teacher's probabilities are."""
        output, target = network(normalise(batch["image"], self.normalisation)), batch["classes"].long()
        self._refuse_other_channels(output.shape[1])
        logits = output[:, : len(self.options.classes)]
        if "contour" not in self.options.classes:
            target = torch.where((target > 0) & (target != IGNORED), 1, target)
        weights = logits.new_tensor(self.options.class_weights[: logits.shape[1]])
        total = nuclei_cross_entropy(logits, target, weights)
        if self.options.dice:
            total = total + self.options.dice * soft_dice(logits, target)
        if self.options.contour_dice:
            total = total + self.options.contour_dice * contour_dice(logits, target)
        if self.teacher:
            answer = self.teacher.answer(batch["image"])[:, : logits.shape[1]]
            taught = taught_cross_entropy(logits, answer, weights)
            total = torch.lerp(total, taught, self.options.teacher_share)
        if self.options.offsets:
            total = total + self.options.offsets * offset_errors(output[:, logits.shape[1] :], batch["offsets"], target)
        return total

    @property
    def _channels(self) -> tuple[str, ...]:
        return (*self.options.classes, *(OFFSETS if self.options.offsets else ()))

    def _refuse_other_channels(self, count: int) -> None:
        if count != len(self._channels):
            what = f"the network has {count} channels (`classes`), the options name {', '.join(self._channels)}"
            cure = 'A network without contours needs `classes = ["background", "nucleus"]`, offsets need two channels.'
            raise TrainingError(what, cure)

    def validate(self, network: nn.Module) -> dict[str, float]:
        """Return Dice, AJI and PQ on the validation images."""
        images = [image for one in self.sets for image in one.validation]
        if not images:
            return {}
        figures, _ = self._figures(images, network)
        return {name: figures[name]["mean"] for name in ("dice", "aji", "pq") if name in figures}

    def _figures(self, images: Sequence[LabelledImage], network: nn.Module) -> tuple[Figures, Figures]:
        return evaluate_nuclei(images, lambda image: self._segment(network, image), self.instances, mpp=self.mpp)

    def _segment(self, network: nn.Module, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        return segment(network, image, self.normalisation, count_classes(self._channels))

    def finish(self, network: nn.Module) -> None:
        """Nothing is fitted after the training."""

    def card_fields(self) -> dict[str, Any]:
        """Return the card's fields that follow from the task."""
        return {
            "classes": self._channels,
            "normalisation": self.normalisation,
            "postprocessing": dict(self.instances.as_dict()),
        }

    def split(self) -> dict[str, Any]:
        """Return who was trained on and who was held out."""
        return {
            "train_patients": [f"{one.name}: {name}" for one in self.sets for name in one.train_patients],
            "validation_patients": [f"{one.name}: {name}" for one in self.sets for name in one.validation_patients],
            "test_patients": [f"{one.name}: {name}" for one in self.sets for name in one.test_patients],
        }

    def test(self, network: nn.Module) -> dict[str, Any]:
        """Return the card's metrics: each source's held-out images, beside finding nothing."""
        test, baseline = {}, {}
        for one in self.sets:
            if one.test:
                test[one.name], baseline[one.name] = self._figures(one.test, network)
        return {"protocol": NUCLEI_PROTOCOL, "test": test, "baseline": {"method": "all background", **baseline}}


def segment(
    network: nn.Module, image: NDArray[np.uint8], normalisation: Normalisation, classes: int
) -> NDArray[np.float32]:
    """Return the channels (y, x, k) of an image (y, x, 3), the border repeated up to the network's stride.

    The first `classes` of them are probabilities.
    """
    height, width = image.shape[:2]
    stride_px: int = network.stride_px  # type: ignore[assignment]
    padding = [(0, -length % stride_px) for length in (height, width)]
    tensor = network_input(network, np.pad(image, [*padding, (0, 0)], mode="edge"), normalisation)
    channels = probabilities_and_offsets(network(tensor), classes)[0].permute(1, 2, 0)
    found: NDArray[np.float32] = channels[:height, :width].cpu().numpy()
    return found
