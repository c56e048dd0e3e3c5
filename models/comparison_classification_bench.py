"""Train the folds of a comparison of classifiers, and keep what each network says of the patches that it left out.

A fold whose record is there is neither trained nor asked again. Patches are read, and enlarged, once for all rows that
see them so.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

from models.bundle import load_network
from models.card import Card
from models.comparison import refuse_other_settings
from models.comparison_classification_config import PatchComparison, PatchData, Variant
from models.comparison_classification_folds import Fold, at, fold_config, patient_folds
from models.comparison_classification_records import (
    Answers,
    Record,
    pool,
    read_record,
    record_path,
    write_record,
)
from models.data_patches import PatchSet
from models.device import choose_device
from models.patches_seen import Sight, enlargement, read_seen
from models.shelf import CARD_FILE, read_card
from models.task_classification import ClassificationTask, probabilities
from models.train import beside
from models.train_bundle import write_trained
from models.train_config import SourceConfig, TrainConfig
from models.training import Training


@dataclass(frozen=True, slots=True)
class Measured:
    """A row of a table: what its folds said, each of the patches that it left out."""

    variant: Variant
    folds: tuple[Answers, ...]
    card: Card
    """Of its first fold."""

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
    records: Path | None = None
    """Folder of the records; one in `work` where none is named."""
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
        """Train a fold, or go on with it, and keep its answers; nothing is done where these are there.

        Raises
        ------
        TrainingError
            if the record or the bundle that is there is of other settings.
        """
        if self.record(config) is not None:
            return
        bundle = self.work / config.name
        if not (bundle / CARD_FILE).is_file():
            self.watch(config.name)
            folder = beside(bundle, config)
            folder.mkdir(parents=True, exist_ok=True)
            task = ClassificationTask(config, read=self.held)
            Training(config, task, folder).run()
            write_trained(config, bundle, folder, task)
        card = read_card(bundle)
        refuse_other_settings(bundle, card.training, config)
        write_record(self._path(config), Record(card, self._ask(bundle, config)))

    def measure(self, variant: Variant) -> Measured | None:
        """Return a row from the folds whose records are there; None without any.

        Raises
        ------
        TrainingError
            if one of them is of other settings.
        """
        there = [record for record in map(self.record, self.configs(variant)) if record is not None]
        if not there:
            return None
        return Measured(variant, tuple(record.answers for record in there), there[0].card)

    def record(self, config: TrainConfig) -> Record | None:
        """Return the record of a fold, None where there is none.

        Raises
        ------
        TrainingError
            if it is of other settings.
        """
        path = self._path(config)
        record = read_record(path)
        if record is not None:
            refuse_other_settings(path, record.card.training, config)
        return record

    def _path(self, config: TrainConfig) -> Path:
        return record_path(self.records or self.work / "records", config.name)

    def _ask(self, bundle: Path, config: TrainConfig) -> Answers:
        """Return what a fold's network says of the patches that it left out."""
        task = ClassificationTask(config, read=self.held)
        network = load_network(bundle).to(choose_device(config.device))
        patches = task.test_patches
        with torch.no_grad():
            said = probabilities(network, patches.pixels, task.normalisation)
        return Answers(task.sources[0].test_places, patches.labels, patches.patients, said)
