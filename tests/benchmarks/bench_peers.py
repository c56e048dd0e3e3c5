"""Nuclei and patches of a real region, end to end, beside TIAToolbox and WSInfer with the same weights.

`python -m tests.benchmarks.bench_peers SLIDE [--tiatoolbox PYTHON] [--wsinfer PYTHON] [--side-px N] [--passes N]`

The square of SLIDE with the most tissue, at 0.25 um/px, is written as a pyramidal TIFF, which every row reads. All of
it is worked on: no tissue mask, no quality control. Ours is `histoloom run`: pyramid, nuclei with outlines and tables,
reports. TIAToolbox is `SemanticSegmentor` and `PatchPredictor` around our network, WSInfer `run_inference` on its
TorchScript; their precision (fp32), batch sizes and loaders are their own defaults, their output the least they write.

Rows are measured one after the other, each in a process of its own with as many threads as the library takes. Each
does a corner of the region first. That is not counted, and so neither are imports and what is made once a process.
What each saw is printed too: ours counts fewer pixels as nuclei, since its instance step drops specks and keeps to the
card's threshold where theirs takes the likeliest class.

PYTHON is an interpreter that has the library and safetensors; where it cannot import it, its row is left out and that
is said. The bars: 6 x TIAToolbox on nuclei (goal 12), 3 x either on patches (goal 6).
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.csv
import pyarrow.parquet
import zarr

from models.bundle import load_network, write_bundle
from models.card import Card, Normalisation
from models.resnet import ResNetConfig
from pipeline.geometry import Box, Frame
from pipeline.pyramidal_tiff import write_pyramidal_tiff
from pipeline.slide import base_source, open_slide
from pipeline.tissue import find_tissue
from tests.models.examples import network

MPP = 0.25
NUCLEI = "nuclei-unet"
PATCH_PX = 256
CORNER_PX = 1024
BARS = {"nuclei": (6.0, 12.0), "patches": (3.0, 6.0)}
IMAGENET = Normalisation((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
ROOT = Path(__file__).parents[2]

BEGIN = """
import json, resource, sys, time
given = json.loads(sys.argv[1])
"""

OURS = """
from flows.cli import app
from flows.ending import ending
def once(slide, out):
    sys.argv = ["histoloom", "run", slide, "--out", out, *given["options"]]
    if ending(app):
        sys.exit(1)
"""

WRAPPED = """
import torch
from models.bundle import find_bundle, load_network, read_card
from tiatoolbox.models.architecture.utils import argmax_last_axis
from tiatoolbox.models.models_abc import ModelABC
class Wrapped(ModelABC):
    def __init__(self, bundle, margin=0):
        super().__init__()
        self.network, self.margin = load_network(bundle), margin
        normalisation = read_card(find_bundle(bundle)).normalisation
        self.mean, self.std = (torch.tensor(one).view(1, 3, 1, 1) for one in (normalisation.mean, normalisation.std))
    def forward(self, image):
        return self.network(image)
    @staticmethod
    def infer_batch(model, batch_data, *, device):
        image = batch_data.to(device, torch.float32).permute(0, 3, 1, 2) / 255
        with torch.inference_mode():
            said = torch.softmax(model((image - model.mean) / model.std), 1)
        if said.ndim == 2:
            return said.cpu().numpy()
        margin, (height, width) = model.margin, said.shape[2:]
        return said[:, :, margin : height - margin, margin : width - margin].permute(0, 2, 3, 1).cpu().numpy()
    def postproc(self, image):
        return argmax_last_axis(image)
resolution = [{"units": "mpp", "resolution": given["mpp"]}]
"""

SEGMENTED = """
from tiatoolbox.models.engine.io_config import IOSegmentorConfig
from tiatoolbox.models.engine.semantic_segmentor import SemanticSegmentor
read, kept = given["read_px"], given["kept_px"]
engine = SemanticSegmentor(Wrapped(given["bundle"], (read - kept) // 2), verbose=False)
config = IOSegmentorConfig(
    input_resolutions=resolution, output_resolutions=resolution, save_resolution=resolution[0],
    patch_input_shape=(read, read), patch_output_shape=(kept, kept), stride_shape=(given["stride_px"],) * 2)
def once(slide, out):
    engine.run([slide], patch_mode=False, ioconfig=config, save_dir=out, output_type="zarr", auto_get_mask=False)
"""

PREDICTED = """
from tiatoolbox.models.engine.io_config import IOPatchPredictorConfig
from tiatoolbox.models.engine.patch_predictor import PatchPredictor
engine = PatchPredictor(Wrapped(given["bundle"]), verbose=False)
config = IOPatchPredictorConfig(
    input_resolutions=resolution, patch_input_shape=(given["patch_px"],) * 2, stride_shape=(given["patch_px"],) * 2)
def once(slide, out):
    engine.run([slide], patch_mode=False, ioconfig=config, save_dir=out, output_type="zarr", auto_get_mask=False,
               return_probabilities=True)
"""

INFERRED = """
import os, pathlib, shutil
import numpy
from wsinfer.modellib.models import LocalModelTorchScript
from wsinfer.modellib.run_inference import run_inference
from wsinfer.patchlib import save_hdf5
from wsinfer.wsi import WSI
from wsinfer_zoo.client import ModelConfiguration
side = given["patch_px"]
model = LocalModelTorchScript(config=ModelConfiguration.from_dict({
    "spec_version": "1.0", "architecture": "resnet50", "num_classes": len(given["classes"]),
    "class_names": given["classes"], "patch_size_pixels": side, "spacing_um_px": given["mpp"],
    "transform": [{"name": "ToTensor"}, {"name": "Normalize", "arguments": given["normalisation"]}]}),
    model_path=given["torchscript"])
def once(slide, out):
    results = pathlib.Path(out)
    (results / "patches").mkdir(parents=True)
    width, height = WSI(slide).dimensions
    corners = numpy.array([(x, y) for y in range(0, height, side) for x in range(0, width, side)])
    save_hdf5(results / "patches" / f"{pathlib.Path(slide).stem}.h5", corners, side, given["mpp"])
    failed = run_inference(pathlib.Path(slide).parent, results, model, num_workers=min(os.cpu_count(), 8))
    if any(failed):
        sys.exit(f"failed: {failed}")
"""

END = """
def cpu():
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)
once(given["corner"], given["out"] + "-corner")
begun, start = cpu(), time.perf_counter()
once(given["region"], given["out"])
print()
print(json.dumps({"wall_s": time.perf_counter() - start, "cpu_s": cpu() - begun}))
"""

SEGMENTOR, PREDICTOR = WRAPPED + SEGMENTED, WRAPPED + PREDICTED


@dataclass(frozen=True, slots=True)
class Contender:
    """One row: what runs, and how what it wrote is read."""

    task: str
    name: str
    python: str
    script: str
    given: Mapping[str, Any]
    answers: Callable[[Path], dict[tuple[int, int], float]]
    """Of its folder: by a patch's first corner (x, y) in px, the probability of the first class; of nuclei, at (0, 0)
    the share of pixels that are of one."""
    needs: str = ""
    """A module; without it the row is left out."""


@dataclass(slots=True)
class Row:
    """What was measured of a contender."""

    wall_s: float = float("inf")
    cpu_s: float = float("inf")
    starting_s: float = 0.0
    answers: dict[tuple[int, int], float] = field(default_factory=dict)


def cut(slide_path: Path, side_px: int, folder: Path) -> dict[str, str]:
    """Write the square with the most tissue, and its first corner, each in a folder of its own: WSInfer wants that."""
    with open_slide(slide_path) as slide:
        source, tissue = base_source(slide, MPP), find_tissue(slide)
        frame = source.frame
        rows, columns = (range(0, length - side_px + 1, PATCH_PX) for length in frame.shape)
        squares = [Box(y, x, side_px, side_px) for y in rows for x in columns]
        if frame.mpp != MPP or not squares:
            sys.exit(f"{slide_path}: {frame.width} x {frame.height} px at {frame.mpp:g} um/px hold no such square.")
        square = max(squares, key=lambda one: tissue.share(one, frame))
        pixels = source.read(square)
        share = tissue.share(square, frame)
    print(f"{slide_path.name}: {square} at {MPP} um/px, {share:.1%} of it tissue", flush=True)
    paths = {name: folder / name / f"{name}.svs" for name in ("region", "corner")}
    for path, side in zip(paths.values(), (side_px, min(side_px, CORNER_PX)), strict=True):
        write_pyramidal_tiff(path, Frame(side, side, MPP), lambda box: pixels[box.slices()])
    return {name: str(path) for name, path in paths.items()}


def drawn_classifier(folder: Path) -> tuple[Card, Path]:
    """Write a ResNet-50 with drawn weights, as a bundle and as TorchScript."""
    import torch

    card = Card(
        name="resnet50", task="classification", architecture="resnet", parameters=asdict(ResNetConfig(classes=2)),
        mpp=MPP, classes=("first", "second"), field_px=PATCH_PX, normalisation=IMAGENET, licence="Apache-2.0",
        limits="Its weights are drawn.",
    )  # fmt: skip
    write_bundle(folder / card.name, network(card), card)
    traced = torch.jit.trace(load_network(folder / card.name), torch.zeros(1, 3, PATCH_PX, PATCH_PX))  # type: ignore[no-untyped-call]
    traced.save(str(folder / "resnet50.pt"))
    return card, folder / "resnet50.pt"


def nuclei_contenders(tiatoolbox: str, *, overlap: bool) -> Iterator[Contender]:
    """Ours in its own precision and in fp32; theirs side by side, and as its own U-Nets are run."""
    options = ["--nuclei", NUCLEI, "--classifier", "none", "--sr", "none", "--qc", "off", "--tissue", "all"]
    for precision in ("auto", "fp32"):
        given = {"options": [*options, "--precision", precision]}
        yield Contender("nuclei", f"histoloom, {precision}", sys.executable, OURS, given, our_share)
    shapes = {"side by side": (1024, 1024, 1024)} | ({"overlapping": (1024, 512, 450)} if overlap else {})
    for name, (read_px, kept_px, stride_px) in shapes.items():
        shape = {"bundle": NUCLEI, "read_px": read_px, "kept_px": kept_px, "stride_px": stride_px}
        needs = "tiatoolbox.models.engine.semantic_segmentor"
        yield Contender("nuclei", f"TIAToolbox, {name}", tiatoolbox, SEGMENTOR, shape, tiatoolbox_share, needs)


def patch_contenders(tiatoolbox: str, wsinfer: str, folder: Path) -> Iterator[Contender]:
    """Ours in its own precision and in fp32, and both of theirs."""
    card, torchscript = drawn_classifier(folder)
    bundle = str(folder / card.name)
    options = ["--nuclei", "none", "--classifier", bundle, "--stride-share", "1"]
    options += ["--sr", "none", "--qc", "off", "--tissue", "all"]
    for precision in ("auto", "fp32"):
        given = {"options": [*options, "--precision", precision]}
        yield Contender("patches", f"histoloom, {precision}", sys.executable, OURS, given, our_patches)
    theirs = {"bundle": bundle, "torchscript": str(torchscript), "patch_px": PATCH_PX, "classes": card.classes}
    theirs["normalisation"] = asdict(IMAGENET)
    engine = "tiatoolbox.models.engine.patch_predictor"
    yield Contender("patches", "TIAToolbox", tiatoolbox, PREDICTOR, theirs, tiatoolbox_patches, engine)
    inference = "wsinfer.modellib.run_inference"
    yield Contender("patches", "WSInfer", wsinfer, INFERRED, theirs, wsinfer_patches, inference)


def our_share(out: Path) -> dict[tuple[int, int], float]:
    """Of the label image of `histoloom run`."""
    (image,) = out.glob("region/*.zarr/labels/nuclei/0")
    return {(0, 0): float(np.mean(np.asarray(zarr.open_array(image, mode="r")) > 0))}


def our_patches(out: Path) -> dict[tuple[int, int], float]:
    """Of the table of `histoloom run`."""
    table = pyarrow.parquet.read_table(out / "region" / "patches.parquet").to_pydict()
    places = zip(table["x_level0_px"], table["y_level0_px"], strict=True)
    return {(round(x), round(y)): p for (x, y), p in zip(places, table["p_first"], strict=True)}


def tiatoolbox_share(out: Path) -> dict[tuple[int, int], float]:
    """Of the classes that `SemanticSegmentor` wrote."""
    return {(0, 0): float(np.mean(np.asarray(zarr.open_group(out / "region.zarr", mode="r")["predictions"]) > 0))}


def tiatoolbox_patches(out: Path) -> dict[tuple[int, int], float]:
    """Of what `PatchPredictor` wrote."""
    group = zarr.open_group(out / "region.zarr", mode="r")
    places, said = np.asarray(group["coordinates"]), np.asarray(group["probabilities"])
    return {(int(x), int(y)): float(p) for (x, y), p in zip(places[:, :2], said[:, 0], strict=True)}


def wsinfer_patches(out: Path) -> dict[tuple[int, int], float]:
    """Of the CSV of `run_inference`."""
    table = pyarrow.csv.read_csv(out / "model-outputs-csv" / "region.csv").to_pydict()
    places = zip(table["minx"], table["miny"], strict=True)
    return dict(zip(places, table["prob_first"], strict=True))


def measure(contender: Contender, shared: Mapping[str, Any], out: Path, row: Row) -> None:
    """Run it, and keep what it took where that is the least so far."""
    given = json.dumps({**shared, **contender.given, "out": str(out)})
    left_to_the_library = {"OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"}
    environment = {name: value for name, value in os.environ.items() if name not in left_to_the_library}
    start = time.perf_counter()
    ended = subprocess.run(
        [contender.python, "-c", BEGIN + contender.script + END, given],
        check=False, capture_output=True, text=True, cwd=ROOT, env=environment | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    if ended.returncode:
        sys.exit(f"{contender.name} failed:\n{ended.stderr[-3000:]}")
    figures = json.loads(ended.stdout.splitlines()[-1])
    if figures["wall_s"] < row.wall_s:
        row.wall_s, row.cpu_s = figures["wall_s"], figures["cpu_s"]
        row.starting_s = time.perf_counter() - start - row.wall_s
    row.answers = contender.answers(out)


def tell(task: str, rows: Mapping[str, Row], side_px: int) -> None:
    """The table of a task, and by how much ours is faster."""
    done, unit = (side_px**2 / 1e6, "megapixels") if task == "nuclei" else ((side_px // PATCH_PX) ** 2, "patches")
    print(f"\n{task}: {done:,.1f} {unit}")
    for name, row in rows.items():
        saw = f"nuclei on {row.answers[0, 0]:.1%}" if task == "nuclei" else compared(row, rows["histoloom, fp32"])
        print(
            f"  {name:26} wall {row.wall_s:7.2f} s  CPU {row.cpu_s:7.2f} s  {done / row.wall_s:7.2f} {unit} a second"
            f"  (start, corner {row.starting_s:5.1f} s)  {saw}"
        )
    bar, goal = BARS[task]
    for ours, theirs in ((ours, theirs) for ours in rows for theirs in rows if _rivals(ours, theirs)):
        ratio = rows[theirs].wall_s / rows[ours].wall_s
        verdict = f"reaches the goal of {goal:g}" if ratio >= goal else f"above the bar of {bar:g}"
        verdict = verdict if ratio >= bar else f"BELOW the bar of {bar:g}"
        by_cpu = rows[theirs].cpu_s / rows[ours].cpu_s
        print(f"  {ours} : {theirs}: {ratio:.1f} x by wall ({verdict}), {by_cpu:.1f} x by CPU")


def compared(row: Row, beside: Row) -> str:
    """What a row said of the patches, beside another one."""
    if row.answers.keys() != beside.answers.keys():
        return f"OTHER PATCHES: {len(row.answers)}"
    apart = max(abs(p - beside.answers[place]) for place, p in row.answers.items())
    said = row.answers.values()
    return f"p {min(said):.4f} to {max(said):.4f}, at most {apart:.4f} from ours in fp32"


def _rivals(ours: str, theirs: str) -> bool:
    return ours.startswith("histoloom") and not theirs.startswith("histoloom")


def able(contenders: Iterable[Contender]) -> Iterator[Contender]:
    """Those whose interpreter has the library; of the others it is said that they are left out."""
    for one in contenders:
        if _imports(one.python, one.needs or "sys"):
            yield one
        else:
            library = one.needs.partition(".")[0]
            what = f"{one.python} cannot import it; name one that can: --{library} PYTHON"
            print(f"{one.task}: {one.name} left out: {what}", flush=True)


def _imports(python: str, module: str) -> bool:
    try:
        return not subprocess.run([python, "-c", f"import {module}"], check=False, capture_output=True).returncode
    except OSError:  # there is no such interpreter
        return False


def main() -> None:
    """Measure all, print all and the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("slide", type=Path)
    parser.add_argument("--side-px", type=int, default=4096, help="Side of the region. [4096]")
    parser.add_argument("--passes", type=int, default=1, help="How often all is measured; the least counts. [1]")
    parser.add_argument("--task", choices=tuple(BARS), help="One of the two only.")
    parser.add_argument("--overlap", action="store_true", help="TIAToolbox's own overlap too: 5 x the pixels.")
    parser.add_argument("--tiatoolbox", default=sys.executable, help="Interpreter that has TIAToolbox. [this one]")
    parser.add_argument("--wsinfer", default=sys.executable, help="Interpreter that has WSInfer. [this one]")
    options = parser.parse_args()
    if options.side_px % CORNER_PX or options.side_px <= 0:
        parser.error(f"--side-px {options.side_px}: no multiple of {CORNER_PX}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shared = {**cut(options.slide, options.side_px, folder), "mpp": MPP}
        contenders = {
            "nuclei": nuclei_contenders(options.tiatoolbox, overlap=options.overlap),
            "patches": patch_contenders(options.tiatoolbox, options.wsinfer, folder),
        }
        for task in (options.task,) if options.task else BARS:
            taking_part = list(able(contenders[task]))
            rows = {one.name: Row() for one in taking_part}
            for number in range(options.passes):
                for index, one in enumerate(taking_part):
                    measure(one, shared, folder / f"{task}-{number}-{index}", rows[one.name])
            tell(task, rows, options.side_px)


if __name__ == "__main__":
    main()
