"""The bench measures everything that it says it will, on sizes that take no time; no test looks at how fast."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from flows.bench import whole_run
from flows.bench.course import Wanted, chosen, measure
from flows.bench.engines import computes, places_of
from flows.bench.measurement import Measurement, Trial, rates, seconds_of
from flows.bench.networks import SHARE
from flows.bench.subject import QUICK, Subject, at_once, subject
from models.engine import ENGINES
from models.shelf import list_bundles
from pipeline.errors import ConfigError, SlideError, UnreadableSlide
from pipeline.geometry import Frame
from pipeline.readers import OpenSlideReader
from pipeline.synthetic import write_synthetic_slide
from pipeline.tiff_reader import TiffReader

TINY = replace(
    QUICK,
    boxes_px=(256, 4096), megapixels_read=0.1, slide_px=768, run_px=256, store_px=512, core_px=256,
    dense_cpu_px={"superresolution": 16, "nuclei": 64}, nuclei_px=768, nuclei_rows=50, heatmap_px=256, product_cpu=64,
)  # fmt: skip


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Subject:
    return Subject(tmp_path_factory.mktemp("bench"), repeat=2, sizes=TINY)


@pytest.fixture(scope="module")
def parts(tiny: Subject) -> list[Measurement]:
    """All but a whole run."""
    wanted = Wanted("reading:, store:, tissue:, device:, networks:, nuclei:, stitching:")
    trials = chosen(tiny, wanted)
    rows, failed = measure(trials, wanted)
    assert failed == []
    assert [row.title for row in rows] == [title for trial in trials for title in trial.titles]
    return rows


def test_every_part_of_a_run_is_measured_as_often_as_asked(parts: list[Measurement]) -> None:
    assert {row.group for row in parts} == {"reading", "store", "tissue", "device", "networks", "nuclei", "stitching"}
    assert all(len(row.values) == 2 and min(row.values) > 0 for row in parts)
    assert len({row.key for row in parts}) == len(parts)


def test_every_reader_reads_boxes_that_the_slide_has_room_for(tiny: Subject, parts: list[Measurement]) -> None:
    names = [row.name for row in parts if row.group == "reading"]
    for reader in (TiffReader, OpenSlideReader):
        assert f"{reader.name}, 256 px, 1 thread" in names
    assert not any("4,096" in name for name in names)
    assert sum(name.startswith("decoding limit") for name in names) == len(tiny.threads)


def test_every_shipped_network_is_held_against_the_device(parts: list[Measurement]) -> None:
    rows = [row for row in parts if row.group == "networks"]
    for engine in ENGINES:
        assert places_of(engine)
        for place in places_of(engine):
            measured = [row.name.split()[0] for row in rows if row.engine == engine and row.name.endswith(str(place))]
            assert measured == [card.name for card in list_bundles() if computes(engine, card)]
    assert {row.engine for row in rows} == set(ENGINES)
    assert all(row.figures[SHARE] > 0 and row.figures["megapixels/s"] > 0 for row in rows)


def test_a_share_is_the_networks_operations_over_the_products(parts: list[Measurement]) -> None:
    rows = {row.title: row for row in parts}
    network, product = rows["networks: sr-x2 16 px, cpu fp32"], rows["device: matrix product 64, cpu fp32"]
    # counted by `models.cost.multiply_adds` on 256 x 256 px, of the network with its weights
    operations = 2 * 60_964_208_640 * 16**2 / 256**2
    share = operations / (network.median / 1000) / (product.median * 1e9)
    assert network.figures[SHARE] == pytest.approx(share, rel=0.02)


def test_a_run_is_held_against_its_networks_on_the_same_tiles(tiny: Subject) -> None:
    wanted = Wanted("run:")
    (trial,) = chosen(replace(tiny, repeat=1), wanted)
    rows = {row.name: row for row in trial.measure()}
    assert tuple(rows) == trial.names
    wall, start_up, rest, alone, efficiency, _ = (row.values for row in rows.values())
    assert rest == pytest.approx([whole - part for whole, part in zip(wall, start_up, strict=True)])
    assert efficiency == pytest.approx([whole / bare for whole, bare in zip(wall, alone, strict=True)])
    assert all(0 < bare < whole for bare, whole in zip(alone, wall, strict=True))
    figures = rows["wall"].figures
    networks = {"super-resolution", "nuclei", "classification/idc-hybrid"}
    assert {f"networks alone, {stage} s" for stage in networks} | {f"{stage} s" for stage in networks} <= figures.keys()
    assert not list(tiny.scratch.glob("run-*"))


def test_a_loop_over_other_tiles_than_the_runs_is_no_measure() -> None:
    facts = {"timings": {"stages": [{"name": "nuclei", "tiles": 4}]}, "counts": {"patches": {"idc": 9}}}
    run = whole_run.Run(1.0, 0.5, Path(), facts)
    same = {"nuclei": whole_run.Alone(1.0, 4), "classification/idc": whole_run.Alone(1.0, 9)}
    whole_run.refuse_other_tiles(same, run)
    with pytest.raises(RuntimeError, match="nuclei"):
        whole_run.refuse_other_tiles(same | {"nuclei": whole_run.Alone(1.0, 3)}, run)


def test_a_slide_that_cannot_be_run_is_told_of_and_hides_no_other(tmp_path: Path) -> None:
    broken = tmp_path / "broken.tiff"
    broken.write_bytes(b"II*\0")

    def fail() -> list[Measurement]:
        raise UnreadableSlide("a.svs: cut short", "Copy it again.")

    fine = Measurement("b", "fine", "s", "lower", (1.0,))
    rows, failed = measure([Trial("a", ("bad",), fail), Trial("b", ("fine",), lambda: [fine])], Wanted())
    assert rows == [fine]
    assert [(one.title, str(one.error)) for one in failed] == [("a: bad", "a.svs: cut short\nCopy it again.")]
    with pytest.raises(SlideError, match=r"broken\.tiff: its run failed"):
        whole_run.run_slide(broken, tmp_path / "out")


def test_a_slide_is_refused_before_anything_is_measured(tmp_path: Path) -> None:
    with pytest.raises(UnreadableSlide), subject(tmp_path / "none.svs", 1, quick=True):
        pass


def test_only_rows_that_have_the_words_are_measured(tiny: Subject) -> None:
    titles = ["reading: tiffslide, 512 px, 1 thread", "store: read, 512 px cores", "networks: sr-x2 64 px, cpu bf16"]

    def left(words: str) -> list[str]:
        return list(filter(Wanted(words), titles))

    assert left("") == left(" , ") == titles
    assert left("Reading") == titles[:1]
    assert left("read 512") == titles[:2]
    assert left("bf16 sr-x2, cores") == titles[1:]
    with pytest.raises(ConfigError) as told:
        chosen(tiny, Wanted("nothing"))
    assert "'nothing'" in told.value.what
    assert "networks" in told.value.cure


def test_only_some_rows_of_a_trial_are_kept() -> None:
    rows = [Measurement("run", name, "s", "lower", (1.0,)) for name in ("wall", "networks")]
    told: list[str] = []
    trial = Trial("run", ("wall", "networks"), lambda: rows)
    assert measure([trial], Wanted("networks"), told.append) == ([rows[1]], [])
    assert told == ["run: networks"]


def test_the_first_time_is_not_counted() -> None:
    ticks = iter([0.0, 100.0, 100.0, 102.0, 200.0, 203.0])
    assert seconds_of(lambda: None, 2, lambda: next(ticks)) == [2.0, 3.0]
    assert rates(6, [2.0, 3.0]) == (3.0, 2.0)


def test_spread_is_half_of_what_lies_between_the_extremes_and_unknown_of_one() -> None:
    row = Measurement("a", "b", "s", "lower", (1.0, 5.0, 2.0))
    assert (row.median, row.spread) == (2.0, 2.0)
    assert replace(row, values=(1.0,)).spread is None
    with pytest.raises(ValueError, match="a: b"):
        replace(row, values=())


@pytest.mark.parametrize("threads", [1, 3])
def test_parts_of_work_are_all_done_and_their_faults_told(threads: int) -> None:
    done: list[int] = []
    at_once(done.append, [1, 2, 3, 4], threads)
    assert sorted(done) == [1, 2, 3, 4]
    with pytest.raises(ZeroDivisionError):
        at_once(lambda part: 1 / part, [1.0, 0.0], threads)


def test_boxes_with_the_most_tissue_come_first(tmp_path: Path) -> None:
    write_synthetic_slide(tmp_path / "a.tiff", 1024, 1000, 2.0, tissue_share=0.3, nuclei_per_mm2=0)
    subject = Subject(tmp_path, tmp_path / "a.tiff")
    frame = Frame(1024, 1000, 2.0)
    boxes = subject.boxes(frame, 128, 100)
    shares = [subject.tissue.share(box, frame) for box in boxes]
    assert len(boxes) == 8 * 7  # whole ones alone
    assert shares == sorted(shares, reverse=True)
    assert shares[0] > 0.9
    assert shares[-1] < 0.1
