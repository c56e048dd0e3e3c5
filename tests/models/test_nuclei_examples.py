from __future__ import annotations

import numpy as np

from models.nuclei_examples import LabelledImages, Memory, Read
from models.nuclei_image import LabelledImage

BYTES = 10 * 10 * (3 + 4)


def counted(name: str, calls: list[str]) -> Read:
    def read() -> LabelledImage:
        calls.append(name)
        return LabelledImage(name, np.zeros((10, 10, 3), np.uint8), np.zeros((10, 10), np.int32), instances=True)

    return read


def test_images_are_read_when_they_are_asked_for_and_not_before() -> None:
    calls: list[str] = []
    images = LabelledImages(counted(name, calls) for name in "abc")
    assert (len(images), len(images[1:])) == (3, 2)
    assert calls == []
    assert images[-1].name == images[1:][1].name == "c"
    assert [one.name for one in images] == ["a", "b", "c"]


def test_what_fits_is_read_once_and_the_rest_again_and_again() -> None:
    calls: list[str] = []
    memory = Memory(2 * BYTES + 1)
    images = LabelledImages([memory.hold(counted(name, calls)) for name in "abc"])
    assert calls == ["a", "b", "c"]
    for _ in range(2):
        assert [one.name for one in images] == ["a", "b", "c"]
    assert calls == ["a", "b", "c", "c", "c"]


def test_without_memory_every_image_is_still_looked_at_first() -> None:
    calls: list[str] = []
    Memory(0).hold(counted("a", calls))
    assert calls == ["a"]
