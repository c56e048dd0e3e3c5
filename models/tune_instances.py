"""Find the instance step's parameters that suit a network, on patients that it was not tested on:

    python -m models.tune_instances --bundle BUNDLE --config train.toml --data ROOT [--images N] [--write]

The network looks once at whole images of the patients that it learned from and of those that chose between its weights;
then the parameters are changed one at a time, each over a small grid, for as long as the mean of PQ + AJI rises.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.bundle import find_bundle, load_network, read_card, write_bundle
from models.card import Card
from models.data import refuse_shared_patients
from models.data_nuclei import LabelledImage, NucleiSet, read_nuclei
from models.errors import TrainingError
from models.instances import InstanceStep
from models.metrics_instances import aji, panoptic_quality
from models.nuclei_channels import CLASSES
from models.predict import load_predictor
from models.train_config import TrainConfig, from_table, read_config
from models.whole_image import DensePredictor, predict_whole

PARTS = ("train", "validation")
FIGURE = "mean over images of PQ + AJI"
TUNED_ON = "postprocessing"
"""Key of a card's training that says so."""
GRIDS: dict[str, tuple[float, ...]] = {
    "seed_threshold": (-0.6, -0.5, -0.4, -0.3, -0.2, -0.1, 0.0, 0.1, 0.2, 0.3, 0.5),
    "foreground_threshold": (0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.7, 0.8),
    "seed_height_px": (0.5, 1.0, 1.5, 2.0, 3.0, 4.0),
    "offsets_weight": (0.0, 0.5, 1.0, 2.0, 4.0),
    "smoothing_px": (0.0, 0.5, 1.0, 1.5, 2.0, 3.0),
    "least_area_px": (8, 16, 24, 32, 48, 64, 96, 128),
}
"""What each parameter may become, in the order in which they are changed."""

IMAGES = 20
"""Of each part of each source, by default: the network's answers to all that are looked at are in memory at once."""

# A round that gains less than this is the last one.
_LEAST_GAIN = 1e-4


@dataclass(frozen=True, slots=True)
class Scene:
    """What a network says of an image, beside the truth."""

    part: str
    """`train`, `validation`, or who left the image out."""
    probabilities: NDArray[np.float32]
    """(y, x, {background, interior, contour})."""
    labels: NDArray[np.int32]
    """(y, x) instances; 0 is background."""


@dataclass(frozen=True, slots=True)
class Quality:
    """Means over images."""

    pq: float
    aji: float

    @property
    def sum(self) -> float:
        """What is tuned for."""
        return self.pq + self.aji


def show(sets: Iterable[NucleiSet], predict: DensePredictor, images: int | None = None) -> Iterator[Scene]:
    """Run a network over the images that have instances: all of them, or `images` of each part of each source."""
    for one in sets:
        for part in PARTS:
            for image in _spread(getattr(one, part), images):
                if image.instances:
                    yield Scene(part, predict_whole(predict, image.image), image.labels)


def _spread(images: Sequence[LabelledImage], count: int | None) -> Iterator[LabelledImage]:
    """`count` images from first to last, equally far from each other."""
    taken = len(images) if count is None else min(count, len(images))
    return (images[place * len(images) // taken] for place in range(taken))


def judge(step: InstanceStep, scenes: Sequence[Scene]) -> Quality:
    """Return the mean PQ and AJI of an instance step."""
    found = [(scene.labels, step(scene.probabilities)) for scene in scenes]
    return Quality(
        float(np.mean([panoptic_quality(*pair).pq for pair in found])), float(np.mean([aji(*pair) for pair in found]))
    )


def tune(
    begin: InstanceStep,
    scenes: Sequence[Scene],
    tell: Callable[[InstanceStep, Quality], None] = lambda step, quality: None,
) -> InstanceStep:
    """Return the best step that coordinate descent over `GRIDS` finds; it is never worse than `begin` on these scenes.

    `tell` hears of every step that is tried.
    """
    tried: dict[InstanceStep, Quality] = {}

    def quality(step: InstanceStep) -> float:
        if step not in tried:
            tried[step] = judge(step, scenes)
            tell(step, tried[step])
        return tried[step].sum

    return descend(begin, quality, grids_for(scenes))


def descend(
    begin: InstanceStep, quality: Callable[[InstanceStep], float], grids: Mapping[str, Sequence[float]]
) -> InstanceStep:
    """Return where changing one parameter at a time, each over its grid, ends: when a round gains nothing more."""
    best, before = begin, -np.inf
    while quality(best) > before + _LEAST_GAIN:
        before = quality(best)
        for name, grid in grids.items():
            best = max([best, *(_with(best, name, value) for value in grid)], key=quality)
    return best


def grids_for(scenes: Sequence[Scene]) -> dict[str, tuple[float, ...]]:
    """What may change: how offsets are weighed only where a network has them."""
    offsets = any(scene.probabilities.shape[2] > len(CLASSES) for scene in scenes)
    return {name: grid for name, grid in GRIDS.items() if offsets or name != "offsets_weight"}


def _with(step: InstanceStep, name: str, value: float) -> InstanceStep:
    changed: dict[str, Any] = {name: value}
    return replace(step, **changed)


def read_sets(config: TrainConfig, card: Card) -> list[NucleiSet]:
    """Return the config's images.

    Raises
    ------
    TrainingError
        if the config learns from, or chooses by, a patient that the bundle was tested on, or a patient of the test
        belongs to none of its sources, so that nobody can tell.
    """
    _refuse_unknown_sources(config, card)
    sets = [read_nuclei(one, Path(config.data_root), config.seed, config.mpp) for one in config.sources]
    for one in sets:
        name = f"{one.name}: "
        tested = {patient for patient in card.training.get("test_patients", ()) if patient.startswith(name)}
        exposed = tested - {name + patient for patient in one.test_patients}
        refuse_shared_patients(**{"the test of the bundle": tested, "what parameters are tuned on": exposed})
    return sets


def _refuse_unknown_sources(config: TrainConfig, card: Card) -> None:
    names = tuple(f"{one.name}: " for one in config.sources)
    strangers = [one for one in card.training.get("test_patients", ()) if not one.startswith(names)]
    if strangers:
        what = (
            f"{len(strangers)} patients of its test ({', '.join(strangers[:5])}) belong to no source of {config.name}"
        )
        cure = "Give the training file that made the bundle, with all its sources under their names."
        raise TrainingError.about(card.name, what, cure)


def write_parameters(folder: Path, step: InstanceStep, scenes: Sequence[Scene]) -> Card:
    """Write parameters into a bundle's card, with what they were tuned on, and beside its figures those in use before.

    Raises
    ------
    BundleError
        if the card is wrong, or the disk refuses.
    """
    card = read_card(folder)
    parts = list(dict.fromkeys(scene.part for scene in scenes))
    tuning = {"figure": FIGURE, "images": len(scenes), "parts": parts}
    metrics = {"measured_with": dict(card.postprocessing), **card.metrics}
    changed = replace(
        card,
        postprocessing=dict(step.as_dict()),
        training={**card.training, TUNED_ON: tuning},
        metrics=metrics,
    )
    return write_bundle(folder, load_network(folder), changed)


def _line(step: InstanceStep, columns: Sequence[Quality]) -> str:
    values = asdict(step)
    parameters = "  ".join(f"{name} {values[name]:<5g}" for name in GRIDS)
    return parameters + "".join(f"  | PQ {one.pq:.4f}  AJI {one.aji:.4f}  sum {one.sum:.4f}" for one in columns)


def is_tuned(card: Card) -> bool:
    """Whether a bundle's card says what its instance step was tuned on."""
    return TUNED_ON in card.training


def tune_bundle(folder: Path, config: TrainConfig, images: int | None = IMAGES) -> Card:
    """Tune a bundle's instance step on patients that it was not tested on, and write it into the card, without a word.

    Raises
    ------
    TrainingError
        if the config is not the training of the bundle, or nothing of its sources can be tuned on.
    BundleError
        if the card is wrong, or the disk refuses.
    """
    card = read_card(folder)
    scenes = list(show(read_sets(config, card), load_predictor(folder, config.device, "fp32"), images))
    if not scenes:
        what = f"{config.name}: no image with instances to choose by"
        raise TrainingError(what, "Name sources with instances in the training file.")
    return write_parameters(folder, tune(from_table(InstanceStep, card.postprocessing, folder), scenes), scenes)


def main(arguments: list[str] | None = None) -> None:
    """Tune from the command line."""
    given = _parse(arguments)
    folder = find_bundle(given.bundle)
    card, config = read_card(folder), read_config(given.config)
    config = config.at(given.data) if given.data else config
    begin: InstanceStep = from_table(InstanceStep, card.postprocessing, folder)
    scenes = list(show(read_sets(config, card), load_predictor(folder, given.device, "fp32"), given.images or None))
    by = {part: [scene for scene in scenes if scene.part == part] for part in PARTS}
    chosen_by = scenes if given.choose_by == "both" else by[given.choose_by]
    if not chosen_by:
        what = f"{given.config}: no image with instances to choose by ({given.choose_by})"
        raise TrainingError(what, "Name validation patients in the training file, or choose by train.")
    found = tune(begin, chosen_by, lambda step, quality: print(_line(step, [quality]), flush=True))
    for title, step in (("before", begin), ("after", found)):
        for part in (part for part in PARTS if by[part]):
            print(f"{title:6} {part:10} ({len(by[part])} images)  {_line(step, [judge(step, by[part])])}")
    if given.write:
        write_parameters(folder, found, chosen_by)


def _parse(arguments: list[str] | None) -> Any:
    parser = argparse.ArgumentParser(prog="python -m models.tune_instances", description="Tune the instance step.")
    parser.add_argument("--bundle", required=True, help="name of a shipped bundle, or a bundle's folder")
    parser.add_argument("--config", type=Path, required=True, help="the training file that made it, TOML")
    parser.add_argument("--data", type=Path, help="folder that the sources' paths start from")
    parser.add_argument(
        "--images", type=int, default=IMAGES, help=f"images of each part of each source (default: {IMAGES}; 0: all)"
    )
    parser.add_argument("--choose-by", choices=[*PARTS, "both"], default="both", help="whose images decide")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda[:N]")
    parser.add_argument("--write", action="store_true", help="write the parameters into the bundle's card")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
