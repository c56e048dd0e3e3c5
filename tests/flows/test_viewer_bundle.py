"""The committed files of the viewer are what its source builds, and go into the wheel."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
STATIC = ROOT / "flows" / "viewer" / "static"
WEB = ROOT / "flows" / "viewer" / "web"


def test_every_static_file_goes_into_the_wheel() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    patterns = settings["tool"]["setuptools"]["package-data"]["flows"]
    files = [path.relative_to(ROOT / "flows").as_posix() for path in STATIC.rglob("*") if path.is_file()]
    assert len(files) >= 4
    assert [name for name in files if not any(fnmatch(name, pattern) for pattern in patterns)] == []


def test_the_page_needs_nothing_from_elsewhere_and_nothing_inline() -> None:
    page = (STATIC / "index.html").read_text(encoding="utf-8")
    for place in re.findall(r'(?:href|src)="([^"]*)"', page):
        assert place == "#main" or (STATIC / place.lstrip("/")).is_file(), place
    assert "<style" not in page
    assert not re.search(r"\sstyle=|\son\w+=|<script>", page)
    assert "@import" not in (STATIC / "assets" / "viewer.css").read_text(encoding="utf-8")


def test_the_committed_bundle_is_what_the_source_builds() -> None:
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("no npm: the bundle is compared where there is one")
    if not (WEB / "node_modules").is_dir():
        installed = subprocess.run([npm, "ci", "--silent"], cwd=WEB, capture_output=True, text=True, check=False)
        if installed.returncode:
            pytest.skip(f"npm ci has no registry here: {installed.stderr[-300:]}")
    done = subprocess.run([npm, "run", "--silent", "check"], cwd=WEB, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
