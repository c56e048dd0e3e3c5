"""A disk that is really full: a small tmpfs."""

import re
from pathlib import Path

import pytest

from pipeline.disk import as_disk_full
from pipeline.durable import whole_or_absent
from pipeline.errors import DiskFull
from pipeline.output import SlideOutput
from pipeline.synthetic import write_synthetic_slide
from tests.pipeline.protocol_run import NAME, results, weave
from tests.small_disk import PAGE, SmallDisk


def test_a_file_that_finds_no_room_says_where_and_how_much_and_leaves_nothing(small_disk: SmallDisk) -> None:
    path = small_disk.folder / "table"
    with (
        pytest.raises(DiskFull, match=r"table: no space left: at least 32,768 bytes") as full,
        whole_or_absent(path) as at,
    ):
        at.write_bytes(bytes(20 * PAGE))
    assert "run the same command again" in full.value.cure
    assert list(small_disk.folder.iterdir()) == []


@pytest.mark.timeout(1800)
def test_a_run_goes_on_where_the_disk_was_full_each_time_it_is_made_larger(
    small_disk: SmallDisk, tmp_path: Path
) -> None:
    slide = tmp_path / "slide.svs"
    write_synthetic_slide(slide, 90, 270, 0.499, level_downsamples=(1,))
    weave(slide, tmp_path / "straight")
    said: list[DiskFull | None] = []
    stages, pages, done = set(), 8, False
    while not done:
        try:
            weave(slide, small_disk.folder)
            done = True
        except OSError as error:
            output = SlideOutput(small_disk.folder, NAME)
            said.append(error if isinstance(error, DiskFull) else as_disk_full(error, output.partial, PAGE))
            stages.add(len(list((output.partial / "ledger").rglob("*.parquet"))))
        pages += 12
        small_disk.resize(pages)
    assert len(stages) >= 4  # batches done when it was full
    for full in said:
        assert full is not None
        assert re.match(rf"{small_disk.folder}\S+: no space left: at least [\d,]+ bytes", full.what)
    assert results(small_disk.folder / NAME) == results(tmp_path / "straight" / NAME)
