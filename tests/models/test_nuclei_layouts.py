from __future__ import annotations

from pathlib import Path

import pytest

from models.errors import TrainingError
from models.nuclei_examples import Request
from models.nuclei_layouts import LAYOUTS, list_examples
from models.slide_reader import open_tiff
from models.train_config import SourceConfig


def request(path: Path, kind: str, slide_mpp: float | None = None) -> Request:
    source = SourceConfig(name="set", licence="none", kind=kind, path=".", slide_mpp=slide_mpp)
    return Request(source, path, 0.25, open_tiff)


def test_an_unknown_kind_is_refused_with_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"set: no kind 'polygons' of nuclei\n.*instances, masks, monuseg"):
        list_examples(request(tmp_path, "polygons"))


@pytest.mark.parametrize("kind", LAYOUTS)
def test_an_empty_folder_is_refused_by_every_layout_with_its_name(tmp_path: Path, kind: str) -> None:
    with pytest.raises(TrainingError, match=f"^{tmp_path}") as error:
        list_examples(request(tmp_path, kind))
    assert str(error.value).count("\n") == 1


@pytest.mark.parametrize("kind", sorted(LAYOUTS.keys() - {"geojson"}))
def test_the_resolution_of_images_is_not_said_as_if_they_were_slides(tmp_path: Path, kind: str) -> None:
    with pytest.raises(TrainingError, match=r"slide_mpp is a slide's.*\nSay mpp instead"):
        list_examples(request(tmp_path, kind, slide_mpp=0.25))
