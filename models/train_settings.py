"""What makes two trainings the same, so that one may go on from the other's checkpoint."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import Any

from models.checkpoint import Progress
from models.errors import TrainingError
from models.pretrained import hash_of
from models.shelf import read_card
from models.train_config import TrainConfig

HOUSEKEEPING = {
    "": ("name", "device", "data_root", "limits", "licence", "text"),
    "schedule": ("iterations", "minutes", "validate_every", "checkpoint_minutes", "workers"),
    "options": ("instances", "judge", "validation_px", "test_px"),
    "sources": ("cache_mib", "licence"),
}
"""Settings that change no weight by themselves, by table. A training is made longer by raising `iterations` or
`minutes`; the learning rate rises to where the longer cosine is."""

LATER, LATER_OF_SOURCES = {"pretrained": ""}, {"regions": "Region*", "enlarge": ""}
LATER_OF_SCHEDULE = {"freeze_backbone_iterations": 0, "backbone_learning_rate_share": 1.0}
"""Settings that older trainings do not know, with the values that change nothing: such a training goes on."""


def settings_of(config: TrainConfig) -> dict[str, Any]:
    """Return the settings that decide a training's weights; sources that are only measured by do not."""
    table = asdict(config)
    sources = [one for one in table["sources"] if one["share"] > 0]
    groups = {"": [table], "schedule": [table["schedule"]], "options": [table["options"]], "sources": sources}
    for group, names in HOUSEKEEPING.items():
        for part in groups[group]:
            for name in names:
                part.pop(name, None)
    _leave_out_defaults(table, LATER)
    _leave_out_defaults(table["schedule"], LATER_OF_SCHEDULE)
    for one in sources:
        _leave_out_defaults(one, LATER_OF_SOURCES)
    if config.pretrained:
        table["pretrained"] = hash_of(config.pretrained)
    if teacher := table["options"].get("teacher"):
        table["options"]["teacher"] = read_card(teacher).sha256
    begun_with = read_card(config.begin).sha256 if config.begin else None
    settings: dict[str, Any] = json.loads(json.dumps(table | {"sources": sources, "begin": begun_with}))
    return settings


def _leave_out_defaults(table: dict[str, Any], defaults: Mapping[str, Any]) -> None:
    for name, default in defaults.items():
        if table[name] == default:
            del table[name]


def progress_of(config: TrainConfig, train_patients: Sequence[str]) -> Progress:
    """Return the progress of a training that has not begun: its settings, and whom it learns from."""
    settings = settings_of(config) | {"train_patients": list(train_patients)}
    return Progress(settings=json.dumps(settings, sort_keys=True))


def fingerprint(config: TrainConfig) -> str:
    """Return a hash of all settings that a training follows from, its length among them."""
    schedule = {name: getattr(config.schedule, name) for name in ("iterations", "minutes")}
    return sha256(json.dumps([settings_of(config), schedule], sort_keys=True).encode()).hexdigest()


def refuse_other_training(begun: Progress, now: Progress, work: Path) -> None:
    """Raise unless a checkpoint is one of the training that is asked for.

    Raises
    ------
    TrainingError
        that names the settings that differ.
    """
    before, after = (json.loads(progress.settings) for progress in (begun, now))
    other = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
    if other:
        what = f"holds a checkpoint of a training with other settings ({', '.join(other)})"
        raise TrainingError.about(work, what, "Train into another folder (--work), or set the settings back.")
