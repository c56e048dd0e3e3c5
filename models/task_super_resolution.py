"""The super-resolution task: pairs, losses of pixels and features, PSNR."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models.architectures import resolve
from models.augment import ANY, UPRIGHT
from models.batches import Batch, Better, network_input
from models.data_super_resolution import draw_pair, read_sets
from models.device import choose_device
from models.edsr_ise import EdsrIse
from models.errors import TrainingError
from models.evaluate_super_resolution import SUPER_RESOLUTION_MEASURES, evaluate_super_resolution
from models.losses import l1, mse, tv
from models.pairs import Pair, PairSet
from models.perceptual import DEFAULT_ENCODER, Encoder, load_encoder, perceptual_distance, perceptual_loss
from models.slide_reader import OpenSlide, open_tiff
from models.teacher import DEFAULT_SHARE, load_teacher, refuse_no_share
from models.train_config import TrainConfig, from_table
from models.turns import Rival, Turn, alone
from models.wide_activation import WideActivation

FITTED_CROPS = 32
"""Crops of tissue from which gates and anchors are fixed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SuperResolutionOptions:
    """Table `options` of a super-resolution training."""

    crop_px: int = 96
    """Side of the crops at the output's resolution."""
    validation_px: int = 512
    """Side of the middle of each validation image that is looked at."""
    test_px: int = 0
    """Side of the middle of each test image that is measured; 0 measures whole images."""
    stain: float = 0.0
    """Strength of the stain jitter."""
    orientations: Literal["upright", "any"] = "upright"
    """How crops are turned: not by quarters, since JPEG often halves colour along x alone; or in all eight ways."""
    losses: dict[str, float] = field(default_factory=lambda: {"l1": 1.0})
    """Keyword arguments of `LossWeights`."""
    encoder: str = DEFAULT_ENCODER
    """What the perceptual loss compares features of: a bundle, or a safetensors file of VGG19's weights."""
    judge: str = "none"
    """What the perceptual distance of the card is measured by: an encoder that no loss looks at, or `none`."""
    adversary: dict[str, Any] = field(default_factory=dict)
    """Keyword arguments of `AdversaryOptions`; without this table there is no adversary."""
    teacher: str = ""
    """Bundle whose images are learned from beside the true ones: a shipped name or a path."""
    teacher_share: float = DEFAULT_SHARE
    """Share of the loss that is held against the teacher's images; the rest is held against the truth."""

    def __post_init__(self) -> None:
        refuse_no_share(self.teacher_share)
        if self.teacher and self.adversary:
            msg = "a network learns from a teacher or against an adversary, not both at once"
            raise ValueError(msg)
        ranges = {
            "crop_px": 8 <= self.crop_px <= 4096,
            "validation_px": 64 <= self.validation_px <= 8192,
            "test_px": self.test_px == 0 or 192 <= self.test_px <= 8192,
            "stain": 0 <= self.stain < 1,
            "orientations": self.orientations in ("upright", "any"),
        }
        wrong = [f"{name}={getattr(self, name)!r}" for name, holds in ranges.items() if not holds]
        if wrong:
            msg = f"a super-resolution training cannot have {', '.join(wrong)}"
            raise ValueError(msg)


@dataclass(frozen=True, slots=True, kw_only=True)
class LossWeights:
    """What each loss of the generator weighs; images are on [0, 1]."""

    l1: float = 0.0
    mse: float = 0.0
    tv: float = 0.0
    perceptual: float = 0.0
    adversarial: float = 0.0

    def __post_init__(self) -> None:
        weights = (self.l1, self.mse, self.tv, self.perceptual, self.adversarial)
        if min(weights) < 0 or not max(weights):
            msg = "losses cannot weigh less than 0, and one must weigh something"
            raise ValueError(msg)


class SuperResolutionTask:
    """Learn to undo a reduction, by losses of pixels and of an encoder's features."""

    better: Better = None

    def __init__(self, config: TrainConfig, open_slide: OpenSlide = open_tiff) -> None:
        self.options = from_table(SuperResolutionOptions, config.options, config.name)
        self.weights = from_table(LossWeights, self.options.losses, config.name)
        self._refuse_opinions_of_nobody(config)
        self._judge = None if self.options.judge == "none" else load_encoder(self.options.judge)
        self.device = choose_device(config.device)
        self._encoder = load_encoder(self.options.encoder).to(self.device) if self.weights.perceptual else None
        self.scale = int(resolve(config.architecture, config.network)[1].get("scale", 2))
        wanted = {"task": config.task, "scale": self.scale}
        self.teacher = load_teacher(self.options.teacher, wanted, self.device, config.precision)
        root, crop_px = Path(config.data_root), self.options.crop_px
        self.sets: list[PairSet] = read_sets(config.sources, root, self.scale, config.seed, crop_px, open_slide)
        self.names = [one.name for one in config.sources]

    def draw(self, rng: np.random.Generator, count: int) -> Batch:
        """Return `count` crops: `low` and `high`, (n, 3, y, x) uint8."""
        options, orientations = self.options, UPRIGHT if self.options.orientations == "upright" else ANY
        drawn = [
            draw_pair(self.sets, options.crop_px, self.scale, rng, stain=options.stain, orientations=orientations)
            for _ in range(count)
        ]
        low, high = (torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2) for images in zip(*drawn, strict=True))
        return {"low": low, "high": high}

    def _refuse_opinions_of_nobody(self, config: TrainConfig) -> None:
        if self.weights.adversarial and "adversary" not in config.options:
            what = (
                f"{config.name}: options.losses.adversarial weighs {self.weights.adversarial:g}, without an adversary"
            )
            raise TrainingError(what, "Add a table options.adversary, or leave the loss out.")

    def rivals(self) -> dict[str, Rival]:
        """Nobody."""
        return {}

    def turns(self) -> Sequence[Turn]:
        """Every step is the network's."""
        return alone(self.loss)

    def loss(self, network: nn.Module, batch: Batch) -> Tensor:
        """Return the weighted sum of the losses of what the network draws, against the truth and against a teacher."""
        drawn = network(batch["low"].float() / 255)
        loss = self.likeness(drawn, batch["high"].float() / 255)
        if self.teacher is None:
            return loss
        taught = self.likeness(drawn, self.teacher.answer(batch["low"]).clamp(0, 1))
        return torch.lerp(loss, taught, self.options.teacher_share)

    def likeness(self, drawn: Tensor, truth: Tensor) -> Tensor:
        """Return the weighted sum of the losses that need no adversary, of (n, 3, y, x) on [0, 1]."""
        parts = {
            "l1": lambda: l1(drawn, truth),
            "mse": lambda: mse(drawn, truth),
            "tv": lambda: tv(drawn),
            "perceptual": lambda: perceptual_loss(self.encoder, drawn, truth),
        }
        weighted = [weight * parts[name]() for name in parts if (weight := getattr(self.weights, name))]
        return sum(weighted, torch.zeros((), device=drawn.device))

    @property
    def encoder(self) -> Encoder:
        """The perceptual loss's."""
        if self._encoder is None:
            msg = "no perceptual loss was asked for"
            raise ValueError(msg)
        return self._encoder

    def validate(self, network: nn.Module) -> dict[str, float]:
        """Return PSNR and its gain over bicubic on the middle of the validation images, by degradation.

        The figures of the first source's degradation have plain names, those of others end in theirs.
        """
        middles: dict[str, list[Pair]] = {}
        for one in self.sets:
            if one.validation:
                ending = "" if one.degradation == self.sets[0].degradation else f"_{one.degradation}"
                middles.setdefault(ending, []).extend(
                    self._middle(pair, self.options.validation_px) for pair in one.validation
                )
        figures = {}
        for ending, pairs in middles.items():
            found, _ = evaluate_super_resolution(pairs, lambda low: enlarge(network, low), self.scale)
            figures[f"psnr_rgb{ending}"] = found["psnr_rgb"]["mean"]
            figures[f"gain_db{ending}"] = found["psnr_rgb_gain"]["mean"]
        return figures

    def _middle(self, pair: Pair, side_px: int) -> Pair:
        half = side_px // self.scale // 2
        y, x = (length // 2 for length in pair.low.shape[:2])
        low = (slice(max(y - half, 0), y + half), slice(max(x - half, 0), x + half))
        high = tuple(slice(side.start * self.scale, side.stop * self.scale) for side in low)
        return Pair(pair.name, pair.high[high], pair.low[low], pair.patient)

    def finish(self, network: nn.Module) -> None:
        """Give a network that looks at whole images (gates, anchors) constants in their place, from training images.

        Without them it could not work tile by tile.
        """
        match network:
            case EdsrIse() if network.config.se != "none":
                network.freeze_gates(network_input(network, self._small_crops()))
            case WideActivation() if network.config.attention == "anchor":
                network.fix_anchors(network_input(network, self._small_crops()))

    def _small_crops(self) -> NDArray[np.uint8]:
        """Return (n, y, x, 3) crops as the network sees them in training, the same ones at every call."""
        side_px, rng = self.options.crop_px // self.scale * self.scale, np.random.default_rng(0)
        return np.stack([draw_pair(self.sets, side_px, self.scale, rng)[0] for _ in range(FITTED_CROPS)])

    def card_fields(self) -> dict[str, Any]:
        """Return the card's fields that follow from the task."""
        return {"scale": self.scale, "classes": None, "field_px": None}

    def split(self) -> dict[str, Any]:
        """Return who was trained on and who was held out, and whether a slide is on both sides, in other places."""
        trained = dict.fromkeys(name for one in self.sets if one.share for name in one.train_patients)
        tested = dict.fromkeys(name for one in self.sets for name in one.test_patients)
        parted = dict.fromkeys(one.parted for one in self.sets if one.train and one.test and one.parted)
        by = f"by patient; by place within {', '.join(parted)} of its width" if parted else "by patient"
        return {"split": by, "train_patients": list(trained), "test_patients": list(tested)}

    def test(self, network: nn.Module) -> dict[str, Any]:
        """Return the card's metrics: each source's held-out images, beside bicubic interpolation."""
        test, baseline = {}, {}
        distance = partial(perceptual_distance, self._judge.to(self.device)) if self._judge else None
        for name, one in zip(self.names, self.sets, strict=True):
            if one.test:
                pairs = [self._middle(pair, px) for pair in one.test] if (px := self.options.test_px) else one.test
                drawn, bicubic = evaluate_super_resolution(
                    pairs, lambda low: enlarge(network, low), self.scale, distance
                )
                test[name], baseline[name] = {"degradation": one.degradation, **drawn}, bicubic
        measured = f"The middle {self.options.test_px} px of images" if self.options.test_px else "Whole images"
        protocol = f"{measured}, reduced as `degradation` says, on 8 bits; {SUPER_RESOLUTION_MEASURES}"
        return {
            "protocol": protocol.format(border=self.scale),
            "test": test,
            "baseline": {"method": "bicubic interpolation", **baseline},
        }


def enlarge(network: nn.Module, low: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return (scale y, scale x, 3) uint8 of (y, x, 3) uint8, computed in float32."""
    drawn = network(network_input(network, low)).clamp(0, 1)[0].permute(1, 2, 0)
    enlarged: NDArray[np.uint8] = (drawn * 255).round().byte().cpu().numpy()
    return enlarged
