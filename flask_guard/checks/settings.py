"""Checks of the settings: what a start warns of, each kind under its own id."""

from __future__ import annotations

from collections.abc import Iterable

from ..config.rules import find_findings
from ..pipeline.runtime import Runtime
from ..values import Finding
from .registry import Check, register_check


def _make_check(check_id: str) -> Check:
    def check(runtime: Runtime) -> Iterable[Finding]:
        found = find_findings(runtime.settings, flask_secret=runtime.app.config.get("SECRET_KEY"))
        return [finding for finding in found if finding.id == check_id]

    return check


for _id in ("FG-ACCESS-001", "FG-SECRET-001", "FG-SECRET-002", "FG-SECRET-003", "FG-SETTINGS-001", "FG-TOKEN-001"):
    register_check(_id)(_make_check(_id))
