"""The record of an evaluation: what `metrics.json` holds, and the table that a person reads."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.table import Table

Result = dict[str, Any]

FORMAT = 1
ORGAN_COLUMNS = {
    "images": "images",
    "dice": "Dice",
    "aji": "AJI",
    "pq": "PQ",
    "detection_f1": "detection F1",
    "absolute_relative_count_error_median": "count error, median",
}
_PACKAGES = ("histoloom", "torch", "numpy", "scipy", "scikit-image", "pillow")
_INTERVAL = "_95"


def record(task: str, protocol: str, **facts: Any) -> Result:
    """Return the record of an evaluation, made of JSON's own types; numbers that are not finite become null."""
    versions = {package: version(package) for package in _PACKAGES}
    plain: Result = _plain({"format": FORMAT, "task": task, "protocol": protocol, **facts, "versions": versions})
    return plain


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        value = asdict(value)
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    return value


def print_metrics(result: Mapping[str, Any]) -> None:
    """Print the totals beside the baseline's on stdout, and on stderr the files that were skipped and what is amiss."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    totals, baseline = result["totals"], result["baseline"]
    who = result.get("predictions") or result["bundle"]
    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("figure", no_wrap=True)
    for heading in (who["name"], "95 % interval", baseline["method"]):
        table.add_column(heading, justify="right", overflow="fold")
    for name in (name for name in totals if not name.endswith(_INTERVAL)):
        cells = (_written(totals[name]), _interval(totals.get(name + _INTERVAL)), _written(baseline.get(name)))
        table.add_row(name, *(Text(cell) for cell in cells))
    console = Console()
    console.print(table)
    if result.get("organs"):
        console.print(_by_organ(result["organs"]))
    console.print(Text(result["protocol"], "dim"))
    for line in _warnings(result):
        print(line, file=sys.stderr)


def _by_organ(organs: Mapping[str, Mapping[str, Any]]) -> Table:
    """Return a row an organ, a column a figure; the baseline's rows are in the file."""
    from rich.table import Table

    names = [name for name in ORGAN_COLUMNS if any(name in one["totals"] for one in organs.values())]
    table = Table(box=None, header_style="bold", pad_edge=False, padding=(1, 2, 0, 0), collapse_padding=True)
    for heading in ("organ", *(ORGAN_COLUMNS[name] for name in names)):
        table.add_column(heading, justify="left" if heading == "organ" else "right")
    for organ, one in organs.items():
        table.add_row(organ, *(_written(one["totals"].get(name)) for name in names))
    return table


def _written(value: Any) -> str:
    """A count, a figure, or the mean and deviation of one; nothing for nothing."""
    if isinstance(value, Mapping):
        return "" if value["mean"] is None else f"{value['mean']:.4g} ± {value['sd']:.2g}"
    if isinstance(value, list):
        return "\n".join(" ".join(str(count) for count in row) for row in value)
    return "" if value is None else str(value) if isinstance(value, int) else f"{value:.4g}"


def _interval(value: Any) -> str:
    return f"{value[0]:.4g} to {value[1]:.4g}" if value and None not in value else ""


def _warnings(result: Mapping[str, Any]) -> list[str]:
    lines = [f"skipped: {one['file']}: {one['reason']}" for one in result["skipped"]]
    trained_on = result.get("patients_trained_on") or []
    if trained_on:
        lines.append(
            f"{len(trained_on)} of these patients are named among those that the network was trained on "
            f"({', '.join(trained_on[:5])}): the figures say nothing about others"
        )
    return lines
