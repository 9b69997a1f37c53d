"""What is kept in a SQL database: Guard's own tables, and whose the rows of yours are.

from flask_guard.db import OwnedMixin, TenantMixin, force_filter, parent, shared, unscoped

The names are resolved on first use (PEP 562), so that Guard's own tables cost nobody the rest. The first one that has
to do with tenants or owners guards every SQLAlchemy Engine, Connection and Session of the process.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..tenancy.facts import current_claim, current_role, current_tenant, current_uid
    from ..tenancy.policies import enable_rls, policy
    from .bypass import set_unscoped_recorder, unscoped
    from .filters import force_filter
    from .identifiers import quote_identifier, safe_column, safe_table
    from .mixins import OwnedMixin, TenantMixin, parent, shared
    from .text_watch import watch_text
    from .timeouts import query_timeout

__all__ = [
    "OwnedMixin",
    "TenantMixin",
    "current_claim",
    "current_role",
    "current_tenant",
    "current_uid",
    "enable_rls",
    "force_filter",
    "parent",
    "policy",
    "query_timeout",
    "quote_identifier",
    "safe_column",
    "safe_table",
    "set_unscoped_recorder",
    "shared",
    "unscoped",
    "watch_text",
]

_HOMES = {
    "OwnedMixin": "db.mixins",
    "TenantMixin": "db.mixins",
    "current_claim": "tenancy.facts",
    "current_role": "tenancy.facts",
    "current_tenant": "tenancy.facts",
    "current_uid": "tenancy.facts",
    "enable_rls": "tenancy.policies",
    "force_filter": "db.filters",
    "parent": "db.mixins",
    "policy": "tenancy.policies",
    "query_timeout": "db.timeouts",
    "quote_identifier": "db.identifiers",
    "safe_column": "db.identifiers",
    "safe_table": "db.identifiers",
    "set_unscoped_recorder": "db.bypass",
    "shared": "db.mixins",
    "unscoped": "db.bypass",
    "watch_text": "db.text_watch",
}


# What serves any database, with tenants or without.
_PLAIN = {"query_timeout", "quote_identifier", "safe_column", "safe_table", "watch_text"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name not in _PLAIN:
        importlib.import_module("flask_guard.db.mixins")
    value = getattr(importlib.import_module(f"flask_guard.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
