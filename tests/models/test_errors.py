"""Errors that a person can act on."""

from __future__ import annotations

import pytest

from models import errors
from models.errors import BundleError, DeviceError, ModelError, TrainingError, UnknownBundle


@pytest.mark.parametrize("kind", [BundleError, UnknownBundle, DeviceError, TrainingError])
def test_a_message_has_two_lines_and_names_the_file(kind: type[ModelError]) -> None:
    error = kind.about("sr/card.json", "a cause\nthat another\n  library wrote in lines", "Do this.")
    assert str(error).splitlines() == ["sr/card.json: a cause that another library wrote in lines", "Do this."]


def test_the_tree_in_the_docstring_names_every_error() -> None:
    kinds = {name for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, ModelError)}
    assert errors.__doc__ is not None
    assert {word for word in errors.__doc__.split() if word in kinds} == kinds


def test_callers_may_catch_the_built_in_error() -> None:
    assert issubclass(UnknownBundle, BundleError)
    assert issubclass(BundleError, ValueError)
    assert issubclass(DeviceError, RuntimeError)
    assert issubclass(TrainingError, ValueError)
