"""Which engine computes a classifier fastest on this machine: measured once, then remembered.

Measured in a process of its own, on one core, as batches of a run compute: what an engine does to a process, were it to
end it, no run shall feel. The choice stands in the user's cache until the weights, the CPU or the versions change.

torch is not imported here: who plans a run asks, and does not wait for it.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

from models.cache import own_cache
from models.engine import ENGINES, EngineName, is_installed
from models.shelf import read_card
from pipeline.allocator import ENVIRONMENT

_WORTH = 0.95
"""Another engine has to take less than this share of torch's time: a difference as small as noise changes nothing."""
_LONGEST_S = 600.0
_FOLDER = "engines"
_unwritten: dict[Path, dict[str, float]] = {}
"""What could not be written down: the next slide of this process neither waits again nor gets another engine."""


def choose_engine(bundle: str, device: str, precision: str) -> EngineName:
    """Return the faster engine for a bundle on this machine; the first time it is measured, for some seconds.

    Parameters
    ----------
    bundle
        Name of a shipped bundle, or the path of a bundle's folder.
    device
        `cpu` or `cuda:N`, where torch is the only one.
    precision
        `fp32` or `bf16`.
    """
    if not device.startswith("cpu") or not is_installed("openvino"):
        return "torch"
    card = read_card(bundle)
    if card.field_px is None:  # see models/engine_openvino.py
        return "torch"
    path = own_cache() / _FOLDER / f"{_key(card.to_json(), precision)}.json"
    seconds = _remembered(path)
    if seconds is None:
        seconds = _unwritten.get(path) or _measure(bundle, precision)
        known = {"bundle": card.name, "precision": precision, "seconds": seconds}
        if "torch" not in seconds or not _remember(path, known):  # a trial that failed as a whole says nothing for good
            _unwritten[path] = seconds or {"torch": 0.0}
    return _fastest(seconds)


def remembered_choices() -> list[dict[str, Any]]:
    """All choices of this user's: `bundle`, `precision`, `seconds` a patch by engine, and the `engine`."""
    found = []
    for path in sorted((own_cache() / _FOLDER).glob("*.json")):
        with suppress(OSError, ValueError, TypeError, KeyError):
            known = json.loads(path.read_text(encoding="utf-8"))
            found.append({**known, "engine": _fastest(known["seconds"])})
    return found


def _fastest(seconds: Mapping[str, float]) -> EngineName:
    """torch, unless another one is clearly faster."""
    bound = _WORTH * seconds.get("torch", float("inf"))
    faster = [name for name in ENGINES if name != "torch" and seconds.get(name, bound) < bound]
    return min(faster, key=lambda name: seconds[name], default="torch")


def _key(card: str, precision: str) -> str:
    versions = [f"{name} {version(name)}" for name in ENGINES if is_installed(name)]
    said = [card, precision, _processor(), str(os.cpu_count()), *versions]
    return hashlib.sha256("\n".join(said).encode()).hexdigest()[:24]


def _processor() -> str:
    """What kind of CPU this is: its name, and what it can do."""
    with suppress(OSError):
        text = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace")
        return "\n".join(sorted(set(re.findall(r"^(?:model name|flags|Features|CPU part)\s*:.*$", text, re.MULTILINE))))
    return f"{platform.machine()} {platform.processor()}"


def _remembered(path: Path) -> dict[str, float] | None:
    with suppress(OSError, ValueError, TypeError, KeyError, AttributeError):
        known = json.loads(path.read_text(encoding="utf-8"))["seconds"]
        return {str(name): float(seconds) for name, seconds in known.items()}
    return None


def _remember(path: Path, what: Mapping[str, Any]) -> bool:
    """Written under another name first; False where the cache cannot be written, and the next run measures again."""
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(f".{os.getpid()}")
        partial.write_text(json.dumps(what), encoding="utf-8")
        partial.replace(path)
        return True
    return False


def _measure(bundle: str, precision: str) -> dict[str, float]:
    """Seconds a patch by engine; of one that fails, ends its process or takes minutes, none."""
    found: dict[str, float] = {}
    command = [sys.executable, "-m", "flows.engine_trial", bundle, precision]
    kept = {**ENVIRONMENT, **os.environ}  # freed memory, as in a run: else torch is measured too slow
    said = b""
    try:
        # one engine a line, as soon as it is measured: what is said before the process ends badly counts
        process = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=_LONGEST_S, check=False, env=kept
        )
        said = process.stdout
    except subprocess.TimeoutExpired as slow:
        said = slow.stdout or b""
    except OSError:
        pass  # no process was started
    for line in said.decode("utf-8", "replace").splitlines():
        with suppress(ValueError):
            name, seconds = line.split()
            found[name] = float(seconds)
    return found
