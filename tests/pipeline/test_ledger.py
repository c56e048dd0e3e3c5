from pathlib import Path

import pyarrow as pa

from pipeline.ledger import Ledger


def test_a_committed_batch_is_done_and_its_rows_come_back(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "stage")
    assert ledger.done() == frozenset()
    ledger.commit(3, pa.table({"x": [3, 4]}))
    ledger.commit(1, None)
    ledger.commit(0, pa.table({"x": [1, 2]}))
    assert ledger.done() == {0, 1, 3}
    assert ledger.rows()["x"].to_pylist() == [1, 2, 3, 4]


def test_committing_twice_does_no_harm(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    for _ in range(2):
        ledger.commit(7, pa.table({"x": [1]}))
    assert ledger.rows()["x"].to_pylist() == [1]


def test_what_a_crash_left_half_written_is_not_done(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    (tmp_path / "00000002.77.abcd.tmp").write_bytes(b"PAR1 half")
    assert ledger.done() == frozenset()
