from __future__ import annotations

from pathlib import Path

from pipeline.page import write_if_changed


def test_a_file_that_would_not_change_keeps_its_time_of_change(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    write_if_changed(path, b"one")
    written_ns = path.stat().st_mtime_ns
    write_if_changed(path, b"one")
    assert path.stat().st_mtime_ns == written_ns
    write_if_changed(path, b"two")
    assert path.read_bytes() == b"two"
    assert [entry.name for entry in tmp_path.iterdir()] == ["page.html"]
