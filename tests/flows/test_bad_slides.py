"""A cohort of twenty with five that cannot be read: fifteen are done, five are rows with reasons, in bounded memory."""

import os
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import tifffile

from pipeline.errors import UnreadableSlide
from pipeline.slide import open_slide
from pipeline.synthetic import write_synthetic_slide

BUDGET_BYTES = 700 * 2**20
"""Of any process of a run without networks over slides of few pixels: python, numpy, zarr, dask, matplotlib."""

RUN = """
import atexit, os
from pathlib import Path
from flows.provenance import peak_rss_bytes
from flows.cli import main
atexit.register(lambda: Path(os.environ["PEAK"]).write_text(str(peak_rss_bytes())))
main()
"""
PLAIN = ("--sr", "none", "--nuclei", "none", "--classifier", "none", "--tissue", "all", "--core-px", "256")


def write_bomb(path: Path, side_px: int = 2_000_000, tile_px: int = 256) -> Path:
    """A TIFF of one tile whose header claims a picture of side_px x side_px."""
    tifffile.imwrite(path, np.zeros((tile_px, tile_px, 3), np.uint8), photometric="rgb", tile=(tile_px, tile_px))
    content = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as file:
        for tag in ("ImageWidth", "ImageLength"):
            entry = file.pages[0].tags[tag].offset
            content[entry + 2 : entry + 12] = struct.pack("<HII", 4, 1, side_px)
    path.write_bytes(content)
    return path


def make_cohort(folder: Path) -> set[str]:
    """Fifteen slides that are good and five that are not; returns the names of the latter."""
    good = folder / "good-00.svs"
    write_synthetic_slide(good, 280, 260, 0.499, level_downsamples=(1,))
    for number in range(1, 15):
        shutil.copy(good, folder / f"good-{number:02}.svs")
    content = good.read_bytes()
    (folder / "bad-truncated.svs").write_bytes(content[: len(content) // 4])  # within level 0
    (folder / "bad-empty.svs").write_bytes(b"")
    (folder / "bad-ending.svs").write_text("patient,label\n1,IDC\n")
    write_bomb(folder / "bad-bomb.svs")
    # Unreadable even for root, whom permissions do not stop: reads of it fail with EIO.
    (folder / "bad-unreadable.svs").symlink_to("/proc/self/mem")
    return {path.stem for path in folder.glob("bad-*")}


@pytest.mark.timeout(1800)
def test_five_bad_slides_of_twenty_are_rows_and_the_others_are_done(tmp_path: Path) -> None:
    slides, out = tmp_path / "slides", tmp_path / "out"
    slides.mkdir()
    bad = make_cohort(slides)
    command = [sys.executable, "-c", RUN, "run", str(slides), "--out", str(out), "--mpp", "0.499", *PLAIN]
    environment = {**os.environ, "PEAK": str(tmp_path / "peak")}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 3, done.stderr
    rows = {row["slide"]: row for row in pq.read_table(out / "cohort.parquet").to_pylist()}
    assert {name for name, row in rows.items() if row["status"] == "done"} == {f"good-{n:02}" for n in range(15)}
    assert {name for name, row in rows.items() if row["status"] == "failed"} == bad
    for name in bad:
        assert rows[name]["error"] == "UnreadableSlide"
        assert f"{name}.svs" in rows[name]["reason"]
        assert rows[name]["cure"]
    assert "claims 2,000,000 x 2,000,000 px" in rows["bad-bomb"]["reason"] or "tiles" in rows["bad-bomb"]["reason"]
    peak_bytes = int((tmp_path / "peak").read_text())
    print(f"peak: {peak_bytes / 2**20:.0f} MiB")
    assert peak_bytes < BUDGET_BYTES


@pytest.mark.parametrize(("side_px", "tile_px"), [(2_000_000, 256), (2_000_000, 1024), (400_000, 256), (70_000, 64)])
def test_a_header_that_claims_more_than_the_file_holds_is_refused(tmp_path: Path, side_px: int, tile_px: int) -> None:
    with pytest.raises(UnreadableSlide):
        open_slide(write_bomb(tmp_path / "bomb.svs", side_px, tile_px), mpp=0.25)
