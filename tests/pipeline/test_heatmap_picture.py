import base64
import io

import numpy as np
from PIL import Image

from pipeline.geometry import Box
from pipeline.heatmap_picture import Picture, frame_box, heat_over, heat_scale

PINK = (220, 170, 200)


def test_heat_leaves_alone_what_was_not_classified_and_tells_0_from_1() -> None:
    pixels = np.full((1, 3, 3), PINK, np.uint8)
    blended = heat_over(pixels, np.array([[np.nan, 0.0, 1.0]], np.float32))
    assert (blended[0, 0] == pixels[0, 0]).all()
    assert blended[0, 1, 2] > blended[0, 1, 0]  # blue
    assert blended[0, 2, 0] > blended[0, 2, 2]  # red


def test_what_lies_beyond_0_and_1_looks_like_them() -> None:
    pixels = np.full((1, 4, 3), PINK, np.uint8)
    blended = heat_over(pixels, np.array([[-3.0, 0.0, 1.0, 7.0]], np.float32))[0]
    assert (blended[0] == blended[1]).all()
    assert (blended[2] == blended[3]).all()


def test_the_scale_has_a_colour_of_its_own_for_every_tenth() -> None:
    scale = heat_scale(11)[0].astype(int)
    apart = np.abs(scale[:, None] - scale[None]).sum(axis=-1)
    assert apart[~np.eye(11, dtype=bool)].min() > 12


def test_a_frame_lies_around_its_box_and_leaves_what_is_inside() -> None:
    pixels = np.full((40, 50, 3), PINK, np.uint8)
    framed = frame_box(pixels, Box(10, 20, 8, 9))
    changed = np.argwhere((framed != pixels).any(axis=-1))
    assert (changed.min(axis=0).tolist(), changed.max(axis=0).tolist()) == ([6, 16], [21, 32])
    assert (framed[10:18, 20:29] == PINK).all()
    assert framed[8, 18].tolist() == [17, 17, 17]


def test_a_frame_at_the_edge_of_a_picture_is_cut_off_there() -> None:
    framed = frame_box(np.full((40, 50, 3), PINK, np.uint8), Box(0, 0, 40, 20))
    assert framed.shape == (40, 50, 3)
    assert (framed[:, :20] == PINK).all()
    assert (framed[:, 24:] == PINK).all()


def test_a_picture_inside_a_page_is_the_picture() -> None:
    picture = Picture.of(np.full((30, 40, 3), PINK, np.uint8), "a slide")
    kind, _, content = picture.uri.partition(";base64,")
    assert kind == "data:image/jpeg"
    with Image.open(io.BytesIO(base64.b64decode(content))) as image:
        assert image.size == (picture.width, picture.height) == (40, 30)
        np.testing.assert_allclose(np.asarray(image), np.broadcast_to(PINK, (30, 40, 3)), atol=3)
