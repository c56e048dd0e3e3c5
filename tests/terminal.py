"""A real pseudo-terminal, drawn as a person sees it: what a program writes goes through a terminal emulator (pyte)."""

from __future__ import annotations

import fcntl
import os
import select
import struct
import termios
import time
from collections.abc import Callable

import pyte


class Terminal:
    """The person's end: a screen, and keys."""

    def __init__(self, columns: int = 80, lines: int = 24) -> None:
        self._master, slave = os.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        self.path = os.ttyname(slave)
        """What the program opens as its terminal."""
        self._slave = slave  # held, so that the master does not end before the program has begun
        self.screen = pyte.HistoryScreen(columns, lines, history=1000)
        self._stream = pyte.ByteStream(self.screen)
        self.raw = b""
        """Every byte that was written."""
        self.frames: list[str] = []
        """Every screen that was seen, each once in a row."""

    def text(self) -> str:
        """The screen's lines, without what is empty at their ends."""
        return "\n".join(line.rstrip() for line in self.screen.display).rstrip()

    def everything(self) -> str:
        """The same, with what scrolled away above."""
        above = ["".join(row[x].data for x in range(self.screen.columns)).rstrip() for row in self.screen.history.top]
        return "\n".join([*above, self.text()])

    def press(self, keys: bytes) -> None:
        """Type; b"\\x03" is Ctrl-C."""
        os.write(self._master, keys)

    def look(self, seconds: float = 0.05) -> str:
        """Take in what is written meanwhile; the screen."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if not select.select([self._master], [], [], left)[0]:
                break
            got = os.read(self._master, 65536)
            self.raw += got
            self._stream.feed(got)
            frame = self.text()
            if not self.frames or frame != self.frames[-1]:
                self.frames.append(frame)
        return self.text()

    def look_until(self, seen: Callable[[str], bool], seconds: float = 120) -> str:
        """Look until the screen is as wished; fails when it does not come to that."""
        end = time.monotonic() + seconds
        while not seen(self.look()):
            assert time.monotonic() < end, self.text()
        return self.text()

    def close(self) -> None:
        """Switch it off."""
        os.close(self._slave)
        os.close(self._master)


def be_run_on(path: str, columns: int, lines: int) -> None:
    """Make a terminal that of this process, a leader of its session without one."""
    terminal = os.open(path, os.O_RDWR)
    fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
    for stream in range(3):
        os.dup2(terminal, stream)
    for said in ("COLUMNS", "LINES"):  # of the terminal that the tests were started in, and believed before this one
        os.environ.pop(said, None)
