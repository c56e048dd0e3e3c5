"""What is already done: one Parquet file a committed batch, holding the rows that the batch found.

The file appears under its name in one step, after the batch's pixels are in the store for good; it is the done mark.
So resuming is set subtraction, and a batch that was cut off, or is run twice, does no harm: pixels are written whole
again, rows replace themselves. Batches without rows commit an empty table.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.durable import draft_of

_NO_ROWS = pa.table({})


@dataclass(frozen=True, slots=True)
class Ledger:
    """The committed batches of one stage of one slide."""

    folder: Path

    def done(self) -> frozenset[int]:
        """The numbers of the committed batches."""
        return frozenset(int(path.stem) for path in self._files())

    def commit(self, number: int, rows: pa.Table | None) -> None:
        """Mark a batch as done and keep its rows."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with draft_of(self.folder / f"{number:08d}.parquet") as draft:  # a mark taken back does no harm
            pq.write_table(_NO_ROWS if rows is None else rows, draft, compression="zstd")

    def fragments(self) -> list[Path]:
        """The files of committed rows, in the order of the batches' numbers."""
        return sorted(self._files())

    def rows(self) -> pa.Table:
        """All rows, in the order of the batches' numbers; an empty table without columns when there are none."""
        tables = [table for table in map(pq.read_table, self.fragments()) if table.num_columns]
        return pa.concat_tables(tables) if tables else _NO_ROWS

    def _files(self) -> list[Path]:
        return list(self.folder.glob("[0-9]*.parquet"))
