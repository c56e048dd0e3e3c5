"""What a run says about itself: the plan it was begun with, and `run.json` when it is through."""

from __future__ import annotations

import hashlib
import platform
import resource
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flows.cautions import cautions
from flows.devices import device_and_precision
from flows.networks import ChosenNetworks
from models.card import Card
from pipeline.config import SlideConfig
from pipeline.errors import UnreadableSlide
from pipeline.secrets import redacted

if TYPE_CHECKING:
    from pipeline.recipe import Recipe
    from pipeline.schedule import Workforce
    from pipeline.slide import SlideInfo

FORMAT = 1

# Raised when a change of the code changes results; tiles computed before it are not mixed with tiles after it.
NUMERICS = 9

# Raised when work is cut into other batches: numbers in a ledger then mean other tiles, which nobody goes on with.
BATCHES = 4

_PACKAGES = (
    "histoloom", "torch", "numpy", "numba", "zarr", "zarrs", "dask", "scikit-image", "shapely", "tiffslide",
    "openslide-python",
)  # fmt: skip

_ARITHMETIC = (
    "histoloom", "torch", "numpy", "scipy", "scikit-image", "shapely", "pillow", "imagecodecs", "openslide-bin",
)  # fmt: skip


def identify(path: Path) -> dict[str, Any]:
    """What makes an input file the same file: its size, time and SHA-256; the hash of a mask image likewise."""
    try:
        stat = path.stat()
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        msg = f"{path}: cannot be read: {error.strerror or error}"
        raise UnreadableSlide(msg, "Check the path and the permissions.") from error
    return {"bytes": stat.st_size, "modified_ns": stat.st_mtime_ns, "sha256": digest}


def same_file(path: Path, known: Mapping[str, Any]) -> dict[str, Any]:
    """The identity of a file that is known already; its bytes are hashed again only if size or time differ."""
    try:
        stat = path.stat()
    except OSError:
        return identify(path)
    if known.get("sha256") and (stat.st_size, stat.st_mtime_ns) == (known.get("bytes"), known.get("modified_ns")):
        return {key: known[key] for key in ("bytes", "modified_ns", "sha256")}
    return identify(path)


def slide_plan(identity: Mapping[str, Any], config: SlideConfig, networks: ChosenNetworks) -> dict[str, Any]:
    """All that decides a slide's results. A folder begun with one plan is never gone on with by another."""
    settings = {name: value for name, value in config.as_dict().items() if name != "measure_blended"}
    if config.tissue not in ("auto", "all"):
        settings["tissue_sha256"] = identify(Path(config.tissue))["sha256"]
    return {
        "format": FORMAT,
        "numerics": NUMERICS,
        "slide": _which(identity),
        "settings": settings,
        "bundles": {card.name: card.weights_hash(config.sr_blend) for card in networks.cards},
        "postprocessing": {card.name: dict(card.postprocessing) for card in networks.cards if card.postprocessing},
    }


def _which(identity: Mapping[str, Any]) -> dict[str, Any]:
    """The slide by its bytes; one of which nobody saw all bytes by what its store says of them."""
    if identity["sha256"]:
        return {"sha256": identity["sha256"]}
    return {"etag": identity["etag"], "bytes": identity["bytes"]}


def computing(config: SlideConfig, networks: ChosenNetworks, workforce: Workforce) -> dict[str, Any]:
    """What computes: the device and the versions of what does arithmetic, down to the last bit of a result.

    Part of the plan that a folder is begun with, so that the tiles of one slide are all computed alike. Results that
    are whole stay what they are when packages are updated: `question` leaves this out.
    """
    versions = _versions(_ARITHMETIC)
    if not networks.cards:
        return {"versions": versions}
    device, precision = device_and_precision(config, workforce)
    engines = networks.engines
    versions |= _versions(sorted(set(engines.values()) - set(versions)))
    return {"device": device.partition(":")[0], "precision": precision, "engines": engines, "versions": versions}


def question(plan: Mapping[str, Any]) -> dict[str, Any]:
    """What a plan asks, without what computes the answer, and in which batches."""
    return {key: value for key, value in plan.items() if key not in ("computing", "batches")}


def describe_run(
    info: SlideInfo, identity: Mapping[str, Any], recipe: Recipe, config: SlideConfig, networks: ChosenNetworks
) -> dict[str, Any]:
    """The part of `run.json` that is known before the work: the slide, its resolution, what is estimated."""
    sr_mpp = recipe.base.mpp / recipe.sr.scale if recipe.sr else None
    return {
        "format": FORMAT,
        "name": recipe.slide,
        "input": {
            "path": redacted(str(info.path)), **identity, "vendor": info.vendor, "reader": info.reader,
            "objective": info.objective_power,
        },
        "resolution": {
            "level0": _frame(recipe.level0),
            "mpp_source": info.mpp_source,
            "base": _frame(recipe.base),
            "base_from": _origin(info, recipe),
            "factor": recipe.sr.scale if recipe.sr else 1,
            "super_resolved_mpp": sr_mpp,
        },
        "layers": {
            "nuclei": recipe.nuclei_group,
            "heatmaps": [group for group in recipe.heatmaps if group.startswith("heatmaps/")],
            "qc": recipe.qc_groups,
        },
        "networks": [_network(card) for card in networks.cards],
        "warnings": cautions(recipe, config, networks),
    }  # fmt: skip


def _network(card: Card) -> dict[str, Any]:
    """What a network's card says that a reader of results must know; what it computed with stands in the plan."""
    named = ("name", "task", "mpp", "sha256", "licence", "limits")
    return {field: getattr(card, field) for field in named}


def environment() -> dict[str, Any]:
    """Versions, the time, and the most memory that this process held."""
    versions = {"python": platform.python_version()} | _versions(_PACKAGES)
    return {
        "histoloom": versions.get("histoloom"),
        "versions": versions,
        "peak_rss_bytes": peak_rss_bytes(),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def peak_rss_bytes() -> int:
    """The most memory that this process held.

    Linux says it in /proc. What getrusage says there begins with what the parent process held, where that is more.
    """
    with suppress(OSError, IndexError, ValueError):
        status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
        return int(status.split("VmHWM:")[1].split()[0]) * 1024
    in_kib = sys.platform != "darwin"
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1024 if in_kib else 1)


def _versions(packages: Iterable[str]) -> dict[str, str]:
    found = {}
    for package in packages:
        with suppress(PackageNotFoundError):
            found[package] = version(package)
    return found


def _frame(frame: Any) -> dict[str, Any]:
    return {"height": frame.height, "width": frame.width, "mpp": frame.mpp}


def _origin(info: SlideInfo, recipe: Recipe) -> str:
    for level, frame in enumerate(info.levels):
        if frame == recipe.base:
            return f"level {level}"
    return f"resampled to {recipe.base.mpp:g} um/px"
