"""What quality control found, in figures and in words: the `qc` of run.json."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np

from pipeline.store import Layer

Severity = Literal["warning", "note"]

_READ_PX = 1024

# A super-resolved pixel that differs by more than this from what was read, once it is reduced again, says something
# that the scanner did not see. Grey levels of 255, root mean square over a cell of the map.
INVENTED_LEVELS = 10.0


@dataclass(frozen=True, slots=True)
class _Words:
    """How an artefact is told of."""

    what: str
    consequence: str
    warn_from: float
    """Share of the tissue from which it is a warning."""


_TISSUE = {
    "blur": _Words("is out of focus", "nuclei there may be missed or measured wrongly", 0.05),
    "fold": _Words("is folded or lies double", "nuclei there overlap and look denser than they are", 0.02),
    "dirt": _Words("lies under dust, dirt or the edge of a bubble", "what is found there may be no tissue", 0.02),
    "pen": _Words("lies under a pen mark", "colours there are the ink's", 0.005),
    "outside": _Words("holds no tissue that could be found, though it is worked on", "", 2.0),
}
_LEAST_SHARE = 0.0005


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a person should know of a slide."""

    code: str
    text: str
    severity: Severity
    share: float | None
    """Of the area that is worked on; of the super-resolved area for `sr-consistency`; None where there is none."""


@dataclass(frozen=True, slots=True)
class Quality:
    """What was found on a slide before anything was measured on it."""

    mode: str
    figures: dict[str, float]
    """Areas in mm2, and shares of the area that is worked on before anything is taken out of it."""
    notes: tuple[str, ...] = ()
    """What could not be told, and why."""
    invented_share: float | None = None
    findings: tuple[Finding, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "findings", (*_findings(self), *_notes(self)))

    def as_dict(self) -> dict[str, Any]:
        """As run.json has it."""
        return {
            "mode": self.mode, "findings": [asdict(finding) for finding in self.findings], "figures": self.figures,
        }  # fmt: skip


def _findings(quality: Quality) -> list[Finding]:
    found = []
    for code, words in _TISSUE.items():
        share, area_mm2 = quality.figures[f"{code}_share"], quality.figures[f"{code}_mm2"]
        if share >= _LEAST_SHARE:
            ending = "left out" if quality.mode == "mask" else words.consequence
            text = f"{share:.1%} of what is worked on {words.what} ({area_mm2:.3g} mm2)" + (ending and f": {ending}")
            found.append(Finding(code, text, "warning" if share >= words.warn_from else "note", share))
    beside_mm2 = quality.figures["pen_beside_mm2"]
    if beside_mm2 > 0:
        found.append(Finding("pen-beside", f"a pen mark beside the tissue ({beside_mm2:.3g} mm2)", "note", None))
    invented = quality.invented_share
    if invented is not None and invented >= _LEAST_SHARE:
        text = (
            f"super-resolution departs from what was read by more than {INVENTED_LEVELS:g} of 255 grey levels "
            f"over {invented:.1%} of its area"
        )
        found.append(Finding("sr-consistency", text, "warning" if invented >= 0.01 else "note", invented))
    return found


def _notes(quality: Quality) -> list[Finding]:
    return [Finding("not-told", text, "note", None) for text in quality.notes]


def figures_of(areas_mm2: Mapping[str, float], tissue_mm2: float) -> dict[str, float]:
    """Area and share of every artefact, from areas in mm2 by code."""
    shares = {f"{code}_share": area / tissue_mm2 if tissue_mm2 else 0.0 for code, area in areas_mm2.items()}
    return {"tissue_mm2": tissue_mm2, **{f"{code}_mm2": area for code, area in areas_mm2.items()}, **shares}


def invented_share(layer: Layer) -> float | None:
    """The share of a consistency map where super-resolution departs from what was read; None where it is empty."""
    above = known = 0
    for box in layer.frame.partition(_READ_PX):
        values = layer.read(box)
        known += int(np.isfinite(values).sum())
        above += int((np.nan_to_num(values) > INVENTED_LEVELS / 255).sum())
    return above / known if known else None
