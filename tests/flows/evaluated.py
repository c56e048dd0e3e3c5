"""What the tests of evaluations measure: small bundles, two images, and what a refusal must look like."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from models.bundle import write_bundle
from models.card import Card
from models.errors import ModelError
from tests.models.examples import network, tissue


def bundle(folder: Path, of: Card) -> str:
    """Write the bundle of a card below a folder, and return its path."""
    write_bundle(folder / of.name, network(of), of)
    return str(folder / of.name)


def write_images(folder: Path) -> Path:
    """Write two images, and a file that is none."""
    folder.mkdir()
    Image.fromarray(tissue(61, 72)).save(folder / "p1_a.png")
    Image.fromarray(tissue(200, 180)[130:]).save(folder / "p2_b.png")
    (folder / "notes.txt").write_text("no image", encoding="utf-8")
    return folder


def refused(error: pytest.ExceptionInfo[ModelError], *words: str) -> None:
    """Assert that an error has two lines and these words."""
    assert len(str(error.value).splitlines()) == 2
    for word in words:
        assert word in str(error.value)
