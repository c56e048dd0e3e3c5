"""What can go wrong with slides and results, each with a way out.

HistoloomError
├── SlideError               something about one slide; the cohort goes on
│   ├── UnreadableSlide      no reader opens it, or its pixels cannot be decoded
│   ├── MissingResolution    no um per pixel in the file and none given
│   ├── ImplausibleResolution  an um per pixel outside 0.05-20
│   ├── CannotFeed           no layer of this slide has the resolution that a network was trained at
│   ├── NoTissue             the mask is empty
│   ├── ResourceLost         a disk or a network gave way; another try may go well
│   │   ├── DiskFull         no space left where results are written
│   │   └── WorkersLost      workers, or the scheduler above them, went away and did not come back
│   ├── BatchEndsWorkers     one worker after another died under the same batch
│   ├── OverBudget           memory or disk would not do
│   └── Unforeseen           a fault of the program, on this slide
├── StoreError               something about one output folder
│   ├── PlanChanged          the folder was begun with other settings
│   └── StoreBusy            another process works on it
├── StorageRefused           a bucket that is not there, or does not let us in
├── ConfigError              wrong settings; nothing was started
└── WorkerDiffers            a worker has something else installed than the process that gives it work

Every message has two lines: what is wrong with which file, and what to do about it.
"""

from pipeline.secrets import redacted


class HistoloomError(Exception):
    """Base of all errors that a person can act on."""

    def __init__(self, what: str, cure: str = "") -> None:
        """Say what is wrong (with the file's name) and, where known, the way out."""
        self.what, self.cure = redacted(what), redacted(cure)
        super().__init__(self.what, self.cure)

    def __str__(self) -> str:
        """Both lines; the second only when there is a cure to name."""
        return f"{self.what}\n{self.cure}" if self.cure else self.what


class SlideError(HistoloomError):
    """One slide cannot be worked on; the others can."""


class UnreadableSlide(SlideError, OSError):
    """No reader opens the file, or its pixels cannot be decoded."""

    __str__ = HistoloomError.__str__


class MissingResolution(SlideError, ValueError):
    """The slide does not say how many um a pixel spans."""


class ImplausibleResolution(SlideError, ValueError):
    """The slide says something about its um per pixel that no microscope does."""


class CannotFeed(SlideError, ValueError):
    """A network wants a resolution that this slide and its settings do not offer."""


class NoTissue(SlideError, ValueError):
    """Nothing on the slide counts as tissue."""


class ResourceLost(SlideError, OSError):
    """A disk or a network gave way; another try may go well."""

    __str__ = HistoloomError.__str__


class DiskFull(ResourceLost):
    """No space is left where results are written, or too little for what is to come; what was committed stays."""


class WorkersLost(ResourceLost):
    """Workers, or the scheduler above them, went away and did not come back in time."""


class BatchEndsWorkers(SlideError, RuntimeError):
    """One worker after another died under the same batch, most likely because it wants more memory than they have."""


class OverBudget(SlideError):
    """What a slide would take of memory is more than there is, or of memory or disk more than is allowed."""


class Unforeseen(SlideError):
    """Something that should not happen, and is for the program's developers to mend."""


class StoreError(HistoloomError):
    """An output folder cannot be used as it is."""


class PlanChanged(StoreError, ValueError):
    """An output folder was begun with other settings."""


class StoreBusy(StoreError, RuntimeError):
    """Another process writes to the same output folder."""


class StorageRefused(HistoloomError, PermissionError):
    """An object store says no, and will say so again: no bucket, no credentials, not allowed."""

    __str__ = HistoloomError.__str__


class ConfigError(HistoloomError, ValueError):
    """The settings are wrong; nothing was started."""


class WorkerDiffers(HistoloomError, RuntimeError):
    """A worker has something else installed than the process that gives it work."""
