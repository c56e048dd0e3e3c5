"""The tutorial's blocks, as they stand in the page, in a new folder: on a piece of its slide, and on all of it."""

import json
import os
import shutil
import signal
import subprocess
import sys
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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


@dataclass(frozen=True, slots=True)
class Followed:
    """What became of someone who did what the tutorial says."""

    folder: Path
    environment: dict[str, str]
    said: dict[str, str]
    """Block to what it printed."""

    def after(self, command: str) -> str:
        """What the block with this command printed."""
        return next(answer for block, answer in self.said.items() if f"histoloom {command}" in block)

    @property
    def run(self) -> dict[str, Any]:
        """The slide's run.json."""
        (path,) = (self.folder / "results").glob("*/run.json")
        return dict(json.loads(path.read_text(encoding="utf-8")))


def follow(folder: Path, *, cut: bool) -> Followed:
    """Do what the tutorial says, but install and `view`; with `cut`, the fetched slide becomes a piece of itself."""
    followed = Followed(folder, new_folder(folder), {})
    for block in blocks(TUTORIAL, "bash", "python"):
        if " view " in block.text:
            continue
        followed.said[block.text] = call(block, folder, followed.environment)
        if "histoloom sample" in block.text and cut:
            cut_region(folder / SLIDE, REGION, folder / "piece.tif").replace(folder / SLIDE)
    return followed


@pytest.fixture(scope="module")
def followed(tmp_path_factory: pytest.TempPathFactory) -> Followed:
    return follow(tmp_path_factory.mktemp("tutorial"), cut=True)


def test_every_block_of_the_tutorial_runs_on_a_piece_of_its_slide(followed: Followed) -> None:
    text = "".join(followed.said)
    assert all(command in text for command in ("--help", "sample", "run", "status", "read_table", "zarr.open"))
    assert "done" in followed.after("status")
    assert (followed.folder / "results" / Path(SAMPLE_NAME).stem / "preview.png").is_file()
    assert any("uint8" in answer for answer in followed.said.values())
    assert followed.run["counts"]["nuclei"] > 0


def test_looking_at_it_works(followed: Followed) -> None:
    (block,) = (block for block in blocks(TUTORIAL, "bash") if " view " in block.text)
    assert look(block, followed.folder, followed.environment) == Path(SAMPLE_NAME).stem


def test_every_key_of_run_json_is_in_the_reference(followed: Followed) -> None:
    page = (DOCS / "reference" / "outputs.md").read_text(encoding="utf-8").partition("## `run.json`")[2]
    assert {key for key in followed.run if f"`{key}`" not in page} == set()


def test_the_rows_of_all_cohorts_can_be_read_together(followed: Followed, tmp_path: Path) -> None:
    for cohort in ("breast", "skin"):
        (tmp_path / "results" / cohort).mkdir(parents=True)
        shutil.copy(followed.folder / "results" / "cohort.parquet", tmp_path / "results" / cohort)
    (block,) = blocks(DOCS / "how-to" / "cohorts.md", "python")
    assert "skin" in call(block, tmp_path, followed.environment)


@pytest.mark.slow
def test_the_tutorial_tells_the_truth_about_the_whole_slide(tmp_path: Path) -> None:
    followed = follow(tmp_path, cut=False)
    assert "done" in followed.after("status")
    assert 1250 <= followed.run["counts"]["nuclei"] <= 1350  # "some 1,300"
    assert followed.run["counts"]["patches"] == {"idc-hybrid": 68}


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_clone_can_be_installed_as_the_tutorial_says(tmp_path: Path) -> None:
    subprocess.run(["git", "clone", "--quiet", ROOT, tmp_path / "clone"], check=True)
    (install,) = blocks(TUTORIAL, "sh")
    alone = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run(
        ["bash", "-euc", f"{install.text}\ncd {tmp_path}; histoloom --help"], cwd=tmp_path / "clone", env=alone,
        capture_output=True, text=True, timeout=3600, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "sample" in done.stdout
