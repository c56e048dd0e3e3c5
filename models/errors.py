"""What can go wrong with networks and their bundles, each with a way out.

ModelError
├── BundleError        a bundle's card or weights are not what they claim to be
│   └── UnknownBundle  no shipped bundle and no folder has this name
├── DeviceError        the device or the precision asked for is not there, or too small
├── TrainingError      training data or settings that cannot be used
└── EvaluationError    what an evaluation is given cannot be used, or does not fit together
    └── UnreadableImage  one file holds no image that can be judged; the others may

Every message has two lines: what is wrong with which file, and what to do about it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Self


class ModelError(Exception):
    """Base of all errors of networks that a person can act on."""

    def __init__(self, what: str, cure: str) -> None:
        """Say what is wrong (with the file's name), then the way out."""
        super().__init__(what, cure)
        self.what = what
        self.cure = cure

    @classmethod
    def about(cls, where: str | Path, what: str, cure: str) -> Self:
        """Return the error that names a file, or whatever else the fault lies with, before it says what is wrong."""
        return cls(f"{where}: {' '.join(what.split())}", cure)

    def __str__(self) -> str:
        """Both lines."""
        return f"{self.what}\n{self.cure}"


class BundleError(ModelError, ValueError):
    """A bundle's card or weights are not what they claim to be."""


class UnknownBundle(BundleError):
    """No shipped bundle and no folder has this name."""


class DeviceError(ModelError, RuntimeError):
    """The device or the precision asked for is not there, or its memory is too small."""


class TrainingError(ModelError, ValueError):
    """Training data or settings cannot be used."""


class EvaluationError(ModelError, ValueError):
    """What an evaluation is given cannot be used, or does not fit together."""


class UnreadableImage(EvaluationError):
    """One file holds no image that can be judged; the others may."""
