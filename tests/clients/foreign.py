"""Programs that cannot share this environment: each gets one of its own, made once, under build/clients/."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Protocol

HERE = Path(__file__).parent
BUILD = HERE.parent.parent / "build" / "clients"

PACKAGES = {
    "qubalab": "qubalab==0.2.1",
    "ome-zarr": "ome-zarr==0.18.0",
    "spatialdata": "spatialdata==0.7.3",
}
"""Name of the environment to what is installed into it."""


class Foreign(Protocol):
    """Runs a script of tests/clients/scripts/ in another environment; the fixture `foreign`."""

    def __call__(self, name: str, script: str, *arguments: str) -> Any:
        """What the script printed, which is JSON."""


def environment(name: str) -> Path:
    """The folder of an environment's programs; it is made when it is not there."""
    folder, done = BUILD / name, BUILD / name / f".{PACKAGES[name]}"
    if not done.exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
        install = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", PACKAGES[name]]
        subprocess.run(install, check=True, stdout=subprocess.DEVNULL)
        done.touch()
    return folder / "bin"


def run_script(name: str, script: str, *arguments: str) -> Any:
    """Run a script in an environment, away from the packages of this one."""
    command = [str(environment(name) / "python"), str(HERE / "scripts" / script), *arguments]
    clean = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=clean, timeout=300)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
