"""What pages tell people to type: commands with options that exist, settings that are taken, Python that runs."""

import re
import subprocess
import sys
import tomllib
from dataclasses import fields
from pathlib import Path

import pytest

from docs.site.command_line import commands as all_commands
from docs.site.command_line import options
from pipeline.config import CohortConfig, SlideConfig, read_config
from tests.docs.pages import DOCS, PAGES, ROOT, Block, blocks, commands, name_of

AWAITED = {"view", "export"}
"""Commands that pages may name before they are there."""

COHORT_PAGES = ("cohorts", "gpus", "slurm", "missing-mpp", "precision", "../reference/config")
COHORT_BLOCKS = [block for page in COHORT_PAGES for block in blocks((DOCS / "how-to" / f"{page}.md").resolve(), "toml")]


def unknown(call: str) -> str | None:
    """What is wrong with a call, None if nothing."""
    words = call.split()
    known = all_commands()
    named = next((" ".join(words[:count]) for count in (2, 1) if " ".join(words[:count]) in known), None)
    if named is None:
        leading = words[0] in AWAITED or words[0].startswith("--") or {words[0]} <= {name.split()[0] for name in known}
        return None if leading else f"no such command: {call}"
    wrong = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", call)) - options(known[named])
    return f"{named} has no {', '.join(sorted(wrong))}: {call}" if wrong else None


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_commands_and_their_options_exist(page: Path) -> None:
    assert [wrong for call in commands(page) if (wrong := unknown(call))] == []


def test_calls_are_found_and_wrong_ones_told() -> None:
    assert sum(1 for page in PAGES for _ in commands(page)) > 60
    assert unknown("run a.svs --out results --sr none") is None
    assert unknown("run a.svs --to results") == "run has no --to: run a.svs --to results"
    assert unknown("evaluate nuclei --scale 2") == "evaluate nuclei has no --scale: evaluate nuclei --scale 2"
    assert unknown("walk") == "no such command: walk"


def test_targets_of_make_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    text = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    named = set(re.findall(r"(?:`|^)make ([a-z]+)", text, re.MULTILINE))
    assert {"demo", "view", "test", "docs", "pictures"} <= named <= targets


@pytest.mark.parametrize("block", COHORT_BLOCKS, ids=str)
def test_settings_are_taken(block: Block, tmp_path: Path) -> None:
    path = tmp_path / "cohort.toml"
    path.write_text(block.text, encoding="utf-8")
    assert read_config(path) != CohortConfig()


def test_the_page_of_settings_has_all_of_them_with_their_defaults() -> None:
    shown = tomllib.loads(blocks(DOCS / "reference" / "config.md", "toml")[0].text)
    del shown["slide"]
    assert shown.pop("mpp") == 0.25  # which has no default
    assert shown == {name: value for name, value in SlideConfig().as_dict().items() if name != "mpp"}
    assert len(shown) == len(fields(SlideConfig)) - 1


@pytest.mark.parametrize("block", [block for page in PAGES for block in blocks(page, "toml")], ids=str)
def test_other_toml_can_be_read(block: Block) -> None:
    assert tomllib.loads(block.text)


@pytest.mark.parametrize("page", ["how-to/own-weights.md", "reference/python.md"])
def test_python_runs(page: str, tmp_path: Path) -> None:
    for block in blocks(DOCS / page, "python"):
        done = subprocess.run(
            [sys.executable, "-c", block.text], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, f"{block}\n{done.stderr}"
        assert done.stdout
