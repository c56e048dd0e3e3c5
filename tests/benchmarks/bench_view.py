"""A viewer's server over a slide of 100,000 x 100,000 px with a million nuclei.

`python -m tests.benchmarks.bench_view [--side-px 100000] [--nuclei 1000000] [--slides 1] [--folder KEPT]`

The pyramid is real and whole, but one shard of tissue stands in for all: they are hard links to it. Nuclei are outlines
of 24 corners at random places. The server is a process of its own; the client asks as a browser does, by six
connections that stay open. Bars: first picture within 1 s, less than 500 MiB held.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import local
from typing import Any

import numpy as np
import pyarrow as pa
import shapely

from pipeline.geometry import Box, Frame
from pipeline.ngff import SHARD_PX, Pyramid
from pipeline.nuclei_measure import SCHEMA
from pipeline.nuclei_table import write_geoparquet
from pipeline.store import SlideStore
from pipeline.synthetic import SyntheticTruth

BAR_S, BAR_MIB = 1.0, 500.0
MPP = 0.25
SCREEN_PX = (1600, 1000)
CONNECTIONS = 6
_ROWS = 50_000


def prepare(root: Path, side_px: int, nuclei: int) -> Path:
    """The folder of one slide's results."""
    folder = root / "large"
    folder.mkdir(parents=True)
    frame = Frame(side_px, side_px, MPP)
    write_pyramid(SlideStore(folder / "large.ome.zarr"), Pyramid.over(frame))
    write_geoparquet(random_nuclei(frame, nuclei), folder / "nuclei.parquet")
    told = {"height": side_px, "width": side_px, "mpp": MPP}
    run = {"format": 1, "name": "large", "resolution": {"level0": told, "base": told, "factor": 1}}
    (folder / "run.json").write_text(json.dumps({**run, "counts": {"nuclei": nuclei}, "tissue": {"area_mm2": 625}}))
    return folder


def write_pyramid(store: SlideStore, pyramid: Pyramid) -> None:
    """Every shard of every level, all with the same tissue in them."""
    store.create_image("", "large", pyramid, SHARD_PX)
    truth = SyntheticTruth(SHARD_PX, SHARD_PX, MPP, tissue_share=1.0)
    tissue = truth.render(truth.frame.box)
    for level, frame in enumerate(pyramid.levels):
        layer, box = store.layer(str(level)), frame.box.clip(Box(0, 0, SHARD_PX, SHARD_PX))
        layer.write(box, tissue[box.slices()])
        files = [store.path / file for file in layer.files(frame.box)]
        for file in files[1:]:
            file.parent.mkdir(parents=True, exist_ok=True)
            os.link(files[0], file)


def random_nuclei(frame: Frame, count: int) -> Iterator[pa.Table]:
    """Rows sorted as histoloom sorts them: by y of the centroid."""
    random = np.random.default_rng(0)
    angles = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    y_all = np.sort(random.uniform(30, frame.height - 30, count))
    for begin in range(0, count, _ROWS):
        y = y_all[begin : begin + _ROWS]
        x = random.uniform(30, frame.width - 30, len(y))
        radius = random.uniform(12, 20, (len(y), 1)) * (1 + 0.1 * random.standard_normal((len(y), len(angles))))
        corners = np.stack([x[:, None] + radius * np.cos(angles), y[:, None] + radius * np.sin(angles)], axis=-1)
        columns = {name: random.uniform(0, 1, len(y)) for name in SCHEMA.names}
        columns |= {"centroid_x_level0_px": x, "centroid_y_level0_px": y}
        geometry = shapely.to_wkb(shapely.polygons(corners), byte_order=1)
        yield pa.table({**columns, "geometry": pa.array(geometry.tolist(), pa.binary())}).select(SCHEMA.names)


@contextmanager
def serving(root: Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """The server as a process, and its port; it is gone when the block is left, however that is."""
    command = [
        sys.executable,
        "-c",
        "from flows.cli import main; main()",
        "view",
        str(root),
        "--port",
        "0",
        "--no-open",
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        if not url:
            msg = "the server did not start"
            raise RuntimeError(msg)
        yield process, int(url.rstrip("/").rpartition(":")[2])
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()


class Browser:
    """Asks over connections that stay open."""

    def __init__(self, port: int) -> None:
        self._port, self._own = port, local()
        self._pool = ThreadPoolExecutor(CONNECTIONS)

    def get(self, target: str) -> bytes:
        """One answer."""
        if not hasattr(self._own, "connection"):
            self._own.connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        self._own.connection.request("GET", target)
        answer = self._own.connection.getresponse()
        content: bytes = answer.read()
        if answer.status != 200:
            msg = f"{target}: {answer.status} {content[:200]!r}"
            raise RuntimeError(msg)
        return content

    def get_all(self, targets: Iterable[str]) -> list[float]:
        """Ask for many at once; how long each took, in ms."""
        return list(self._pool.map(lambda target: timed(lambda: self.get(target))[0] * 1000, targets))


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds, and what came of it."""
    begin = time.perf_counter()
    result = work()
    return time.perf_counter() - begin, result


def tiles_in_view(level: int, side_px: int, x: int, y: int) -> list[str]:
    """Addresses of the tiles that a screen shows of a level of side_px, its corner at x, y."""
    last = (side_px - 1) // 512
    columns, rows = (
        range(begin // 512, min(last, (begin + size) // 512) + 1) for begin, size in zip((x, y), SCREEN_PX, strict=True)
    )
    return [f"/api/slides/large/tiles/image/{level}/{column}_{row}" for row in rows for column in columns]


def first_picture(browser: Browser, side_px: int) -> float:
    """Seconds from the slide's page to the last tile of the whole slide on the screen."""
    begin = time.perf_counter()
    told = json.loads(browser.get("/api/slides/large"))
    top = told["layers"][0]["max_level"]
    sizes = [-(-side_px // 2 ** (top - level)) for level in range(top + 1)]
    level = max(number for number, size in enumerate(sizes) if number == 0 or size <= max(SCREEN_PX))
    browser.get_all(tiles_in_view(level, sizes[level], 0, 0))
    return time.perf_counter() - begin


def peak_mib(process: subprocess.Popen[str]) -> float:
    """The most memory that the server held."""
    status = Path(f"/proc/{process.pid}/status").read_text(encoding="ascii")
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def cpu_s(process: subprocess.Popen[str]) -> float:
    """What the server has computed for."""
    fields = Path(f"/proc/{process.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def copies(root: Path, count: int) -> Iterator[str]:
    """Further slides, pixel files in common with the first and a table of their own each; their names."""
    for number in range(2, count + 1):
        name = f"large-{number}"
        folder = root / name
        if not folder.is_dir():
            shutil.copytree(root / "large", folder, copy_function=os.link)
            (folder / "large.ome.zarr").rename(folder / f"{name}.ome.zarr")
            for file in ("nuclei.parquet", "run.json"):
                (folder / file).unlink()
                shutil.copyfile(root / "large" / file, folder / file)
        yield name


def look_around(browser: Browser, slide: str, side_px: int) -> None:
    """All its nuclei, and outlines in some views."""
    browser.get(f"/api/slides/{slide}/nuclei?x0=0&y0=0&x1={side_px}&y1={side_px}&px=64")
    wide, high = (min(side_px, side * 4) for side in SCREEN_PX)
    for x, y in np.random.default_rng(2).integers(0, side_px - max(wide, high) + 1, (10, 2)).tolist():
        browser.get(f"/api/slides/{slide}/nuclei?x0={x}&y0={y}&x1={x + wide}&y1={y + high}&px=4")


def measure(root: Path, side_px: int, others: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Each figure as it is had."""
    random = np.random.default_rng(1)
    with serving(root) as (process, port):
        browser = Browser(port)
        yield {"figure": "first picture", "s": round(first_picture(browser, side_px), 3)}
        top = json.loads(browser.get("/api/slides/large"))["layers"][0]["max_level"]
        places = random.integers(0, side_px - max(SCREEN_PX), (30, 2)).tolist()
        targets = [tile for x, y in places for tile in tiles_in_view(top, side_px, x, y)]
        cpu = cpu_s(process)
        seconds, each_ms = timed(lambda: browser.get_all(targets))
        yield {"figure": "tiles never seen", "tiles_per_s": round(len(targets) / seconds),
               "cpu_ms_a_tile": round(1000 * (cpu_s(process) - cpu) / len(targets), 1),
               "median_ms": round(float(np.median(each_ms)), 1),
               "p95_ms": round(float(np.quantile(each_ms, 0.95)), 1)}  # fmt: skip
        seconds, _ = timed(lambda: browser.get(f"/api/slides/large/nuclei?x0=0&y0=0&x1={side_px}&y1={side_px}&px=64"))
        yield {"figure": "all nuclei counted, first time", "s": round(seconds, 3)}
        seconds, _ = timed(lambda: browser.get(f"/api/slides/large/nuclei?x0=0&y0=0&x1={side_px}&y1={side_px}&px=64"))
        yield {"figure": "all nuclei counted, again", "s": round(seconds, 3)}
        for px in (1, 4, 8):
            wide, high = (min(side_px, side * px) for side in SCREEN_PX)
            corners = (random.random((20, 2)) * (side_px - np.array([wide, high]))).round().tolist()
            urls = [f"/api/slides/large/nuclei?x0={x}&y0={y}&x1={x + wide}&y1={y + high}&px={px}" for x, y in corners]
            each_ms = [timed(lambda url=url: browser.get(url))[0] * 1000 for url in urls]  # type: ignore[misc]
            yield {"figure": f"outlines in view at {px} px a pixel", "median_ms": round(float(np.median(each_ms))),
                   "most_ms": round(max(each_ms))}  # fmt: skip
        yield {"figure": "memory of the server at most", "mib": round(peak_mib(process))}
        for slide in (*others, "large", *others) if others else ():
            look_around(browser, slide, side_px)
        if others:
            yield {"figure": f"the same, {1 + len(others)} slides looked at", "mib": round(peak_mib(process))}


def main() -> None:
    """Print each figure as a line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side-px", type=int, default=100_000)
    parser.add_argument("--nuclei", type=int, default=1_000_000)
    parser.add_argument("--slides", type=int, default=1, help="Look at so many, one after another, twice.")
    parser.add_argument("--folder", type=Path, help="Keep what is prepared here, and use it if it is there.")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        root = given.folder or Path(name)
        if not (root / "large" / "run.json").is_file():
            prepare(root, given.side_px, given.nuclei)
        print(json.dumps({"cores": os.cpu_count(), "load": os.getloadavg()[0]}))
        for row in measure(root, given.side_px, list(copies(root, given.slides))):
            print(json.dumps(row), flush=True)
    print(f"bars: first picture {BAR_S:g} s, memory {BAR_MIB:g} MiB")


if __name__ == "__main__":
    main()
