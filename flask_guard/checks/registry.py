"""Runs every check over one application. An id belongs to one check; a second claim on it is an error."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ..pipeline.runtime import Runtime
from ..values import Finding, Level

Check = Callable[[Runtime], Iterable[Finding]]
_checks: dict[str, Check] = {}


def register_check(check_id: str) -> Callable[[Check], Check]:
    """Register a check under its id, such as "FG-ACCESS-001"."""

    def add(check: Check) -> Check:
        if check_id in _checks:
            raise ValueError(f"the check id {check_id} is taken")
        _checks[check_id] = check
        return check

    return add


def run_checks(runtime: Runtime) -> list[Finding]:
    """Return what all checks find, errors first. A check that fails is an error: it has not passed."""
    found: list[Finding] = []
    for check_id, check in sorted(_checks.items()):
        try:
            found += check(runtime)
        except Exception as exc:
            found.append(
                Finding(check_id, Level.ERROR, f"The check itself failed: {exc!r}", "Report this as a defect.")
            )
    order = list(Level)
    return sorted(found, key=lambda finding: (order.index(finding.level), finding.id))
