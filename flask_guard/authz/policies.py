"""Policies: questions about a principal that combine with `&`, `|` and `~`.

    role("admin") | (scope("notes:write") & tenant())

One policy decides about a principal, about one object too (`about`), and filters a list (`where`). Pure.
Rule: a policy says no in words (`Decision.reason`) and knows the refusal that fits its no; an error
inside a policy is never an answer, it goes up and the request ends in a 500.
"""

from __future__ import annotations

import importlib
import inspect
import json
import re
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

from ..config.kinds import positive_duration_s
from ..errors import (
    AccessRefused,
    ConfigError,
    InsufficientScope,
    NotFound,
    Refusal,
    StaleAuthentication,
    TenantRequired,
)
from ..protocols import Clock
from ..values import Decision, Principal
from .objects import NOT_GIVEN, find_tenant_id, is_named_by, read_attribute

if TYPE_CHECKING:
    from .compile_sql import Filter

# RFC 6749, section 3.3: what a scope may be made of. A refusal names scopes in a quoted header.
_SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")
_ROLE = re.compile(r"[^\x00-\x1f\x7f]+")
_PLAIN = re.compile(r"[\w:.*/@+-]+")
# A login dated further ahead is a fault of the issuer, and would be fresh for as long as it is ahead.
_CLOCKS_DIFFER_S = 300.0


class Policy(ABC):
    """A question about a principal. Subclass it for a question of your own.

    `decide` answers from values alone; `describe` is what the route map shows.
    """

    @abstractmethod
    def decide(self, principal: Principal, *, now: float) -> Decision:
        """Answer for this principal. now: seconds since the epoch."""

    @abstractmethod
    def describe(self) -> str:
        """Return the policy as a reader of the route map should see it."""

    def refusal(self, principal: Principal, *, now: float) -> Refusal:
        """Return what the caller is told when `decide` said no."""
        reason = self.decide(principal, now=now).reason
        return AccessRefused(detail=f"{self.describe()} refused principal {principal.id!r}: {reason}")

    @property
    def needs_object(self) -> bool:
        """Whether the question makes no sense before there is an object, so that no route can ask it."""
        return False

    def about(self, subject: object) -> Policy:
        """Return the same question about one object. One that asks about the principal alone stays as it is."""
        return self

    def where(self, model: Any, *, clock: Clock | None = None) -> Filter:
        """Return the SQL filter of the rows of a mapped class that `about(row)` says yes to.

        The principal is that of the moment when the statement runs. A policy of your own that is used for lists has
        its own `where(model)` and an `about` that agrees with it; one without is a ConfigError.
        """
        compiler = importlib.import_module("flask_guard.authz.compile_sql")
        return compiler.compile_policy(self, model, clock=clock)  # type: ignore[no-any-return]

    def __and__(self, other: Policy) -> Policy:
        return AllOf((*_parts_of(AllOf, self), *_parts_of(AllOf, _require_policy(other))))

    def __or__(self, other: Policy) -> Policy:
        return AnyOf((*_parts_of(AnyOf, self), *_parts_of(AnyOf, _require_policy(other))))

    def __invert__(self) -> Policy:
        return Not(self)

    def __bool__(self) -> bool:
        raise TypeError("combine policies with &, | and ~; `and`, `or` and `not` would drop one of them")

    def __repr__(self) -> str:
        return f"<Policy {self.describe()}>"


def _require_policy(candidate: Any) -> Policy:
    if not isinstance(candidate, Policy):
        raise ConfigError(f"A policy combines with policies only, not with {candidate!r}.")
    return candidate


def _parts_of(kind: type[AllOf] | type[AnyOf], policy: Policy) -> tuple[Policy, ...]:
    """Return the parts of a policy of this kind, so that `a | b | c` reads as three and not as two in two."""
    # type(): a subclass may decide otherwise than its parts do.
    return policy.parts if isinstance(policy, kind) and type(policy) is kind else (policy,)


class _Combined(Policy):
    def __init__(self, parts: tuple[Policy, ...]) -> None:
        self.parts = parts

    @property
    def needs_object(self) -> bool:
        return any(part.needs_object for part in self.parts)

    def about(self, subject: object) -> Policy:
        return type(self)(tuple(part.about(subject) for part in self.parts))


class AllOf(_Combined):
    """Every part says yes. The first no is the answer."""

    def decide(self, principal: Principal, *, now: float) -> Decision:
        decision = _ALLOWED
        for part in self.parts:
            decision = part.decide(principal, now=now)
            if not decision.allowed:
                return decision
        return decision

    def refusal(self, principal: Principal, *, now: float) -> Refusal:
        for part in self.parts:
            if not part.decide(principal, now=now).allowed:
                return part.refusal(principal, now=now)
        return super().refusal(principal, now=now)

    def describe(self) -> str:
        return " & ".join(_bracket(part) for part in self.parts)


class AnyOf(_Combined):
    """One part says yes."""

    def decide(self, principal: Principal, *, now: float) -> Decision:
        reasons = []
        for part in self.parts:
            decision = part.decide(principal, now=now)
            if decision.allowed:
                return decision
            reasons.append(decision.reason)
        return Decision(False, "_and_".join(dict.fromkeys(reasons)))

    def describe(self) -> str:
        return " | ".join(_bracket(part) for part in self.parts)


class Not(Policy):
    """The part says no."""

    def __init__(self, part: Policy) -> None:
        self.part = part

    def decide(self, principal: Principal, *, now: float) -> Decision:
        decision = self.part.decide(principal, now=now)
        # Only a plain no becomes a yes: not the None of a policy that forgot to answer.
        return Decision(decision.allowed is False, f"not_{decision.reason}")

    @property
    def needs_object(self) -> bool:
        return self.part.needs_object

    def about(self, subject: object) -> Policy:
        return Not(self.part.about(subject))

    def describe(self) -> str:
        return f"~{_bracket(self.part)}"


def _bracket(part: Policy) -> str:
    text = part.describe()
    return f"({text})" if isinstance(part, (AllOf, AnyOf)) else text


_ALLOWED = Decision(True, "allowed")


class Authenticated(Policy):
    """A credential was verified."""

    _no = Decision(False, "anonymous")
    _yes = Decision(True, "authenticated")

    def decide(self, principal: Principal, *, now: float) -> Decision:
        return self._yes if principal.is_authenticated else self._no

    def describe(self) -> str:
        return "authenticated"


class Role(Policy):
    """The principal has one of the roles, or all of them. Names are compared exactly."""

    _no = Decision(False, "role_missing")
    _yes = Decision(True, "role")

    def __init__(self, roles: frozenset[str], *, require_all: bool = False) -> None:
        self.roles = roles
        self.require_all = require_all

    def decide(self, principal: Principal, *, now: float) -> Decision:
        held = principal.roles
        has = self.roles <= held if self.require_all else not self.roles.isdisjoint(held)
        return self._yes if has else self._no

    def describe(self) -> str:
        names = _shown(self.roles)
        return f"role(all of {names})" if self.require_all else f"role({names})"


class Scope(Policy):
    """The principal has all of the scopes.

    A held `*` covers every scope, `notes:*` each that begins with `notes:`; nothing else is a wildcard.
    """

    _no = Decision(False, "scope_missing")
    _yes = Decision(True, "scope")

    def __init__(self, scopes: frozenset[str]) -> None:
        self.scopes = scopes

    def decide(self, principal: Principal, *, now: float) -> Decision:
        held = principal.scopes
        has = self.scopes <= held or all(_is_covered(scope, held) for scope in self.scopes)
        return self._yes if has else self._no

    def refusal(self, principal: Principal, *, now: float) -> Refusal:
        return InsufficientScope(self.scopes, detail=f"principal {principal.id!r} lacks a scope")

    def describe(self) -> str:
        return f"scope({_shown(self.scopes)})"


def _is_covered(scope: str, held: frozenset[str]) -> bool:
    if scope in held or "*" in held:
        return True
    return any(wide.endswith(":*") and scope.startswith(wide[:-1]) for wide in held)


class HasTenant(Policy):
    """The credential names a tenant; asked about an object, the one that the object belongs to."""

    _no = Decision(False, "tenant_missing")
    _foreign = Decision(False, "tenant_foreign")
    _yes = Decision(True, "tenant")

    def __init__(self, tenant_id: object = NOT_GIVEN) -> None:
        self._tenant_id = tenant_id

    def decide(self, principal: Principal, *, now: float) -> Decision:
        if not principal.tenant:
            return self._no
        return (
            self._yes
            if self._tenant_id is NOT_GIVEN or is_named_by(self._tenant_id, principal.tenant)
            else self._foreign
        )

    def refusal(self, principal: Principal, *, now: float) -> Refusal:
        if principal.tenant:  # there is nothing here for this tenant
            return NotFound(detail=f"the object is not of the tenant of principal {principal.id!r}")
        return TenantRequired(detail=f"principal {principal.id!r} has no tenant")

    def about(self, subject: object) -> Policy:
        return HasTenant(find_tenant_id(subject))

    def describe(self) -> str:
        return "tenant"


class Owner(Policy):
    """The object belongs to the principal. attribute: where the object has the id of its owner."""

    _no, _yes = Decision(False, "not_owner"), Decision(True, "owner")

    def __init__(self, attribute: str = "owner_id", *, owner_id: object = NOT_GIVEN) -> None:
        self.attribute = attribute
        self._owner_id = owner_id

    def decide(self, principal: Principal, *, now: float) -> Decision:
        if self._owner_id is NOT_GIVEN:
            raise ConfigError(f"{self.describe()} asks about an object: use guard.check(policy, obj) in the view.")
        return self._yes if principal.is_authenticated and is_named_by(self._owner_id, principal.id) else self._no

    @property
    def needs_object(self) -> bool:
        return self._owner_id is NOT_GIVEN

    def about(self, subject: object) -> Policy:
        return Owner(self.attribute, owner_id=read_attribute(subject, self.attribute))

    def describe(self) -> str:
        return "owner" if self.attribute == "owner_id" else f"owner({self.attribute})"


class Fresh(Policy):
    """The login is recent enough, with a second factor if asked (RFC 9470)."""

    _yes = Decision(True, "fresh")

    def __init__(self, max_age_s: float, *, mfa: bool = False) -> None:
        self.max_age_s = max_age_s
        self.mfa = mfa

    def decide(self, principal: Principal, *, now: float) -> Decision:
        at = principal.authenticated_at
        if at is None or not -_CLOCKS_DIFFER_S <= now - at.timestamp() <= self.max_age_s:
            return Decision(False, "login_too_old")
        if self.mfa and not principal.mfa:
            return Decision(False, "second_factor_missing")
        return self._yes

    def refusal(self, principal: Principal, *, now: float) -> Refusal:
        return StaleAuthentication(detail=f"{self.describe()} refused principal {principal.id!r}")

    def describe(self) -> str:
        return f"fresh({self.max_age_s:.15g}s{', mfa' if self.mfa else ''})"


def role(*roles: str, all: bool = False) -> Policy:
    """Return the policy "has one of the roles", or all of them."""
    return Role(_names("role", roles), require_all=all)


def scope(*scopes: str) -> Policy:
    """Return the policy "has all of the scopes"."""
    return Scope(_names("scope", scopes))


def tenant() -> Policy:
    """Return the policy "the credential names a tenant"."""
    return HasTenant()


def owner(attribute: str = "owner_id") -> Policy:
    """Return the policy "the object belongs to the principal", whose id stands in an attribute of the object."""
    if not isinstance(attribute, str) or not attribute.isidentifier():
        raise ConfigError(f"owner() takes the name of an attribute such as 'author_id', not {attribute!r}.")
    return Owner(attribute)


def authenticated() -> Policy:
    """Return the policy "a credential was verified"."""
    return Authenticated()


def fresh(max_age: str | float = "10m", *, mfa: bool = False) -> Policy:
    """Return the policy "logged in within max_age": "10m", or seconds; with a second factor if asked."""
    refuse_bare_decorator("require_fresh", max_age)
    try:
        return Fresh(positive_duration_s(max_age), mfa=mfa)
    except ValueError as exc:
        raise ConfigError(f"The max_age of fresh() {exc}.") from exc


def _names(kind: str, names: tuple[Any, ...]) -> frozenset[str]:
    if not names:
        raise ConfigError(f"A {kind} rule needs one {kind} at least: an empty one would shut everybody out.")
    form = _SCOPE if kind == "scope" else _ROLE
    for name in names:
        refuse_bare_decorator(f"require_{kind}", name)
        if isinstance(name, (list, tuple, set, frozenset)):
            example = '"notes:read", "notes:write"' if kind == "scope" else '"admin", "editor"'
            raise ConfigError(
                f"A {kind} rule takes names one by one, not a {type(name).__name__}: write require_{kind}({example})."
            )
        if not isinstance(name, str) or name != name.strip() or not form.fullmatch(name):
            raise ConfigError(f"{name!r} is not the name of a {kind}.")
    return frozenset(names)


def refuse_bare_decorator(name: str, argument: object) -> None:
    """Raise ConfigError for a view or a view class where an argument belongs: `@guard.require_fresh` alone."""
    if inspect.isroutine(argument) or inspect.isclass(argument):
        raise ConfigError(f"{name} has no parentheses above {argument.__qualname__!r}; write @guard.{name}(...).")


def refuse_positional(name: str, misplaced: tuple[object, ...]) -> None:
    """Raise ConfigError for what was given to a word that takes its arguments by name: a view, or a reason."""
    for argument in misplaced:
        refuse_bare_decorator(name, argument)
        raise ConfigError(f"{name}() takes its arguments by name, as in @guard.{name}(reason=...), not {argument!r}.")


def _shown(names: frozenset[str]) -> str:
    """Return the names in a fixed order. One with a comma or a bracket in it is quoted: it reads one way."""
    return ", ".join(name if _PLAIN.fullmatch(name) else json.dumps(name) for name in sorted(names))
