"""A folder as an inbox: what is a slide, when it is whole, and that its name is no part of it."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

from flows.inbox_folder import FolderInbox
from flows.provenance import identify
from flows.slide_parts import parts
from pipeline.errors import ConfigError
from pipeline.synthetic import SyntheticTruth


def inbox(folder: Path) -> FolderInbox:
    return FolderInbox(folder, without=folder / "results")


def found(folder: Path) -> list[str]:
    return sorted(str(Path(sighting.source).relative_to(folder)) for sighting in inbox(folder).look())


def write_mrxs(path: Path) -> Path:
    """The files of a MIRAX slide, as far as an inbox looks at them."""
    path.write_bytes(b"a picture")
    path.with_suffix("").mkdir()
    (path.with_suffix("") / "Slidedat.ini").write_text("[GENERAL]\n")
    (path.with_suffix("") / "Data0000.dat").write_bytes(b"pixels")
    return path


def test_slides_of_inner_folders_are_found_and_results_and_hidden_files_are_not(tmp_path: Path) -> None:
    for name in ("a.svs", "day 1/b.TIFF", "notes.txt", ".c.svs", ".hidden/d.svs", "results/e/preview.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert found(tmp_path) == ["a.svs", "day 1/b.TIFF"]


def test_a_folder_that_is_missing_is_said_to_be(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such folder to watch"):
        inbox(tmp_path / "none").look()


def test_files_that_belong_to_a_slide_are_no_slides(tmp_path: Path) -> None:
    write_mrxs(tmp_path / "m.mrxs")
    (tmp_path / "m" / "thumbnail.png").touch()
    (tmp_path / "h.vms").write_text("[Virtual Microscope Specimen]\nImageFile=h-0.jpg\nMapFile=../m.mrxs\n")
    (tmp_path / "h-0.jpg").touch()
    assert found(tmp_path) == ["h.vms", "m.mrxs"]
    assert list(parts(tmp_path / "h.vms").values()) == [tmp_path / "h.vms", tmp_path / "h-0.jpg"]


def test_dicom_files_of_one_series_are_one_slide_and_of_two_are_two(tmp_path: Path) -> None:
    explicit, implicit = b"\x20\x00\x0e\x00UI\x0c\x00", b"\x20\x00\x0e\x00\x0c\x00\x00\x00"
    for name, tag, series in (
        ("a", explicit, b"1.2.840.1.1\0"), ("b", implicit, b"1.2.840.1.1\0"), ("c", explicit, b"1.2.840.1.22"),
    ):  # fmt: skip
        (tmp_path / f"{name}.dcm").write_bytes(bytes(128) + b"DICM" + tag + series + b"pixels")
    (tmp_path / "d.dcm").write_bytes(b"no DICOM")
    assert found(tmp_path) == ["a.dcm", "c.dcm", "d.dcm"]
    assert list(parts(tmp_path / "a.dcm").values()) == [tmp_path / "a.dcm", tmp_path / "b.dcm"]


@pytest.mark.slides
def test_a_real_dicom_slide_says_its_series(data: Path, tmp_path: Path) -> None:
    for name in ("first.dcm", "second.dcm"):
        shutil.copyfile(data / "wsi" / "camelyon_multiframe_jpeg.dcm", tmp_path / name)
    assert found(tmp_path) == ["first.dcm"]


def test_the_stamp_follows_every_file_of_a_slide(tmp_path: Path) -> None:
    slide = write_mrxs(tmp_path / "m.mrxs")
    stamps = [inbox(tmp_path).stamp(str(slide))]
    with (tmp_path / "m" / "Data0000.dat").open("ab") as file:
        file.write(b"more")
    stamps.append(inbox(tmp_path).stamp(str(slide)))
    (tmp_path / "m" / "Data0001.dat").touch()
    stamps.append(inbox(tmp_path).stamp(str(slide)))
    os.utime(slide, ns=(1, 1))
    stamps.append(inbox(tmp_path).stamp(str(slide)))
    assert len(set(stamps)) == 4
    slide.unlink()
    assert inbox(tmp_path).stamp(str(slide)) is None


def test_a_slide_of_many_files_is_known_by_all_of_them_and_by_no_name(tmp_path: Path) -> None:
    slide = write_mrxs(tmp_path / "m.mrxs")
    known = inbox(tmp_path).identify(str(slide))
    slide.rename(tmp_path / "n.mrxs")
    (tmp_path / "m").rename(tmp_path / "n")
    assert inbox(tmp_path).identify(str(tmp_path / "n.mrxs")) == known
    (tmp_path / "n" / "Data0000.dat").write_bytes(b"other")
    assert inbox(tmp_path).identify(str(tmp_path / "n.mrxs")) != known


def test_a_slide_of_one_file_is_known_as_its_run_json_says(tmp_path: Path) -> None:
    (tmp_path / "a.svs").write_bytes(b"slide")
    assert inbox(tmp_path).identify(str(tmp_path / "a.svs")) == identify(tmp_path / "a.svs")["sha256"]


def test_a_copy_that_is_cut_short_anywhere_is_not_whole(
    tmp_path: Path, synthetic_slide: tuple[Path, SyntheticTruth]
) -> None:
    content = synthetic_slide[0].read_bytes()
    copy = tmp_path / "copy.svs"
    for share in (0, 0.001, 0.1, 0.5, 0.9, 0.999):
        copy.write_bytes(content[: int(share * len(content))])
        assert not inbox(tmp_path).is_whole(str(copy)), share
    copy.write_bytes(content)
    assert inbox(tmp_path).is_whole(str(copy))


@pytest.mark.slides
@pytest.mark.parametrize("name", ["CMU-1-Small-Region.svs", "BS9_HE2.tif"])
def test_a_real_slide_that_is_cut_short_is_not_whole(tmp_path: Path, data: Path, name: str) -> None:
    original, copy = data / "wsi" / name, tmp_path / name
    shutil.copyfile(original, copy)
    assert inbox(tmp_path).is_whole(str(copy))
    os.truncate(copy, original.stat().st_size * 2 // 3)
    assert not inbox(tmp_path).is_whole(str(copy))


@pytest.mark.skipif(sys.platform != "linux", reason="leases are Linux's")
def test_a_slide_that_somebody_has_open_for_writing_is_not_whole(
    tmp_path: Path, synthetic_slide: tuple[Path, SyntheticTruth]
) -> None:
    copy = tmp_path / "copy.svs"
    shutil.copyfile(synthetic_slide[0], copy)
    with copy.open("ab"):
        assert not inbox(tmp_path).is_whole(str(copy))
    assert inbox(tmp_path).is_whole(str(copy))
