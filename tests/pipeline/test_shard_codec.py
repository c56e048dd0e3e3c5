"""Shards that we encode, read by zarr itself and by zarrs."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from pipeline.geometry import Box, Frame
from pipeline.ngff import Heatmap, Pyramid
from pipeline.shard_codec import ShardCodec
from pipeline.store import SlideStore

FRAME = Frame(1300, 1100, 0.499)
PIPELINES = ("zarr.core.codec_pipeline.BatchedCodecPipeline", "zarrs.ZarrsCodecPipeline")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> SlideStore:
    store = SlideStore(tmp_path_factory.mktemp("store") / "slide.ome.zarr")
    store.create_image("", "slide", Pyramid((FRAME,)), 1024)
    store.create_labels("labels/nuclei", Pyramid((FRAME,)), 1024)
    store.create_heatmap("heatmaps/idc", Pyramid((FRAME,)), Heatmap(("a", "b")), 1024)
    return store


def values(layer: str, random: np.random.Generator) -> NDArray[Any]:
    """Noise, with chunks and a shard of nothing but fill among it."""
    if layer == "0":
        pixels = random.integers(0, 256, (*FRAME.shape, 3)).astype(np.uint8)
        pixels[:512, 256:1024] = 255
        pixels[1024:, 1024:] = 255
        return pixels
    if layer == "labels/nuclei/0":
        labels = random.integers(0, 3, FRAME.shape).astype(np.uint32) * np.uint32(2**31)
        labels[200:900] = 0
        return labels
    heat = random.random((*FRAME.shape, 2)).astype(np.float32)
    heat[:, :300] = np.nan
    heat[0, 5] = np.nan
    return heat


@pytest.mark.parametrize("layer", ["0", "labels/nuclei/0", "heatmaps/idc/0"])
@pytest.mark.parametrize("pipeline", PIPELINES)
def test_what_we_encode_others_decode(store: SlideStore, layer: str, pipeline: str) -> None:
    pixels = values(layer, np.random.default_rng(len(layer)))
    store.layer(layer).write(FRAME.box, pixels)
    with zarr.config.set({"codec_pipeline.path": pipeline}):
        array = zarr.open_array(str(store.path), path=layer, mode="r")
        assert ShardCodec.of(array) is not None
        found = np.asarray(array[:])
    np.testing.assert_array_equal(found if found.ndim == 2 else np.moveaxis(found, 0, -1), pixels)


@given(st.integers(0, 2**32 - 1), st.floats(0, 1))
def test_zarr_and_we_leave_out_the_same_chunks(
    tmp_path_factory: pytest.TempPathFactory, seed: int, full: float
) -> None:
    folder = tmp_path_factory.mktemp("pair")
    random = np.random.default_rng(seed)
    array = zarr.create_array(
        str(folder), shape=(50, 70), shards=(64, 64), chunks=(16, 16), dtype="uint8", fill_value=7,
        compressors=[zarr.codecs.BloscCodec(cname="zstd", clevel=1, shuffle="bitshuffle")],
        config={"write_empty_chunks": False},
    )  # fmt: skip
    codec = ShardCodec.of(array)
    assert codec
    chunks = (random.random((4, 5)) < full).repeat(16, 0).repeat(16, 1)[:50, :70]
    pixels = np.where(chunks, 9, 7).astype(np.uint8)
    array[:] = pixels
    for column in (0, 1):
        part = pixels[:, 64 * column : 64 * column + 64]
        ours, theirs = b"".join(codec.encode(part)), folder / f"c/0/{column}"
        assert bool(ours) == theirs.exists()
        if ours:
            absent = np.frombuffer(ours[-4 - 16 * 16 : -4], "<u8").reshape(-1, 2)[:, 0] == 2**64 - 1
            as_zarr = np.frombuffer(theirs.read_bytes()[-4 - 16 * 16 : -4], "<u8").reshape(-1, 2)[:, 0] == 2**64 - 1
            np.testing.assert_array_equal(absent, as_zarr)


@pytest.mark.parametrize(
    "layout",
    [
        {"chunks": (16, 16)},
        {"chunks": (16, 16), "shards": (32, 32), "compressors": [zarr.codecs.ZstdCodec(level=1)]},
        {"chunks": (16, 16), "zarr_format": 2},
    ],
    ids=["without shards", "another codec", "zarr 2"],
)
def test_arrays_laid_out_in_another_way_are_left_to_zarr(tmp_path: Path, layout: dict[str, Any]) -> None:
    array = zarr.create_array(str(tmp_path), shape=(64, 64), dtype="uint8", **layout)
    assert ShardCodec.of(array) is None


def test_the_same_pixels_give_the_same_bytes(store: SlideStore) -> None:
    layer, pixels = store.layer("0"), values("0", np.random.default_rng(1))
    files = [store.path / name for name in layer.files(Box(0, 0, 1300, 1024))]
    layer.write(FRAME.box, pixels)
    first = [file.read_bytes() for file in files]
    layer.write(FRAME.box, np.asfortranarray(pixels))
    assert [file.read_bytes() for file in files] == first
