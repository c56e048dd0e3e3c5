"""A process that has imported everything and forks one child a task, so that a hundred short runs cost no hundred
imports.

`python -m tests.fork_server MODULE:FUNCTION` reads arguments, a JSON list a line, and calls the function with them in a
child that leads a session of its own. It answers with the child's id, then with its exit status (negative: the signal
that ended it).
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import traceback
from collections.abc import Callable, Mapping
from typing import Any, Self


class ForkServer:
    """The tests' end of it: `start` a child, then `wait` for it, or kill it by its id first."""

    def __init__(self, function: str, environment: Mapping[str, str] | None = None) -> None:
        self._server = subprocess.Popen(
            [sys.executable, "-m", "tests.fork_server", function],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, **(environment or {})},
        )  # fmt: skip
        assert self._line() == "ready"

    def start(self, *arguments: object) -> int:
        """Call the function in a child; the child's id, which is that of its session too."""
        assert self._server.stdin is not None
        self._server.stdin.write(json.dumps(arguments) + "\n")
        self._server.stdin.flush()
        return int(self._line())

    def wait(self) -> int:
        """The exit status of the child that was started last."""
        return int(self._line())

    def run(self, *arguments: object) -> int:
        """Start and wait."""
        self.start(*arguments)
        return self.wait()

    def _line(self) -> str:
        assert self._server.stdout is not None
        line = self._server.stdout.readline()
        assert line, "the fork server ended"
        return line.strip()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.communicate()


def _serve(function: Callable[..., Any]) -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what the function prints is no answer
    print("ready", file=answers, flush=True)
    for line in sys.stdin:
        child = os.fork()
        if not child:
            _child(function, json.loads(line))
        print(child, file=answers, flush=True)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), file=answers, flush=True)


def _child(function: Callable[..., Any], arguments: list[Any]) -> None:
    os.setsid()
    code = 1
    try:
        function(*arguments)
        code = 0
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    module, _, name = sys.argv[1].partition(":")
    _serve(getattr(importlib.import_module(module), name))
