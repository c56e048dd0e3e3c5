from __future__ import annotations

import logging
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from models.data import read_labels
from models.errors import TrainingError
from models.nuclei_aperio import list_monuseg, read_aperio
from models.nuclei_examples import Request
from models.nuclei_outlines import draw
from models.slide_reader import open_tiff
from models.train_config import SourceConfig
from tests.models.examples import tissue
from tests.models.nuclei_drawings import discs, outlines_of, renumbered

BOW_TIE = np.array([(30, 40), (40, 50), (40, 40), (30, 50)], float)


def write_aperio(path: Path, annotations: list[list[NDArray[np.float64]]], **attributes: str) -> None:
    """Write regions, annotation by annotation, as ImageScope does; attributes are those of every region."""
    root = ElementTree.Element("Annotations", MicronsPerPixel="0.252100")
    for number, rings in enumerate(annotations, start=1):
        annotation = ElementTree.SubElement(root, "Annotation", Id=str(number), Name="", ReadOnly="0", Type="4")
        ElementTree.SubElement(ElementTree.SubElement(annotation, "Attributes"), "Attribute", Name="Description")
        regions = ElementTree.SubElement(annotation, "Regions")
        ElementTree.SubElement(regions, "RegionAttributeHeaders")
        for place, ring in enumerate(rings, start=1):
            facts = {"Id": str(place), "Type": "0", "NegativeROA": "0"} | attributes
            vertices = ElementTree.SubElement(ElementTree.SubElement(regions, "Region", facts), "Vertices")
            for x, y in ring:
                ElementTree.SubElement(vertices, "Vertex", X=f"{x:.6f}", Y=f"{y:.6f}", Z="0")
    ElementTree.ElementTree(root).write(path, encoding="utf-8")


def request(path: Path, mpp: float | None = None) -> Request:
    source = SourceConfig(name="set", licence="none", kind="monuseg", path=".", mpp=mpp)
    return Request(source, path, 0.25, open_tiff)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The training set's layout with one image, and the double that macOS leaves in an archive."""
    images, annotations = tmp_path / "Tissue Images", tmp_path / "Annotations"
    images.mkdir()
    annotations.mkdir()
    Image.fromarray(tissue(60, 80)).save(images / "TCGA-18-5592-01Z-00-DX1.tif")
    (images / "._TCGA-18-5592-01Z-00-DX1.tif").write_bytes(b"\0\5\26\7")
    write_aperio(annotations / "TCGA-18-5592-01Z-00-DX1.xml", [outlines_of(discs())])
    return tmp_path


def test_every_region_is_an_instance(folder: Path) -> None:
    (example,) = list_monuseg(request(folder))
    one = example.read()
    assert example.group == "TCGA-18-5592-01Z-00-DX1"
    assert np.array_equal(one.image, tissue(60, 80))
    assert np.array_equal(one.labels, renumbered(discs()))
    assert one.instances


def test_images_and_annotations_may_share_a_folder_as_in_the_test_set(folder: Path) -> None:
    for path in [*folder.glob("*/TCGA*")]:
        path.rename(folder / path.name)
    assert len(list_monuseg(request(folder))) == 1


def test_the_resolution_is_the_files_unless_the_source_says_another(folder: Path) -> None:
    assert list_monuseg(request(folder))[0].mpp == 0.2521
    assert list_monuseg(request(folder, mpp=0.3))[0].mpp == 0.3


def test_regions_of_all_annotations_count_and_those_cut_out_do_not(tmp_path: Path) -> None:
    path = tmp_path / "a.xml"
    rings = outlines_of(discs())
    write_aperio(path, [rings[:4], [], rings[4:]])
    assert np.array_equal(draw(read_aperio(path).outlines.nuclei, (60, 80)), renumbered(discs()))
    write_aperio(path, [rings], NegativeROA="1")
    assert read_aperio(path).outlines.nuclei == ()


def test_outlines_that_had_to_be_mended_or_skipped_are_counted_by_file(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_aperio(folder / "Annotations/TCGA-18-5592-01Z-00-DX1.xml", [[*outlines_of(discs()), BOW_TIE, BOW_TIE[:2]]])
    with caplog.at_level(logging.WARNING):
        (example,) = list_monuseg(request(folder))
    assert "DX1.xml: outlines that cross themselves, mended: 1; unusable, skipped: 1; of 11" in caplog.text
    assert example.read().labels.max() == 10


def test_images_without_annotations_and_folders_without_images_are_named(folder: Path) -> None:
    Image.fromarray(tissue(60, 80)).save(folder / "Tissue Images/b.tif")
    with pytest.raises(TrainingError, match=r"1 images have no XML \(b\.tif\)"):
        list_monuseg(request(folder))
    with pytest.raises(TrainingError, match="holds no images"):
        list_monuseg(request(folder / "Annotations"))


def test_two_images_of_one_stem_are_refused(folder: Path) -> None:
    Image.fromarray(tissue(60, 80)).save(folder / "TCGA-18-5592-01Z-00-DX1.png")
    with pytest.raises(TrainingError, match=r"DX1\.tif: has the stem of .*DX1\.png"):
        list_monuseg(request(folder))


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "no readable ImageScope annotations"),
        ("<Annotations><Annotation>", "no readable ImageScope annotations"),
        ("<svg/>", "XML of <svg>"),
        (
            '<Annotations><Annotation><Regions><Region><Vertices><Vertex X="a" Y="1"/></Vertices></Region></Regions>'
            "</Annotation></Annotations>",
            "could not convert",
        ),
        (
            '<Annotations><Annotation><Regions><Region><Vertices><Vertex X="1"/></Vertices></Region></Regions>'
            "</Annotation></Annotations>",
            "no readable ImageScope annotations",
        ),
    ],
)
def test_what_imagescope_has_not_written_is_named(tmp_path: Path, text: str, fault: str) -> None:
    path = tmp_path / "a.xml"
    path.write_text(text)
    with pytest.raises(TrainingError, match=rf"a\.xml: .*{fault}") as error:
        read_aperio(path)
    assert str(error.value).count("\n") == 1


def test_annotations_of_another_image_are_refused(folder: Path) -> None:
    rings = [ring * 40 for ring in outlines_of(discs())]
    write_aperio(folder / "Annotations/TCGA-18-5592-01Z-00-DX1.xml", [rings])
    with pytest.raises(TrainingError, match=r"DX1\.xml: . of 9 outlines lie outside .*DX1\.tif of 80 x 60 px"):
        list_monuseg(request(folder))[0].read()


@pytest.mark.slides
def test_real_instances_written_as_regions_come_back(data: Path, tmp_path: Path) -> None:
    stem = "TCGA-18-5592-01Z-00-DX1"
    labels = read_labels(data / f"nuclei/monuseg/labels/{stem}.png")
    write_aperio(tmp_path / f"{stem}.xml", [outlines_of(labels)])
    with Image.open(data / f"nuclei/monuseg/images/{stem}.webp") as image:
        image.save(tmp_path / f"{stem}.tif")
    found = list_monuseg(request(tmp_path))[0].read().labels
    wanted = renumbered(labels)
    shared = [(found[wanted == number] == number).mean() for number in range(1, wanted.max() + 1)]
    assert found.max() == wanted.max()
    assert (found != wanted).mean() < 1e-4
    assert min(shared) > 0.9
