"""Loops over pixels that numba compiles: `compiled` makes a kernel out of a plain, typed function.

A kernel lets other threads go on while it runs (`nogil`), uses one core, and computes the floats that numpy would
(no `fastmath`). It has one signature: callers see to types and layout, and no odd array sets off another compilation in
the middle of a run. What is compiled is kept beside the source, or in the user's cache folder where that cannot be
written: machine code for this processor, made anew when the file that holds the kernel changes. So a kernel calls no
kernel of another file, whose changes would not be seen; and none at all, as kernels are compiled when first called.
Importing this module or a module of kernels does not import numba.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import update_wrapper
from threading import Lock
from typing import Any, TypeVar, cast

Function = TypeVar("Function", bound=Callable[..., Any])

_kernels: list[_Kernel] = []


def compiled(signature: str) -> Callable[[Function], Function]:
    """Compile a function for a signature in numba's words, when it is first called.

    `NUMBA_DISABLE_JIT=1` leaves it plain Python, for debuggers and coverage; so it is under `__wrapped__`.
    """

    def decorate(function: Function) -> Function:
        return cast("Function", _Kernel(function, signature))

    return decorate


def load_kernels() -> None:
    """Compile all kernels of the modules imported so far, or load them from where they are kept."""
    for kernel in _kernels:
        kernel.load()


class _Kernel:
    """A function that compiles itself, once however many threads call it."""

    def __init__(self, function: Callable[..., Any], signature: str) -> None:
        update_wrapper(self, function)
        self._function, self._signature, self._lock = function, signature, Lock()
        self._machine_code: Callable[..., Any] | None = None
        _kernels.append(self)

    def __call__(self, *arguments: Any) -> Any:
        return (self._machine_code or self.load())(*arguments)

    def load(self) -> Callable[..., Any]:
        with self._lock:
            if self._machine_code is None:
                self._machine_code = _compile(self._function, self._signature)
        return self._machine_code


def _compile(function: Callable[..., Any], signature: str) -> Callable[..., Any]:
    from numba import njit

    with suppress(RuntimeError):  # there is no folder to keep it in
        return cast("Callable[..., Any]", njit(signature, nogil=True, cache=True)(function))
    return cast("Callable[..., Any]", njit(signature, nogil=True)(function))
