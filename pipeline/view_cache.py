"""What was read lately, kept up to a number of bytes: the least recently used goes first."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from threading import Lock
from typing import Generic, TypeVar

Value = TypeVar("Value")


class ByteCache(Generic[Value]):
    """Values by key, of at most `most_bytes` together. Safe to share between threads."""

    def __init__(self, most_bytes: int, *, last_always: bool = False) -> None:
        """`last_always`: the one used last is kept however large it is, for what is too dear to make for every use."""
        self._most_bytes, self._last_always = most_bytes, last_always
        self._values: OrderedDict[Hashable, tuple[Value, int]] = OrderedDict()
        self._bytes = 0
        self._lock = Lock()

    @property
    def bytes(self) -> int:
        """What is kept."""
        return self._bytes

    def known(self, key: Hashable) -> Value | None:
        """The value of a key, where it is there."""
        with self._lock:
            if key not in self._values:
                return None
            self._values.move_to_end(key)
            return self._values[key][0]

    def get(self, key: Hashable, make: Callable[[], tuple[Value, int]]) -> Value:
        """The value of a key; what `make` returns, with its size in bytes, where it is not there.

        Two threads that want the same at the same time may both make it: none waits for another's disk.
        """
        kept = self.known(key)
        if kept is not None:
            return kept
        value, size = make()
        with self._lock:
            if size <= self._most_bytes or self._last_always:
                self._bytes += size - self._values.pop(key, (value, 0))[1]
                self._values[key] = (value, size)
            while self._bytes > self._most_bytes and len(self._values) > self._last_always:
                self._bytes -= self._values.popitem(last=False)[1][1]
        return value


class Once(Generic[Value]):
    """A value that is made when it is first asked for; threads that ask meanwhile wait for it."""

    def __init__(self, make: Callable[[], Value]) -> None:
        self._make, self._lock = make, Lock()
        self._made: tuple[Value] | None = None

    def __call__(self) -> Value:
        """The value; where making it failed, the next to ask tries anew."""
        with self._lock:
            if self._made is None:
                self._made = (self._make(),)
            return self._made[0]
