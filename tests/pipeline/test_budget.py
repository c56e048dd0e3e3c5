"""What a slide is reckoned to take, and what is refused."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.budget import (
    Estimate,
    Machine,
    NetworkNeed,
    estimate,
    folder_bytes,
    refuse_what_does_not_fit,
)
from pipeline.budget_config import Budget, read_size, show_size
from pipeline.config import read_config
from pipeline.errors import ConfigError, DiskFull, OverBudget
from pipeline.geometry import Frame
from pipeline.qc_measure import DENSITY_RGB, HALO_PX, MEASURES, measure
from pipeline.qc_thumbnail import Glance, Told, glance
from pipeline.qc_verdict import judge, lay_cells
from pipeline.recipe import Recipe
from pipeline.stage import Network
from pipeline.stitch import Block, block_table, table_blocks
from pipeline.tissue import TissueMask
from tests.memory import most_growth_below
from tests.stand_ins import VIOLET_CLASSES, Crowding, Doubling, Violet

GIB = 2**30
MACHINE = Machine(processes=1, threads=2, memory_bytes=16 * GIB, multiply_adds_per_s=4e10)
NEEDS = {
    "doubling": NetworkNeed(6 * 2**20, 600.0, 3e5),
    "violet": NetworkNeed(2**23, 400.0, 2e4),
    "crowding": NetworkNeed(2**26, 50.0, 4e4, at_once=16),
}


def recipe_of(side_px: int, core_px: int = 1024, *, enlarged: bool = True, inspected: bool = False) -> Recipe:
    level0 = Frame(side_px, side_px, 0.5)
    return Recipe(
        "slide", level0, level0, core_px,
        sr=Network("doubling", Doubling(), 0.5, halo_px=32, scale=2) if enlarged else None,
        nuclei=Network("violet", Violet(), 0.25 if enlarged else 0.5, halo_px=64, classes=VIOLET_CLASSES),
        classifiers=(Network("crowding", Crowding(), 1.0, field_px=112, classes=("few", "many")),),
        white=(240.0, 240.0, 240.0) if inspected else None,
    )  # fmt: skip


def reckon(recipe: Recipe) -> Estimate:
    return estimate(recipe, TissueMask.everything(recipe.level0), NEEDS, MACHINE)


def test_disk_and_time_grow_with_the_tissue_and_memory_does_not() -> None:
    small, large = reckon(recipe_of(8192)), reckon(recipe_of(32768))
    assert large.disk_bytes == pytest.approx(16 * small.disk_bytes, rel=0.1)
    assert large.seconds == pytest.approx(16 * small.seconds, rel=0.1)
    assert (large.process_bytes, large.batch_bytes) == (small.process_bytes, small.batch_bytes)


def test_smaller_tiles_take_less_memory_and_about_as_much_disk() -> None:
    coarse, fine = reckon(recipe_of(8192)), reckon(recipe_of(8192, core_px=512))
    assert fine.batch_bytes < coarse.batch_bytes
    assert fine.disk_bytes == pytest.approx(coarse.disk_bytes, rel=0.1)


def test_what_is_not_done_is_not_reckoned() -> None:
    assert reckon(recipe_of(8192, enlarged=False)).disk_bytes < reckon(recipe_of(8192)).disk_bytes / 2


def test_memory_of_a_gpu_is_asked_for_only_where_one_is() -> None:
    recipe, everything = recipe_of(4096), TissueMask.everything(Frame(4096, 4096, 0.5))
    on_cuda = estimate(recipe, everything, NEEDS, replace(MACHINE, cuda=True))
    on_cpu = estimate(recipe, everything, NEEDS, MACHINE)
    assert on_cpu.vram_bytes == 0
    assert on_cuda.vram_bytes > 1.3 * 600 * 1024**2
    assert on_cuda.batch_bytes < on_cpu.batch_bytes


def test_quality_control_is_reckoned_by_cells_and_once_for_the_slide() -> None:
    small, large = reckon(recipe_of(8192, inspected=True)), reckon(recipe_of(32768, inspected=True))
    assert reckon(recipe_of(8192)).alone_bytes == 0
    assert large.alone_bytes == pytest.approx(16 * small.alone_bytes, rel=0.05)
    assert small.seconds > reckon(recipe_of(8192)).seconds
    bare = bare_recipe(8192, 0.5)
    assert reckon(bare).batch_bytes > 50 * 2**20 > reckon(replace(bare, white=None)).batch_bytes


def bare_recipe(side_px: int, mpp: float) -> Recipe:
    frame = Frame(side_px, side_px, mpp)
    return Recipe("slide", frame, frame, 256, white=(240.0, 240.0, 240.0))


def test_judging_the_cells_of_a_slide_takes_no_more_memory_than_is_reckoned() -> None:
    recipe = bare_recipe(32 * 900, 0.36)  # cells so small that judging them takes more than the thumbnail
    assert recipe.inspect
    cells, tissue = recipe.inspect.cells.frame, TissueMask.everything(recipe.level0)
    measures = np.random.default_rng(0).random((*cells.shape, MEASURES)) * [4, 8, 40, 1, 1, 1, 0.02]
    measures[: cells.height // 8, :, DENSITY_RGB] *= 4  # as dense as folds are
    rows = block_table(Block(box, measures[box.slices()].astype("<f4")) for box in cells.partition(32))
    nothing = np.zeros(tissue.frame.shape, np.bool_)
    seen = Glance(tissue.frame, (240.0,) * 3, nothing, nothing, nothing, Told(inks=True, white=True))
    with most_growth_below(reckon(recipe).alone_bytes):
        judge(lay_cells(table_blocks(rows), cells), cells, seen, tissue, 0.36)


def test_a_look_at_the_thumbnail_takes_no_more_memory_than_is_reckoned() -> None:
    recipe = bare_recipe(1500 * 16, 0.5)
    frame = TissueMask.everything(recipe.level0).frame
    picture = np.random.default_rng(0).integers(150, 255, (*frame.shape, 3), np.uint8)
    with most_growth_below(reckon(recipe).alone_bytes):
        glance(picture, frame, np.ones(frame.shape, np.bool_))


def test_a_tile_that_is_inspected_takes_no_more_memory_than_is_reckoned() -> None:
    pixels = np.random.default_rng(0).integers(60, 255, (1080, 1080, 3), np.uint8)
    inner = slice(HALO_PX, 1080 - HALO_PX)
    measure(pixels[:120, :120], (slice(28, 92), slice(28, 92)), 32, (240.0, 240.0, 240.0))
    with most_growth_below(reckon(bare_recipe(8192, 0.5)).batch_bytes):
        measure(pixels, (inner, inner), 32, (240.0, 240.0, 240.0))


ESTIMATE = Estimate(disk_bytes=GIB, process_bytes=GIB, batch_bytes=GIB // 2, vram_bytes=0, seconds=1.0)


def test_what_fits_runs_on_every_thread(tmp_path: Path) -> None:
    assert refuse_what_does_not_fit("slide", ESTIMATE, MACHINE, Budget(), tmp_path) is None


def test_with_less_memory_fewer_batches_run_at_once(tmp_path: Path) -> None:
    crowd = replace(MACHINE, threads=8)
    budget = Budget(max_memory_bytes=int(2.6 * GIB))
    assert refuse_what_does_not_fit("slide", ESTIMATE, crowd, budget, tmp_path) == 3


@given(st.integers(1, 64), st.integers(1, 8), st.integers(0, 64 * GIB))
def test_what_is_let_run_fits(threads: int, processes: int, allowed: int) -> None:
    machine = Machine(processes, threads, 64 * GIB, 1e9)
    most = ESTIMATE.most_at_once(machine, allowed)
    assert 0 <= most <= machine.at_once
    assert not most or ESTIMATE.memory_bytes(machine, most) <= allowed
    assert most == machine.at_once or ESTIMATE.memory_bytes(machine, most + 1) > allowed


def test_what_does_not_fit_is_refused_with_the_figures(tmp_path: Path) -> None:
    with pytest.raises(OverBudget) as refusal:
        refuse_what_does_not_fit("slide", ESTIMATE, MACHINE, Budget(max_memory_bytes=GIB), tmp_path)
    what, cure = str(refusal.value).splitlines()
    assert "slide: wants 1.5 GiB of memory" in what
    assert "--max-memory allows 1 GiB" in what
    assert "--core-px" in cure


def test_what_is_held_of_the_whole_slide_must_fit_where_it_is_driven(tmp_path: Path) -> None:
    judged = replace(ESTIMATE, alone_bytes=3 * GIB)
    assert judged.memory_bytes(MACHINE) == 4 * GIB
    assert judged.memory_bytes(replace(MACHINE, drives=False)) == 2 * GIB
    assert refuse_what_does_not_fit("slide", judged, MACHINE, Budget(max_memory_bytes=4 * GIB), tmp_path) is None
    with pytest.raises(OverBudget, match="wants 4 GiB") as refusal:
        refuse_what_does_not_fit("slide", judged, MACHINE, Budget(max_memory_bytes=3 * GIB), tmp_path)
    assert "--qc off" in refusal.value.cure


def test_free_disk_is_always_looked_at(tmp_path: Path) -> None:
    greedy = replace(ESTIMATE, disk_bytes=2 * shutil.disk_usage(tmp_path).free)
    with pytest.raises(DiskFull, match="are free at") as refusal:
        refuse_what_does_not_fit("slide", greedy, MACHINE, Budget(), tmp_path)
    assert len(str(refusal.value).splitlines()) == 2


def test_the_folder_may_not_grow_beyond_what_is_allowed(tmp_path: Path) -> None:
    (tmp_path / "earlier").mkdir()
    (tmp_path / "earlier" / "results").write_bytes(b"0" * 1000)
    assert folder_bytes(tmp_path) == 1000
    enough, little = Budget(max_disk_bytes=GIB + 1000), Budget(max_disk_bytes=GIB + 999)
    assert refuse_what_does_not_fit("slide", ESTIMATE, MACHINE, enough, tmp_path) is None
    with pytest.raises(OverBudget, match="--max-disk allows") as refusal:
        refuse_what_does_not_fit("slide", ESTIMATE, MACHINE, little, tmp_path)
    assert "0.977 KiB" in refusal.value.what


def test_what_an_interrupted_run_has_written_is_not_asked_for_again(tmp_path: Path) -> None:
    little = Budget(max_disk_bytes=GIB // 2)
    assert refuse_what_does_not_fit("slide", ESTIMATE, MACHINE, little, tmp_path, held_bytes=GIB // 2) is None


@pytest.mark.parametrize(
    ("text", "size"), [("20GiB", 20 * GIB), ("1.5 TB", 1_500_000_000_000), ("800 MB", 800_000_000), ("1B", 1)]
)
def test_sizes_are_read_as_people_write_them(text: str, size: int) -> None:
    assert read_size(text, "max_disk") == size


@pytest.mark.parametrize("text", ["20", "GiB", "-1GiB", "0GiB", "1e9 B", "20 gallons", "٣GiB", "nanGiB", ""])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="no size") as refusal:
        read_size(text, "the command line: max_disk")
    assert "20GiB" in refusal.value.cure


@given(st.integers(1, 2**60))
def test_a_size_that_is_shown_is_about_what_it_is(size: int) -> None:
    number, unit = show_size(size).split()
    exponent = ("B", "KiB", "MiB", "GiB", "TiB", "PiB").index(unit)
    assert float(number) * 1024**exponent == pytest.approx(size, rel=0.006)


def test_a_budget_stands_in_the_file_and_the_command_line_goes_before_it(tmp_path: Path) -> None:
    path = tmp_path / "cohort.toml"
    path.write_text('[budget]\nmax_disk = "1TiB"\nmax_memory = "8GiB"\n')
    config = read_config(path)
    assert config.budget == Budget(2**40, 8 * GIB)
    assert config.within(None, "4GiB").budget == Budget(2**40, 4 * GIB)
    path.write_text('[budget]\nmax_disc = "1TiB"\n')
    with pytest.raises(ConfigError, match="max_disc"):
        read_config(path)
