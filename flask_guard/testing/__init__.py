"""For the tests of applications: requests as a principal, a clock that stands still, and what must not leak.

The names are resolved on first use (PEP 562): the leak cases need SQLAlchemy and pytest, the clients do not.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .clients import GuardClient, as_principal, guard_client
    from .clock import FrozenClock
    from .leaks.cases import LeakCase, tenant_leak_cases
    from .leaks.world import LeakFound

__all__ = [
    "FrozenClock",
    "GuardClient",
    "LeakCase",
    "LeakFound",
    "as_principal",
    "guard_client",
    "tenant_leak_cases",
]

_HOMES = {
    "FrozenClock": "clock",
    "GuardClient": "clients",
    "LeakCase": "leaks.cases",
    "LeakFound": "leaks.world",
    "as_principal": "clients",
    "guard_client": "clients",
    "tenant_leak_cases": "leaks.cases",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
