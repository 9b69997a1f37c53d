"""The words of rules, for `guard.require(...)` and `guard.rules({...})`.

from flask_guard.policies import public, role, scope, tenant

guard.rules({"static": public(reason="assets"), "docs.*": role("staff") | scope("docs:read")})
"""

from __future__ import annotations

from .authz.policies import Policy, authenticated, fresh, owner, role, scope, tenant
from .pipeline.words import (
    cors,
    csp,
    json_body,
    limit,
    max_body,
    no_csrf,
    optional_auth,
    public,
    require,
    require_network,
    unlimited,
)

__all__ = [
    "Policy",
    "authenticated",
    "cors",
    "csp",
    "fresh",
    "json_body",
    "limit",
    "max_body",
    "no_csrf",
    "optional_auth",
    "owner",
    "public",
    "require",
    "require_network",
    "role",
    "scope",
    "tenant",
    "unlimited",
]
