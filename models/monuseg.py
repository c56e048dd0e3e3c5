"""MoNuSeg's 30 training images by organ: one patient an image, so a patient is an image and has an organ.

Kumar et al. 2017, "A dataset and a technique for generalized nuclear segmentation for computational pathology", table
I. The table calls six images liver that TCGA filed under its two lung projects (tissue source sites 18, 21, 38, 49 and
50); they stand here as the table, and with it all published figures, has them.
"""

from __future__ import annotations

_PATIENTS = {
    "breast": (
        "TCGA-A7-A13E", "TCGA-A7-A13F", "TCGA-AR-A1AK", "TCGA-AR-A1AS", "TCGA-E2-A14V", "TCGA-E2-A1B5",
    ),
    "kidney": (
        "TCGA-B0-5698", "TCGA-B0-5710", "TCGA-B0-5711", "TCGA-HE-7128", "TCGA-HE-7129", "TCGA-HE-7130",
    ),
    "liver": (
        "TCGA-18-5592", "TCGA-21-5784", "TCGA-21-5786", "TCGA-38-6178", "TCGA-49-4488", "TCGA-50-5931",
    ),
    "prostate": (
        "TCGA-CH-5767", "TCGA-G9-6336", "TCGA-G9-6348", "TCGA-G9-6356", "TCGA-G9-6362", "TCGA-G9-6363",
    ),
    "bladder": ("TCGA-DK-A2I6", "TCGA-G2-A2EK"),
    "colon": ("TCGA-AY-A8YK", "TCGA-NH-A8F7"),
    "stomach": ("TCGA-KB-A93J", "TCGA-RD-A8N9"),
}  # fmt: skip

MONUSEG_ORGANS = {patient: organ for organ, patients in _PATIENTS.items() for patient in patients}
"""Patient (the first twelve letters of a file's name) to organ."""
