"""Tune the instance step on images that the networks which look at them have not seen:

    python -m models.tune_folds --config models/comparisons/nuclei.toml --data ROOT --work DIR --bundle BUNDLE [--write]

A network is surer of images that it learned from: parameters that suit those part too much, and keep what is too
small, on patients who are new. The networks of a cross-validation have each left out other patients. So a fold's
parameters are those that suit the **other** folds' networks on the patients that those left out: the fold's own images
have no part in them, but that the networks that are asked have learned from them. Those of a bundle that was trained
alike are found on the patients of all folds whom it is not tested on.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from models.comparison_nuclei_config import Folds, NucleiComparison, read_nuclei_comparison
from models.comparison_nuclei_folds import fold_name, fold_patients
from models.comparison_nuclei_set import HeldOut, list_images, of_patients
from models.errors import TrainingError
from models.instances import InstanceStep
from models.predict import load_predictor
from models.shelf import find_bundle, read_card
from models.train_config import from_table
from models.tune_instances import Scene, descend, grids_for, judge, tune, write_parameters
from models.whole_image import predict_whole

PART = "left out by folds"


@dataclass(frozen=True, slots=True)
class FoldScenes:
    """What a fold's network says of the patients that it left out."""

    bundle: Path
    patients: tuple[str, ...]
    """One an image."""
    scenes: tuple[Scene, ...]


def look(comparison: NucleiComparison, folds: Folds, data_root: Path, work: Path, device: str) -> list[FoldScenes]:
    """Run each fold's network over the patients that it left out.

    Raises
    ------
    UnknownBundle
        if a fold was not trained yet.
    """
    test_set = comparison.set_named(folds.set)
    images = list_images(test_set, data_root)
    found = []
    for fold, patients in enumerate(fold_patients(images, folds.count)):
        bundle = find_bundle(work / fold_name(folds, fold))
        left_out = of_patients(images, patients, test_set.name)
        scenes = tuple(_show(bundle, left_out, device))
        found.append(FoldScenes(bundle, tuple(one.patient for one in left_out), scenes))
    return found


def _show(bundle: Path, images: Sequence[HeldOut], device: str) -> Iterator[Scene]:
    predict = load_predictor(bundle, device, "fp32")
    for image in images:
        one = image.read()
        yield Scene(PART, predict_whole(predict, one.image), one.labels)


def tune_across(folds: Sequence[FoldScenes]) -> list[InstanceStep]:
    """Return each fold's parameters: those that the scenes of all others choose, beginning with its card's."""
    judged: dict[InstanceStep, list[float]] = {}

    def mean_without(left_out: int, step: InstanceStep) -> float:
        if step not in judged:
            judged[step] = [len(one.scenes) * judge(step, one.scenes).sum for one in folds]
        others = [place for place in range(len(folds)) if place != left_out]
        return sum(judged[step][place] for place in others) / sum(len(folds[place].scenes) for place in others)

    return [
        descend(_step_of(fold.bundle), partial(mean_without, place), grids_for(fold.scenes))
        for place, fold in enumerate(folds)
    ]


def tune_for(bundle: Path, folds: Sequence[FoldScenes], set_name: str) -> tuple[InstanceStep, list[Scene]]:
    """Return a bundle's parameters, and the scenes that chose them: of the patients that it is not tested on.

    Raises
    ------
    TrainingError
        if it is tested on all of them.
    """
    tested = set(read_card(bundle).training.get("test_patients", ()))
    scenes = [
        scene
        for fold in folds
        for scene, patient in zip(fold.scenes, fold.patients, strict=True)
        if f"{set_name}: {patient}" not in tested
    ]
    if not scenes:
        raise TrainingError.about(bundle, "is tested on every patient of the folds", "Tune it on patients it has seen.")
    return tune(_step_of(bundle), scenes), scenes


def _step_of(bundle: Path) -> InstanceStep:
    return from_table(InstanceStep, read_card(bundle).postprocessing, bundle)


def tune_folds(comparison: NucleiComparison, folds: Folds, data_root: Path, work: Path, device: str = "auto") -> None:
    """Write into the card of each fold's bundle the parameters that suit the other folds."""
    looked = look(comparison, folds, data_root, work, device)
    for place, step in enumerate(tune_across(looked)):
        others = [scene for other, fold in enumerate(looked) if other != place for scene in fold.scenes]
        write_parameters(looked[place].bundle, step, others)


def main(arguments: list[str] | None = None) -> None:
    """Tune a bundle by the folds of a comparison, from the command line."""
    parser = argparse.ArgumentParser(prog="python -m models.tune_folds", description="Tune a bundle by folds.")
    parser.add_argument("--config", type=Path, required=True, help="the comparison's file, TOML")
    parser.add_argument("--data", type=Path, required=True, help="folder that the sets' paths start from")
    parser.add_argument("--work", type=Path, required=True, help="folder of the folds' bundles")
    parser.add_argument("--bundle", required=True, help="name of a shipped bundle, or a bundle's folder")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda[:N]")
    parser.add_argument("--write", action="store_true", help="write the parameters into the bundle's card")
    given = parser.parse_args(arguments)
    comparison = read_nuclei_comparison(given.config)
    if comparison.folds is None:
        raise TrainingError.about(given.config, "has no folds", "Add a table [folds].")
    bundle = find_bundle(given.bundle)
    looked = look(comparison, comparison.folds, given.data, given.work, given.device)
    step, scenes = tune_for(bundle, looked, comparison.folds.set)
    for name, value in step.as_dict().items():
        print(f"{name} = {value}")
    if given.write:
        write_parameters(bundle, step, scenes)


if __name__ == "__main__":
    main()
