"""A file system of a few pages that can be made larger, or filled by somebody else's file: a tmpfs."""

from __future__ import annotations

import os
import subprocess
from contextlib import suppress
from pathlib import Path

PAGE = os.sysconf("SC_PAGE_SIZE")

_HOG = "somebody-elses-file"


class SmallDisk:
    """Mounted at a folder by `resize(pages, again=False)`; needs the right to mount."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def resize(self, pages: int, *, again: bool = True) -> None:
        """Mount it, or give it another size."""
        options = f"size={pages * PAGE}" + (",remount" if again else "")
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(self.folder)], check=True)

    def unmount(self) -> None:
        """Take it away with what is in it."""
        subprocess.run(["umount", "--lazy", str(self.folder)], check=True)

    def fill(self) -> None:
        """Take every page that is free."""
        with (self.folder / _HOG).open("ab", buffering=0) as file, suppress(OSError):
            while file.write(bytes(PAGE)):
                pass

    def clear(self) -> None:
        """Give back what `fill` took."""
        (self.folder / _HOG).unlink(missing_ok=True)
