"""The rules that the code's shape keeps: who imports whom, and how long files and functions may be."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("pipeline", "models", "flows")
MODULES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
PIPELINE = [path for path in MODULES if path.is_relative_to(ROOT / "pipeline")]

MOST_LINES_PER_FILE = 400
MOST_LINES_PER_FUNCTION = 60
FORBIDDEN_NAMES = {"utils.py", "util.py", "common.py", "helpers.py", "misc.py", "core.py"}
SLIDE_READERS = {"openslide", "tiffslide"}


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def imported(path: Path) -> set[str]:
    """The top-level packages that a module imports, wherever in it."""
    names: set[str] = set()
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.partition(".")[0])
    return names


def importers(paths: list[Path], packages: set[str]) -> set[str]:
    return {str(path.relative_to(ROOT)) for path in paths if imported(path) & packages}


def functions(path: Path) -> Iterator[tuple[str, int]]:
    """The name of each function of a module, and its lines without decorators and docstring."""
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno:
            body = node.body[1:] if ast.get_docstring(node) else node.body
            yield node.name, node.end_lineno - body[0].lineno + 2 if body else 1


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_there_are_modules_to_look_at() -> None:
    assert len(MODULES) > 30


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_file_can_be_read_in_one_sitting(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MOST_LINES_PER_FILE
    assert path.name not in FORBIDDEN_NAMES


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_function_can_be_seen_at_once(path: Path) -> None:
    long_ones = {name: lines for name, lines in functions(path) if lines > MOST_LINES_PER_FUNCTION}
    assert long_ones == {}


def test_only_the_stores_and_their_shards_know_zarr() -> None:
    stores = {"pipeline/store.py", "pipeline/store_remote.py", "pipeline/shards.py", "pipeline/shard_codec.py"}
    assert importers(MODULES, {"zarr"}) == stores


def test_only_the_readers_know_slide_formats() -> None:
    assert importers(MODULES, SLIDE_READERS) <= {"pipeline/slide.py", "pipeline/readers.py", "pipeline/tiff_reader.py"}


def test_only_the_bucket_knows_object_stores() -> None:
    assert importers(MODULES, {"obstore", "boto3", "botocore"}) == {"pipeline/bucket.py"}


def test_the_pipeline_computes_no_network_and_knows_nobody_above_it() -> None:
    assert importers(PIPELINE, {"torch", "prefect", "models", "flows"}) == set()


def test_import_contracts_are_kept() -> None:
    lint_imports = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([lint_imports, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_command_line_starts_without_its_heavy_libraries() -> None:
    heavy = ("torch", "prefect", "dask", "distributed", "zarr", "openslide", "skimage", "matplotlib", "numba")
    code = f"import sys, flows.cli; print(*sorted(set({heavy}) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
