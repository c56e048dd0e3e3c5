"""What this machine has, what of it works, and the cure for what does not: every part is tried, not looked up.

A trial returns a line of what it found or raises; one that raises hides no other.
"""

from __future__ import annotations

import os
import platform
import sys
import tempfile
from collections.abc import Iterator, Sequence
from functools import partial
from importlib import import_module
from importlib.metadata import requires, version
from pathlib import Path

from flows.doctor_machine import device_checks, machine_checks
from flows.doctor_places import place_checks
from flows.finding import REINSTALL, Check, Finding, Unfit
from models.shelf import CARD_FILE, SHIPPED
from pipeline.config import ReaderName

_NARROW = 60

_PREFECT = "Some versions break on each other's: pip install 'prefect>=3.8,<3.9' 'fastapi>=0.150,<0.151'. " + REINSTALL


def examine(out: str | None = None, slides: str | None = None) -> list[Finding]:
    """Try everything that a run needs; a few seconds. Of places, where named, whether they can be written and read."""
    return [check.look() for check in _checks(out, slides)]


def print_findings(findings: Sequence[Finding]) -> None:
    """Print one line a finding on stdout, and the cure below what is not fine."""
    from rich.console import Console
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    if console.width < _NARROW:
        for finding in findings:
            verdict = Text("fine  ", "green") if finding.fine else Text("not fine  ", "bold red")
            console.print(Text.assemble(verdict, (finding.name, "bold")))
            console.print(Padding(Text(finding.what), (0, 0, 0, 2)))
            if finding.cure:
                console.print(Padding(Text(f"-> {finding.cure}", "yellow"), (0, 0, 0, 2)))
        return
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for finding in findings:
        verdict = Text("fine", "green") if finding.fine else Text("not fine", "bold red")
        table.add_row(verdict, Text(finding.name), Text(finding.what))
        if finding.cure:
            table.add_row("", "", Text(f"-> {finding.cure}", "yellow"))
    console.print(table)


def _checks(out: str | None, slides: str | None) -> Iterator[Check]:
    yield Check("python", _try_python, "Make the environment anew with Python 3.11, 3.12 or 3.13.")
    yield Check("packages", _try_packages)
    yield from machine_checks()
    yield Check("openslide", partial(_try_reader, "openslide", "openslide-python"))
    yield Check("tiffslide", partial(_try_reader, "tiffslide", "tiffslide"))
    yield Check("zarr", _try_store)
    yield Check("torch", _try_torch)
    yield from device_checks()
    yield Check("prefect", _try_prefect, _PREFECT)
    yield from place_checks(out, slides)
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

    from models.device import resolve_device

    device, precision = resolve_device()
    name = torch.cuda.get_device_name(device) if device != "cpu" else f"{torch.get_num_threads()} threads"
    _, on_cpu = resolve_device("cpu")
    others = torch.cuda.device_count() - 1
    more = f", {others} more CUDA devices" if others > 0 else ""
    bf16 = "has" if on_cpu == "bf16" else "lacks"
    return f"{torch.__version__}, auto is {precision} on {device} ({name}){more}; the CPU {bf16} bf16 instructions"


def _try_prefect() -> str:
    os.environ.setdefault("DO_NOT_TRACK", "1")  # to import the server is no use of it that anybody should hear of
    os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
    import_module("flows.deployments")
    import_module("prefect.server.api.server")
    return f"{version('prefect')} with fastapi {version('fastapi')}, flow and server import"


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
    size = f"{parameters / 1e6:.2f} M parameters"
    return f"{card.task} at {card.mpp:g} um/px, {size}, weights verified: sha256 {card.sha256[:12]}"
