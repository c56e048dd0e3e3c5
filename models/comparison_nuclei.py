"""Compare nuclei networks on held-out patients, and scans with each other, and write what they are worth as tables.

    python -m models.comparison_nuclei --config models/comparisons/nuclei.toml --data ROOT --work DIR --page PAGE.md

Bundles are measured as they are; what is trained are those whose training files the comparison names, and the folds of
a cross-validation. The figures of every image are kept in the work folder, and a bundle that is there is not trained
again: a comparison that is stopped goes on where it was.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from models.comparison_nuclei_cache import FiguresCache
from models.comparison_nuclei_config import Folds, NucleiComparison, Product, Scan, TestSet, read_nuclei_comparison
from models.comparison_nuclei_folds import fold_configs, fold_name, fold_patients, train_unless_there
from models.comparison_nuclei_measure import Bench, LeftOut, Measured, locate
from models.comparison_nuclei_set import list_images, of_patients
from models.shelf import CARD_FILE, read_card
from models.train_config import TrainConfig, read_config
from models.tune_folds import tune_folds
from models.tune_instances import is_tuned, tune_bundle

FIGURES_FILE = "figures.jsonl"


@dataclass(frozen=True, slots=True)
class Block:
    """What was measured on one set, and what was not."""

    test_set: TestSet
    measured: tuple[Measured, ...]
    left_out: tuple[LeftOut, ...]


@dataclass(frozen=True, slots=True)
class Results:
    """Everything the page says."""

    sets: tuple[Block, ...]
    products: tuple[Block, ...]
    """What the scans are worth, a set each."""
    folds: Block | None


def measure(comparison: NucleiComparison, data_root: Path, bench: Bench) -> Results:
    """Measure every bundle on every set, the product's scans, and the folds whose bundles are there."""
    product = comparison.product
    products = _measure_products(comparison, product, data_root, bench) if product else []
    sets = [_measure_set(one, comparison.bundles, data_root, bench) for one in comparison.sets]
    folds = _measure_folds(comparison, comparison.folds, data_root, bench) if comparison.folds else None
    return Results(tuple(sets), tuple(products), folds)


def _measure_set(test_set: TestSet, bundles: Sequence[str], data_root: Path, bench: Bench) -> Block:
    images = of_patients(list_images(test_set, data_root), test_set.test, test_set.name)
    return _block(test_set, [bench.measure(Path(bundle).name, bundle, test_set, images) for bundle in bundles])


def _measure_products(comparison: NucleiComparison, product: Product, data_root: Path, bench: Bench) -> list[Block]:
    blocks = []
    for test_set in map(comparison.set_named, product.sets):
        images = of_patients(list_images(test_set, data_root), test_set.test, test_set.name)
        images = [replace(one, multiple_px=product.largest_factor) for one in images]
        rows = [bench.measure(scan.name, product.bundle, test_set, images, scan) for scan in product.scans]
        blocks.append(_block(test_set, rows))
    return blocks


def _measure_folds(comparison: NucleiComparison, folds: Folds, data_root: Path, bench: Bench) -> Block:
    """Return a row for each number of views: the images of all folds, each judged by the network that left it out."""
    test_set = comparison.set_named(folds.set)
    pooled: list[Measured] = []
    left_out: dict[str, LeftOut] = {}
    for views in folds.views:
        block = _measure_views(test_set, folds, views, data_root, bench)
        left_out |= {one.name: one for one in block.left_out}
        if block.measured:
            name = f"{len(block.measured)} of {folds.count} folds{f', {views} views' if views > 1 else ''}"
            judgements = sorted((one for row in block.measured for one in row.judgements), key=lambda one: one.name)
            pooled.append(Measured(name, block.measured[0].bundle, tuple(judgements)))
    return Block(test_set, tuple(pooled), tuple(left_out.values()))


def _measure_views(test_set: TestSet, folds: Folds, views: int, data_root: Path, bench: Bench) -> Block:
    """Return a row for each fold: the images of the patients that its network never saw."""
    images = list_images(test_set, data_root)
    rows = []
    for fold, patients in enumerate(fold_patients(images, folds.count)):
        name = fold_name(folds, fold)
        seen = Scan(name=name, views=views)
        rows.append(bench.measure(name, name, test_set, of_patients(images, patients, test_set.name), seen))
    return _block(test_set, rows)


def _block(test_set: TestSet, rows: Sequence[Measured | LeftOut]) -> Block:
    measured = tuple(row for row in rows if isinstance(row, Measured))
    return Block(test_set, measured, tuple(row for row in rows if isinstance(row, LeftOut)))


def train_missing(comparison: NucleiComparison, bench: Bench, files: Path, data_root: Path, only: str = "") -> None:
    """Train and tune the bundles that are not there, or of them those whose names hold the words `only`.

    Training files lie below `files`. What one begins with may be a bundle of the work folder.
    """
    for one in comparison.trainings:
        config = read_config(files / one).at(data_root)
        if only in config.name:
            whole = _train(config, bench)
            if comparison.tune_images and not is_tuned(read_card(bench.work / config.name)):
                tune_bundle(bench.work / config.name, whole, comparison.tune_images)
    asked = [config for config in _fold_trainings(comparison, files, data_root) if only in config.name]
    for config in asked:
        _train(config, bench)
    if asked and comparison.folds and comparison.tune_images:
        _tune_folds_if_all_are_there(comparison, comparison.folds, data_root, bench)


def _train(config: TrainConfig, bench: Bench) -> TrainConfig:
    bench.watch(config.name)
    whole = _begun_in(replace(config, device=bench.device), bench.work)
    train_unless_there(whole, bench.work)
    return whole


def _tune_folds_if_all_are_there(comparison: NucleiComparison, folds: Folds, data_root: Path, bench: Bench) -> None:
    bundles = [bench.work / fold_name(folds, fold) for fold in range(folds.count)]
    if all((one / CARD_FILE).is_file() for one in bundles) and not all(is_tuned(read_card(one)) for one in bundles):
        bench.watch("instance steps of the folds, each by the others")
        tune_folds(comparison, folds, data_root, bench.work, bench.device)


def _fold_trainings(comparison: NucleiComparison, files: Path, data_root: Path) -> Iterator[TrainConfig]:
    folds = comparison.folds
    if folds:
        yield from fold_configs(folds, files, data_root, list_images(comparison.set_named(folds.set), data_root))


def _begun_in(config: TrainConfig, work: Path) -> TrainConfig:
    begin = locate(config.begin, work) if config.begin else None
    return replace(config, begin=str(begin)) if begin else config


def main(arguments: list[str] | None = None) -> None:
    """Train what is missing, measure what is missing and write the tables, from the command line."""
    from models.comparison_nuclei_page import section
    from models.comparison_section import check_page, write_section

    parser = argparse.ArgumentParser(prog="python -m models.comparison_nuclei", description="Compare nuclei networks.")
    parser.add_argument("--config", type=Path, required=True, help="the comparison's file, TOML")
    parser.add_argument("--data", type=Path, required=True, help="folder that the sets' paths start from")
    parser.add_argument("--work", type=Path, required=True, help="folder of figures, and of bundles that are made")
    parser.add_argument("--page", type=Path, help="Markdown file whose section is written anew; else it is printed")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda[:N]")
    parser.add_argument("--only", default="", help="train what has these words in its name alone, and write nothing")
    parser.add_argument("--no-training", action="store_true", help="measure what is there")
    given = parser.parse_args(arguments)
    comparison = read_nuclei_comparison(given.config)
    if given.page:
        check_page(given.page, comparison.section)
    bench = Bench(given.work, FiguresCache(given.work / FIGURES_FILE), given.device, partial(print, flush=True))
    if not given.no_training:
        train_missing(comparison, bench, given.config.parent, given.data, given.only)
    if given.only:
        return
    text = section(comparison, measure(comparison, given.data, bench))
    if given.page:
        write_section(given.page, comparison.section, text)
    else:
        print(text)


if __name__ == "__main__":
    main()
