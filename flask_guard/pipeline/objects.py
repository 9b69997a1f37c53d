"""What a view asks about one object: `guard.check(policy, note)`.

Rule: an object of another tenant is not there, whatever the policy says of it.
"""

from __future__ import annotations

import time
from typing import TypeVar

from ..authz.objects import NOT_GIVEN, find_tenant_id, is_named_by, is_of_tenants
from ..authz.policies import Policy
from ..errors import ConfigError, NotFound, Unauthorized
from ..tenancy.scope import find_identity, find_unscoped
from ..values import Decision
from .context import find_request_context

Checked = TypeVar("Checked")


def require_object(policy: Policy, subject: Checked | None) -> Checked:
    """Return the object if the policy says yes of it; see `Guard.check`. Works in requests and in tenant scopes."""
    if not isinstance(policy, Policy):
        raise ConfigError(f"guard.check() takes a policy such as owner() | role('admin'), not {policy!r}.")
    subject = require_visible(subject)
    context, principal = find_request_context(), find_identity().principal
    now = time.time() if context is None else context.now
    asked = policy.about(subject)
    decision = asked.decide(principal, now=now)
    if not isinstance(decision, Decision):
        raise TypeError(f"{policy.describe()}.decide() returned {decision!r}, which is not a Decision")
    if context is not None:
        context.decision = decision
    if decision.allowed:
        return subject
    if not principal.is_authenticated:
        raise Unauthorized(detail=f"no credential, and {policy.describe()} is asked for")
    raise asked.refusal(principal, now=now)


def require_visible(subject: Checked | None) -> Checked:
    """Return the object. Raises NotFound for None and, outside of `unscoped`, for an object of another tenant."""
    if subject is None:
        raise NotFound(detail="there is no object")
    if find_unscoped() is None and is_of_tenants(subject):
        tenant_id, bound = find_tenant_id(subject), find_identity().tenant.id
        if tenant_id is not NOT_GIVEN and not is_named_by(tenant_id, bound):
            raise NotFound(detail=f"a {type(subject).__name__} of another tenant than {bound!r}")
    return subject
