"""Checks of the routes: what the compilation of the rules noticed, each kind under its own id."""

from __future__ import annotations

from collections.abc import Iterable

from ..pipeline.runtime import Runtime
from ..values import Finding
from .registry import Check, register_check


def _make_check(check_id: str) -> Check:
    def check(runtime: Runtime) -> Iterable[Finding]:
        runtime.compile()
        return [finding for finding in runtime.findings() if finding.id == check_id]

    return check


for _id in ("FG-ROUTE-001", "FG-ROUTE-002", "FG-ROUTE-003"):
    register_check(_id)(_make_check(_id))
