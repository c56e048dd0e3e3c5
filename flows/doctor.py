"""What this machine has, what of it works, and the cure for what does not: every part is tried, not looked up.

A trial returns a line of what it found or raises; one that raises hides no other.
"""

from __future__ import annotations

import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from importlib.metadata import requires, version
from pathlib import Path

from models.shelf import CARD_FILE, SHIPPED
from pipeline.config import ReaderName

LEAST_MEMORY_GB = 4
LEAST_DISK_GB = 10

_REINSTALL = "Install again as the README says: pip install --constraint constraints.txt --editable ."


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    name: str
    fine: bool
    what: str
    """What was found, or what is wrong."""
    cure: str = ""
    """The way out; empty where all is fine."""


@dataclass(frozen=True, slots=True)
class Check:
    """A trial, and the cure should it raise; an error's own cure comes first."""

    name: str
    trial: Callable[[], str]
    cure: str = _REINSTALL

    def look(self) -> Finding:
        """Try it."""
        try:
            return Finding(self.name, True, self.trial())
        except Exception as error:  # an installation can be broken in any way at all
            named = str(error) if isinstance(error, Unfit) else f"{type(error).__name__}: {error}"
            what = getattr(error, "what", named)
            return Finding(self.name, False, " ".join(what.split()), getattr(error, "cure", None) or self.cure)


class Unfit(Exception):
    """Something is there, and is not enough."""


def examine() -> list[Finding]:
    """Try everything that a run needs; a few seconds."""
    return [check.look() for check in _checks()]


def print_findings(findings: Sequence[Finding]) -> None:
    """Print one line a finding on stdout, and the cure below what is not fine."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for finding in findings:
        verdict = Text("fine", "green") if finding.fine else Text("not fine", "bold red")
        table.add_row(verdict, Text(finding.name), Text(finding.what))
        if not finding.fine:
            table.add_row("", "", Text(f"-> {finding.cure}", "yellow"))
    Console().print(table)


def _checks() -> Iterator[Check]:
    yield Check("python", _try_python, "Make the environment anew with Python 3.11, 3.12 or 3.13.")
    yield Check("packages", _try_packages)
    yield Check("cores and memory", _try_memory, "Take --workers 1 and --core-px 512, and close other programs.")
    yield Check("disk", _try_disk, "Make room, or give --out on another disk.")
    yield Check("openslide", partial(_try_reader, "openslide", "openslide-python"))
    yield Check("tiffslide", partial(_try_reader, "tiffslide", "tiffslide"))
    yield Check("zarr", _try_store)
    yield Check("torch", _try_torch)
    yield Check("prefect", _try_prefect)
    yield from bundle_checks(SHIPPED)


def _try_python() -> str:
    found = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    if not (3, 11) <= sys.version_info[:2] <= (3, 13):
        raise Unfit(found)
    return found


def _try_packages() -> str:
    """Hold what is installed against what histoloom asks for: some of these packages break on each other's versions."""
    from packaging.requirements import Requirement

    wanted = [Requirement(line) for line in requires("histoloom") or ()]
    wanted = [one for one in wanted if one.marker is None or one.marker.evaluate({"extra": ""})]
    wrong = [
        f"{one.name} {version(one.name)} where {one.specifier} is wanted"
        for one in wanted
        if not one.specifier.contains(version(one.name), prereleases=True)
    ]
    if wrong:
        raise Unfit("; ".join(wrong))
    return f"histoloom {version('histoloom')}, its {len(wanted)} requirements met"


def _try_memory() -> str:
    from dask.system import CPU_COUNT
    from distributed.system import MEMORY_LIMIT

    found = f"{CPU_COUNT} cores, {MEMORY_LIMIT / 1e9:.1f} GB of memory"
    if MEMORY_LIMIT < LEAST_MEMORY_GB * 1e9:
        msg = f"{found}; a run can take {LEAST_MEMORY_GB} GB"
        raise Unfit(msg)
    return found


def _try_disk() -> str:
    free = shutil.disk_usage(Path.cwd()).free / 1e9
    found = f"{free:.0f} GB free at {Path.cwd()}"
    if free < LEAST_DISK_GB or not os.access(Path.cwd(), os.W_OK):
        msg = f"{found}; the results of one large slide can take {LEAST_DISK_GB} GB"
        raise Unfit(msg)
    return found


def _try_reader(reader: ReaderName, package: str) -> str:
    """Write a small pyramidal slide and read a box of it back."""
    from pipeline.geometry import Box
    from pipeline.slide import open_slide
    from pipeline.synthetic import write_synthetic_slide

    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "trial.tiff"
        write_synthetic_slide(path, 512, 768, 0.25)
        with open_slide(path, reader=reader) as slide:
            shape = slide.level(0).read(Box(100, 200, 256, 300)).shape
    if shape != (256, 300, 3):
        msg = f"a box of 256 x 300 px came back as {shape}"
        raise Unfit(msg)
    return f"{version(package)}, reads"


def _try_store() -> str:
    """Write pixels into a sharded store and read them back."""
    import numpy as np

    from pipeline.geometry import Box, Frame
    from pipeline.ngff import Pyramid
    from pipeline.store import SlideStore

    box = Box(0, 0, 1024, 1024)
    pixels = np.random.default_rng(0).integers(0, 256, (1024, 1024, 3), np.uint8)
    with tempfile.TemporaryDirectory() as scratch:
        store = SlideStore(Path(scratch) / "trial.ome.zarr")
        store.create_image("", "trial", Pyramid((Frame(1024, 1024, 0.25),)), 1024)
        store.layer("0").write(box, pixels)
        same = np.array_equal(store.layer("0").read(box), pixels)
    if not same:
        msg = "pixels came back other than they were written"
        raise Unfit(msg)
    return f"{version('zarr')} with codecs of zarrs {version('zarrs')}, writes and reads"


def _try_torch() -> str:
    import torch

    from models.predict import resolve_device

    device, precision = resolve_device()
    name = torch.cuda.get_device_name(device) if device != "cpu" else f"{torch.get_num_threads()} threads"
    _, on_cpu = resolve_device("cpu")
    others = torch.cuda.device_count() - 1
    more = f", {others} more CUDA devices" if others > 0 else ""
    bf16 = "has" if on_cpu == "bf16" else "lacks"
    return f"{torch.__version__}, auto is {precision} on {device} ({name}){more}; the CPU {bf16} bf16 instructions"


def _try_prefect() -> str:
    import_module("flows.deployments")
    import_module("prefect.server.api.server")
    return f"{version('prefect')}, flow and server import"


def bundle_checks(shipped: Path) -> Iterator[Check]:
    """A check a bundle in a folder of bundles; one that fails where there is none."""
    folders = sorted(path.parent for path in shipped.glob(f"*/{CARD_FILE}"))
    if not folders:
        yield Check("bundles", partial(_say_none, shipped))
    for folder in folders:
        yield Check(f"bundle {folder.name}", partial(_try_bundle, folder))


def _say_none(shipped: Path) -> str:
    msg = f"no bundle in {shipped}"
    raise Unfit(msg)


def _try_bundle(folder: Path) -> str:
    """Read the card, verify the weights against its hash, put them into the network."""
    from models.bundle import load_network
    from models.shelf import read_card

    card = read_card(folder)
    parameters = sum(one.numel() for one in load_network(folder).parameters())
    return f"{card.task} at {card.mpp:g} um/px, {parameters / 1e6:.2f} M parameters, weights verified"
