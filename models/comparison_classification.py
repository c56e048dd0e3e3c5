"""Compare classifiers by patient-grouped cross-validation, with and without super-resolution in front of them.

    python -m models.comparison_classification --config models/comparisons/classification.toml --data ROOT --work DIR \
        [--records DIR] --page PAGE.md

Every cell is a training of its own (set, enlargement, network, fold). What is there is neither trained nor measured
again: a comparison that is stopped goes on where it was, within a training, too. What each network said of the patches
that it left out is kept in a small record; those of the page lie beside the comparison's file. Beside the honest rows
one shows what the published figures rest on: the same network with patients on both sides of the split.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from models.comparison_classification_bench import Bench, Measured
from models.comparison_classification_config import PatchComparison, read_patch_comparison
from models.train_config import TrainConfig


def trainings(bench: Bench, only: str = "") -> Iterator[TrainConfig]:
    """Yield the trainings whose bundles' names hold all of these words; every fold of a row before the next row."""
    words = only.split()
    for variant in bench.comparison.variants():
        names = [variant.bundle(fold, bench.comparison.folds) for fold in range(bench.comparison.folds_of(variant))]
        if any(all(word in name for word in words) for name in names):
            yield from (config for config in bench.configs(variant) if all(word in config.name for word in words))


def measure(comparison: PatchComparison, bench: Bench) -> list[Measured]:
    """Return the rows that have a fold at least."""
    rows = (bench.measure(variant) for variant in comparison.variants())
    return [row for row in rows if row is not None]


def main(arguments: list[str] | None = None) -> None:
    """Train what is missing, measure what is missing and write the tables, from the command line."""
    from models.comparison_classification_page import section
    from models.comparison_section import check_page, write_section

    parser = argparse.ArgumentParser(
        prog="python -m models.comparison_classification", description="Train and compare classifiers."
    )
    parser.add_argument("--config", type=Path, required=True, help="the comparison's file, TOML")
    parser.add_argument("--data", type=Path, required=True, help="folder that the sets' paths start from")
    parser.add_argument("--work", type=Path, required=True, help="folder of the bundles that are made")
    parser.add_argument("--records", type=Path, help="folder of the folds' records; DIR/records by default")
    parser.add_argument("--page", type=Path, help="Markdown file whose section is written anew; else it is printed")
    parser.add_argument("--only", default="", help="train what has these words in its name alone")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda[:N]")
    parser.add_argument("--no-training", action="store_true", help="measure what is there")
    given = parser.parse_args(arguments)
    comparison = read_patch_comparison(given.config)
    if given.page:
        check_page(given.page, comparison.section)
    records = given.records or given.work / "records"
    bench = Bench(comparison, given.data, given.work, given.device, partial(print, flush=True), records)
    if not given.no_training:
        for config in trainings(bench, given.only):
            bench.train(config)
    text = section(comparison, measure(comparison, bench), records)
    if given.page:
        write_section(given.page, comparison.section, text)
    else:
        print(text)


if __name__ == "__main__":
    main()
