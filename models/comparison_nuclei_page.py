"""The tables of a comparison of nuclei networks, as Markdown."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from models.bundle import load_network
from models.comparison_nuclei import Block, Results
from models.comparison_nuclei_config import NucleiComparison, Product, TestSet
from models.comparison_nuclei_measure import Measured
from models.comparison_section import table
from models.cost import multiply_adds
from models.errors import EvaluationError
from models.evaluate_nuclei import COUNT_ERROR, Figures, Judgement, paired_difference, summarise, summarise_by_organ
from models.shelf import read_card

TILE_PX = 256
"""Side of the tile that multiply-adds are stated for."""
FIGURES = {
    "dice": "Dice", "aji": "AJI", "aji_plus": "AJI+", "pq": "PQ", "dq": "DQ", "sq": "SQ",
    "detection_f1": "detection F1",
}  # fmt: skip
SHORT = ("dice", "aji", "pq", "detection_f1")
"""Figures of the tables by organ and by scan."""
COUNTS = ("count error, median of absolute", "count error, mean")
NOTHING = "nothing found (all background)"


def section(comparison: NucleiComparison, results: Results) -> str:
    """Return the section: a heading, the words above the tables, the product's table, and the tables of each set.

    Raises
    ------
    EvaluationError
        if nothing could be measured.
    """
    blocks = [*results.sets, *results.products, *([results.folds] if results.folds else [])]
    if not any(block.measured for block in blocks):
        reasons = "; ".join(dict.fromkeys(one.why for block in blocks for one in block.left_out))
        what = f"nothing could be measured: {reasons}"
        raise EvaluationError(what, "Name bundles that are there.")
    parts = [f"## {comparison.title}", comparison.text.strip()]
    if comparison.product:
        for block in results.products:
            parts += [f"### What a coarser scan costs: {block.test_set.name}", *_product(comparison.product, block)]
    for block in results.sets:
        parts += [f"### {block.test_set.name}", *_set(block)]
    if results.folds:
        parts += [f"### Cross-validation: {results.folds.test_set.name}", *_set(results.folds)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _set(block: Block) -> list[str]:
    """Return who was measured on, the table of the networks, that by organ, and what was left out."""
    if not block.measured:
        return [_left_out(block)]
    judgements = block.measured[0].judgements
    by_network = [(row, _totals([one.method for one in row.judgements], row)) for row in block.measured]
    names = [name for name in FIGURES if name in by_network[0][1]]
    counts = COUNTS if COUNT_ERROR in by_network[0][1] else ()
    nothing = _totals([one.nothing for one in judgements], block.measured[0])
    columns = ["network", *(FIGURES[name] for name in names), *counts, "M weights", "GMAC", "trained"]
    rows = [[NOTHING, *_cells(nothing, names), "", "", ""]]
    rows += [[row.name, *_cells(figures, names), *_cost(row)] for row, figures in by_network]
    return [_who(block.test_set, judgements), table(columns, rows), _organs(block), _left_out(block)]


def _totals(rows: Sequence[Mapping[str, float]], of: Measured) -> Figures:
    return summarise(rows, [one.patient for one in of.judgements])


def _who(test_set: TestSet, judgements: Sequence[Judgement]) -> str:
    """Return whom the figures are of, and how far that says that nobody of them was trained on."""
    unit = test_set.unit
    names = sorted({one.patient for one in judgements})
    images = _count(len(judgements), "image")
    measured = images if unit == "image" else f"{images} of {_count(len(names), unit)}"
    sentence = f"Measured on {measured} that no training saw: {', '.join(names)}."
    if unit == "patient":
        return sentence
    return (
        f"{sentence} Whose they are is not known: patients may straddle the split, with some {unit}s here and some in "
        f"training, and intervals are over {unit}s."
    )


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' if number != 1 else ''}"


def _cells(figures: Figures, names: Sequence[str]) -> list[str]:
    """Return the mean of each figure with its interval, and the two count errors in percent where there are any."""
    cells = [_with_interval(figures[name]["mean"], figures.get(f"{name}_95")) for name in names]
    if COUNT_ERROR not in figures:
        return cells
    median = _with_interval(figures[f"{COUNT_ERROR}_median"], figures.get(f"{COUNT_ERROR}_median_95"), percent=True)
    mean = _with_interval(figures["relative_count_error"]["mean"], figures.get("relative_count_error_95"), percent=True)
    return [*cells, median, mean]


def _with_interval(value: float, interval: Sequence[float] | None, *, percent: bool = False) -> str:
    """Return `0.612 [0.580, 0.640]`; without brackets where one patient says nothing about others."""
    if interval is None or any(math.isnan(bound) for bound in interval):
        return _number(value, percent)
    return f"{_number(value, percent)} [{', '.join(_number(bound, percent) for bound in interval)}]"


def _number(value: float, percent: bool) -> str:
    return f"{100 * value:.0f} %" if percent else f"{value:.3f}"


def _cost(row: Measured) -> list[str]:
    """Return millions of weights, multiply-adds of a tile, and how long it was trained, by the card's own word."""
    network, training = load_network(row.bundle), read_card(row.bundle).training
    weights = sum(parameter.numel() for parameter in network.parameters())
    begun_with = f" after {training['begun_with']}" if training.get("begun_with") else ""
    trained = f"{training.get('iterations', 'unknown')} x {training.get('batch', 'unknown')} crops{begun_with}"
    return [f"{weights / 1e6:.2f}", f"{multiply_adds(network, TILE_PX) / 1e9:.2f}", trained]


def _organs(block: Block) -> str:
    """Return the table by organ, a row for each organ and network; none where there is but one organ."""
    by_network = [(row.name, summarise_by_organ(row.judgements)) for row in block.measured]
    organs = list(by_network[0][1])
    if len(organs) < 2:
        return ""
    names = [name for name in SHORT if name in by_network[0][1][organs[0]]["totals"]]
    counted = COUNT_ERROR in by_network[0][1][organs[0]]["totals"]
    columns = ["organ", "images", "network", *(FIGURES[name] for name in names), *(COUNTS if counted else ())]
    rows = [_organ_row(organ, name, found[organ]["totals"], names) for organ in organs for name, found in by_network]
    return table(columns, rows)


def _organ_row(organ: str, network: str, figures: Figures, names: Sequence[str]) -> list[str]:
    plain = {name: value for name, value in figures.items() if not name.endswith("_95")}
    return [organ, str(figures["images"]), network, *_cells(plain, names)]


def _product(product: Product, block: Block) -> list[str]:
    """Return the table of the scans, and that of their paired differences."""
    if not block.measured:
        return [_left_out(block)]
    first = block.measured[0]
    nothing = _totals([one.nothing for one in first.judgements], first)
    names = [name for name in SHORT if name in nothing]
    rows = [[NOTHING, *_cells(nothing, names)]]
    rows += [[row.name, *_cells(_totals([one.method for one in row.judgements], row), names)] for row in block.measured]
    counts = COUNTS if COUNT_ERROR in nothing else ()
    return [
        _who(block.test_set, first.judgements),
        table(["scan", *(FIGURES[name] for name in names), *counts], rows),
        _differences(product, block, names),
        _left_out(block),
    ]


def _differences(product: Product, block: Block, names: Sequence[str]) -> str:
    """Return how much each scan's figures exceed those of the row beside it, and those of the first row."""
    by_name = {row.name: row for row in block.measured}
    pairs = [
        (scan.name, other)
        for scan in product.scans[1:]
        for other in dict.fromkeys((scan.beside, product.scans[0].name))
        if other and scan.name in by_name and other in by_name
    ]
    counted = COUNT_ERROR in block.measured[0].judgements[0].method
    columns = ["paired difference", *(FIGURES[name] for name in names), *(["absolute count error"] if counted else [])]
    rows = [_difference_row(by_name[one], by_name[other], names, counted) for one, other in pairs]
    return table(columns, rows) if rows else ""


def _difference_row(one: Measured, other: Measured, names: Sequence[str], counted: bool) -> list[str]:
    differences = [paired_difference(one.judgements, other.judgements, name) for name in names]
    cells = [_signed(*difference) for difference in differences]
    if counted:
        cells.append(_signed(*paired_difference(one.judgements, other.judgements, COUNT_ERROR), percent=True))
    return [f"{one.name}, over {other.name}", *cells]


def _signed(value: float, low: float, high: float, *, percent: bool = False) -> str:
    written = [f"{100 * one:+.0f} %" if percent else f"{one:+.3f}" for one in (value, low, high)]
    return f"{written[0]} [{written[1]}, {written[2]}]" if not math.isnan(low) else written[0]


def _left_out(block: Block) -> str:
    """Return who is not in the table, and why."""
    return " ".join(f"Left out: {one.name} ({one.why})." for one in block.left_out)
