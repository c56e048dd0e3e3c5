"""What is made from the code says all that the code has, and the code says something of all it has."""

import re
from dataclasses import fields

import pytest

import models.errors
import pipeline.errors
from docs.site.code_map import modules
from docs.site.command_line import commands, options, render_command_line
from docs.site.errors import error_classes, render_errors, told
from docs.site.generated import MARK, PARTS, fill_in
from docs.site.settings import explained, render_settings
from docs.site.tables import cell
from flows.cli import app
from pipeline.budget_config import Budget
from pipeline.cluster_config import KINDS
from pipeline.cohort import SCHEMA as COHORT
from pipeline.config import SlideConfig
from pipeline.nuclei_measure import SCHEMA as NUCLEI
from tests.docs.pages import DOCS, PAGES


def test_every_command_and_option_is_in_the_reference() -> None:
    page = render_command_line()
    assert {"run", "status", "evaluate nuclei"} <= commands().keys()
    assert len(commands()) >= len(app.registered_commands) + len(app.registered_groups)
    for name, command in commands().items():
        section = page.partition(f"## `histoloom {name}`\n")[2].partition("\n## ")[0]
        assert command.help in section
        assert {option for option in options(command) - {"--help"} if option not in section} == set(), name


@pytest.mark.parametrize("kind", [SlideConfig, Budget, *KINDS.values()])
def test_every_setting_says_what_it_is(kind: type) -> None:
    assert {field.name for field in fields(kind)} - explained(kind).keys() == set()


def test_every_setting_is_in_the_reference() -> None:
    page = render_settings()
    kinds: list[type] = [SlideConfig, *KINDS.values()]
    names = {field.name for kind in kinds for field in fields(kind)}
    assert {name for name in {*names, "max_disk", "max_memory"} if f"| `{name}` |" not in page} == set()
    assert "| `patience_s` | `float` | `86400` |" in page  # a kind's own default, not the one it inherits


def test_every_error_is_in_the_reference_and_in_its_modules_tree() -> None:
    page = render_errors()
    for module in (pipeline.errors, models.errors):
        tree = (module.__doc__ or "").partition("Every message")[0]
        drawn = set(re.findall(r"^[│├└─ ]*([A-Z]\w+)", tree, re.MULTILINE)) - {"What"}
        assert drawn == {name for name, kind in error_classes().items() if kind.__module__ == module.__name__}
    assert {name for name in error_classes() if f"\n### {name}\n" not in f"\n{page}"} == set()
    assert "the file does not say how many um a pixel spans" in page
    assert "Start over with --force, or give another --out." in page


def test_every_error_that_is_raised_says_something() -> None:
    assert len(told()) > 150
    assert [one for one in told() if one.what == ""] == []


def test_every_module_says_what_it_is() -> None:
    assert len(modules()) > 200
    assert [path for path, line in modules().items() if not line] == []


def test_every_mark_is_filled_and_every_part_is_used_once() -> None:
    used = [mark["name"] for page in PAGES for mark in MARK.finditer(page.read_text(encoding="utf-8"))]
    assert sorted(used) == sorted(PARTS)
    with pytest.raises(KeyError):
        fill_in("<!-- generated: nothing -->")
    assert fill_in("In a line: <!-- generated: nothing -->") == "In a line: <!-- generated: nothing -->"


def test_what_comes_from_code_cannot_break_a_table() -> None:
    assert cell("a | b\n<script>  `x < y`") == "a \\| b &lt;script&gt; `x < y`"


def test_every_column_of_nuclei_is_in_the_reference() -> None:
    page = (DOCS / "reference" / "outputs.md").read_text(encoding="utf-8")
    assert len(NUCLEI.names) > 10
    assert {name for name in NUCLEI.names if f"`{name}`" not in page} == set()


def test_the_cohorts_columns_are_those_of_its_rows() -> None:
    page = PARTS["cohort columns"]()
    assert sorted(line.split("`")[1] for line in page.splitlines()[2:]) == sorted(COHORT.names)


def test_there_are_no_generated_pages_in_the_repository() -> None:
    committed = [page for page in PAGES if "| Option |" in page.read_text(encoding="utf-8")]
    assert committed == [], "they are made when the site is built; a copy here would grow stale"
