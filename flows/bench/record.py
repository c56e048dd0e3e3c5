"""What a bench leaves behind: one JSON document, alone in a file or as a line of a history."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from flows.bench.measurement import Measurement
from flows.bench.subject import Subject
from pipeline.errors import ConfigError

FORMAT = 1

_CURE = "Name a file that `histoloom bench --json FILE` or `--history FILE` wrote."


def document(subject: Subject, rows: Sequence[Measurement], *, quick: bool) -> dict[str, Any]:
    """Everything that says what was measured, where and when."""
    from flows.provenance import environment

    about = environment()
    return {
        "format": FORMAT,
        "finished": about["finished"],
        "histoloom": about["histoloom"],
        "machine": machine(),
        "versions": about["versions"],
        "slide": subject.slide.name if subject.slide else None,
        "quick": quick,
        "repeat": subject.repeat,
        "rows": [as_json(row) for row in rows],
    }


def machine() -> dict[str, Any]:
    """What figures depend on, and how busy it was."""
    import torch

    from pipeline.schedule import count_cores

    gpus = [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]
    return {
        "system": platform.platform(),
        "processor": _processor(),
        "cores": count_cores(),
        "network_threads": torch.get_num_threads(),
        "gpus": gpus,
        "load": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
    }


def as_json(row: Measurement) -> dict[str, Any]:
    """A row with its values, and what follows from them for who does not want to compute it."""
    return {**asdict(row), "values": list(row.values), "median": row.median, "spread": row.spread}


def rows_of(content: Mapping[str, Any]) -> list[Measurement]:
    """The rows of a document; the inverse of `document`."""
    fields = ("group", "name", "unit", "better", "note", "engine", "figures")
    return [
        Measurement(**{field: row[field] for field in fields}, values=tuple(map(float, row["values"])))
        for row in content["rows"]
    ]


def read_document(path: Path) -> dict[str, Any]:
    """What `--json` wrote, or the last line of what `--history` did. Raises ConfigError where it is neither."""
    try:
        text = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        msg = f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}"
        raise ConfigError(msg, _CURE) from error
    for candidate in (text, text.rpartition("\n")[2]):
        with suppress(json.JSONDecodeError, KeyError, TypeError, ValueError):
            content: dict[str, Any] = json.loads(candidate)
            rows_of(content)
            return content
    msg = f"{path}: not the figures of a bench"
    raise ConfigError(msg, _CURE)


def refuse_unwritable(path: Path, option: str) -> None:
    """Raise ConfigError before minutes are spent on figures that could not be kept."""
    target = path if path.exists() else path.parent
    if path.is_dir() or not target.exists() or not os.access(target, os.W_OK):
        msg = f"{option} {path}: cannot be written"
        raise ConfigError(msg, "Name a file in a folder that is there and may be written to.")


def write_document(content: Mapping[str, Any], path: Path) -> None:
    """As JSON for people to read, too."""
    from pipeline.durable import whole_or_absent

    with whole_or_absent(path) as draft:
        draft.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def append_document(content: Mapping[str, Any], path: Path) -> None:
    """A line more."""
    with path.open("a", encoding="utf-8") as history:
        history.write(json.dumps(content) + "\n")


def _processor() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
