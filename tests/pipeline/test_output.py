import os
from pathlib import Path

import pytest

from pipeline.errors import DiskFull, PlanChanged, StoreBusy, StoreError, UnreadableSlide
from pipeline.output import SlideOutput, read_json

PLAN = {"settings": {"sr": "auto", "core_px": 1024}, "slide": {"sha256": "00"}}


@pytest.fixture
def output(tmp_path: Path) -> SlideOutput:
    return SlideOutput(tmp_path, "a")


def test_results_get_their_final_name_when_they_are_whole(output: SlideOutput) -> None:
    output.begin(PLAN)
    (output.partial / "ledger").mkdir()
    (output.partial / "nuclei.parquet").write_text("rows")
    assert not output.publish()
    assert not output.final.exists()
    output.finish({"plan": PLAN})
    assert sorted(path.name for path in output.final.iterdir()) == ["nuclei.parquet", "run.json"]
    assert not output.partial.exists()
    assert output.finished_run() == {"plan": PLAN}


def test_a_crash_while_publishing_is_made_good_by_the_next_call(output: SlideOutput) -> None:
    output.begin(PLAN)
    (output.partial / "tissue.npz").write_text("mask")
    (output.partial / "run.json").write_text('{"plan": 1}')
    assert output.publish()
    assert [path.name for path in output.final.iterdir()] == ["run.json"]


def test_a_folder_is_gone_on_with_by_the_same_plan_alone(output: SlideOutput) -> None:
    output.begin(PLAN)
    output.begin(PLAN)
    with pytest.raises(PlanChanged, match=r"settings.sr was 'auto', now 'none'") as refusal:
        output.begin({**PLAN, "settings": {"sr": "none", "core_px": 1024}})
    assert "--force" in refusal.value.cure


def test_what_differs_is_told_in_words(output: SlideOutput) -> None:
    output.begin({"settings": {"mpp": None, "classifiers": ["a", "b"]}})
    with pytest.raises(PlanChanged) as refusal:
        output.begin({"settings": {"mpp": 0.25, "classifiers": []}})
    assert "settings.mpp was unset, now 0.25" in refusal.value.what
    assert "settings.classifiers was 'a', 'b', now none" in refusal.value.what


def test_force_starts_over(output: SlideOutput) -> None:
    output.begin(PLAN)
    (output.partial / "ledger").mkdir()
    output.begin({"settings": {}}, force=True)
    assert not (output.partial / "ledger").exists()


def test_old_results_stay_until_new_ones_are_whole(output: SlideOutput) -> None:
    output.begin(PLAN)
    output.finish({"run": 1})
    output.begin(PLAN, force=True)
    assert output.finished_run() == {"run": 1}
    output.finish({"run": 2})
    assert output.finished_run() == {"run": 2}
    assert not [path for path in output.partial.parent.iterdir() if path.suffix == ".old"]


def test_a_begun_folder_tells_what_computes_in_it(output: SlideOutput) -> None:
    assert output.begun_by() == {}
    output.begin({"computing": {"engines": {"idc-hybrid": "torch"}}})
    assert output.begun_by() == {"idc-hybrid": "torch"}
    output.discard_partial()
    output.begin({"computing": {"versions": {}}})
    assert output.begun_by() == {}


def test_a_failure_is_written_down_until_the_slide_is_begun_again(output: SlideOutput) -> None:
    output.fail(Path("a.svs"), UnreadableSlide("a.svs: broken", "Copy it again."))
    failure = read_json(output.partial / "failed.json")
    assert failure is not None
    assert failure["what"] == "a.svs: broken"
    assert failure["cure"] == "Copy it again."
    output.begin(PLAN)
    assert not (output.partial / "failed.json").exists()


def test_two_processes_do_not_work_on_one_slide(output: SlideOutput) -> None:
    with output.locked(), pytest.raises(StoreBusy, match="another process"), SlideOutput(output.root, "a").locked():
        pass
    with output.locked():
        pass


def test_one_who_is_refused_a_slide_does_not_let_a_third_in(output: SlideOutput) -> None:
    with output.locked():
        for _ in range(2):
            with pytest.raises(StoreBusy), SlideOutput(output.root, "a").locked():
                pass


def test_a_folder_that_a_power_cut_left_without_its_plan_is_begun_anew(output: SlideOutput) -> None:
    output.begin(PLAN)
    (output.partial / "ledger").mkdir()
    (output.partial / "plan.json").write_text("")
    output.begin({"settings": {"sr": "none"}})
    assert not (output.partial / "ledger").exists()


def test_what_a_killed_process_left_half_written_is_swept(output: SlideOutput) -> None:
    output.begin(PLAN)
    store = output.partial / "a.ome.zarr"
    (store / ".drafts-x1" / "c" / "0").mkdir(parents=True)
    for left in (
        output.partial / ".nuclei.parquet.7.ab.tmp",
        store / "zarr.77.partial",
        store / ".drafts-x1" / "c" / "0",
    ):
        (left / "0" if left.is_dir() else left).write_bytes(b"half")
    output.begin(PLAN)
    assert list(store.iterdir()) == []
    assert not list(output.partial.glob(".*.tmp"))


def test_slides_whose_names_look_like_locks_or_leftovers_of_others_keep_what_is_theirs(tmp_path: Path) -> None:
    outputs = [SlideOutput(tmp_path, name) for name in ("a", "a.old", "a.lock")]
    for output in outputs:
        output.begin(PLAN)
    with outputs[0].locked(), outputs[2].locked():
        outputs[0].finish({"run": 1})
    assert [output.partial.is_dir() for output in outputs] == [False, True, True]


def test_a_half_written_json_file_counts_as_none(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text('{"a": ')
    assert read_json(tmp_path / "run.json") is None


def test_a_folder_that_holds_no_results_is_never_taken_away(output: SlideOutput) -> None:
    output.final.mkdir()  # as beside an MRXS slide, where results are sent to the slides' own folder
    (output.final / "Slidedat.ini").write_text("[GENERAL]")
    for force in (False, True):
        with pytest.raises(StoreError, match="holds no results of histoloom"):
            output.begin(PLAN, force=force)
    assert (output.final / "Slidedat.ini").read_text() == "[GENERAL]"


def test_drafts_of_a_worker_that_died_are_no_part_of_the_results(output: SlideOutput) -> None:
    output.begin(PLAN)
    (output.partial / "a.ome.zarr" / ".drafts-x1").mkdir(parents=True)
    output.finish({"run": 1})
    assert [path.name for path in (output.final / "a.ome.zarr").iterdir()] == []


def test_a_failure_says_whether_it_may_pass_by_itself(output: SlideOutput) -> None:
    for error, may_pass in ((DiskFull("full"), True), (UnreadableSlide("broken"), False)):
        output.fail(Path("a.svs"), error)
        failure = read_json(output.partial / "failed.json")
        assert failure is not None
        assert failure["may_pass"] is may_pass


def test_a_failure_of_a_file_whose_name_is_no_text_is_written_down(output: SlideOutput) -> None:
    output.fail(Path(os.fsdecode(b"f\xfc.svs")), UnreadableSlide(f"{os.fsdecode(bytes([0xFC]))}: broken"))
    assert read_json(output.partial / "failed.json") is not None


def test_whole_and_begun_results_go_together(output: SlideOutput) -> None:
    output.begin(PLAN)
    output.finish({"run": 1})
    output.begin(PLAN, force=True)
    output.discard_all()
    assert [path.name for path in output.root.rglob("*") if path.name != ".partial"] == []
