"""What a caller is told when a policy says no, and what only the operator is told."""

from __future__ import annotations

from typing import Any

import pytest

from flask_guard.authz.policies import Policy, authenticated, fresh, role, scope, tenant
from flask_guard.errors import AccessRefused, InsufficientScope, StaleAuthentication, TenantRequired
from flask_guard.values import Decision, Principal

NOW_S = 1_767_225_600.0


def someone(**facts: Any) -> Principal:
    return Principal(id="ada", method="jwt", **facts)


@pytest.mark.parametrize(
    ("policy", "kind", "code", "text"),
    [
        (role("admin"), AccessRefused, "forbidden", "You are not allowed to do this."),
        (scope("b:y", "a:x"), InsufficientScope, "insufficient_scope", "This needs the scope a:x b:y."),
        (tenant(), TenantRequired, "forbidden", "Tenant identity could not be determined."),
        (
            fresh("1m"), StaleAuthentication, "insufficient_user_authentication",
            "A more recent or stronger login is required.",
        ),
        (~authenticated(), AccessRefused, "forbidden", "You are not allowed to do this."),
        (role("admin") | scope("a"), AccessRefused, "forbidden", "You are not allowed to do this."),
        (authenticated() & tenant() & scope("a"), TenantRequired, "forbidden", "Tenant identity could not be"),
        (authenticated() & scope("a") & tenant(), InsufficientScope, "insufficient_scope", "This needs the scope a."),
    ],
    ids=["role", "scope", "tenant", "fresh", "not", "or", "the first no: tenant", "the first no: scope"],
)  # fmt: skip
def test_refusal_fits_the_no(policy: Policy, kind: type[AccessRefused], code: str, text: str) -> None:
    principal = someone(roles=frozenset({"staff"}), scopes=frozenset({"other"}))

    refusal = policy.refusal(principal, now=NOW_S)

    assert type(refusal) is kind
    assert refusal.code == code
    assert refusal.text.startswith(text)
    assert refusal.status in (401, 403)


@pytest.mark.parametrize("policy", [role("auditor"), ~authenticated(), role("auditor") | tenant()], ids=repr)
def test_refusal_tells_the_caller_nothing_of_roles_and_the_operator_everything(policy: Policy) -> None:
    refusal = policy.refusal(someone(roles=frozenset({"staff"})), now=NOW_S)

    assert "auditor" not in refusal.text
    assert "staff" not in refusal.text
    assert "ada" not in refusal.text
    assert policy.describe() in refusal.detail
    assert "'ada'" in refusal.detail


def test_no_of_alternatives_gives_every_reason_once() -> None:
    decision = (role("a") | scope("x") | role("b")).decide(someone(), now=NOW_S)

    assert decision == Decision(False, "role_missing_and_scope_missing")
