"""Checks of the settings and of what the compilation of the rules noticed."""

from __future__ import annotations

from collections.abc import Iterable

from ..pipeline.runtime import Runtime
from ..values import Finding, Level
from .registry import register_check


@register_check("FG-ACCESS-001")
def default_access_is_closed(runtime: Runtime) -> Iterable[Finding]:
    """Routes without a rule ask for a principal."""
    access = runtime.settings.service.default_access
    if access == "authenticated":
        return
    is_error = access == "report-only" and runtime.settings.is_production
    yield Finding(
        "FG-ACCESS-001",
        Level.ERROR if is_error else Level.WARNING,
        f"GUARD_DEFAULT_ACCESS is {access}: "
        + ("nothing is refused." if access == "report-only" else "routes without a rule are open."),
        "Set it to authenticated; open single routes with guard.public(reason=...).",
    )


@register_check("FG-SETTINGS-001")
def settings_are_sound(runtime: Runtime) -> Iterable[Finding]:
    """Nothing that a start warns about: weak secrets, settings without effect, tokens of any audience."""
    for sentence in runtime.warnings:
        if not sentence.startswith("GUARD_DEFAULT_ACCESS "):
            yield Finding("FG-SETTINGS-001", Level.WARNING, sentence, "Mend or remove the setting.")


@register_check("FG-ROUTE-001")
def rules_are_read(runtime: Runtime) -> Iterable[Finding]:
    """Every rule is on a view that a route leads to (FG-ROUTE-001 and FG-ROUTE-002)."""
    runtime.compile()
    return runtime.findings()
