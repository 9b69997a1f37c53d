"""The page of flask_guard.testing says what the module has, all of it and nothing else."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pytest

from flask_guard import testing
from flask_guard.testing import FrozenClock

from .pages import DOCS, table_under, unquote


def _first_cells(heading: str) -> list[str]:
    page = (DOCS / "reference" / "testing.md").read_text("utf-8")
    return [unquote(row[0]) for row in table_under(page, heading)]


def _spell(function: Callable[..., Any]) -> str:
    signature = inspect.signature(function)
    bare = [one.replace(annotation=inspect.Parameter.empty) for one in signature.parameters.values()]
    return f"{function.__name__}{signature.replace(parameters=bare, return_annotation=inspect.Signature.empty)}"


def test_it_has_every_name() -> None:
    assert _first_cells("flask_guard.testing") == testing.__all__ == sorted(testing.__all__)


@pytest.mark.parametrize("name", testing.__all__)
def test_every_name_resolves(name: str) -> None:
    assert getattr(testing, name).__name__ == name
    assert name in dir(testing)


def test_another_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'leek_cases'"):
        _ = testing.leek_cases


def test_it_has_every_function_with_its_arguments() -> None:
    functions = [testing.guard_client, testing.as_principal, testing.tenant_leak_cases]

    assert _first_cells("Functions") == [_spell(function) for function in functions]


def test_it_has_every_member_of_the_clock() -> None:
    members = [name for name in vars(FrozenClock) if not name.startswith("_")]

    assert [cell.partition("(")[0] for cell in _first_cells("FrozenClock")] == ["FrozenClock", *members]
