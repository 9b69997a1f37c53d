"""Checks of the tables of tenants: what in the schema lets one tenant feel another.

A table that nothing is said about is no finding: the application does not start with it.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from typing import Any

from ..pipeline.runtime import Runtime
from ..values import Finding, Level
from .registry import register_check

Find = Callable[[Any, Runtime], Iterator[str]]


def _register(check_id: str, level: Level, remedy: str, find: Find) -> None:
    """Register a check. find: gets `tenancy.review`; yields a sentence for each place."""

    @register_check(check_id)
    def check(runtime: Runtime) -> Iterator[Finding]:
        # Else there are no such tables, or it is not known whose they are.
        if "flask_guard.tenancy.process" in sys.modules and runtime.find_engines():
            review = importlib.import_module("flask_guard.tenancy.review")
            for sentence in find(review, runtime):
                yield Finding(check_id, level, sentence, remedy)


def _in_databases(name: str) -> Find:
    def find(review: Any, runtime: Runtime) -> Iterator[str]:
        for engine in runtime.find_engines():
            yield from getattr(review, name)(engine)

    return find


_register(
    "FG-TENANCY-001",
    Level.WARNING,
    "Make it unique together with the tenant column.",
    lambda review, _runtime: review.find_narrow_uniques(),
)
_register(
    "FG-TENANCY-002",
    Level.WARNING,
    "Replace it by a key with the tenant column in both tables, as the models have it, in a migration.",
    _in_databases("find_narrow_keys"),
)
_register(
    "FG-TENANCY-003",
    Level.WARNING,
    "Declare it as a table with a tenant column, or select from the table: other views are not filtered.",
    _in_databases("find_views"),
)
_register(
    "FG-TENANCY-004",
    Level.WARNING,
    "Declare the column with nullable=False.",
    lambda review, _runtime: review.find_nullable_tenants(),
)
_register(
    "FG-TENANCY-005",
    Level.INFO,
    "Every statement on the table filters by the tenant: let an index begin with it.",
    lambda review, _runtime: review.find_missing_indexes(),
)
