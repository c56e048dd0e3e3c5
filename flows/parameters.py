"""What can be told to a deployment: types that become the form in Prefect's pages, and that its server checks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from pipeline.config import CohortConfig, read_config
from pipeline.ngff import NgffVersion
from pipeline.resolution import PLAUSIBLE_MPP

_Mpp = Annotated[float, Field(ge=PLAUSIBLE_MPP[0], le=PLAUSIBLE_MPP[1])]


class Settings(BaseModel):
    """Settings of every slide, as in docs/reference/config.md; what is left out stays as it is by default."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    mpp: _Mpp | None = Field(default=None, description="um per level-0 pixel, where files say none or a wrong one.")
    target_mpp: _Mpp | None = Field(
        default=None, description="Resolution that nuclei are segmented at, um per px. [0.25]"
    )
    sr: str | None = Field(default=None, description="Super-resolution: a bundle, auto or none. [auto]")
    sr_blend: Annotated[float, Field(ge=0, le=1)] | None = Field(
        default=None, description="0: pixels trained for truth; 1: for sharp looks; between: a mixture. [0]"
    )
    measure_blended: bool | None = Field(default=None, description="Measure nuclei and patches on such a mixture, too.")
    nuclei: str | None = Field(default=None, description="Bundle that segments nuclei, or none. [nuclei-unet]")
    nuclei_views: Annotated[int, Field(json_schema_extra={"enum": [1, 2, 4]})] | None = Field(
        default=None, description="Mirrored views that nuclei are found in: 1, 2 or 4. [1]"
    )
    classifiers: list[str] | None = Field(default=None, description="Bundles that classify patches. [idc-hybrid]")
    stride_share: Annotated[float, Field(json_schema_extra={"enum": [0.25, 0.5, 1.0]})] | None = Field(
        default=None, description="Stride of classified patches in patch sides. [0.5]"
    )
    tissue: str | None = Field(default=None, description="What is worked on: auto, all, or a mask image. [auto]")
    qc: Literal["flag", "mask", "off"] | None = Field(
        default=None, description="Blur, folds, pen and dirt: report, leave out, or do not look. [flag]"
    )
    device: Annotated[str, Field(pattern=r"^(auto|cpu|cuda(:\d+)?)$")] | None = Field(
        default=None, description="auto, cpu or cuda[:N]. [auto]"
    )
    precision: Literal["auto", "fp32", "bf16"] | None = Field(default=None, description="[auto]")
    engine: Literal["auto", "torch", "openvino"] | None = Field(default=None, description="[auto]")
    reader: Literal["auto", "openslide", "tiffslide"] | None = Field(default=None, description="[auto]")
    ngff: NgffVersion | None = Field(default=None, description="Version of OME-Zarr. [0.5]")
    core_px: Annotated[int, Field(ge=256, multiple_of=256)] | None = Field(
        default=None, description="Side of the square that a tile owns, px. [1024]"
    )


Text = Annotated[str, Field(min_length=1)]
Slides = Annotated[list[Text], Field(min_length=1)]
Processes = Annotated[int, Field(ge=0, le=1024)]
Minutes = Annotated[float, Field(gt=0)]
FolderName = Annotated[str, Field(pattern=r"^[^./\\][^/\\]*$")]
"""Of one folder in another: it leads nowhere else."""


def chosen_config(settings: Settings | None, config: str | None) -> CohortConfig:
    """The settings of a cohort's TOML with those of the form above them. Raises ConfigError."""
    given = settings.model_dump(exclude_none=True) if settings else {}
    return (read_config(Path(config)) if config else CohortConfig()).changed(given, "the parameter settings")
