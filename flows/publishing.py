"""Results that go to an object store: what is done is asked there, work is done on a local disk, whole slides are sent.

URL/<slide>/                        whole results; `run.json` is the last to come
URL/.partial/<slide>/lock.json      says who works on the slide, while they do
URL/.partial/<slide>/failed.json    why it failed
URL/cohort.parquet, report.html     one row a slide, of all runs that published there
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from filelock import FileLock, Timeout

from flows.progress import Progress
from flows.slide import SlideTask, process_slide, refuse_other_question
from flows.status import slide_states
from pipeline.bucket import Bucket
from pipeline.errors import HistoloomError, StoreBusy, StoreError
from pipeline.lease import hold_lease, owner_of
from pipeline.object_url import ObjectUrl
from pipeline.output import COHORT_FILES, THUMBNAIL, SlideOutput, read_json
from pipeline.publish import DONE_MARK, publish_slide
from pipeline.schedule import Workers

_MEDIA_TYPES = {".parquet": "application/vnd.apache.parquet", ".html": "text/html"}
_AT_ONCE = 16


def refuse_unreachable(out: ObjectUrl) -> None:
    """Raise what is wrong with a bucket before any work is done for it."""
    Bucket(out).list_folder(out.prefix)


def process_and_publish(task: SlideTask, out: ObjectUrl, workers: Workers, progress: Progress) -> Mapping[str, Any]:
    """Work on one slide until its whole results stand under `out`; return its `run.json`.

    The local folder that they grew in is removed then. Raises as `process_slide`, and where the store gives way.
    """
    output = task.output
    with _alone_here(output):
        if not task.force:
            finished = _finished_run(out / output.name)
            if finished is not None:
                refuse_other_question(task, finished, str(out / output.name))
                _forget(output)  # of a run that was stopped when all was sent, or that another machine overtook
                _clear(out, output.name)
                progress.slide(output.name, "unchanged")
                return finished
        with hold_lease(_partial(out, output.name) / "lock.json", owner_of(output.root)) as lease:
            run = process_slide(task, workers, progress)
            sent = publish_slide(output.final, out / output.name, _sent_list(output), lease.check)
            _clear(out, output.name)
        _forget(output)
    progress.slide(output.name, "published", objects=sent.objects, megabytes=round(sent.bytes / 1e6, 1))
    return run


def publish_failure(out: ObjectUrl, output: SlideOutput, failure: HistoloomError) -> None:
    """Say in the store why a slide failed, where the store lets; one that is done there, or worked on, did not fail."""
    reason = output.partial / "failed.json"
    if isinstance(failure, StoreBusy) or not reason.is_file():
        return
    with suppress(HistoloomError):
        bucket = Bucket(out)
        if bucket.head((out / output.name / DONE_MARK).key) is None:
            bucket.put((_partial(out, output.name) / "failed.json").key, reason, "application/json")


def publish_cohort(out: ObjectUrl) -> None:
    """Write the cohort's table and page anew, from the `run.json` of every slide that is published there."""
    from pipeline.cohort import write_cohort
    from pipeline.cohort_page import MOST_PICTURES

    bucket = Bucket(out)
    with mirrored(out, pictures=MOST_PICTURES) as folder:
        write_cohort(folder)
        for name in COHORT_FILES:
            bucket.put((out / name).key, folder / name, _MEDIA_TYPES[Path(name).suffix])


def published_states(out: ObjectUrl) -> list[dict[str, Any]]:
    """How far each slide is, as `slide_states`; one that somebody holds is `running`."""
    with mirrored(out) as folder:
        states = slide_states(folder)
        for state in states:
            holder = read_json(folder / ".partial" / state["slide"] / "lock.json")
            if holder is not None:
                who = f"process {holder.get('process')} on {holder.get('host')}, heard of {holder.get('renewed')}"
                state |= {"state": "running", "what": who}
        return states


@contextmanager
def mirrored(out: ObjectUrl, pictures: int = 0) -> Iterator[Path]:
    """A folder that looks like the store for as long as the block, to what asks how slides are.

    Of results it holds the thumbnails of the first slides by name, as many as `pictures`.
    """
    with TemporaryDirectory(prefix="histoloom-") as folder:
        _mirror(out, Path(folder), pictures)
        yield Path(folder)


def _mirror(out: ObjectUrl, folder: Path, pictures: int) -> None:
    """Copy what the store says about its slides: `run.json`, `failed.json`, `lock.json`; and so many thumbnails."""
    bucket = Bucket(out)
    slides, _ = bucket.list_folder(out.prefix)
    begun, _ = bucket.list_folder((out / ".partial").prefix)

    def copy(place: str) -> bool:
        found = bucket.read((out / place).key)
        if found is not None:
            (folder / place).parent.mkdir(parents=True, exist_ok=True)
            (folder / place).write_bytes(found[0])
        return found is not None

    def copy_slide(name: str) -> None:
        if copy(f"{name}/{DONE_MARK}"):
            (folder / name / "preview.png").touch()  # it is there too, for who asks no more than that
        else:
            (folder / ".partial" / name).mkdir(parents=True, exist_ok=True)

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        list(pool.map(copy_slide, filter(_is_plain, slides)))
        done = sorted(path.parent.name for path in folder.glob(f"*/{DONE_MARK}"))
        list(pool.map(copy, [f"{name}/{THUMBNAIL}" for name in done[:pictures]]))
        marks = [f".partial/{name}/{mark}.json" for name in filter(_is_plain, begun) for mark in ("failed", "lock")]
        list(pool.map(copy, marks))


def _is_plain(name: str) -> bool:
    """Whether a part of a key can be the name of a slide's folder, here as there."""
    return not name.startswith(".") and "/" not in name and name.isprintable()


def _finished_run(url: ObjectUrl) -> dict[str, Any] | None:
    """The `run.json` of results that are whole in the store; None where there are none."""
    found = Bucket(url).read((url / DONE_MARK).key)
    if found is None:
        return None
    try:
        run = json.loads(found[0])
        whole = all(isinstance(run[part], dict) for part in ("plan", "input", "resolution"))
    except (ValueError, TypeError, KeyError):
        whole = False
    if not whole:
        msg = f"{url / DONE_MARK}: not what histoloom writes"
        raise StoreError(msg, "Give another --out, or start over with --force.")
    return dict(run)


@contextmanager
def _alone_here(output: SlideOutput) -> Iterator[None]:
    """Hold the local folder against other processes of this machine; freed by the system when this process dies."""
    file = output.root / ".publishing" / f"{output.name}.lock"
    file.parent.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(file).acquire(timeout=0):
            yield
    except Timeout as error:
        msg = f"{output.name}: another process is working on {output.root}"
        raise StoreBusy(msg, "Wait until it is through, or stop it; then run the same command again.") from error


def _clear(out: ObjectUrl, name: str) -> None:
    """Take back what says that a slide failed, now that it is done."""
    Bucket(out).delete([(_partial(out, name) / "failed.json").key])


def _forget(output: SlideOutput) -> None:
    """Remove local results, whole or begun, of a slide that stands in the store."""
    with output.locked():
        output.discard_all()
    _sent_list(output).unlink(missing_ok=True)


def _sent_list(output: SlideOutput) -> Path:
    return output.root / ".publishing" / f"{output.name}.jsonl"


def _partial(out: ObjectUrl, name: str) -> ObjectUrl:
    return out / ".partial" / name
