"""The tutorial's blocks, as they stand in the page, in a folder of their own: on a piece of its slide, and on all of it."""

import json
import os
import shutil
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from pipeline.sample import SAMPLE_NAME
from tests.docs.pages import DOCS, ROOT, Block, blocks
from tests.flows.killed_runs import REGION, cut_region

TUTORIAL = DOCS / "tutorial" / "first-slide.md"
SLIDE = Path("slides", SAMPLE_NAME)


def new_folder(folder: Path) -> dict[str, str]:
    """Prepare an empty folder; return the environment of someone who activated this installation."""
    command = folder / "bin" / "histoloom"
    command.parent.mkdir(parents=True)
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -c "from flows.cli import main; main()" "$@"\n')
    command.chmod(0o755)
    given = Path(os.environ.get("HISTOLOOM_DATA", ""), "wsi", SAMPLE_NAME)
    if os.environ.get("HISTOLOOM_DATA") and given.is_file():  # else the tutorial's own command fetches it
        (folder / SLIDE).parent.mkdir()
        shutil.copyfile(given, folder / SLIDE)
    path = os.pathsep.join([str(command.parent), os.environ["PATH"]])
    return os.environ | {"PATH": path, "PYTHONPATH": str(ROOT)}


def call(block: Block, folder: Path, environment: dict[str, str]) -> str:
    """Run a block; a failure names it."""
    shell = ["bash", "-euo", "pipefail", "-c"] if block.language == "bash" else [sys.executable, "-c"]
    done = subprocess.run(
        [*shell, block.text], cwd=folder, env=environment, capture_output=True, text=True, timeout=900, check=False
    )
    if "sample" in block.text and "could not fetch" in done.stderr:
        pytest.skip("the sample slide: needs a package index, or HISTOLOOM_DATA")
    assert done.returncode == 0, f"{block}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def look(block: Block, folder: Path, environment: dict[str, str]) -> str:
    """Open what the block opens, as a browser would, and end it as a person would."""
    helped = subprocess.run(["histoloom", "view", "--help"], env=environment, capture_output=True, check=False)
    if helped.returncode:
        pytest.skip("there is no `histoloom view` yet")
    shell = ["bash", "-c", f"exec {block.text.strip()} --port 0 --no-open"]
    with subprocess.Popen(shell, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True) as viewer:
        assert viewer.stdout is not None
        try:
            address = viewer.stdout.readline().strip()
            with urllib.request.urlopen(f"{address.rstrip('/')}/api/cohort", timeout=60) as answer:
                return str(json.load(answer)["slides"][0]["name"])
        finally:
            viewer.send_signal(signal.SIGINT)
            viewer.wait(30)


def follow(folder: Path, *, cut: bool) -> dict[str, str]:
    """Do what the tutorial says, but for `view`; return what each block printed. With `cut`, the slide is a piece of itself."""
    environment = new_folder(folder)
    said = {}
    for block in blocks(TUTORIAL, "bash", "python"):
        if " view " in block.text:
            continue
        said[block.text] = call(block, folder, environment)
        if "histoloom sample" in block.text and cut:
            whole = folder / SLIDE
            piece = cut_region(whole, REGION, folder / "piece.tif")
            piece.replace(whole)
    return said


@pytest.fixture(scope="module")
def followed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    folder = tmp_path_factory.mktemp("tutorial")
    return folder, follow(folder, cut=True)


def test_every_block_of_the_tutorial_runs_on_a_piece_of_its_slide(followed: tuple[Path, dict[str, str]]) -> None:
    folder, said = followed
    text = "".join(said)
    assert all(command in text for command in ("--help", "sample", "run", "status", "read_table", "zarr.open"))
    assert "done" in next(answer for block, answer in said.items() if "status" in block)
    assert (folder / "results" / Path(SAMPLE_NAME).stem / "preview.png").is_file()
    assert any("uint8" in answer for answer in said.values())


def test_looking_at_it_works(followed: tuple[Path, dict[str, str]]) -> None:
    (block,) = (block for block in blocks(TUTORIAL, "bash") if " view " in block.text)
    assert look(block, followed[0], new_folder(followed[0] / "again") | {}) == Path(SAMPLE_NAME).stem


def test_every_key_of_run_json_is_in_the_reference(followed: tuple[Path, dict[str, str]]) -> None:
    (run,) = (followed[0] / "results").glob("*/run.json")
    page = (DOCS / "reference" / "outputs.md").read_text(encoding="utf-8")
    assert {key for key in json.loads(run.read_text()) if f"`{key}`" not in page} == set()


def test_the_rows_of_all_cohorts_can_be_read_together(followed: tuple[Path, dict[str, str]], tmp_path: Path) -> None:
    for cohort in ("breast", "skin"):
        (tmp_path / "results" / cohort).mkdir(parents=True)
        shutil.copyfile(followed[0] / "results" / "cohort.parquet", tmp_path / "results" / cohort / "cohort.parquet")
    (block,) = blocks(DOCS / "how-to" / "cohorts.md", "python")
    assert "skin" in call(block, tmp_path, os.environ | {})


@pytest.mark.slow
def test_the_tutorial_tells_the_truth_about_the_whole_slide(tmp_path: Path) -> None:
    said = follow(tmp_path, cut=False)
    status = next(answer for block, answer in said.items() if "status" in block)
    (run,) = (tmp_path / "results").glob("*/run.json")
    counts = json.loads(run.read_text())["counts"]
    assert "done" in status
    assert 1250 <= counts["nuclei"] <= 1350  # "some 1,300"
    assert counts["patches"] == {"idc-hybrid": 68}
