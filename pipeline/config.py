"""Settings: frozen, checked when made, read from one TOML file a cohort. Unknown keys are errors."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, get_args, get_type_hints

from pipeline.budget_config import Budget, read_budget
from pipeline.cluster_config import Cluster, read_cluster
from pipeline.errors import ConfigError
from pipeline.ngff import CHUNK_PX, NgffVersion
from pipeline.resolution import PLAUSIBLE_MPP

_FAR_TOO_LARGE = 1e300

ReaderName = Literal["auto", "openslide", "tiffslide"]
Precision = Literal["auto", "fp32", "bf16"]
EngineName = Literal["auto", "torch", "openvino"]
QcMode = Literal["flag", "mask", "off"]
_CHOICES: Mapping[str, tuple[Any, ...]] = {
    "engine": get_args(EngineName),
    "precision": get_args(Precision),
    "qc": get_args(QcMode),
    "reader": get_args(ReaderName),
    "ngff": get_args(NgffVersion),
    "nuclei_views": (1, 2, 4),
    "stride_share": (0.25, 0.5, 1.0),
}


@dataclass(frozen=True, slots=True)
class SlideConfig:
    """What is done to a slide. Every field changes results, so all are part of the plan that a folder is begun with."""

    mpp: float | None = None
    """um per level-0 pixel, where the file does not say or says it wrongly."""
    target_mpp: float = 0.25
    """Resolution that nuclei are segmented at; decides the super-resolution factor."""
    sr: str = "auto"
    """A bundle's name or path, `auto` (where the slide is too coarse) or `none`."""
    sr_blend: float = 0.0
    """0: super-resolution by weights that were trained for truth; 1: by those trained against an adversary, which draw
    sharper pictures and make detail up; between: by a mixture of both."""
    measure_blended: bool = False
    """Whether nuclei and patches may be measured where `sr_blend` is above 0."""
    nuclei: str = "nuclei-unet"
    """A bundle's name or path, or `none`."""
    nuclei_views: int = 1
    """Mirrored views of every tile that nuclei are found in, as a mean: 1, 2 or 4, at as many times the computation."""
    classifiers: tuple[str, ...] = ("idc-hybrid",)
    """Names or paths of bundles."""
    stride_share: float = 0.5
    """How far apart the patches of a heat map begin, as a share of their side: 0.25, 0.5 or 1."""
    tissue: str = "auto"
    """`auto`, `all`, or the path of a mask image that is laid over the slide."""
    qc: QcMode = "flag"
    """What is done with blur, folds, pen marks and dirt: `flag` stores and reports them, `mask` takes them out of what
    is worked on as well, `off` does not look for them."""
    device: str = "auto"
    """`auto`, `cpu` or `cuda[:N]`."""
    precision: Precision = "auto"
    """`fp32`, `bf16`, or `auto`: bf16 where the device computes it natively, fp32 elsewhere."""
    engine: EngineName = "auto"
    """What computes classifiers: `torch`, `openvino` (on CPUs), or `auto`: the faster one, as it was measured here."""
    reader: ReaderName = "auto"
    """`openslide`, `tiffslide`, or `auto`: the first that opens the file."""
    ngff: NgffVersion = "0.5"
    """Version of OME-Zarr: `0.5` (zarr v3, sharded) or `0.4` (zarr v2, one file a chunk), for older viewers."""
    core_px: int = 1024
    """Side of the square of pixels that a tile owns; a multiple of 256."""

    def __post_init__(self) -> None:
        for name in ("mpp", "target_mpp"):
            value = getattr(self, name)
            least, most = PLAUSIBLE_MPP
            if value is not None and not least <= value <= most:
                _refuse(name, value, f"um per pixel lie between {least:g} and {most:g}")
        if not 0 <= self.sr_blend <= 1:
            _refuse("sr_blend", self.sr_blend, "a share from 0 to 1")
        if self.sr_blend and not self.measure_blended and (self.nuclei != "none" or self.classifiers):
            wanted = "0 where nuclei or patches are measured: --nuclei none --classifier none, or --measure-blended"
            _refuse("sr_blend", self.sr_blend, wanted)
        if self.core_px < CHUNK_PX or self.core_px % CHUNK_PX:
            _refuse("core_px", self.core_px, f"a core is a whole number of chunks: a multiple of {CHUNK_PX}")
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                _refuse(name, getattr(self, name), f"one of {', '.join(map(str, choices))}")
        if not (self.device in ("auto", "cpu", "cuda") or self.device.removeprefix("cuda:").isdecimal()):
            _refuse("device", self.device, "one of auto, cpu, cuda, cuda:0, cuda:1, ...")
        if len(set(self.classifiers)) < len(self.classifiers):
            _refuse("classifiers", ", ".join(self.classifiers), "each classifier once")

    def as_dict(self) -> dict[str, Any]:
        """All settings as plain values."""
        return {**asdict(self), "classifiers": list(self.classifiers)}


@dataclass(frozen=True, slots=True)
class CohortConfig:
    """Settings of a cohort: the same for every slide but for those that a slide has of its own."""

    slide: SlideConfig = field(default_factory=SlideConfig)
    overrides: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Slide name to its own settings."""
    cluster: Cluster | None = None
    """Where workers run; changes no result."""
    budget: Budget = field(default_factory=Budget)
    """How much memory and disk may be taken; changes no pixel."""

    def of(self, name: str) -> SlideConfig:
        """The settings of one slide."""
        return _changed(self.slide, self.overrides.get(name, {}), f"[slide.{name!r}]")

    def changed(self, settings: Mapping[str, Any], where: str = "the command line") -> CohortConfig:
        """With settings that were given elsewhere, `where`; a slide's own settings still stand above them."""
        return replace(self, slide=_changed(self.slide, settings, where))

    def within(self, max_disk: str | None, max_memory: str | None) -> CohortConfig:
        """With sizes of the command line in place of the file's."""
        return replace(self, budget=self.budget.changed(max_disk, max_memory))


def read_config(path: Path) -> CohortConfig:
    """Read a cohort's TOML: fields of `SlideConfig` at the top, and under `[slide.NAME]` for one slide.

    `[cluster]` says where workers run, `[budget]` how much memory and disk may be taken.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        msg = f"{path}: there is no such file"
        raise ConfigError(msg, "Check the path of --config.") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        msg = f"{path}: not a readable TOML file: {error}"
        raise ConfigError(msg, "See docs/reference/config.md for what may stand in it.") from error
    cluster = read_cluster(content.pop("cluster"), str(path)) if "cluster" in content else None
    budget = read_budget(content.pop("budget", {}), str(path))
    overrides = content.pop("slide", {})
    if not isinstance(overrides, dict) or not all(isinstance(own, dict) for own in overrides.values()):
        msg = f"{path}: `slide` holds the settings of single slides"
        raise ConfigError(msg, 'Write them as a table: [slide."my-slide"]')
    config = CohortConfig(_changed(SlideConfig(), content, str(path)), overrides, cluster, budget)
    for name in overrides:
        config.of(name)
    return config


def _changed(config: SlideConfig, settings: Mapping[str, Any], where: str) -> SlideConfig:
    known = {entry.name for entry in fields(SlideConfig)}
    unknown = sorted(set(settings) - known)
    if unknown:
        msg = f"{where}: no such setting: {', '.join(unknown)}"
        close = get_close_matches(unknown[0], known, n=1)
        meant = f"Did you mean {close[0]}? " if close else ""
        raise ConfigError(msg, f"{meant}Settings are: {', '.join(sorted(known))}.")
    try:
        return replace(config, **{name: _typed(name, value) for name, value in settings.items()})
    except ConfigError as error:
        msg = f"{where}: {error.what}"
        raise ConfigError(msg, error.cure) from None


def _typed(name: str, value: Any) -> Any:
    """A TOML value as the field wants it; a wrong kind is refused rather than converted."""
    wanted = get_type_hints(SlideConfig)[name]
    if name == "classifiers" and isinstance(value, (list, tuple)) and all(isinstance(entry, str) for entry in value):
        return tuple(value)
    if wanted in (float, float | None) and type(value) in (int, float) and abs(value) < _FAR_TOO_LARGE:
        return float(value)
    if wanted in (int, bool) and type(value) is wanted:
        return value
    if wanted not in (int, bool, float, float | None) and isinstance(value, str):
        return value
    return _refuse(name, value, "a list of names" if name == "classifiers" else _kind(wanted))


def _kind(wanted: Any) -> str:
    kinds = {int: "a whole number", bool: "true or false", float: "a number", float | None: "a number"}
    return kinds.get(wanted, "a text")


def _refuse(name: str, value: object, wanted: str) -> None:
    msg = f"{name} = {value!r} will not do"
    raise ConfigError(msg, f"Wanted: {wanted}.")
