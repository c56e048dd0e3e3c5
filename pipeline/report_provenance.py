"""What is needed to make a slide's results again, as its page says it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.record import Record, plain
from pipeline.report_facts import Row


@dataclass(frozen=True, slots=True)
class NetworkUsed:
    """A network that took part; empty where the record does not say."""

    name: str
    task: str
    mpp: str
    device: str
    sha256: str
    licence: str
    limits: str


def networks(record: Record) -> list[NetworkUsed]:
    """The networks of a run. Runs of older versions tell name and hash alone."""
    told = {entry.text("name", limit=80): entry for entry in record.records("networks")}
    hashes = dict(_bundles(record))
    found = []
    for name in [*told, *(name for name in hashes if name not in told)]:
        entry = told.get(name, Record({}))
        mpp, device = entry.number("mpp"), Record(record.members("devices", name))
        found.append(
            NetworkUsed(
                name,
                entry.text("task", limit=40),
                f"{mpp:g} µm/px" if mpp is not None else "",
                ", ".join(filter(None, (device.text(what, limit=40) for what in ("device", "precision", "engine")))),
                hashes.get(name) or entry.text("sha256", limit=200),
                entry.text("licence"),
                entry.text("limits", limit=600),
            )
        )
    return found


def provenance(record: Record) -> list[tuple[str, list[Row]]]:
    """Tables of names and values, each under a heading."""
    resolution = {
        "um per level-0 px": record.at("resolution", "level0", "mpp"),
        "which says": record.at("resolution", "mpp_source"),
        "read at um per px": record.at("resolution", "base", "mpp"),
        "from": record.at("resolution", "base_from"),
        "super-resolved to um per px": record.at("resolution", "super_resolved_mpp"),
    }
    tables = [
        ("Input", _rows(record.members("input"))),
        ("Resolution", _rows(resolution)),
        ("Settings", _rows(record.members("plan", "settings"))),
        ("What networks' output was turned into results with", _rows(record.members("plan", "postprocessing"))),
        ("Computed with", _rows(record.members("plan", "computing"))),
        ("Versions", _rows({"histoloom": record.at("histoloom"), **record.members("versions")})),
    ]
    return [(heading, rows) for heading, rows in tables if rows]


def _bundles(record: Record) -> list[Row]:
    """Name and sha256 of the networks, whether listed by name or by what they are for."""
    rows = []
    for key, entry in record.members("plan", "bundles").items():
        listed = [item for item in entry if isinstance(item, Mapping)] if isinstance(entry, list) else []
        named = [(plain(item.get("name"), 80), plain(item.get("sha256"), 200)) for item in listed]
        rows += named if isinstance(entry, list) else [(plain(key, 80), plain(entry, 200))]
    return rows


def _rows(members: Mapping[str, Any]) -> list[Row]:
    """Names and values in words; what is nested is shown as JSON."""
    return [(plain(key, 80), _words(value)) for key, value in members.items() if value is not None]


def _words(value: object) -> str:
    if isinstance(value, Mapping) and all(isinstance(entry, str | int | float) for entry in value.values()):
        return plain(", ".join(f"{key} {entry}" for key, entry in value.items()), 500)
    if isinstance(value, list) and all(isinstance(entry, str) for entry in value):
        return plain(", ".join(value), 500)
    return plain(value if isinstance(value, str | int | float) else json.dumps(value, default=str), 500)
