"""What a file system may hold after a power cut: a model, fed with the steps that a real run took.

What is assumed, and what is not:

- A file's bytes survive once it was synced after they were written. Unsynced, they may all be there, be gone, or be
  there in part: cut short, or zeros where blocks were promised and never written.
- A name (made, moved, removed) survives once its folder was synced after. Unsynced changes of one folder survive in
  their order, up to some point; folders do not wait for each other. So a rename between two folders may have reached
  the one and not the other: the file has both names, or none that was not synced.
- A rename within a folder takes the place of another file in one step. Syncs do what they say; disks do not lie.

POSIX promises about this much. ext4, XFS and btrfs, which write all names in one order, promise more.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

_HEAD = struct.Struct("<cqIII")


@dataclass(frozen=True)
class Step:
    """One thing that a run did to its folder; paths are relative to it."""

    kind: str
    path: str
    other: str
    offset: int
    data: bytes


@dataclass(eq=False)
class File:
    """A file: what was written, and what of it is safe."""

    now: bytearray = field(default_factory=bytearray)
    safe: bytes = b""
    synced: bool = False


@dataclass(eq=False)
class Folder:
    """A folder: its names, the changes to them since the last sync, and the names that are safe."""

    now: dict[str, File | Folder] = field(default_factory=dict)
    safe: dict[str, File | Folder] = field(default_factory=dict)
    changes: list[tuple[str, File | Folder | None]] = field(default_factory=list)

    def change(self, name: str, node: File | Folder | None) -> None:
        """Give a name to a file or folder, or take it away."""
        self.changes.append((name, node))
        _set(self.now, name, node)

    def sync(self) -> None:
        """Make the names safe."""
        self.safe, self.changes = dict(self.now), []


def read_steps(log: Path, root: Path) -> Iterator[Step]:
    """The steps that `steps.c` recorded."""
    raw, at = log.read_bytes(), 0
    while at < len(raw):
        kind, offset, *lengths = _HEAD.unpack_from(raw, at)
        at += _HEAD.size
        parts = []
        for length in lengths:
            parts.append(raw[at : at + length])
            at += length
        path, other = (str(Path(part.decode()).relative_to(root)) if part else "" for part in parts[:2])
        yield Step(kind.decode(), path, other, offset, parts[2])


class Disk:
    """The folder as the steps leave it."""

    def __init__(self) -> None:
        self.root = Folder()

    @classmethod
    def of(cls, folder: Path) -> Disk:
        """A disk that holds what a folder holds, all of it safe."""
        disk = cls()
        disk.root = _safe(folder)
        return disk

    def do(self, step: Step) -> None:
        """Take one step."""
        parent, name = self._parent(step.path)
        node = parent.now.get(name)
        if step.kind == "c":
            if isinstance(node, File):
                node.now, node.synced = bytearray(), False
            else:
                parent.change(name, File())
        elif step.kind == "m":
            parent.change(name, Folder())
        elif step.kind in "ud":
            parent.change(name, None)
        elif step.kind == "r":
            assert node is not None
            there, new_name = self._parent(step.other)
            there.change(new_name, node)
            parent.change(name, None)
        elif step.kind == "s":
            self._sync(self.root if step.path == "." else node)
        elif isinstance(node, File):
            self._write(node, step)

    @staticmethod
    def _write(node: File, step: Step) -> None:
        node.synced = False
        if step.kind == "t":
            node.now = node.now[: step.offset].ljust(step.offset, b"\0")
            return
        end = step.offset + len(step.data)
        node.now = node.now.ljust(end, b"\0")
        node.now[step.offset : end] = step.data

    @staticmethod
    def _sync(node: File | Folder | None) -> None:
        if isinstance(node, Folder):
            node.sync()
        elif node is not None:
            node.safe, node.synced = bytes(node.now), True

    def _parent(self, path: str) -> tuple[Folder, str]:
        *folders, name = Path(path).parts or (".",)
        node = self.root
        for part in folders:
            inner = node.now[part]
            assert isinstance(inner, Folder)
            node = inner
        return node, name

    def after_power_cut(self, folder: Path, rng: random.Random) -> None:
        """Write into an empty `folder` one of the states that may be found when the power is back."""
        _lay(self.root, folder, rng)


def _safe(folder: Path) -> Folder:
    node = Folder()
    for path in folder.iterdir():
        content = b"" if path.is_dir() else path.read_bytes()
        node.now[path.name] = _safe(path) if path.is_dir() else File(bytearray(content), content, synced=True)
    node.sync()
    return node


def _lay(node: Folder, folder: Path, rng: random.Random) -> None:
    names = dict(node.safe)
    for name, inner in node.changes[: rng.choice((0, len(node.changes), rng.randint(0, len(node.changes))))]:
        _set(names, name, inner)
    for name, inner in names.items():
        if isinstance(inner, Folder):
            (folder / name).mkdir()
            _lay(inner, folder / name, rng)
        else:
            (folder / name).write_bytes(_content(inner, rng))


def _content(file: File, rng: random.Random) -> bytes:
    if file.synced:
        return file.safe
    now = bytes(file.now)
    part = rng.randint(0, len(now))
    return rng.choice((now, file.safe, b"", now[:part], now[:part].ljust(len(now), b"\0")))


def _set(names: dict[str, File | Folder], name: str, node: File | Folder | None) -> None:
    if node is None:
        names.pop(name, None)
    else:
        names[name] = node
