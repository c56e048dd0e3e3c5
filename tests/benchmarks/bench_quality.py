"""How well quality control finds artefacts on real tissue, and how often it flags tissue that has none.

HISTOLOOM_DATA=/data python -m tests.benchmarks.bench_quality [--pictures docs/pictures]

The tables of docs/explanation/quality-control.md come of it, and the pictures. Artefacts are put on real tissue, so
that their place is known: sensitivity is the share of tissue cells at least half covered by one that hold its flag.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from pipeline.density import tissue_share
from pipeline.geometry import Box, Frame
from pipeline.qc_flags import BLUR, DIRT, FOLD, LEGEND, PEN, QcMap
from pipeline.slide import open_slide
from tests.pipeline.qc_truth import (
    PENS,
    Mask,
    Pixels,
    band,
    bubble,
    dusty,
    folded_over,
    inked,
    inspect_picture,
    on_cells,
    out_of_focus,
)

SLIDES = {
    "CMU-1": ("CMU-1-Small-Region.svs", None, Box(900, 500, 1600, 1300)),
    "BS9": ("BS9_HE2.tif", 0.25, Box(10800, 4400, 2200, 2600)),
    "TCGA-CR": ("tcga-cr-7395-no-mpp.svs", 0.25, Box(300, 900, 2200, 2400)),
    "OS-1": ("OS-1-detail.ome.tif", None, None),
}


def real_tissue(data: Path, fields: int) -> Iterator[tuple[str, str, Pixels, float]]:
    """Set, name, pixels and mpp of slides and of single fields."""
    for name, (file, mpp, box) in SLIDES.items():
        with open_slide(data / "wsi" / file, mpp=mpp) as slide:
            level = slide.level(0)
            # a part of each, so that all of it takes minutes
            yield "slides", name, level.read(level.frame.box.clip(box or level.frame.box)), level.frame.mpp
    for name in ("monuseg", "nuinsseg"):
        paths = sorted((data / "nuclei" / name / "images").iterdir())
        for path in paths[:: max(1, len(paths) // fields)]:
            yield name, path.stem, np.asarray(Image.open(path).convert("RGB")), 0.25


def shares(flags: QcMap, tissue: NDArray[np.float64], truth: NDArray[np.float64], value: int) -> tuple[int, int]:
    """Of the tissue cells that an artefact half covers, how many hold its flag; and how many there are."""
    covered = (truth >= 0.5) & (tissue >= 0.5)
    return int((flags.flags[covered] == value).sum()), int(covered.sum())


def cases(pixels: Pixels, mpp: float, only: str, *, slide: bool) -> Iterator[tuple[str, int, Pixels, Mask]]:
    """Name, flag, picture and place of every artefact that is put on a picture."""
    half = np.broadcast_to((np.arange(pixels.shape[1]) < pixels.shape[1] / 2)[np.newaxis], pixels.shape[:2])
    for sigma_um in () if only not in "blur" else (0.5, 0.75, 1.0, 1.5, 2.0, 4.0):
        yield f"blur, sigma {sigma_um} um", BLUR, out_of_focus(pixels, half, sigma_um / mpp), half
    stroke = band(pixels.shape, mpp, 150.0)
    for pen in PENS:
        yield f"pen, {pen}", PEN, inked(pixels, stroke, pen, mpp), stroke
    if slide:
        for layers in (2, 3):
            crease = band(pixels.shape, mpp, 40.0)
            shift = (pixels.shape[0] // 5, pixels.shape[1] // 7)
            yield f"fold, {layers} layers", FOLD, folded_over(pixels, crease, layers, shift), crease
    picture, where = dusty(pixels, mpp, max(3, int(pixels[..., 0].size * mpp**2 / 20_000)))
    yield "dust, 20 to 60 um", DIRT, picture, where
    middle_um = (pixels.shape[0] * mpp / 2, pixels.shape[1] * mpp / 2)
    picture, where = bubble(pixels, mpp, middle_um, 0.35 * min(pixels.shape[:2]) * mpp)
    yield "rim of a bubble", DIRT, picture, where


def evaluate(data: Path, fields: int, only: str) -> None:
    """Print both tables."""
    hits: dict[tuple[str, str], list[int]] = {}
    clean: dict[str, NDArray[np.int64]] = {}
    for group, name, pixels, mpp in real_tissue(data, fields):
        flags, mask, _ = inspect_picture(pixels, mpp)
        tissue = tissue_share(mask, flags.frame.box, flags.frame, Frame(pixels.shape[0], pixels.shape[1], mpp))
        row = clean.setdefault(name if group == "slides" else group, np.zeros(len(LEGEND) + 2, np.int64))
        row += np.append(np.bincount(flags.flags[tissue >= 0.5], minlength=len(LEGEND) + 1), (tissue >= 0.5).sum())
        for case, value, picture, where in cases(pixels, mpp, only, slide=group == "slides"):
            found, _, _ = inspect_picture(picture, mpp)
            one = hits.setdefault((case, name if group == "slides" else group), [0, 0])
            for index, count in enumerate(shares(found, tissue, on_cells(where, mpp, found), value)):
                one[index] += count
        print("done", name, flush=True)
    print("clean tissue, share of cells flagged:", " ".join(entry.code for entry in LEGEND), "cells")
    for name, row in clean.items():
        print(f"{name:10s}", " ".join(f"{100 * count / row[-1]:6.2f}" for count in row[1:-1]), row[-1])
    groups = list(clean)
    print("sensitivity, percent:", *groups)
    for case in dict.fromkeys(case for case, _ in hits):
        cells = [hits.get((case, group), [0, 0]) for group in groups]
        print(f"{case:20s}", *(f"{100 * found / all_:6.1f}" if all_ else "     -" for found, all_ in cells))


def painted(pixels: Pixels, flags: QcMap, mpp: float) -> Pixels:
    """A picture with the flags of its cells over it, half transparent."""
    drawn = flags.crop(Box(0, 0, *pixels.shape[:2]), Frame(pixels.shape[0], pixels.shape[1], mpp))
    light = pixels.astype(np.float64)
    for entry in LEGEND:
        light[drawn == entry.value] = 0.45 * light[drawn == entry.value] + 0.55 * np.array(
            list(bytes.fromhex(entry.colour))
        )
    return light.astype(np.uint8)


def side_by_side(folder: Path, name: str, pictures: Sequence[Pixels], height_px: int = 420) -> None:
    """Write pictures of one height beside each other, the legend below, as a PNG of few colours."""
    scaled = [Image.fromarray(picture) for picture in pictures]
    scaled = [image.resize((round(image.width * height_px / image.height), height_px)) for image in scaled]
    sheet = Image.new("RGB", (sum(image.width + 8 for image in scaled) - 8, height_px + 28), "white")
    x = 0
    for image in scaled:
        sheet.paste(image, (x, 0))
        x += image.width + 8
    pen, x = ImageDraw.Draw(sheet), 4
    for entry in LEGEND:
        pen.rectangle((x, height_px + 8, x + 14, height_px + 22), fill=f"#{entry.colour}")
        pen.text((x + 20, height_px + 9), entry.code, fill="black")
        x += 90
    sheet.quantize(256, Image.Quantize.MAXCOVERAGE, kmeans=2).save(folder / f"qc-{name}.png", optimize=True)


def draw(data: Path, folder: Path) -> None:
    """Write qc-artefacts.png (known artefacts on a real frozen section) and qc-slide.png (a real slide as it is)."""
    with open_slide(data / "wsi" / "tcga-cr-7395-no-mpp.svs", mpp=0.25) as slide:
        clean = slide.level(0).read(Box(300, 900, 2600, 3000))
    right = np.broadcast_to((np.arange(clean.shape[1]) > 2200)[np.newaxis], clean.shape[:2])
    picture = out_of_focus(clean, right, 6.0)
    picture = folded_over(picture, band(clean.shape, 0.25, 60.0, 0.55), 3, (400, 300))
    picture = inked(picture, band(clean.shape, 0.25, 150.0, 0.25), "blue", 0.25)
    picture, _ = dusty(picture, 0.25, 14, seed=3)
    flags, _, _ = inspect_picture(picture, 0.25)
    side_by_side(folder, "artefacts", (clean, picture, painted(picture, flags, 0.25)))
    with open_slide(data / "wsi" / "CMU-1-Small-Region.svs") as slide:
        whole, mpp = slide.level(0).read(slide.info.frame.box), slide.info.frame.mpp
    flags, _, _ = inspect_picture(whole, mpp)
    side_by_side(folder, "slide", (whole, painted(whole, flags, mpp)), 560)


def main() -> None:
    """Evaluate, or draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fields", type=int, default=10, help="of each set of nuclei images")
    parser.add_argument("--only", default="", choices=["", "blur", "others"], help="blur takes most of the time")
    parser.add_argument("--pictures", type=Path)
    arguments = parser.parse_args()
    data = Path(os.environ["HISTOLOOM_DATA"])
    if arguments.pictures:
        draw(data, arguments.pictures)
    else:
        evaluate(data, arguments.fields, arguments.only)


if __name__ == "__main__":
    main()
