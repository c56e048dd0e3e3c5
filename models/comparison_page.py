"""The table of a comparison as Markdown, from the cards of its bundles and from what the networks cost here."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from models.bundle import load_network
from models.card import Card
from models.comparison import Cell, Comparison, finished
from models.comparison_section import table
from models.cost import milliseconds, multiply_adds
from models.errors import TrainingError
from models.predict import load_predictor

TILE_PX = 256
"""Side of the large tile that costs are stated for."""
LEAST_SIDE_PX = 64
"""Side of the smallest input that costs are measured on."""
COLUMNS = (
    "method", "PSNR RGB, dB", "gain over bicubic, dB [95 %]", "PSNR Y", "SSIM RGB", "MS-SSIM RGB", "QILV",
    "perceptual", "consistency, grey levels", "steps", "seeds", "M weights", "GMAC", "ms", "authors' own figure",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Cost:
    """What a network costs for a large tile of 256 x 256 px."""

    weights: int
    multiply_adds: int
    milliseconds: float


def section(comparison: Comparison, work: Path) -> str:
    """Return the section: a heading, the words above the tables, and a table for each data set and scale."""
    done = finished(comparison, work)
    if not done:
        raise TrainingError.about(work, "holds no bundle of this comparison", "Train first: leave --no-training out.")
    blocks: dict[tuple[str, int], list[tuple[Cell, Card]]] = defaultdict(list)
    for cell, card in done:
        blocks[cell.data.name, cell.scale].append((cell, card))
    parts = [f"## {comparison.title}", comparison.text.strip()]
    for (name, scale), runs in blocks.items():
        parts += [f"### {name}, x{scale}", _split_line(runs[0][1]), _table(runs, work)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _split_line(card: Card) -> str:
    training = card.training
    trained, tested = (len(training[f"{part}_patients"]) for part in ("train", "test"))
    return f"Trained on {trained} patients, measured on {tested} others: {', '.join(training['test_patients'])}."


def _table(runs: Sequence[tuple[Cell, Card]], work: Path) -> str:
    by_method: dict[str, list[tuple[Cell, Card]]] = defaultdict(list)
    for cell, card in runs:
        by_method[cell.method.name].append((cell, card))
    rows = [_bicubic_row(runs[0][1])]
    for of_method in by_method.values():
        cost = cost_of(work / of_method[0][0].folder, of_method[0][0].scale)
        rows += _method_rows(of_method, cost)
    return table(COLUMNS, rows)


def _method_rows(runs: Sequence[tuple[Cell, Card]], cost: Cost) -> list[tuple[str, ...]]:
    """Return a row for the weights of the first phase, and one for those trained against an adversary."""
    method, words = runs[0][0].method, f"{runs[0][0].data.name} x{runs[0][0].scale}"
    published = method.published.get(words, "")
    plain = [(card.training, _figures(card.metrics["test"])) for _, card in runs]
    adversarial = [(card.gan["training"], _figures(card.gan["metrics"]["test"])) for _, card in runs if card.gan]
    rows = [_row(f"{method.name}, pixel loss", plain, cost, "" if adversarial else published)]
    if adversarial:
        first = int(runs[0][1].training["iterations"])
        rows.append(_row(f"{method.name}, adversary", adversarial, cost, published, before=first))
    return rows


def _row(
    name: str,
    runs: Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]],
    cost: Cost,
    published: str,
    before: int = 0,
) -> tuple[str, ...]:
    figures = [one for _, one in runs]
    gain = _over_seeds(figures, "psnr_rgb_gain")
    low, high = (np.mean([one["psnr_rgb_gain_95"][side] for one in figures]) for side in (0, 1))
    steps = str(runs[0][0]["iterations"]) if not before else f"{before} + {runs[0][0]['iterations']}"
    return (
        name,
        _spread(figures, "psnr_rgb", 2),
        f"{gain:+.2f} [{low:+.2f}, {high:+.2f}]",
        _spread(figures, "psnr_y", 2),
        _spread(figures, "ssim_rgb", 4),
        _spread(figures, "ms_ssim_rgb", 4),
        _spread(figures, "qilv", 3),
        _spread(figures, "perceptual", 3),
        _spread(figures, "consistency_rms", 2),
        steps,
        str(len(runs)),
        f"{cost.weights / 1e6:.2f}",
        f"{cost.multiply_adds / 1e9:.2f}",
        f"{cost.milliseconds:.0f}",
        published,
    )


def _bicubic_row(card: Card) -> tuple[str, ...]:
    figures = [_figures({name: one for name, one in card.metrics["baseline"].items() if name != "method"})]
    names = (("psnr_y", 2), ("ssim_rgb", 4), ("ms_ssim_rgb", 4), ("qilv", 3), ("perceptual", 3), ("consistency_rms", 2))
    middle = [_spread(figures, name, digits) for name, digits in names]
    return "bicubic", _spread(figures, "psnr_rgb", 2), "0", *middle, *[""] * 6


def _figures(by_source: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the figures of the only source with held-out images."""
    if len(by_source) != 1:
        what = f"a comparison with test images in {len(by_source)} sources ({', '.join(by_source)})"
        raise TrainingError(what, "Hold out images of one source only.")
    return dict(next(iter(by_source.values())))


def _over_seeds(figures: Iterable[Mapping[str, Any]], name: str) -> float:
    return float(np.mean([one[name]["mean"] for one in figures]))


def _spread(figures: Sequence[Mapping[str, Any]], name: str, digits: int) -> str:
    """Return mean ± deviation over images, both averaged over seeds; empty where a figure is not there."""
    if any(name not in one for one in figures):
        return ""
    deviation = float(np.mean([one[name]["sd"] for one in figures]))
    return f"{_over_seeds(figures, name):.{digits}f} ± {deviation:.{digits}f}"


def cost_of(bundle: Path, scale: int) -> Cost:
    """Return what a bundle's network costs for a large tile of 256 x 256 px; the time as `histoloom run` would take.

    Measured on a tile that is not small beside the network's stride, and stated for 256 x 256 px of it.
    """
    network, side_px = load_network(bundle), max(TILE_PX // scale, LEAST_SIDE_PX)
    share = (TILE_PX / (side_px * scale)) ** 2
    weights = sum(parameter.numel() for parameter in network.parameters())
    took = milliseconds(load_predictor(bundle), side_px)
    return Cost(weights, round(multiply_adds(network, side_px) * share), took * share)
