"""TrainConfig: everything that decides a training, read from one TOML file; an unknown key is an error.

Three trainings that use these fields are kept beside the weights they made: `models/bundles/*/train.toml`.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal, NoReturn, TypeVar, get_args

from models.degrade import Degradation
from models.errors import TrainingError

CURE = "Correct the training file; `models/bundles/*/train.toml` are examples that work."
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceConfig:
    """One set of training data, and which of its patients are never trained on."""

    name: str
    licence: str
    kind: str
    """How the files are laid out: a key of the task's readers, such as `images`, `instances`, `masks`, `sheets`."""
    path: str
    """File or folder, relative to the data root."""
    share: float = 1.0
    """How often a training example is drawn from this set, relative to the others."""
    patient: str = "(.+)"
    """Regular expression whose first group is the patient, in a file's stem (or in an index's patient column)."""
    validation: tuple[str, ...] = ()
    """Patients that choose between weights."""
    test: tuple[str, ...] = ()
    """Patients that nothing is chosen by."""
    validation_share: float = 0.0
    """Share of the patients drawn for validation, where they are not named."""
    test_share: float = 0.0
    train_width: float = 1.0
    """Slides: the share of the width, from the left, that training reads; the rest is the test."""
    degradation: Degradation = "bicubic_aa"
    """Super-resolution: how the small image of a pair is made; `pyramid`, for slides, reads the slide's lower level."""
    slide_mpp: float | None = None
    """Slides: um per level-0 px, where the file does not say or says it wrongly."""
    mpp: float | None = None
    """Super-resolution: um per px of the large images from a slide; without it, level 0 as it is. Nuclei: um per px of
    the images, or that a slide is read at; where it differs from the network's, images are resampled. Classification:
    um per px of the patches; where it differs, the field that the network looks at is cut out and resampled."""
    enlarge: str = ""
    """Nuclei: what draws images that are coarser than the network's mpp: `bicubic-x2`, or a super-resolution bundle, as
    a run would show them; without it they are interpolated."""
    regions: str = "Region*"
    """Nuclei, kind `geojson`: pattern of the classes of annotations in which every nucleus is outlined."""
    least_tissue: float = 0.5
    """Slides, patches under annotations among them: least share of tissue in a field that is used."""
    sharpest_db: float = 38.0
    """Slides: fields that survive a bicubic round trip by 2 with a higher PSNR hold no detail at their own px, and are
    dropped; raise it to train on a soft slide nevertheless."""
    cache_mib: int = 2048
    """Memory for decoded pairs or labelled images of this source; what exceeds it is read again when drawn."""

    def __post_init__(self) -> None:
        ranges = {
            "train_width": 0 <= self.train_width <= 1,
            "degradation": self.degradation in get_args(Degradation),
            "slide_mpp": self.slide_mpp is None or self.slide_mpp > 0,
            "mpp": self.mpp is None or self.mpp > 0,
            "least_tissue": 0 <= self.least_tissue <= 1,
            "sharpest_db": self.sharpest_db > 0,
            "cache_mib": self.cache_mib >= 0,
        }
        wrong = [f"{name}={getattr(self, name)!r}" for name, holds in ranges.items() if not holds]
        if wrong:
            msg = f"the source {self.name} cannot have {', '.join(wrong)}"
            raise ValueError(msg)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleConfig:
    """How long, how large, how fast."""

    iterations: int
    batch: int
    learning_rate: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    """Of Adam: how long it remembers gradients, and their squares."""
    weight_decay: float = 1e-4
    accumulate: int = 1
    """Parts in which a batch is worked through, one after the other, where it does not fit memory at once."""
    warmup: int = 50
    """Iterations over which the learning rate rises from 0."""
    ema_decay: float = 0.999
    """Decay of the running mean of weights that is validated and shipped."""
    clip_norm: float = 1.0
    """Longest gradient."""
    minutes: float | None = None
    """Wall-clock budget: the cosine ends with the iterations or with the minutes, whichever comes first."""
    validate_every: int = 200
    checkpoint_minutes: float = 3.0
    workers: int = 0
    """Threads that draw batches ahead; 0 draws them in the training thread."""
    freeze_backbone_iterations: int = 0
    """Classifiers: iterations for which the ResNets stay as they began while the heads learn."""
    backbone_learning_rate_share: float = 1.0
    """Classifiers: the learning rate of the ResNets as a share of that of the heads."""

    def __post_init__(self) -> None:
        ranges = {
            "iterations": self.iterations >= 1,
            "batch": self.batch >= 1,
            "betas": len(self.betas) == 2 and all(0 <= beta < 1 for beta in self.betas),
            "accumulate": 1 <= self.accumulate <= self.batch,
            "learning_rate": 0 < self.learning_rate < 10,
            "weight_decay": 0 <= self.weight_decay < 10,
            "warmup": self.warmup >= 0,
            "ema_decay": 0 <= self.ema_decay < 1,
            "clip_norm": self.clip_norm > 0,
            "minutes": self.minutes is None or self.minutes > 0,
            "validate_every": self.validate_every >= 1,
            "workers": 0 <= self.workers <= 64,
            "freeze_backbone_iterations": self.freeze_backbone_iterations >= 0,
            "backbone_learning_rate_share": 0 < self.backbone_learning_rate_share <= 1,
        }
        wrong = [f"{name}={getattr(self, name)!r}" for name, holds in ranges.items() if not holds]
        if wrong:
            msg = f"a schedule cannot have {', '.join(wrong)}"
            raise ValueError(msg)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainConfig:
    """One training. Tables `network` and `options` are checked by the architecture's and the task's own configs."""

    name: str
    """Name of the bundle."""
    task: Literal["superresolution", "nuclei", "classification"]
    architecture: str
    mpp: float
    """um per px of the network's input."""
    licence: str
    """Of the weights; follows from the data's licences."""
    limits: str
    network: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    sources: tuple[SourceConfig, ...]
    schedule: ScheduleConfig
    begin: str = ""
    """Bundle whose weights the network begins with, as far as names and shapes agree: a shipped name or a path."""
    pretrained: str = ""
    """Weights for the network's encoder that others trained on everyday pictures: see `models.pretrained`."""
    weights: Literal["model", "gan"] = "model"
    """What becomes of the weights: a bundle's own, or the second ones, trained against an adversary, of the bundle that
    is there already (super-resolution only; `histoloom run --sr-blend` mixes the two)."""
    seed: int = 0
    device: str = "auto"
    """`auto`, `cpu` or `cuda[:N]`."""
    precision: Literal["bf16", "fp32"] = "bf16"
    """bf16: autocast; the weights stay fp32."""
    data_root: str = "."
    """Folder that the sources' paths start from."""
    text: str = ""
    """The training file, word for word; it lies beside the weights that it made."""

    def __post_init__(self) -> None:
        if not self.sources:
            msg = "a training needs at least one source"
            raise ValueError(msg)
        for name, choices in (("weights", ("model", "gan")), ("precision", ("bf16", "fp32"))):
            if getattr(self, name) not in choices:
                msg = f"{name} is {getattr(self, name)!r} where one of {', '.join(choices)} is wanted"
                raise ValueError(msg)
        if self.begin and self.pretrained:
            msg = "a network begins with a bundle's weights (begin) or with published ones (pretrained), not with both"
            raise ValueError(msg)
        if self.weights == "gan" and (self.task != "superresolution" or not self.begin):
            msg = 'second weights (weights = "gan") are a super-resolver\'s, begun with its own (begin = ...)'
            raise ValueError(msg)

    @property
    def parents(self) -> tuple[str, ...]:
        """The bundles that the weights come from: the one they begin with, and their teacher."""
        teacher = str(self.options.get("teacher", ""))
        return tuple(dict.fromkeys(name for name in (self.begin, teacher) if name))

    def at(self, data_root: str | Path) -> TrainConfig:
        """Return the same training on data under another folder."""
        return replace(self, data_root=str(data_root))


def read_config(path: str | Path) -> TrainConfig:
    """Read a training file. Relative to the file's folder where `data_root` is relative.

    Raises
    ------
    TrainingError
        if the file is no TOML, a key is unknown or missing, or a value is impossible.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
        table = tomllib.loads(text)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise TrainingError.about(path, f"cannot be read ({error})", CURE) from error
    sources = table.pop("sources", [])
    if not isinstance(sources, list):
        _refuse(path, "sources are tables: [[sources]]")
    schedule = table.pop("schedule", {})
    nested = {
        "sources": tuple(from_table(SourceConfig, one, path) for one in sources),
        "schedule": from_table(ScheduleConfig, schedule, path),
    }
    config = from_table(TrainConfig, table | nested | {"text": text}, path)
    return config.at(path.parent / config.data_root)


def from_table(kind: type[T], table: Mapping[str, Any], where: str | Path) -> T:
    """Return a config dataclass from a TOML table; arrays become tuples.

    Raises
    ------
    TrainingError
        if a key is unknown or missing, or the dataclass refuses a value.
    """
    if not isinstance(table, Mapping):
        _refuse(where, f"{_short(table)} where a table is wanted, of a {kind.__name__}")
    known = {one.name: one for one in fields(kind)}  # type: ignore[arg-type]
    required = {name for name, one in known.items() if one.default is MISSING and one.default_factory is MISSING}
    for names, what in ((table.keys() - known.keys(), "unknown"), (required - table.keys(), "missing")):
        if names:
            _refuse(where, f"{what} key {', '.join(sorted(names))} for a {kind.__name__}")
    try:
        return kind(**{key: _tuple(value) for key, value in table.items()})
    except (TypeError, ValueError) as error:
        raise TrainingError.about(where, str(error), CURE) from error


def _tuple(value: Any) -> Any:
    return tuple(_tuple(one) for one in value) if isinstance(value, list) else value


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _refuse(where: str | Path, what: str) -> NoReturn:
    raise TrainingError.about(where, what, CURE)
