"""The code in the how-to pages does what they say, on a finished slide."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import duckdb
import napari
import numpy as np
import pyarrow.parquet as pq
import pytest
from napari.components import ViewerModel
from npe2 import PluginManager

from pipeline.spatialdata import export_spatialdata
from tests.clients.contract import MPP, KnownSlide
from tests.clients.foreign import environment

PAGES = Path(__file__).parent.parent.parent / "docs" / "how-to"


def code(page: str, language: str) -> str:
    """The blocks of a page in a language, one after another."""
    text = (PAGES / page).read_text(encoding="utf-8")
    return "\n".join(re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL))


@pytest.fixture
def here(slide_05: KnownSlide, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which results of a slide called `slide` lie where the pages look for them."""
    results = tmp_path / "results" / "slide"
    results.mkdir(parents=True)
    for path in slide_05.folder.iterdir():
        (results / path.name.replace("known.ome", "slide.ome")).symlink_to(path)
    monkeypatch.chdir(tmp_path)
    return results


def test_tables(here: Path) -> None:
    seen: dict[str, Any] = {}
    exec(code("tables.md", "python"), seen)
    assert 0 < len(seen["part"]) <= len(seen["nuclei"]) == pq.read_metadata(here / "nuclei.parquet").num_rows
    queries = [query for query in code("tables.md", "sql").split(";") if query.strip()]
    (row,), boxed = (duckdb.execute(query).fetchall() for query in queries)
    assert row[1] > 0
    assert 0 < len(boxed) < row[1]


def test_napari(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without its window, which wants a screen."""
    PluginManager.instance().discover()
    monkeypatch.setattr(napari, "Viewer", ViewerModel)
    seen: dict[str, Any] = {}
    exec(code("napari.md", "python"), seen)
    viewer = seen["viewer"]
    outlines = viewer.layers["outlines"]
    (labels,) = (layer for layer in viewer.layers if layer._type_string == "labels" and "nuclei" in layer.name)
    assert len(outlines.data) > 100
    for outline in outlines.data[:20]:
        middle_um = np.array(outlines.data_to_world(outline.mean(axis=0))) * MPP / seen["mpp"]
        y, x = np.rint(labels.world_to_data(middle_um)).astype(int)
        assert np.asarray(labels.data[0][y, x]) > 0


@pytest.mark.clients
def test_qupath(here: Path) -> None:
    read = code("qupath.md", "python") + "\nassert len(nuclei) > 100"
    subprocess.run([environment("qubalab") / "python", "-c", read], check=True, cwd=here.parent.parent)


@pytest.mark.clients
def test_spatialdata(here: Path, slide_05: KnownSlide) -> None:
    export_spatialdata(slide_05.folder, here.parent.parent / "slide.zarr")
    read = code("spatialdata.md", "python") + "\nassert len(nuclei) == len(table) > 100"
    subprocess.run([environment("spatialdata") / "python", "-c", read], check=True, cwd=here.parent.parent)
