"""Rules for tests: written as a Guard writes them, compiled with a binder that binds nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

import pytest
from flask import Flask

from flask_guard.authz import policies
from flask_guard.config.sections import DefaultAccess
from flask_guard.errors import ConfigError
from flask_guard.pipeline import words
from flask_guard.pipeline.plan import Plan, PlanTable, compile_plans
from flask_guard.pipeline.rules import Annotations, Rule
from flask_guard.pipeline.words import as_rules

Target = TypeVar("Target")


class Writer:
    """Writes rules and compiles them. What a Guard does about rules, without a Guard."""

    def __init__(self, default: DefaultAccess = "authenticated") -> None:
        self.annotations = Annotations()
        self.patterns: dict[str, tuple[Rule, ...]] = {}
        self.default: DefaultAccess = default

    def write(self, rule: Rule) -> Callable[[Target], Target]:
        return self.annotations.decorator(rule)

    def role(self, *names: str, **options: Any) -> Callable[[Target], Target]:
        return self.write(words.require(policies.role(*names), **options))

    def public(self, **options: Any) -> Callable[[Target], Target]:
        return self.write(words.public(reason="open", **options))

    def match(self, patterns: Mapping[str, Any]) -> None:
        self.patterns |= {pattern: as_rules(said, pattern=pattern) for pattern, said in patterns.items()}

    def compile(self, app: Flask, apps: Iterable[Flask] | None = None) -> PlanTable:
        return compile_plans(
            app,
            apps=[app] if apps is None else apps,
            annotations=self.annotations,
            patterns=self.patterns,
            default=self.default,
            bind=lambda plan, _endpoint: plan,
        )

    def faults(self, app: Flask, apps: Iterable[Flask] | None = None) -> tuple[str, ...]:
        with pytest.raises(ConfigError) as caught:
            self.compile(app, apps)
        return caught.value.faults


def asks(plan: Plan) -> str:
    """Return what a plan asks for, as access and requirement: "authenticated", "optional role(a)"."""
    return " ".join([str(plan.access), *([plan.requirement.describe()] if plan.requirement is not None else [])])


def view() -> str:
    """A view that no test calls."""
    return ""
