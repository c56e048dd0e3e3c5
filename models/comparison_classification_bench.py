"""Train the folds of a comparison of classifiers, and keep what each network says of the patches that it left out.

A bundle that is there is not trained again, and answers that are there are not computed again, unless the weights are
others. Patches are read, and enlarged, once for all rows that see them so.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import torch
from numpy.typing import NDArray

from models.bundle import load_network
from models.card import Card
from models.comparison import refuse_other_settings
from models.comparison_classification_config import PatchComparison, PatchData, Variant
from models.comparison_classification_folds import Fold, at, fold_config, patient_folds
from models.data_patches import PatchSet
from models.device import choose_device
from models.patches_seen import Sight, enlargement, read_seen
from models.shelf import CARD_FILE, read_card
from models.task_classification import ClassificationTask, probabilities
from models.train import beside
from models.train_bundle import write_trained
from models.train_config import SourceConfig, TrainConfig
from models.training import Training

ANSWERS_FILE = "answers.npz"


@dataclass(frozen=True, slots=True)
class Answers:
    """What networks said of n patches that they had left out."""

    places: NDArray[np.intp]
    """(n,): where the patches stand in their set."""
    labels: NDArray[np.int64]
    patients: NDArray[np.str_]
    probabilities: NDArray[np.float32]
    """(n, k)."""

    def at(self, chosen: NDArray[np.intp]) -> Answers:
        """Return some of the answers."""
        return Answers(self.places[chosen], self.labels[chosen], self.patients[chosen], self.probabilities[chosen])


def pool(parts: Sequence[Answers]) -> Answers:
    """Return the answers of several folds together, in the set's own order."""
    joined = Answers(*(np.concatenate([getattr(one, name) for one in parts]) for name in Answers.__slots__))
    return joined.at(np.argsort(joined.places))


@dataclass(frozen=True, slots=True)
class Measured:
    """A row of a table: what its folds said, each of the patches that it left out."""

    variant: Variant
    folds: tuple[Answers, ...]
    bundle: Path
    """Of its first fold."""
    card: Card

    @property
    def pooled(self) -> Answers:
        """Every patch once."""
        return pool(self.folds)


@dataclass(slots=True)
class Held:
    """Reads patches as networks see them, and holds the last set in memory: rows that see the same are neighbours."""

    _key: tuple[SourceConfig, Sight] | None = field(default=None, init=False)
    _patches: PatchSet | None = field(default=None, init=False)

    def __call__(self, source: SourceConfig, sight: Sight) -> PatchSet:
        """Return a source's patches, whoever of them it holds out."""
        everyone = replace(source, test=(), validation=(), test_share=0.0, validation_share=0.0)
        if self._patches is None or self._key != (everyone, sight):
            self._key, self._patches = (everyone, sight), read_seen(everyone, sight)
        return self._patches


@dataclass(frozen=True, slots=True)
class Bench:
    """Where data, bundles and answers lie, and on what is computed."""

    comparison: PatchComparison
    data_root: Path
    work: Path
    device: str = "auto"
    watch: Callable[[str], None] = print
    held: Held = field(default_factory=Held)
    _folds: dict[str, list[Fold]] = field(default_factory=dict)

    def folds(self, data: PatchData) -> list[Fold]:
        """Return the folds of a set."""
        if data.name not in self._folds:
            sight = Sight(root=self.data_root, classes=data.classes, field_px=data.field_px, mpp=data.mpp)
            patches = self.held(data.source, replace(sight, device=self.device))
            comparison = self.comparison
            self._folds[data.name] = patient_folds(patches, comparison.folds, data.validation_share, comparison.seed)
        return self._folds[data.name]

    def configs(self, variant: Variant) -> list[TrainConfig]:
        """Return the trainings of a row, a fold each."""
        enlarger = enlargement(variant.sr, "cpu")
        factor = enlarger.factor if enlarger else 1
        folds = self.folds(variant.data)[: self.comparison.folds_of(variant)]
        configs = [fold_config(self.comparison, variant, place, who, factor) for place, who in enumerate(folds)]
        return [at(config, self.data_root, self.device) for config in configs]

    def train(self, config: TrainConfig) -> None:
        """Train a fold, or go on with it, unless its bundle is there.

        Raises
        ------
        TrainingError
            if the bundle that is there was trained by other settings.
        """
        bundle = self.work / config.name
        if not (bundle / CARD_FILE).is_file():
            self.watch(config.name)
            folder = beside(bundle, config)
            folder.mkdir(parents=True, exist_ok=True)
            task = ClassificationTask(config, read=self.held)
            Training(config, task, folder).run()
            write_trained(config, bundle, folder, task)
        refuse_other_settings(bundle, read_card(bundle).training, config)

    def measure(self, variant: Variant) -> Measured | None:
        """Return a row from the folds whose bundles are there; None without any."""
        there = [config for config in self.configs(variant) if (self.work / config.name / CARD_FILE).is_file()]
        if not there:
            return None
        first = self.work / there[0].name
        return Measured(variant, tuple(self.answers(config) for config in there), first, read_card(first))

    def answers(self, config: TrainConfig) -> Answers:
        """Return what a fold's network says of the patches that it left out.

        Raises
        ------
        TrainingError
            if its bundle was trained by other settings.
        """
        bundle = self.work / config.name
        card = read_card(bundle)
        refuse_other_settings(bundle, card.training, config)
        kept = _read_answers(beside(bundle, config) / ANSWERS_FILE, card.sha256)
        if kept is not None:
            return kept
        task = ClassificationTask(config, read=self.held)
        network = load_network(bundle).to(choose_device(config.device))
        patches = task.test_patches
        with torch.no_grad():
            said = probabilities(network, patches.pixels, task.normalisation)
        answers = Answers(task.sources[0].test_places, patches.labels, patches.patients, said)
        _write_answers(beside(bundle, config) / ANSWERS_FILE, card.sha256, answers)
        return answers


def _read_answers(path: Path, sha256: str) -> Answers | None:
    """Return the answers of a file, if it is whole and they are these weights' own."""
    try:
        with np.load(path, allow_pickle=False) as kept:
            if str(kept["sha256"]) != sha256:
                return None
            return Answers(*(kept[name] for name in Answers.__slots__))
    except (OSError, ValueError, KeyError, EOFError, BadZipFile):
        return None


def _write_answers(path: Path, sha256: str, answers: Answers) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"unfinished-{path.name}")
    np.savez_compressed(
        unfinished, sha256=np.array(sha256), **{name: getattr(answers, name) for name in Answers.__slots__}
    )
    unfinished.replace(path)
