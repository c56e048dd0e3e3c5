"""Measure bundles on test sets, one image after the other: what is done is kept, what cannot be done honestly left out.

A bundle that is not there, that was trained on a patient of the test, or that wants another um per px than the set has,
gets no row but a sentence that says why.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.card import Card
from models.coarse_scan import BICUBIC, cut, enlarge_labels, enlarger_of, scan_coarser
from models.comparison_nuclei_cache import FiguresCache, ImageFigures, key_of
from models.comparison_nuclei_config import NATIVE, Scan, TestSet
from models.comparison_nuclei_set import HeldOut
from models.degrade import reduce_bicubic
from models.errors import UnknownBundle
from models.evaluate_nuclei import Judgement, judge_instances, judge_nothing
from models.instances import InstanceStep
from models.nuclei_image import LabelledImage
from models.predict import load_predictor
from models.shelf import find_bundle, read_card
from models.train_config import from_table
from models.whole_image import predict_whole

MPP_RATIO = 1.25
"""How far an image's um per px may be from the network's, as `histoloom run` has it."""
Find = Callable[[LabelledImage], tuple[LabelledImage, NDArray[np.int32]]]
"""Maps an image to what is judged: the image cut to the scan's grid, and the instances found, on the native grid."""
Watch = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Measured:
    """A row that could be measured."""

    name: str
    bundle: Path
    judgements: tuple[Judgement, ...]


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A row that could not, and why."""

    name: str
    why: str


@dataclass(frozen=True, slots=True)
class Way:
    """How instances are found in a scan: a nuclei bundle and, perhaps, a super-resolution bundle before it."""

    scan: Scan
    bundle: Path
    card: Card
    enlarger: Path | None = None
    enlarger_card: Card | None = None

    def facts(self) -> dict[str, Any]:
        """Return what the figures follow from."""
        enlarged_by = _network_facts(self.enlarger_card) if self.enlarger_card else self.scan.enlarge
        facts = {"network": _network_facts(self.card), "factor": self.scan.factor, "enlarged_by": enlarged_by}
        return facts | ({"views": self.scan.views} if self.scan.views > 1 else {})

    def step(self) -> InstanceStep:
        """Return the instance step with the card's parameters."""
        return from_table(InstanceStep, self.card.postprocessing, self.card.name)

    def obstacle(self, test_set: TestSet, patients: Collection[str]) -> str | None:
        """Return why this way cannot be measured on patients of a set, if it cannot."""
        if self.card.task != "nuclei":
            return f"{self.card.name} does not segment nuclei"
        if self.enlarger_card and self.enlarger_card.scale != self.scan.factor:
            return f"{self.enlarger_card.name} does not enlarge x{self.scan.factor}"
        seen_mpp = test_set.mpp if self.scan.enlarge else test_set.mpp * self.scan.factor
        if not 1 / MPP_RATIO <= seen_mpp / self.card.mpp <= MPP_RATIO:
            return f"{self.card.name} wants {self.card.mpp:g} um/px, and would see {seen_mpp:g}"
        for card in (self.card, self.enlarger_card):
            shared = sorted(seen_patients(card, test_set.name).intersection(patients)) if card else []
            if card and shared:
                return f"{card.name} was trained on {len(shared)} of the {test_set.unit}s ({', '.join(shared[:3])})"
        return None

    def finder(self, device: str) -> Find:
        """Return the way itself, its networks loaded."""
        predictor = load_predictor(self.bundle, device, "fp32", views=self.scan.views)
        step = self.step()
        factor = self.scan.factor

        def segment(image: NDArray[np.uint8]) -> NDArray[np.int32]:
            return step(predict_whole(predictor, image))

        def find_in_scan(one: LabelledImage) -> tuple[LabelledImage, NDArray[np.int32]]:
            whole = cut(one, factor)
            seen = reduce_bicubic(np.ascontiguousarray(whole.image), factor)
            return whole, enlarge_labels(segment(seen), factor)

        def find_enlarged(one: LabelledImage) -> tuple[LabelledImage, NDArray[np.int32]]:
            seen = scan_coarser(one, factor, enlarge)
            return seen, segment(seen.image)

        if not self.scan.enlarge:
            return find_in_scan
        enlarge = enlarger_of(self.enlarger or BICUBIC, factor, device=device, precision="fp32").enlarge
        return find_enlarged


def _network_facts(card: Card) -> dict[str, Any]:
    """Return what a network computes by: the same weights give other figures in another network."""
    facts = {"sha256": card.sha256, "architecture": card.architecture, "parameters": dict(card.parameters)}
    return facts | {"classes": card.classes, "normalisation": asdict(card.normalisation)}


def seen_patients(card: Card, set_name: str) -> set[str]:
    """Return the patients of a set that a card names as seen in training or choosing.

    Cards write `set: patient`, those of super-resolution the patient alone.
    """
    names = [str(name) for part in ("train", "validation") for name in card.training.get(f"{part}_patients", ())]
    parts = [name.rpartition(": ") for name in names]
    return {patient for source, _, patient in parts if source in ("", set_name)}


def locate(name: str, work: Path) -> Path | None:
    """Return the folder of a bundle: a shipped one, one below the work folder, or one by its path; None without any."""
    for candidate in (name, work / name):
        try:
            return find_bundle(candidate)
        except UnknownBundle:
            continue
    return None


def find_way(scan: Scan, bundle: str, work: Path) -> Way | str:
    """Return the way that a scan describes, or which of its bundles is not there."""
    names = {"network": scan.network or bundle}
    if scan.enlarge not in ("", BICUBIC):
        names["enlarger"] = scan.enlarge
    places = {role: locate(name, work) for role, name in names.items()}
    absent = [names[role] for role, place in places.items() if place is None]
    if absent:
        return f"there is no bundle {' or '.join(absent)} yet"
    network, enlarger = places["network"], places.get("enlarger")
    assert network is not None  # it is not among the absent
    return Way(scan, network, read_card(network), enlarger, read_card(enlarger) if enlarger else None)


@dataclass(frozen=True, slots=True)
class Bench:
    """Where bundles and figures lie, and on what is computed."""

    work: Path
    cache: FiguresCache
    device: str = "auto"
    watch: Watch = print

    def measure(
        self, name: str, bundle: str, test_set: TestSet, images: Sequence[HeldOut], scan: Scan = NATIVE
    ) -> Measured | LeftOut:
        """Return the judgements of a bundle on images of a set, seen by a scan; what is there is not made anew."""
        way = find_way(scan, bundle, self.work)
        if isinstance(way, str):
            return LeftOut(name, way)
        obstacle = way.obstacle(test_set, {one.patient for one in images})
        if obstacle:
            return LeftOut(name, obstacle)
        key = key_of(way.step(), **way.facts(), mpp=test_set.mpp)
        find: Find | None = None
        judgements = []
        for held_out in images:
            fingerprint = held_out.fingerprint()
            figures = self.cache.get(key, fingerprint)
            if figures is None:
                self.watch(f"{test_set.name} | {name} | {held_out.name}")
                find = find or way.finder(self.device)
                figures = _judge(find, held_out, test_set.mpp)
                self.cache.add(key, fingerprint, figures)
            judgements.append(_of(held_out, figures))
        return Measured(name, way.bundle, tuple(judgements))


def _judge(find: Find, held_out: HeldOut, mpp: float) -> ImageFigures:
    one, found = find(held_out.read())
    return ImageFigures(judge_instances(one, found, mpp=mpp), judge_nothing(one, mpp=mpp))


def _of(held_out: HeldOut, figures: ImageFigures) -> Judgement:
    return Judgement(held_out.name, held_out.patient, held_out.organ, figures.method, figures.nothing)
