"""The doctor's look at places: where results would go and slides lie, on disks and in object stores."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from tempfile import TemporaryDirectory

from flows.doctor_machine import try_disk
from flows.finding import Advice, Check, Unfit
from pipeline.object_url import ObjectUrl, Place, parse_place

_ACCESS = "Set the credentials as for the provider's own command, and see that they may read, write, list and delete."


def place_checks(out: str | None, slides: str | None) -> Iterator[Check]:
    """Of places that are named; else whether object stores could be reached at all."""
    if out is not None:
        place = parse_place(out)
        trial = partial(try_bucket, place) if isinstance(place, ObjectUrl) else partial(try_folder, place)
        yield Check("results", trial, _ACCESS if isinstance(place, ObjectUrl) else "Give another --out.")
    if slides is not None:
        yield Check("slides", partial(try_slides, slides), "Name a slide, or a folder or URL that holds some.")
    if out is None and slides is None:
        yield Check("object stores", _try_library)


def _try_library() -> str | Advice:
    try:
        found = version("obstore")
    except PackageNotFoundError:
        return Advice("not installed", "For s3://, gs:// and az://: pip install 'histoloom[cloud]'")
    return f"obstore {found}; histoloom doctor --out s3://BUCKET/PREFIX tries one"


def try_bucket(url: ObjectUrl) -> str:
    """Write an object, see that a second writer is refused, read it back, list it, take it away."""
    from pipeline.bucket import Bucket

    bucket, mark = Bucket(url), uuid.uuid4().hex
    trial = url / ".partial" / f".doctor-{mark}"
    first = bucket.create(trial.key, mark.encode())
    try:
        second = bucket.create(trial.key, b"of another")
        content = bucket.read(trial.key)
        listed = [facts.key for facts in bucket.list_under(f"{(url / '.partial').key}/")]
    finally:
        bucket.delete([trial.key])
    if first is None or content is None or content[0] != mark.encode() or trial.key not in listed:
        msg = f"{url}: what was written there came back otherwise"
        raise Unfit(msg)
    if second is not None:
        msg = f"{url}: the store lets two writers make one object (no If-None-Match); runs could meet in a slide"
        raise Unfit(msg)
    return f"{url} takes, lists, gives back and deletes"


def try_folder(folder: Path) -> str:
    """Room, leave to write, and locks; in the folder, or where it would be made."""
    from filelock import FileLock

    here = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    if not here.is_dir():
        msg = f"{here} is a file"
        raise Unfit(msg)
    found = try_disk(here)
    with TemporaryDirectory(prefix=".histoloom-doctor-", dir=here) as scratch, FileLock(Path(scratch) / "lock"):
        (Path(scratch) / "draft").write_bytes(b"histoloom")
        (Path(scratch) / "draft").rename(Path(scratch) / "whole")
    return f"{found}, with locks"


def try_slides(words: str) -> str:
    """Find them, open the first."""
    from flows.places import find_slides

    found = find_slides([words])
    return f"{len(found)} found; {_opened(found[0])}"


def _opened(place: Place) -> str:
    if isinstance(place, ObjectUrl):
        from pipeline.staging import look_up

        return f"{place} has {look_up(place).bytes / 1e6:.1f} MB"
    from pipeline.slide import open_slide

    with open_slide(place) as slide:
        frame = slide.info.frame
        return f"{place.name} opens: {frame.width} x {frame.height} px at {frame.mpp:g} um/px"
