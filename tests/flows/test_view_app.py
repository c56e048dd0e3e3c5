"""What the viewer answers about a real run's results, against the store and the tables themselves."""

from __future__ import annotations

import io
import json
import re
import shutil
import struct
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from urllib.parse import quote, urljoin

import numpy as np
import pyarrow.parquet as pq
import pytest
import shapely
from numpy.typing import NDArray
from PIL import Image

from pipeline.geometry import Box
from pipeline.store import SlideStore
from tests.flows.viewing import Answer, Viewer, serving, slide_url
from tests.pipeline.finished_slide import Parts, make_slide

ODD = "a #1 & <b>é%2F?"


@pytest.fixture(scope="module")
def folder(results: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run's results, a slide with an odd name, and one that a run was stopped in."""
    folder = tmp_path_factory.mktemp("view") / "results"
    shutil.copytree(results, folder)
    make_slide(folder, ODD, (700, 1100), Parts(classes=("other/rest", "IDC")))
    begun = make_slide(folder / ".partial", "begun", parts=Parts(nuclei=None, heat=False))
    (begun / "run.json").rename(begun / "begun.json")
    (begun / "plan.json").write_text("{}")
    (begun / "stages.json").write_text(json.dumps({"ingest": {"batches": 4, "seconds": 1.0}}))
    return folder


@pytest.fixture(scope="module")
def viewer(folder: Path) -> Iterator[Viewer]:
    with serving(folder) as viewer:
        yield viewer


def picture(content: bytes) -> NDArray[np.uint8]:
    return np.asarray(Image.open(io.BytesIO(content)))


def store_of(folder: Path, name: str = "tissue") -> SlideStore:
    return SlideStore(folder / name / f"{name}.ome.zarr")


def test_the_cohort_has_a_row_for_every_slide_and_says_how_it_is(viewer: Viewer) -> None:
    answer = viewer.ask("/api/cohort")
    rows = {row["id"]: row for row in answer.json()["slides"]}
    assert answer.json()["title"] == "results"
    assert {name: row["status"] for name, row in rows.items()} == {
        "tissue": "done", "broken": "failed", ODD: "done", "begun": "unfinished",
    }  # fmt: skip
    assert rows["broken"]["reason"]
    assert rows["broken"]["cure"]
    assert rows["begun"]["stages"] == {"ingest": {"done": 0, "total": 4}}
    assert rows["tissue"]["nuclei"] > 3
    assert rows["tissue"]["width_um"] == 140.0
    assert rows["tissue"]["sr_scale"] == 2
    run = json.loads(viewer.ask("/files/tissue/run.json").body)
    assert [finding["text"] for finding in rows["tissue"]["qc"]] == [one["text"] for one in run["qc"]["findings"]]
    about = viewer.ask(slide_url("tissue")).json()
    assert any("estimated" in text for text in about["warnings"])
    assert viewer.ask(rows[ODD]["report"]).status == 404  # which that slide has not
    assert picture(viewer.ask(rows["tissue"]["preview"]).body).ndim == 3


def links_of(page: Answer, url: str) -> list[str]:
    found = [unescape(href) for href in re.findall(r'href="([^"]*)"', page.body.decode())]
    return [urljoin(url, href) for href in found if not href.startswith(("#", "http"))]


def test_a_slides_report_leads_to_the_cohorts_and_that_to_all_it_names(viewer: Viewer) -> None:
    (above,) = links_of(viewer.ask("/files/tissue/report.html"), "/files/tissue/report.html")
    page = viewer.ask(above)
    assert (page.status, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert page.headers["content-security-policy"].startswith("sandbox")
    links = links_of(page, above)
    assert links == ["/files/cohort.parquet", "/files/tissue/report.html"]
    assert [viewer.ask(link).status for link in links] == [200, 200]
    assert viewer.ask("/files/cohort.parquet").body[:4] == b"PAR1"
    assert viewer.ask("/files/tissue/thumbnail.jpg").headers["content-type"] == "image/jpeg"
    assert viewer.ask("/files/run.json").status == 404


def test_every_layer_of_a_slide_covers_it_from_its_first_corner(viewer: Viewer, folder: Path) -> None:
    told = viewer.ask(slide_url("tissue")).json()
    assert (told["width_level0_px"], told["height_level0_px"], told["mpp_level0"]) == (280, 300, 0.5)
    layers = {layer["id"]: layer for layer in told["layers"]}
    assert {"image", "sr", "tissue", "consistency", "heatmap:idc-hybrid:IDC"} <= layers.keys()
    for layer in layers.values():
        place = layer["place"]
        assert (place["x_level0_px"], place["y_level0_px"]) == (0, 0)
        assert place["width_level0_px"] == pytest.approx(layer["width_px"] * layer["mpp"] / 0.5)
        assert 0 <= place["width_level0_px"] - 280 < layer["mpp"] / 0.5
        assert 0 <= place["height_level0_px"] - 300 < layer["mpp"] / 0.5
    assert (layers["sr"]["width_px"], layers["sr"]["height_px"]) == (560, 600)
    assert layers["heatmap:nuclei-density:nuclei per mm2"]["range"] == [0, 10_000]
    assert told["patches"]["classifiers"] == ["idc-hybrid"]
    assert told["links"]["store"] == f"http://127.0.0.1:{viewer.port}/files/tissue/tissue.ome.zarr"
    assert {file["title"] for file in told["links"]["download"]} >= {"nuclei.parquet", "run.json"}


@pytest.mark.parametrize(("layer", "group"), [("image", ""), ("sr", "sr"), ("tissue", "labels/tissue")])
def test_tiles_of_all_levels_together_are_what_the_store_holds(
    viewer: Viewer, folder: Path, layer: str, group: str
) -> None:
    for name in ("tissue", ODD):
        levels = store_of(folder, name).pyramid(group).levels
        for number, frame in enumerate(levels):
            whole = store_of(folder, name).layer(f"{group}/{number}".lstrip("/")).read(frame.box)
            for box in frame.partition(512):
                url = slide_url(name, "tiles", layer, len(levels) - 1 - number, f"{box.x // 512}_{box.y // 512}")
                answer = viewer.ask(f"{url}?format=png")
                assert answer.headers["content-type"] == "image/png"
                np.testing.assert_array_equal(picture(answer.body), whole[box.slices()])


def test_a_jpeg_is_near_to_the_store(viewer: Viewer, folder: Path) -> None:
    finest = len(store_of(folder).pyramid("").levels) - 1
    answer = viewer.ask(slide_url("tissue", "tiles", "image", finest, "0_0"))
    assert answer.headers["content-type"] == "image/jpeg"
    truth = store_of(folder).layer("0").read(Box(0, 0, 300, 280)).astype(float)
    assert np.abs(picture(answer.body) - truth).mean() < 2.5


def test_a_scalar_is_grey_from_the_end_of_its_range_to_the_other_and_clear_without_value(
    viewer: Viewer, folder: Path
) -> None:
    store = store_of(folder, ODD)
    for layer, channel, low, high in (("heatmap:idc-hybrid:IDC", 1, 0, 1), ("consistency", 0, 0, 1),
                                      ("heatmap:idc-hybrid:other/rest", 0, 0, 1)):  # fmt: skip
        group = "qc/sr-consistency" if layer == "consistency" else "heatmaps/idc-hybrid"
        levels = store.pyramid(group).levels
        values = store.layer(f"{group}/0").read(levels[0].box)[..., channel]
        grey, alpha = np.moveaxis(
            picture(viewer.ask(slide_url(ODD, "tiles", layer, len(levels) - 1, "0_0")).body), -1, 0
        )
        there = np.isfinite(values)
        assert there.any()
        assert not there.all()
        np.testing.assert_array_equal(alpha, np.where(there, 255, 0))
        np.testing.assert_array_equal(grey[there], np.rint(255 * (values[there] - low) / (high - low)))


@pytest.mark.parametrize(
    "tile", ["image/9/0_0", "image/-1/0_0", "image/1/1_0", "image/1/0_-1", f"image/1/{10**30}_0", f"image/{2**64}/0_0",
             "image/1/nan_0", "image/x/0_0", "image/1/0", "image/1/0_0_0", "none/0/0_0", "../image/0/0_0"],
)  # fmt: skip
def test_a_tile_that_is_nowhere_is_said_to_be_nowhere(viewer: Viewer, tile: str) -> None:
    answer = viewer.ask(f"/api/slides/tissue/tiles/{tile}")
    assert answer.status in {404, 422}
    assert answer.json().keys() == {"error", "cure"}


def test_a_tile_that_has_not_changed_is_not_sent_again(viewer: Viewer, folder: Path) -> None:
    url = slide_url("begun", "tiles", "image", 1, "0_0")
    first = viewer.ask(url)
    assert first.headers["cache-control"] == "no-cache"
    again = viewer.ask(url, If_None_Match=first.headers["etag"])
    assert (again.status, again.body, again.headers["etag"]) == (304, b"", first.headers["etag"])
    store = SlideStore(folder / ".partial" / "begun" / "begun.ome.zarr")
    frame = store.layer("0").frame
    store.layer("0").write(frame.box, np.full((*frame.shape, 3), 7, np.uint8))  # the run goes on
    changed = viewer.ask(f"{url}?format=png", If_None_Match=first.headers["etag"])
    assert changed.status == 200
    assert (picture(changed.body) == 7).all()


def test_a_slide_that_is_worked_on_shows_what_there_is(viewer: Viewer) -> None:
    told = viewer.ask(slide_url("begun")).json()
    assert told["status"] == "unfinished"
    assert told["nuclei"] is None
    assert told["patches"] is None
    assert told["links"]["report"] is None
    assert viewer.ask("/api/slides/begun/nuclei?x0=0&y0=0&x1=9&y1=9&px=1").status == 404
    failed = viewer.ask(slide_url("broken"))
    assert failed.status == 404
    assert "no image" in failed.json()["error"]


def decoded(body: bytes) -> tuple[NDArray[np.void], list[NDArray[np.float64]], NDArray[np.float64]]:
    """Records, outlines and origin of an answer in mode 0."""
    magic, count, points_total, mode, x0, y0 = struct.unpack_from("<4I2f", body)
    assert (magic, mode) == (0x314E4C48, 0)
    kind = np.dtype("<u4, <f4, <f4, <f4, <u4, <u4")
    records = np.frombuffer(body, kind, count, 24)
    points = np.frombuffer(body, "<f4", 2 * points_total, 24 + count * kind.itemsize).reshape(-1, 2).astype(np.float64)
    assert len(body) == 24 + count * 24 + points_total * 8
    origin = np.array([x0, y0])
    return records, np.split(points + origin, np.cumsum(records["f5"])[:-1]), origin


def test_nuclei_of_a_box_are_those_of_the_table_with_their_outlines(viewer: Viewer, folder: Path) -> None:
    table = pq.read_table(folder / "tissue" / "nuclei.parquet")
    polygons = shapely.from_wkb(table["geometry"].to_numpy())
    x0, y0, x1, y1 = 40.5, 60.25, 230.0, 240.0
    body = viewer.ask(f"/api/slides/tissue/nuclei?x0={x0}&y0={y0}&x1={x1}&y1={y1}&px=0.5").body
    records, outlines, origin = decoded(body)
    bounds = shapely.bounds(polygons)
    touching = (bounds[:, 0] <= x1) & (bounds[:, 2] >= x0) & (bounds[:, 1] <= y1) & (bounds[:, 3] >= y0)
    assert set(np.flatnonzero(touching) + 1) <= set(records["f0"].tolist())
    assert len(records) <= touching.sum() + 2
    assert 3 < len(records) < len(table)
    for record, outline in zip(records, outlines, strict=True):
        row = int(record["f0"]) - 1
        np.testing.assert_allclose(outline, shapely.get_coordinates(polygons[row]), atol=1e-3)
        assert record["f1"] + origin[0] == pytest.approx(table["centroid_x_level0_px"][row].as_py(), abs=1e-3)
        assert record["f3"] == pytest.approx(table["probability"][row].as_py(), abs=1e-6)


def test_from_afar_nuclei_are_counted(viewer: Viewer, folder: Path) -> None:
    body = viewer.ask("/api/slides/tissue/nuclei?x0=0&y0=0&x1=280&y1=300&px=20").body
    magic, count, points, mode, x0, y0, nx, ny, cell = struct.unpack_from("<4I2f2If", body)
    counts = np.frombuffer(body, "<u4", nx * ny, 36).reshape(ny, nx)
    table = pq.read_table(folder / "tissue" / "nuclei.parquet")
    x, y = (table[f"centroid_{axis}_level0_px"].to_numpy() for axis in "xy")
    truth, _, _ = np.histogram2d(y, x, [y0 + cell * np.arange(ny + 1), x0 + cell * np.arange(nx + 1)])
    assert (magic, points, mode) == (0x314E4C48, 0, 1)
    assert count == counts.sum() == len(table)
    np.testing.assert_array_equal(counts, truth)


def test_a_nucleus_is_found_by_row_and_by_place_and_tells_all_the_table_says(viewer: Viewer, folder: Path) -> None:
    table = pq.read_table(folder / "tissue" / "nuclei.parquet")
    for row in (1, len(table) // 2, len(table)):
        truth = table.slice(row - 1, 1).drop_columns(["geometry", "bbox"]).to_pylist()[0]
        told = viewer.ask(f"/api/slides/tissue/nuclei/{row}").json()
        assert told["columns"] == pytest.approx(truth)
        polygon = shapely.from_wkb(table["geometry"][row - 1].as_py())
        assert told["outline"] == shapely.get_coordinates(polygon).tolist()
        inside = shapely.point_on_surface(polygon)
        assert viewer.ask(f"/api/slides/tissue/nuclei/at?x={inside.x}&y={inside.y}").json() == told
    for url in ("nuclei/0", f"nuclei/{len(table) + 1}", "nuclei/-1", "nuclei/at?x=-5&y=-5", "nuclei/at?x=nan&y=1",
                "nuclei/at?x=1", f"nuclei/{10**40}", "nuclei?x0=0&y0=0&x1=1&y1=1&px=0",
                "nuclei?x0=0&y0=0&x1=inf&y1=1&px=1", "nuclei?x0=0&y0=0&x1=1e300&y1=1&px=1"):  # fmt: skip
        answer = viewer.ask(f"/api/slides/tissue/{url}")
        assert answer.status in {404, 422}, url
        assert answer.json().keys() == {"error", "cure"}


def test_all_patches_at_a_place_are_told(viewer: Viewer, folder: Path) -> None:
    rows = pq.read_table(folder / "tissue" / "patches.parquet").to_pylist()
    x, y = rows[0]["x_level0_px"] + 1.5, rows[0]["y_level0_px"] + 2.5
    there = [row for row in rows if 0 <= x - row["x_level0_px"] < row["size_level0_px"]
             and 0 <= y - row["y_level0_px"] < row["size_level0_px"]]  # fmt: skip
    told = viewer.ask(f"/api/slides/tissue/patches/at?x={x}&y={y}").json()["patches"]
    assert [patch["probabilities"]["IDC"] for patch in told] == pytest.approx([row["p_IDC"] for row in there])
    assert viewer.ask("/api/slides/tissue/patches/at?x=-1&y=-1").status == 404


def test_a_slide_whose_name_is_odd_is_served_like_any(viewer: Viewer, folder: Path) -> None:
    told = viewer.ask(slide_url(ODD)).json()
    assert told["id"] == ODD
    assert viewer.ask(f"/slide/{quote(ODD, safe='')}").status in {200, 503}
    store = told["links"]["store"].removeprefix(f"http://127.0.0.1:{viewer.port}")
    assert viewer.ask(f"{store}/zarr.json").json()["zarr_format"] == 3


def test_an_answer_to_head_is_that_to_get_without_its_body(viewer: Viewer) -> None:
    for url in ("/api/cohort", "/files/tissue/report.html", slide_url("tissue", "tiles", "image", 0, "0_0")):
        whole, head = viewer.ask(url), viewer.ask(url, "HEAD")
        assert (head.status, head.body) == (whole.status, b"")
        assert head.headers["content-length"] == str(len(whole.body))
