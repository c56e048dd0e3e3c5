from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from models.classify_files import classify_files
from models.errors import EvaluationError
from models.patches_sheets import SheetPlace


def redness(patches: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(n, {other, red}) of (n, y, x, 3)."""
    red = patches[..., 0].mean((1, 2)) / 255
    return np.stack([1 - red, red], axis=1).astype(np.float32)


def patches(folder: Path, count: int) -> list[Path]:
    paths = [folder / f"{place}.png" for place in range(count)]
    for place, path in enumerate(paths):
        Image.new("RGB", (4, 4), (place * 51, 0, 0)).save(path)
    return paths


def test_each_file_has_its_probabilities_and_unreadable_ones_are_named(tmp_path: Path) -> None:
    paths, heard = patches(tmp_path, 5), list[tuple[int, int]]()
    paths[2].write_text("none", encoding="utf-8")
    paths[3].write_text("none", encoding="utf-8")  # a batch without any
    found = classify_files(redness, paths, 4, lambda done, count: heard.append((done, count)), at_once=2)
    assert found.read == (0, 1, 4)
    assert found.probabilities[:, 1] == pytest.approx([0, 0.2, 0.8])
    assert [(place, "3.png" in error.what) for place, error in found.skipped] == [(2, False), (3, True)]
    assert heard == [(2, 5), (4, 5), (5, 5)]


def test_patches_are_cut_out_of_sheets_and_those_of_a_broken_one_are_named(tmp_path: Path) -> None:
    reds = np.array([[0, 51, 102], [153, 204, 255]], np.uint8).repeat(4, axis=0).repeat(4, axis=1)
    Image.fromarray(np.stack([reds, 0 * reds, 0 * reds], axis=-1)).save(tmp_path / "a.png")
    (tmp_path / "b.png").write_text("none", encoding="utf-8")
    files = [SheetPlace(tmp_path / f"{name}.png", row, 2, 4) for name in "ab" for row in (1, 0)]
    found = classify_files(redness, files, 4)
    assert found.probabilities[:, 1] == pytest.approx([1, 0.4])
    assert [(place, "b.png" in error.what) for place, error in found.skipped] == [(2, True), (3, True)]


def test_a_patch_of_another_size_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match=r"0\.png: 4 x 4 px where the network takes 5 x 5"):
        classify_files(redness, patches(tmp_path, 1), 5)


def test_none_readable_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.png").touch()
    with pytest.raises(EvaluationError, match="none of 1 patches can be read"):
        classify_files(redness, [tmp_path / "a.png"], 4)
