"""Cross-validation by patient: as many trainings as folds, each tested on the patients that it left out.

Every image of the set is judged once, by the one network that never saw its patient. Organs are spread over the folds,
so that no network is tested on an organ that it has never seen.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from models.comparison import refuse_other_settings
from models.comparison_nuclei_config import Folds
from models.comparison_nuclei_set import HeldOut
from models.errors import TrainingError
from models.shelf import CARD_FILE, read_card
from models.train import train
from models.train_config import TrainConfig, read_config

_OF_A_MACHINE = ("device", "data_root", "text")
"""Fields of a training that say where it runs, not which it is."""


def fold_patients(images: Iterable[HeldOut], count: int) -> list[tuple[str, ...]]:
    """Return the patients of each fold, every patient in one; they are dealt out organ by organ, in order.

    Raises
    ------
    TrainingError
        if there are fewer patients than folds.
    """
    patients = sorted({(one.organ, one.patient) for one in images})
    if len(patients) < count:
        what = f"{len(patients)} patients do not fill {count} folds"
        raise TrainingError(what, "Ask for fewer folds.")
    return [tuple(sorted(patient for _, patient in patients[fold::count])) for fold in range(count)]


def fold_name(folds: Folds, fold: int) -> str:
    """Return the name of a fold's bundle: that of its training file's folder, and which of how many, from 1."""
    return f"{Path(folds.base).parent.name or 'nuclei'}-fold-{fold + 1}-of-{folds.count}"


def fold_configs(folds: Folds, files: Path, data_root: Path, images: Sequence[HeldOut]) -> Iterator[TrainConfig]:
    """Yield the trainings of all folds, in the order in which they can be made; files are relative to `files`."""
    base = read_config(files / folds.base).at(data_root)
    first = read_config(files / folds.first).at(data_root) if folds.first else None
    for fold, patients in enumerate(fold_patients(images, folds.count)):
        config = fold_config(base, folds, fold, patients)
        if first:
            name = f"{fold_name(folds, fold)}-first"
            yield _named(fold_config(first, folds, fold, patients), name=name)
            config = _named(config, begin=name)
        yield config


def _named(config: TrainConfig, **names: str) -> TrainConfig:
    changed: TrainConfig = replace(config, **names)  # type: ignore[arg-type]
    return replace(changed, text=_as_toml(changed))


def fold_config(base: TrainConfig, folds: Folds, fold: int, test: tuple[str, ...]) -> TrainConfig:
    """Return the training of a fold: the base's, but for the set's patients that are held out.

    Who chose between weights in the base does so still, unless the fold tests on them. The instance step begins with
    its defaults: the base's parameters may have been chosen on patients that the fold tests on. The fold's training
    file, which `models.tune_instances` takes, lies beside its weights.

    Raises
    ------
    TrainingError
        if the base does not train on the set.
    """
    if folds.set not in {source.name for source in base.sources}:
        what = f"{base.name}: none of its sources is called {folds.set!r}"
        raise TrainingError(what, "Call the set as the training's source is called.")
    sources = tuple(
        replace(
            source,
            test=test,
            test_share=0.0,
            validation=tuple(patient for patient in source.validation if patient not in test),
        )
        if source.name == folds.set
        else source
        for source in base.sources
    )
    options = {**base.options, "instances": {}}
    config = replace(base, name=fold_name(folds, fold), sources=sources, options=options)
    return replace(config, text=_as_toml(config))


def _as_toml(config: TrainConfig) -> str:
    """Return a training file that says the same, but for the machine: `read_config` gives its settings back."""
    table = {key: value for key, value in asdict(config).items() if key not in _OF_A_MACHINE}
    return "".join(f"{key} = {_value(value)}\n" for key, value in table.items() if value is not None)


def _value(value: Any) -> str:
    """Return a value in TOML: as in JSON, but for tables, which leave out what is None."""
    if isinstance(value, Mapping):
        pairs = [f"{json.dumps(key)} = {_value(one)}" for key, one in value.items() if one is not None]
        return f"{{{', '.join(pairs)}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_value, value))}]"
    return json.dumps(value, ensure_ascii=False)


def train_unless_there(config: TrainConfig, work: Path) -> None:
    """Make a training's bundle in the work folder, unless it is there.

    Raises
    ------
    TrainingError
        if the bundle that is there was trained by other settings.
    """
    bundle = work / config.name
    if not (bundle / CARD_FILE).is_file():
        train(config, bundle)
    refuse_other_settings(bundle, read_card(bundle).training, config)
