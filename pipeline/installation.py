"""What is installed here, in few words: two processes that say the same compute the same bytes."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

# Histoloom's own packages, found without being imported: those above this one too.
_OWN = ("pipeline", "models", "flows")

# Whatever decodes, computes or encodes pixels and rows, or carries them to a worker.
_PACKAGES = (
    "numpy", "scipy", "numba", "scikit-image", "shapely", "pyarrow", "pillow", "torch", "zarr", "zarrs",
    "numcodecs", "tiffslide", "tifffile", "imagecodecs", "openslide-python", "dask", "distributed", "cloudpickle",
)  # fmt: skip


@cache
def installation() -> Mapping[str, str]:
    """Name to version of Python and of all packages that results depend on; of histoloom itself, a hash of its code."""
    versions = {"python": platform.python_version(), "histoloom's code": _code_digest()}
    for package in _PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "absent"
    return versions


def differences(here: Mapping[str, str], there: Mapping[str, str]) -> list[str]:
    """What differs between two installations, a few words each; none when they are the same."""
    names = sorted(here.keys() | there.keys())
    return [
        f"{name} {there.get(name, 'absent')} (here {here.get(name, 'absent')})"
        for name in names
        if here.get(name) != there.get(name)
    ]


def _code_digest() -> str:
    """A hash over the source files: the version number of a checkout is the same before and after an edit."""
    digest = hashlib.sha256()
    for package in _OWN:
        for path in _sources(package):
            digest.update(f"{package}/{path.name}\0".encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def _sources(package: str) -> Iterator[Path]:
    spec = find_spec(package)
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        yield from sorted(Path(folder).glob("*.py"))
