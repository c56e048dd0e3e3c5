import threading
from pathlib import Path

import pytest

from pipeline.errors import StoreBusy, StoreError
from pipeline.fence import alone, writing
from pipeline.output import SlideOutput

PLAN = {"settings": {"sr": "auto"}}
OTHER = {"settings": {"sr": "none"}}


@pytest.fixture
def output(tmp_path: Path) -> SlideOutput:
    return SlideOutput(tmp_path, "a")


def test_workers_of_the_plan_write_side_by_side(output: SlideOutput) -> None:
    plan = output.begin(PLAN)
    with writing(output.partial, plan), writing(output.partial, plan):
        pass


def test_a_worker_of_another_plan_writes_nothing(output: SlideOutput) -> None:
    orphaned = output.begin(PLAN)
    output.begin(OTHER, force=True)
    with pytest.raises(StoreError, match="begun anew with another plan"), writing(output.partial, orphaned):
        pass


def test_a_worker_finds_out_that_its_folder_got_its_final_name(output: SlideOutput) -> None:
    plan = output.begin(PLAN)
    output.finish({})
    with pytest.raises(StoreError, match="is gone"), writing(output.partial, plan):
        pass
    assert not output.partial.exists()


def test_a_folder_is_not_taken_from_under_a_worker_that_writes(output: SlideOutput) -> None:
    plan = output.begin(PLAN)
    with writing(output.partial, plan):
        with pytest.raises(StoreBusy, match="still writing"), alone(output.partial, wait_s=0):
            pass
        starting_over = threading.Thread(target=output.begin, args=(OTHER,), kwargs={"force": True})
        starting_over.start()
        starting_over.join(0.3)
        assert starting_over.is_alive()
        assert (output.partial / "plan.json").is_file()
    starting_over.join(10)
    assert not starting_over.is_alive()
