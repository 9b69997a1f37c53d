"""flask_guard: the security kit of a Flask application. Closed by default.

The public names are resolved on first use (PEP 562), so that a script that needs one of them does not
pay for the others.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .authz.policies import Policy
    from .config.secrets import Secret
    from .errors import ConfigError, GuardError
    from .extension import Guard
    from .pipeline.context import current_principal, current_tenant
    from .tenancy.scope import tenant_scope
    from .values import Decision, Principal, Tenant

__all__ = [
    "ConfigError",
    "Decision",
    "Guard",
    "GuardError",
    "Policy",
    "Principal",
    "Secret",
    "Tenant",
    "current_principal",
    "current_tenant",
    "tenant_scope",
]

_HOMES = {
    "ConfigError": "errors",
    "Decision": "values",
    "Guard": "extension",
    "GuardError": "errors",
    "Policy": "authz.policies",
    "Principal": "values",
    "Secret": "config.secrets",
    "Tenant": "values",
    "current_principal": "pipeline.context",
    "current_tenant": "pipeline.context",
    "tenant_scope": "tenancy.scope",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
