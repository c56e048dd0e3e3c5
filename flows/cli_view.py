"""`histoloom view`: look at results in the browser."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import Annotated

import typer

from flows.told import told_plainly


def view(
    folder: Annotated[str, typer.Argument(metavar="DIR", help="Folder or URL that results went to.")],
    host: Annotated[
        str, typer.Option(help="Address to listen at; other than this machine's own, a token is asked for.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0: any that is free.")] = 8300,
    open_: Annotated[
        bool | None, typer.Option("--open/--no-open", help="Open the browser. Default: where there is a screen.")
    ] = None,
    token: Annotated[
        bool, typer.Option("--token", help="Ask for a token here too: for machines that others work on.")
    ] = False,
    allow_host: Annotated[
        list[str] | None, typer.Option(help="Another name that this machine is reached by; repeatable.")
    ] = None,
    allow_origin: Annotated[
        list[str] | None, typer.Option(help="Another web page that may read stores, as https://HOST; repeatable.")
    ] = None,
) -> None:
    """Look at slides in the browser, also while a run is going on."""
    from flows.view_server import Address, serve
    from pipeline.object_url import parse_place

    def announce(url: str) -> None:
        print(url, flush=True)
        print("Stop with Ctrl-C.", file=sys.stderr, flush=True)
        if _has_screen() if open_ is None else open_:
            import webbrowser

            webbrowser.open(url)

    with told_plainly(), suppress(KeyboardInterrupt):
        address = Address(host, port, token, tuple(allow_host or ()), tuple(allow_origin or ()))
        serve(parse_place(folder), address, announce)


def _has_screen() -> bool:
    """Whether a person sits before this machine: a browser without a screen would take the terminal."""
    if not sys.stdout.isatty():
        return False
    return sys.platform == "darwin" or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
