"""A TIFF that is cut short anywhere is known to be, whatever a reader makes of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.synthetic import SyntheticTruth
from pipeline.tiff_extent import reaches_its_end


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(share=st.floats(0.0001, 1, exclude_max=True))
def test_a_slide_that_is_cut_short_does_not_reach_its_end(
    tmp_path: Path, synthetic_slide: tuple[Path, SyntheticTruth], share: float
) -> None:
    content = synthetic_slide[0].read_bytes()
    cut = tmp_path / "cut.svs"
    cut.write_bytes(content[: max(2, int(share * len(content)))])
    assert not reaches_its_end(cut)


def test_a_whole_slide_reaches_its_end(synthetic_slide: tuple[Path, SyntheticTruth]) -> None:
    assert reaches_its_end(synthetic_slide[0])


@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n", b"This is a text."])
def test_what_is_no_tiff_has_no_end_to_reach(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.svs").write_bytes(content)
    assert reaches_its_end(tmp_path / "a.svs")


@pytest.mark.slides
def test_real_slides_reach_their_end(data: Path) -> None:
    slides = [
        path for path in (data / "wsi").iterdir() if path.suffix.lower() in {".svs", ".tif", ".tiff", ".ndpi", ".scn"}
    ]
    assert slides
    assert [path.name for path in slides if not reaches_its_end(path)] == []
