"""`histoloom status`: what is done, running and failed; once, or as it changes."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows import completion
from flows.told import told_plainly

if TYPE_CHECKING:
    from pipeline.object_url import Place

_EVERY_S, _EVERY_OF_A_BUCKET_S = 1.0, 15.0


def status(
    folder: Annotated[
        str,
        typer.Argument(metavar="DIR", help="Folder or URL that results went to.", autocompletion=completion.folders),
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
    follow: Annotated[
        bool, typer.Option("--follow", "--watch", help="Go on looking until Ctrl-C; also while others do the work.")
    ] = False,
    every: Annotated[
        float | None, typer.Option(min=0.1, help="Seconds from one look to the next. [1; 15 for a URL]")
    ] = None,
) -> None:
    """What is done, running and failed, per slide and stage."""
    from flows.places import results_folder
    from pipeline.object_url import ObjectUrl, parse_place

    with told_plainly():
        place = parse_place(folder)
        pause_s = every or (_EVERY_OF_A_BUCKET_S if isinstance(place, ObjectUrl) else _EVERY_S)
        if not follow:
            if isinstance(place, Path):
                results_folder(place)
            _once(place, as_json=as_json)
            return
        try:
            _again_and_again(place, pause_s, as_json=as_json)
        except KeyboardInterrupt:
            return  # that is how a look ends


def _once(place: Place, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(_recorded(place), indent=2))
        return
    from flows.status_view import print_status

    print_status(_seen(place))


def _again_and_again(place: Place, pause_s: float, *, as_json: bool) -> None:
    """A JSON list a line where anything changed, or a view for people."""
    from flows.display import is_terminal
    from flows.status_view import follow

    if not as_json:
        follow(lambda: _seen(place), pause_s, redraw=is_terminal(sys.stdout))
        return
    told = None
    while True:
        states = _recorded(place)
        if states != told:
            print(json.dumps(states), flush=True)
        told = states
        time.sleep(pause_s)


def _recorded(place: Place) -> list[dict[str, Any]]:
    """What the results say."""
    from pipeline.object_url import ObjectUrl

    if isinstance(place, ObjectUrl):
        from flows.publishing import published_states

        return published_states(place)
    from flows.status import slide_states

    return slide_states(place)


def _seen(place: Place) -> list[dict[str, Any]]:
    """The same, with who is at work on this machine."""
    from flows.places import staging_at
    from flows.status import holders, slide_states
    from pipeline.object_url import ObjectUrl

    states = _recorded(place)
    here = staging_at().results(place) if isinstance(place, ObjectUrl) else place
    at_work = holders(here)
    if isinstance(place, ObjectUrl) and at_work:  # results of a bucket grow on this machine first
        growing = {state["slide"]: state for state in slide_states(here) if state["slide"] in at_work}
        states = [state | {"stages": growing.get(state["slide"], state)["stages"]} for state in states]
    for state in states:
        if state["slide"] in at_work:
            state["state"] = "running"
            state.pop("cure", None)
            state.pop("what", None)
    return states
