"""`histoloom view` as a person starts it: what it prints, what it says of a port or a folder that is none."""

import os
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from flows.cli import app
from flows.view_guard import Policy
from flows.view_server import is_loopback
from tests.pipeline.finished_slide import make_slide

HISTOLOOM = [sys.executable, "-c", "from flows.cli import main; main()"]


def view(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["view", *map(str, arguments), "--no-open"], catch_exceptions=False)


def test_it_prints_where_to_look_and_ends_when_it_is_told(tmp_path: Path) -> None:
    make_slide(tmp_path, "slide")
    command = [*HISTOLOOM, "view", str(tmp_path), "--port", "0", "--no-open"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().strip()
            assert url.startswith("http://127.0.0.1:")
            with urllib.request.urlopen(f"{url}api/cohort", timeout=30) as answer:
                assert b'"slide"' in answer.read()
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=30)
        finally:
            process.kill()
    assert process.returncode in {0, -signal.SIGINT, 130}
    assert "Traceback" not in out + err


def test_a_port_that_is_taken_is_said_with_the_way_out(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        done = view(tmp_path, "--port", other.getsockname()[1])
    assert done.exit_code == 2
    assert "another program listens there" in done.output
    assert "--port 0" in done.output


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(("nowhere",), "is no folder"), (("ftp://host/x",), "no kind of storage"),
     ((".", "--host", "192.0.2.1", "--port", "0"), "no address of this machine"),
     ((".", "--host", "no such host", "--port", "0"), "no address of this machine")],
)  # fmt: skip
def test_what_cannot_be_shown_is_said_in_two_lines(arguments: tuple[str, ...], words: str) -> None:
    done = view(*arguments)
    assert done.exit_code == 2
    assert words in done.output
    assert len(done.output.strip().splitlines()) == 2


def test_only_this_machines_addresses_need_no_token() -> None:
    assert all(map(is_loopback, ("127.0.0.1", "127.1.2.3", "::1", "localhost")))
    assert not any(map(is_loopback, ("0.0.0.0", "::", "10.0.0.1", "example.org", "localhost.example.org")))


def test_names_are_known_only_where_they_cannot_be_rebound() -> None:
    policy = Policy(frozenset({"bench.example.org"}))
    assert all(map(policy.knows_host, ("bench.example.org:80", "10.0.0.5", "[fe80::1]:3", "localhost")))
    assert not any(map(policy.knows_host, ("evil.org", "bench.example.org.evil.org", "", "127.0.0.1.evil.org")))


def test_the_command_line_knows_the_viewer_without_loading_it() -> None:
    code = "import sys, flows.cli; print(sorted({'fastapi', 'uvicorn', 'zarr', 'pyarrow'} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ)
    assert done.stdout.strip() == "[]"
