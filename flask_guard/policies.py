"""The words of rules, for `guard.require(...)` and `guard.rules({...})`.

from flask_guard.policies import public, role, scope, tenant

guard.rules({"static": public(reason="assets"), "docs.*": role("staff") | scope("docs:read")})
"""

from __future__ import annotations

from .authz.policies import Policy, authenticated, fresh, role, scope, tenant
from .pipeline.rules import json_body, max_body, optional_auth, public, require

__all__ = [
    "Policy",
    "authenticated",
    "fresh",
    "json_body",
    "max_body",
    "optional_auth",
    "public",
    "require",
    "role",
    "scope",
    "tenant",
]
