"""What is being measured, on one line of a terminal that goes when it is through."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from types import TracebackType

from rich.console import Console


class Telling(AbstractContextManager["Callable[[str], None]"]):
    """A line that changes, without a thread that would take time from what is measured."""

    def __init__(self) -> None:
        self._console = Console(stderr=True, highlight=False, markup=False)

    def __enter__(self) -> Callable[[str], None]:
        return self._tell

    def _tell(self, title: str) -> None:
        self._console.print(f"\r\x1b[2K{title}"[: self._console.width], end="")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._console.print("\r\x1b[2K", end="")
