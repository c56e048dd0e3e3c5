"""The bundles as a table: what each network makes, at which resolution, how well, and under which licence."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from models.card import Card
from models.errors import UnknownBundle
from models.shelf import WEIGHTS_FILE, find_bundle


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure that a network is judged by: its key in a card, and how people write it."""

    key: str
    title: str
    wording: str


# What a network is judged by: the first of these that its card has.
_FIGURES = {
    "superresolution": (Figure("psnr_rgb", "PSNR", "{:.2f} dB"), Figure("ssim_rgb", "SSIM", "{:.3f}")),
    "nuclei": (Figure("aji", "AJI", "{:.3f}"), Figure("pq", "PQ", "{:.3f}"), Figure("dice", "Dice", "{:.3f}")),
    "classification": (Figure("balanced_accuracy", "balanced accuracy", "{:.3f}"), Figure("auc", "AUC", "{:.3f}")),
}

# Words of a licence or a figure break rather than vanish where a terminal is narrow.
_COLUMNS: dict[str, Any] = {
    "name": {"overflow": "fold", "min_width": 11},
    "task": {"overflow": "fold", "min_width": 15},
    "um/px": {"justify": "right", "no_wrap": True},
    "on patients held out": {"overflow": "fold"},
    "licence of the weights": {"overflow": "fold"},
    "size": {"justify": "right", "no_wrap": True},
}


def print_cards(cards: Sequence[Card]) -> None:
    """Print one row a bundle on stdout."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    for heading, style in _COLUMNS.items():
        table.add_column(heading, **style)
    for card in cards:
        cells = (
            card.name,
            f"{card.task}\n{makes(card)}",
            f"{card.mpp:g}",
            main_figure(card),
            card.licence,
            _size(card),
        )
        table.add_row(*(Text(cell) for cell in cells))
    Console().print(
        table if cards else "No bundle came with this installation; train one, or give the path of your own."
    )


def makes(card: Card) -> str:
    """What comes out of a network: how many times larger a picture, or which classes."""
    return f"x{card.scale}" if card.scale else ", ".join(card.classes or ())


def main_figure(card: Card) -> str:
    """The figure that a card's network is judged by, beside the trivial answer's; empty where the card has none.

    Cards come from anyone: whatever is not where it is looked for counts as absent.
    """
    baseline = _mapping(card.metrics.get("baseline"))
    method = baseline.get("method", "baseline")
    for figure in _FIGURES.get(card.task, ()):
        for data, figures in _test_sets(card.metrics):
            value = _mean(figures.get(figure.key))
            trivial = _mean(_mapping(baseline.get(data, baseline)).get(figure.key))
            if value is not None:
                beside = f"; {method} {figure.wording.format(trivial)}" if trivial is not None else ""
                return f"{figure.title} {figure.wording.format(value)}{beside}{f' ({data})' if data else ''}"
    return ""


def _test_sets(metrics: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Names of test sets and their figures; one without a name where a card has figures of a single set."""
    test = _mapping(metrics.get("test", metrics))
    yield "", test
    for name, figures in test.items():
        yield name, _mapping(figures)


def _mean(value: object) -> float | None:
    """A figure, or the mean of one over images, as a number."""
    if isinstance(value, Mapping):
        value = value.get("mean")
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _size(card: Card) -> str:
    """The size of a shipped bundle's weights in MB; empty where they are not found."""
    try:
        return f"{(find_bundle(card.name) / WEIGHTS_FILE).stat().st_size / 1e6:.1f} MB"
    except (UnknownBundle, OSError):
        return ""
