"""Ctrl-C, or a word from the system to end (SIGTERM): the run unwinds, or is cut off soon after; a second cuts at once.

Nothing is lost either way: what is committed is in the store, what is not is done again
(docs/explanation/commit-protocol.md). So nobody has to wait for the batches that are at work. A thread of its own sees
to that: the main one may be deep in a network's arithmetic, where Python hears of no signal.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from types import FrameType, TracebackType
from typing import Any, NoReturn, Self

GRACE_S = 1.5
"""How long unwinding may take: locks given back, clocks written, the terminal as it was."""

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_SHOW_CURSOR = "\x1b[?25h"


class Stopped(KeyboardInterrupt):
    """Somebody asked the run to end."""

    def __init__(self, number: int) -> None:
        self.number = number
        super().__init__(signal.Signals(number).name)

    @property
    def exit_code(self) -> int:
        """As shells tell of it: 130 after Ctrl-C, 143 after SIGTERM."""
        return 128 + self.number


def end_at_once(exit_code: int) -> NoReturn:
    """End the process without waiting for threads that are at work; its workers here end with it."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(exit_code)


def _ignored(_number: int, _frame: FrameType | None) -> None:
    """Unlike SIG_IGN, leaves the signal to be heard by the watch."""


class Stoppable:
    """A block that ends as said above; raises `Stopped` in it. Does nothing but in the main thread."""

    def __init__(self, last_words: Callable[[Stopped], None], grace_s: float = GRACE_S) -> None:
        self._last_words = last_words
        self._grace_s = grace_s
        self._said = threading.Lock()
        self._before: dict[int, Any] = {}
        self._inner, self._outer = socket.socketpair()

    def __enter__(self) -> Self:
        if threading.current_thread() is not threading.main_thread():
            return self
        for end in (self._inner, self._outer):
            end.setblocking(False)
        self._wakeup = signal.set_wakeup_fd(self._inner.fileno(), warn_on_full_buffer=False)
        self._before = {number: signal.signal(number, self._raise) for number in _SIGNALS}
        threading.Thread(target=self._watch, name="stopping", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, Stopped) or not self._before:
            return  # the watch stays: what Python does when it ends may wait for threads, too
        signal.set_wakeup_fd(self._wakeup)
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._inner.close()  # ends the watch

    def tell(self, stop: Stopped) -> None:
        """Say the last words, if nobody has yet."""
        if self._said.acquire(blocking=False):
            self._last_words(stop)

    @staticmethod
    def _raise(number: int, _frame: FrameType | None) -> None:
        for each in _SIGNALS:
            signal.signal(each, _ignored)  # what unwinds must not be cut in the middle
        raise Stopped(number)

    def _watch(self) -> None:
        number = self._hear(None)
        if number is None:
            return
        self._hear(self._grace_s)
        if sys.stderr.isatty():
            sys.stderr.write(_SHOW_CURSOR if self._said.locked() else f"{_SHOW_CURSOR}\n")
        self.tell(Stopped(number))
        end_at_once(128 + number)

    def _hear(self, timeout_s: float | None) -> int | None:
        """The next signal; None when none came in time, or none will."""
        while True:
            if not select.select([self._outer], [], [], timeout_s)[0]:
                return None
            heard = self._outer.recv(1)
            if not heard or heard[0] in _SIGNALS:
                return heard[0] if heard else None
