"""The tables of a comparison of classifiers, as Markdown."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from models.bundle import build_without_memory
from models.comparison_classification_bench import Measured
from models.comparison_classification_config import PatchComparison, PatchData
from models.comparison_classification_differences import (
    FIGURES,
    Difference,
    difference,
    on_same_patches,
    score_difference,
)
from models.comparison_section import table
from models.cost import multiply_adds
from models.errors import EvaluationError
from models.evaluate_classification import commonest, evaluate_classes, judge_classes
from models.metrics import mean_and_deviation
from models.metrics_classes import by_patient
from models.patches_seen import NATIVE

COMMONEST = "always the commonest class"
LEAK = "LEAK, no result: "
Figures = Mapping[str, Any]


def section(comparison: PatchComparison, rows: Sequence[Measured], where: Path) -> str:
    """Return the section: a heading, the words above the tables, and the tables of each set.

    Raises
    ------
    EvaluationError
        if nothing could be measured.
    """
    if not rows:
        what = "holds no record of this comparison"
        raise EvaluationError.about(where, what, "Train first: leave --no-training out.")
    parts = [f"## {comparison.title}", comparison.text.strip()]
    for data in comparison.sets:
        of_set = [row for row in rows if row.variant.data.name == data.name]
        if of_set:
            parts += [f"### {data.name}", data.text.strip(), _protocol(comparison, data, of_set)]
            parts += _tables(comparison, data, of_set)
    return "\n\n".join(part for part in parts if part) + "\n"


def _protocol(comparison: PatchComparison, data: PatchData, rows: Sequence[Measured]) -> str:
    most = max((row.pooled for row in rows), key=lambda one: len(one.labels))
    return (
        f"Measured on {len(most.labels):,} patches of {len(set(most.patients.tolist()))} patients, "
        f"{data.field_px} px a side at {data.mpp:g} um/px. {comparison.folds} folds, no patient in two of them, each "
        f"with its share of the classes' patients; about {data.validation_share:.0%} of the patients that a fold does "
        "not test on choose the iteration and the temperature. Figures are of all folds together, every patch judged "
        "by the network that never saw its patient; intervals are 95 %, over patients. Training draws every class "
        f"equally often. Seed {comparison.seed}, one run a row."
    )


def _tables(comparison: PatchComparison, data: PatchData, rows: Sequence[Measured]) -> list[str]:
    """Return the tables of patches, of patients, of costs, and of differences, and the words about the leak."""
    judged = [(row, judge_classes(*_columns(row))) for row in rows]
    baseline = _baseline(rows)
    by_patch = [_patch_row((COMMONEST, ""), "", baseline, "")]
    by_patch += [
        _patch_row(_names(row), _reduced(row, comparison.folds), found, _by_class(row)) for row, found in judged
    ]
    by_patients = [_patient_row((COMMONEST, ""), baseline, "")]
    by_patients += [_patient_row(_names(row), found, _over_folds(row)) for row, found in judged]
    pairs = list(_pairs(rows))
    return [
        table(_PATCH_COLUMNS, by_patch),
        "By patient: the mean of the patch probabilities; the truth is the class of most of the patches.",
        table(_PATIENT_COLUMNS, by_patients),
        "What each row is and costs; GMAC of one patch.",
        table(_COST_COLUMNS, [_cost_row(comparison, row) for row in rows]),
        "Differences on the very same patches." if pairs else "",
        table(_DIFFERENCE_COLUMNS, [_difference_row(*pair) for pair in pairs]) if pairs else "",
        _leak_words(judged),
    ]


_PATCH_COLUMNS = (
    "network", "SR in front", "reduced", "balanced accuracy", "AUC", "accuracy", "F1", "kappa", "ECE",
    "precision and recall by class", "confusion (rows: truth)",
)  # fmt: skip
_PATIENT_COLUMNS = (
    "network", "SR in front", "patients", "accuracy", "balanced accuracy", "AUC", "F1", "patient score",
    "accuracy over folds",
)  # fmt: skip
_COST_COLUMNS = (
    "network", "SR in front", "um/px", "px", "folds", "M weights", "GMAC", "iterations", "batch", "seed", "parameters",
)  # fmt: skip
_DIFFERENCE_COLUMNS = ("difference", *FIGURES, "patient score")


def _baseline(rows: Sequence[Measured]) -> Figures:
    """Return the figures of always saying the commonest class, on the row with the most patches."""
    labels, probabilities, patients = max((_columns(row) for row in rows), key=lambda one: len(one[0]))
    return judge_classes(labels, commonest(labels, probabilities.shape[1]), patients)


def _columns(row: Measured) -> tuple[Any, Any, Any]:
    pooled = row.pooled
    return pooled.labels, pooled.probabilities, pooled.patients


def _names(row: Measured) -> tuple[str, str]:
    """Return what a row is called, and what stands in front of it."""
    one = row.variant.row
    return f"{LEAK if one.leaks else ''}{one.name}", row.variant.sr


def _reduced(row: Measured, folds: int) -> str:
    """Return where a row departs from its option and its set: parameters of the file, missing folds, fewer steps."""
    given = {**row.variant.data.network, **row.variant.row.network}
    words = [f"{name} {_plainly(value)}" for name, value in given.items()]
    words += [f"{len(row.folds)} of {folds} folds"] if len(row.folds) < folds else []
    steps, all_steps = row.variant.schedule().iterations, row.variant.data.schedule.iterations
    return ", ".join(words + ([f"{steps} of {all_steps} iterations"] if steps < all_steps else []))


def _patch_row(names: tuple[str, str], reduced: str, figures: Figures, by_class: str) -> list[str]:
    return [
        *names,
        reduced,
        _with_interval(figures, "balanced_accuracy"),
        _with_interval(figures, "auc"),
        *(f"{figures[one]:.3f}" for one in ("accuracy", "f1", "kappa", "ece")),
        by_class,
        " / ".join(" ".join(str(count) for count in line) for line in figures["confusion"]),
    ]


def _by_class(row: Measured) -> str:
    labels, probabilities, _ = _columns(row)
    found = evaluate_classes(labels, probabilities, row.variant.data.classes)
    return "; ".join(f"{name} {one['precision']:.3f}, {one['recall']:.3f}" for name, one in found.items())


def _patient_row(names: tuple[str, str], figures: Figures, over_folds: str) -> list[str]:
    intervals = ("patient_accuracy", "patient_balanced_accuracy", "patient_auc")
    return [
        *names,
        str(figures["patients"]),
        *(_with_interval(figures, one) for one in intervals),
        f"{figures['patient_f1']:.3f}",
        _with_interval(figures, "patient_score"),
        over_folds,
    ]


def _over_folds(row: Measured) -> str:
    """Return mean ± deviation over folds of the share of patients that are recognised."""
    shares = []
    for fold in row.folds:
        one = by_patient(fold.labels, fold.probabilities, fold.patients)
        shares.append(float((one.probabilities.argmax(1) == one.labels).mean()))
    found = mean_and_deviation(shares)
    return f"{found['mean']:.3f} ± {found['sd']:.3f}"


def _cost_row(comparison: PatchComparison, row: Measured) -> list[str]:
    card, schedule = row.card, row.variant.schedule()
    network = build_without_memory(card, card.name)
    side_px = card.field_px or 0
    weights = sum(parameter.numel() for parameter in network.parameters())
    parameters = ", ".join(f"{name} {_plainly(value)}" for name, value in card.parameters.items())
    return [
        *_names(row),
        f"{card.mpp:g}",
        str(side_px),
        f"{len(row.folds)} of {comparison.folds}",
        f"{weights / 1e6:.2f}",
        f"{multiply_adds(network, side_px) / 1e9:.2f}",
        f"{schedule.iterations}" + (f", at most {schedule.minutes:g} min" if schedule.minutes else ""),
        str(schedule.batch),
        str(card.training.get("seed", "")),
        parameters,
    ]


def _plainly(value: object) -> str:
    return "-".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _pairs(rows: Sequence[Measured]) -> Iterator[tuple[str, Measured, Measured]]:
    """Yield what is compared with what: a name, the row, and the row that it is compared with."""
    by_name = {(row.variant.row.name, row.variant.sr): row for row in rows}
    for (name, sr), row in by_name.items():
        called = name if sr == NATIVE else f"{name} behind {sr}"
        for before in row.variant.row.sr[: row.variant.row.sr.index(sr)]:
            if (name, before) in by_name:
                yield f"{called}, over {before}", row, by_name[name, before]
        if (row.variant.row.beside, sr) in by_name:
            yield f"{called}, over {row.variant.row.beside}", row, by_name[row.variant.row.beside, sr]
        halves = [by_name[half, sr] for half in row.variant.row.halves if (half, sr) in by_name]
        if len(halves) == 2:
            better = max(halves, key=lambda half: FIGURES["AUC"](half.pooled))
            yield f"{called}, over the better of its halves ({better.variant.row.name})", row, better


def _difference_row(name: str, row: Measured, other: Measured) -> list[str]:
    mine, theirs = on_same_patches(row.pooled, other.pooled)
    found = [difference(mine, theirs, figure) for figure in FIGURES.values()]
    return [name, *(_signed(one) for one in (*found, score_difference(mine, theirs)))]


def _signed(one: Difference) -> str:
    return f"{one.value:+.3f} [{one.low:+.3f}, {one.high:+.3f}]"


def _leak_words(judged: Sequence[tuple[Measured, Figures]]) -> str:
    """Return, for each row that leaks, what its figure is worth."""
    honest = {(row.variant.row.name, row.variant.sr): found for row, found in judged}
    words = []
    for row, found in judged:
        if row.variant.row.leaks:
            beside = honest.get((row.variant.row.beside, row.variant.sr))
            instead = f" instead of {beside['balanced_accuracy']:.3f}" if beside else ""
            words.append(
                f"**{row.variant.row.name} is no result.** It is the same network under the split of the papers that "
                f"report 99 %, image by image ({row.card.training['split']}): it is asked about patients it knows. "
                f"Its balanced accuracy of {found['balanced_accuracy']:.3f}{instead} says how much that is worth."
            )
    return "\n\n".join(words)


def _with_interval(figures: Figures, name: str) -> str:
    """Return `0.912 [0.880, 0.940]`; without brackets where nothing can be said about others."""
    value, interval = figures[name], figures.get(f"{name}_95")
    if interval is None or any(math.isnan(bound) for bound in interval):
        return "" if math.isnan(value) else f"{value:.3f}"
    return f"{value:.3f} [{interval[0]:.3f}, {interval[1]:.3f}]"
