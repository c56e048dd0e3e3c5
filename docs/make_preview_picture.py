"""docs/pictures/preview.png: the picture that `make demo` makes of the sample slide. Run by `make pictures`."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
MADE = ROOT / "results" / "CMU-1-Small-Region" / "preview.png"


def main() -> None:
    """Copy it, or say how it is made."""
    if not MADE.is_file():
        sys.exit(f"{MADE}: not there\nCall `make demo` first, or `make pictures`, which does.")
    shutil.copyfile(MADE, ROOT / "docs" / "pictures" / "preview.png")


if __name__ == "__main__":
    main()
