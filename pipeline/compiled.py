"""Loops over pixels that numba compiles: `compiled` makes a kernel out of a plain, typed function.

A kernel lets other threads go on while it runs (`nogil`), uses one core, and computes the floats that numpy would
(no `fastmath`). It has one signature: callers see to types and layout, and no odd array sets off another compilation in
the middle of a run. What is compiled is kept beside the source, or in the user's cache folder where that cannot be
written: machine code for this processor, made anew when the file that holds the kernel changes. A kernel may call
kernels of its own file, and none of others, whose changes would not be seen.

Importing this module or a module of kernels does not import numba: a kernel is compiled when it is first called.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import update_wrapper
from threading import RLock
from typing import Any, TypeVar, cast

Function = TypeVar("Function", bound=Callable[..., Any])

_kernels: list[_Kernel] = []
# One thread compiles at a time, as numba has it anyway: with a lock each, two kernels might wait for each other.
_compiling = RLock()


def compiled(signature: str) -> Callable[[Function], Function]:
    """Compile a function for a signature in numba's words, when it is first called.

    `NUMBA_DISABLE_JIT=1` leaves it plain Python, for debuggers and coverage; so it is under `__wrapped__`.
    """

    def decorate(function: Function) -> Function:
        return cast("Function", _Kernel(function, signature))

    return decorate


def load_kernels(modules: str = "") -> None:
    """Compile the kernels of modules imported so far whose names begin so, or load them from where they are kept."""
    for kernel in _kernels.copy():  # others may come meanwhile
        if kernel.__module__.startswith(modules):
            kernel.load()


class _Kernel:
    """A function that compiles itself, once however many threads call it."""

    def __init__(self, function: Callable[..., Any], signature: str) -> None:
        update_wrapper(self, function)
        self._function, self._signature = function, signature
        self._machine_code: Any = None
        _kernels.append(self)

    def __call__(self, *arguments: Any) -> Any:
        return (self._machine_code or self.load())(*arguments)

    def load(self) -> Any:
        with _compiling:
            if self._machine_code is None:
                self._machine_code = _compile(self._function, self._signature)
        return self._machine_code

    @property
    def _numba_type_(self) -> Any:
        """What numba asks of a global name that a kernel calls."""
        return self.load()._numba_type_


def _compile(function: Callable[..., Any], signature: str) -> Any:
    from numba import njit

    with suppress(RuntimeError):  # there is no folder to keep it in
        return njit(signature, nogil=True, cache=True)(function)
    return njit(signature, nogil=True)(function)
