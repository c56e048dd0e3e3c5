"""The reference of the command line, from the code that parses it."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import typer
import typer.main

from docs.site.tables import cell, table


@cache
def commands() -> dict[str, Any]:
    """Every command by all its words, groups left out: `evaluate nuclei`, `run`, ..."""
    from flows.cli import app

    return dict(sorted(_leaves(typer.main.get_command(app), ())))


def _leaves(command: Any, words: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    members = getattr(command, "commands", None)
    if members is None:
        yield " ".join(words), command
        return
    for name, member in members.items():
        yield from _leaves(member, (*words, name))


def options(command: Any) -> set[str]:
    """All spellings of a command's options."""
    spellings = {name for option in command.params for name in (*option.opts, *option.secondary_opts)}
    return {name for name in spellings if name.startswith("-")} | {"--help"}


def render_command_line() -> str:
    """A section a command: what it does, usage, arguments and options."""
    return "\n\n".join(_section(name, command) for name, command in commands().items())


def _section(name: str, command: Any) -> str:
    context = typer.Context(command, info_name=name)
    usage = " ".join(["histoloom", name, *command.collect_usage_pieces(context)])
    records = [(entry, entry.get_help_record(context)) for entry in command.params]
    arguments = [record for entry, record in records if record and entry.param_type_name == "argument"]
    choices = [record for entry, record in records if record and entry.param_type_name == "option"]
    parts = [f"## `histoloom {name}`", command.help or "", f"```text\n{usage}\n```"]
    for title, rows in (("Argument", arguments), ("Option", choices)):
        if rows:
            parts.append(table((title, ""), [(cell(f"`{left}`"), cell(right)) for left, right in rows]))
    return "\n\n".join(parts)
