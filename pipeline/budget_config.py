"""Sizes as people write them, and how much a run may take."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.errors import ConfigError

_UNITS = {
    "B": 1, "kB": 10**3, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12,
    "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40,
}  # fmt: skip
_SIZE = re.compile(r"\s*([0-9]{1,15}(?:\.[0-9]{1,6})?)\s*([A-Za-z]{1,3})\s*", re.ASCII)


@dataclass(frozen=True, slots=True)
class Budget:
    """What a run may take; None where nothing is said, and then what the machine has."""

    max_disk_bytes: int | None = None
    """Size that the folder of results may grow to, with all that is in it."""
    max_memory_bytes: int | None = None
    """Of all processes on this machine together; of one worker where work runs elsewhere."""

    def changed(self, max_disk: str | None, max_memory: str | None, where: str = "the command line") -> Budget:
        """With sizes that were given elsewhere, where they were."""
        disk, memory = read_size(max_disk, f"{where}: max_disk"), read_size(max_memory, f"{where}: max_memory")
        return Budget(disk or self.max_disk_bytes, memory or self.max_memory_bytes)


def read_size(text: Any, what: str) -> int | None:
    """Bytes of a size such as `20GiB`, `1.5 TB` or `800 MB`; None of None.

    Raises
    ------
    ConfigError
        if it is no size; `what` says whose it is
    """
    if text is None:
        return None
    match = _SIZE.fullmatch(text) if isinstance(text, str) else None
    unit = _UNITS.get(match[2]) if match else None
    size = math.floor(float(match[1]) * unit) if match and unit else 0
    if size < 1:
        msg = f"{what} = {text!r} is no size"
        raise ConfigError(msg, f"Write a number and a unit, such as 20GiB; units are {', '.join(_UNITS)}.")
    return size


def show_size(count: float) -> str:
    """A size for people: three digits and a unit."""
    for unit in ("B", "KiB", "MiB", "GiB", "TiB", "PiB"):
        if abs(count) < 1000 or unit == "PiB":
            break
        count /= 1024
    return f"{count:.3g} {unit}"


def read_budget(table: object, where: str) -> Budget:
    """Check a `[budget]` table; `where` names the file in errors."""
    if not isinstance(table, Mapping):
        msg = f"{where}: `budget` holds sizes"
        raise ConfigError(msg, 'Write them as a table: [budget], max_disk = "500GiB"')
    unknown = sorted(set(table) - {"max_disk", "max_memory"})
    if unknown:
        msg = f"{where}: [budget] has no such setting: {', '.join(unknown)}"
        raise ConfigError(msg, "Settings are: max_disk, max_memory.")
    return Budget().changed(table.get("max_disk"), table.get("max_memory"), f"{where}: [budget]")
