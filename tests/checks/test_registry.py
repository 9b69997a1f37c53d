"""The checklist runs every check; an id belongs to one of them, and one that fails has not passed."""

from __future__ import annotations

from typing import Any

import pytest

from flask_guard.checks import registry
from flask_guard.checks.registry import register_check, run_checks
from flask_guard.cli import check  # noqa: F401  registers them
from flask_guard.values import Finding, Level

WARNING = Finding("FG-A-001", Level.WARNING, "a", "mend a")
ERROR = Finding("FG-Z-001", Level.ERROR, "z", "mend z")


@pytest.fixture
def empty(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    checks: dict[str, Any] = {}
    monkeypatch.setattr(registry, "_checks", checks)
    return checks


@pytest.mark.usefixtures("empty")
def test_an_id_belongs_to_one_check() -> None:
    register_check("FG-A-001")(lambda _runtime: [WARNING])

    with pytest.raises(ValueError, match="the check id FG-A-001 is taken"):
        register_check("FG-A-001")(lambda _runtime: [])


@pytest.mark.usefixtures("empty")
def test_errors_come_first() -> None:
    register_check("FG-A-001")(lambda _runtime: [WARNING])
    register_check("FG-Z-001")(lambda _runtime: [ERROR])

    assert run_checks(object()) == [ERROR, WARNING]  # type: ignore[arg-type]


@pytest.mark.usefixtures("empty")
def test_a_check_that_fails_is_an_error_under_its_id_and_the_others_run() -> None:
    def fail(_runtime: Any) -> Any:
        raise KeyError("x")

    register_check("FG-A-001")(fail)
    register_check("FG-Z-001")(lambda _runtime: [ERROR])

    found = run_checks(object())  # type: ignore[arg-type]

    assert [(finding.id, finding.level) for finding in found] == [("FG-A-001", Level.ERROR), ("FG-Z-001", Level.ERROR)]
    assert "KeyError('x')" in found[0].message


def test_routes_and_settings_have_their_checks() -> None:
    assert {check_id.split("-")[1] for check_id in registry._checks} == {
        *("ACCESS", "CORS", "DB", "HOST", "HTTPS", "LIMIT", "PROXY", "RLS", "ROUTE"),
        *("SECRET", "SETTINGS", "TENANCY", "TOKEN"),
    }
