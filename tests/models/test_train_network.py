from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from models import checkpoint
from models.errors import TrainingError
from models.train import train
from models.train_config import TrainConfig
from tests.models.test_train import config, data, one_thread  # noqa: F401 (fixtures)


def classifier(root: Path, **options: Any) -> TrainConfig:
    plain = config("classification", root, iterations=1, validate_every=1)
    return replace(plain, options={**plain.options, **options})


def refused(wrong: TrainConfig, folder: Path, match: str) -> None:
    """The training ends in two lines, before its first step."""
    with pytest.raises(TrainingError, match=match) as error:
        train(wrong, folder / "bundle", folder / "refused")
    assert len(str(error.value).splitlines()) == 2
    assert checkpoint.load(folder / "refused") is None
    assert not (folder / "bundle").exists()


def test_a_network_for_other_classes_than_the_datas_is_refused_before_training(data: Path, tmp_path: Path) -> None:  # noqa: F811
    plain = classifier(data)
    wide = replace(plain, network={**plain.network, "classes": 3})
    refused(wide, tmp_path, r"^small-classification: .*classes = 3, and the data have 2 classes \(pale, dark\)")
    headless = replace(plain, architecture="resnet", network={"depths": (1, 1, 1, 1), "width": 4, "stem": "small"})
    refused(headless, tmp_path, "classes = None")


def test_a_classifier_of_other_classes_is_a_beginning_and_the_card_names_it(data: Path, tmp_path: Path) -> None:  # noqa: F811
    begun, plain = tmp_path / "begun", classifier(data)
    train(plain, begun)
    turned = replace(classifier(data, classes=("dark", "pale")), begin=str(begun))
    assert train(turned, tmp_path / "again").training["begun_with"] == "begun"
    refused(replace(plain, begin="sr-x2"), tmp_path, "begins with sr-x2, which has another network's weights")


def test_a_split_by_image_ships_no_bundle(data: Path, tmp_path: Path) -> None:  # noqa: F811
    leaking = replace(classifier(data, leak_split_by_image=(0, 2)), name="leak-small")
    refused(leaking, tmp_path, "leak-small: the name says that patients are on both sides")
