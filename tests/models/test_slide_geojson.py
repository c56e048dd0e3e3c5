from __future__ import annotations

from pathlib import Path

import pytest

from models.errors import TrainingError
from models.slide_geojson import pair_slides


def folder_of(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).touch()
    return folder


def test_slides_are_paired_with_their_geojson_packed_or_not_and_others_left_alone(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, "b.svs", "b.geojson.gz", "a.tif", "a.tif.geojson", "c.svs", "d.geojson.bak")
    pairs = [(tmp_path / "a.tif", tmp_path / "a.tif.geojson"), (tmp_path / "b.svs", tmp_path / "b.geojson.gz")]
    assert pair_slides(folder) == pairs
    assert pair_slides(folder / "b.svs") == pairs[1:]


@pytest.mark.parametrize(
    ("names", "asked", "what"),
    [
        (("a.svs",), ".", r"no \*\.geojson\[\.gz\] in it"),
        (("a.svs", "a.geojson", "b.svs"), "b.svs", r"b\.svs: no GeoJSON of the same stem beside it"),
        (("a.svs", "a.tif", "a.geojson"), ".", r"a\.geojson: 2 slides called a beside it"),
        (("a.geojson",), ".", r"a\.geojson: 0 slides called a beside it"),
        (("a.svs", "a.geojson", "a.geojson.gz"), ".", r"a\.geojson: not the only GeoJSON of its stem"),
        (("a.svs", "a.geojson", "a.svs.geojson"), "a.svs", r"a\.geojson: not the only GeoJSON of its stem"),
    ],
)
def test_pairs_that_are_not_one_to_one_are_named(tmp_path: Path, names: tuple[str, ...], asked: str, what: str) -> None:
    with pytest.raises(TrainingError, match=what) as error:
        pair_slides(folder_of(tmp_path, *names) / asked)
    assert len(str(error.value).splitlines()) == 2
