"""The decorators that write rules: each takes a view, a view class or a blueprint and returns the same object."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import Any, Literal, TypeVar

from ..authz import policies
from ..authz.policies import Policy, refuse_positional
from . import words
from .rules import Rule

Target = TypeVar("Target")
Methods = Iterable[str] | None


class RuleDecorators(ABC):
    """What Guard offers of them. methods: those that the rule is about, None for all."""

    @abstractmethod
    def _rule(self, rule: Rule) -> Callable[[Target], Target]:
        """Return a decorator that writes the rule."""

    def public(self, *misplaced: object, reason: str = "", methods: Methods = None) -> Callable[[Target], Target]:
        """No credential is needed, and none is looked at. The reason is printed by `flask guard routes`."""
        refuse_positional("public", misplaced)
        return self._rule(words.public(reason=reason, methods=methods))

    def optional_auth(self, *misplaced: object, methods: Methods = None) -> Callable[[Target], Target]:
        """An absent credential passes, a bad one is 401, a good one authenticates."""
        refuse_positional("optional_auth", misplaced)
        return self._rule(words.optional_auth(methods=methods))

    def authenticated(self, *misplaced: object, methods: Methods = None) -> Callable[[Target], Target]:
        """Any principal; what a route without a rule asks for."""
        refuse_positional("authenticated", misplaced)
        return self._rule(words.require_authenticated(methods=methods))

    def require(self, policy: Policy, *, methods: Methods = None) -> Callable[[Target], Target]:
        """The policy must say yes; combine policies with `&`, `|` and `~` (`flask_guard.policies`)."""
        return self._rule(words.require(policy, methods=methods))

    def require_role(self, *roles: str, all: bool = False, methods: Methods = None) -> Callable[[Target], Target]:
        """One of the roles, or all of them. Without a credential 401, without the role 403."""
        return self.require(policies.role(*roles, all=all), methods=methods)

    def require_scope(self, *scopes: str, methods: Methods = None) -> Callable[[Target], Target]:
        """All of the scopes; a held `*` or `notes:*` covers more than one."""
        return self.require(policies.scope(*scopes), methods=methods)

    def require_tenant(self, *misplaced: object, methods: Methods = None) -> Callable[[Target], Target]:
        """The credential names a tenant."""
        refuse_positional("require_tenant", misplaced)
        return self.require(policies.tenant(), methods=methods)

    def require_fresh(
        self, max_age: str | float = "10m", *, mfa: bool = False, methods: Methods = None
    ) -> Callable[[Target], Target]:
        """A login within max_age, with a second factor if asked (RFC 9470)."""
        return self.require(policies.fresh(max_age, mfa=mfa), methods=methods)

    def max_body(self, size: str | int, *, methods: Methods = None) -> Callable[[Target], Target]:
        """The largest body of this route: bytes, or text such as "32K"; lower or higher than the default."""
        return self._rule(words.max_body(size, methods=methods))

    def json_body(self, *kinds: str, methods: Methods = None) -> Callable[[Target], Target]:
        """What a JSON body may be at its top: "object" (the default), "array", "scalar"."""
        return self._rule(words.json_body(*kinds, methods=methods))

    def accepts(
        self,
        schema: Any,
        *,
        location: Literal["json", "form", "query"] = "json",
        many: bool = False,
        max_items: int = 1000,
        partial: bool | None = None,
        existing: Callable[..., Any] | None = None,
        methods: Methods = None,
    ) -> Callable[[Target], Target]:
        """What the view takes: a marshmallow schema loads it before the view runs, which finds it as `guard.body`.

        Bodies are looked at for the methods that have one, so that a rule on a view class leaves its GET alone, and
        its DELETE unless `methods` names it. All faults are told in one 422.
        many: a JSON array of `max_items` at most. partial: none of the fields is required; so it is for PATCH unless
        said otherwise. PUT and PATCH are updates to a GuardSchema: what is immutable is left as it is.
        existing: a function of the view's arguments that returns the object that is changed, for the schema to
        compare with; for None, and for an object of another tenant, the answer is 404.
        """
        return self._rule(
            words.accepts(
                schema,
                location=location,
                many=many,
                max_items=max_items,
                partial=partial,
                existing=existing,
                methods=methods,
            )
        )

    def returns(self, schema: Any, *, methods: Methods = None) -> Callable[[Target], Target]:
        """What the view gives: its mapping, object or list of them is dumped through a marshmallow schema."""
        return self._rule(words.returns(schema, methods=methods))

    def limit(
        self,
        text: str | Callable[[], str],
        *,
        by: str | Callable[[], str] = "principal",
        on_error: Literal["allow", "deny"] | None = None,
        cost: int | Callable[[], int] = 1,
        shared: str | None = None,
        exempt_when: Callable[[], bool] | None = None,
        label: str | None = None,
        methods: Methods = None,
    ) -> Callable[[Target], Target]:
        """How often the route may be asked, beside the limits that every route has: "5/minute", "100/hour; 5/second".

        by: whose requests count together: "address", "principal" (its network without one), "tenant", "body:email"
        for a member of the body, or a function that returns a key. cost: what one request counts.
        shared: a name; routes with the same one count together. exempt_when: a function that says who is exempt.
        on_error: "deny" refuses (503) while the storage is down, "allow" serves.
        label: the name in the RateLimit headers.
        """
        options = {"on_error": on_error, "cost": cost, "shared": shared, "exempt_when": exempt_when, "label": label}
        return self._rule(words.limit(text, by=by, methods=methods, **options))

    def unlimited(self, *misplaced: object, reason: str = "", methods: Methods = None) -> Callable[[Target], Target]:
        """The limits that every route has do not count here; those that `limit()` sets do."""
        refuse_positional("unlimited", misplaced)
        return self._rule(words.unlimited(reason=reason, methods=methods))

    def no_csrf(self, *misplaced: object, reason: str = "", methods: Methods = None) -> Callable[[Target], Target]:
        """Pages of other origins may send unsafe requests here: for what carries a proof of its own."""
        refuse_positional("no_csrf", misplaced)
        return self._rule(words.no_csrf(reason=reason, methods=methods))

    def cors(self, *origins: str, methods: Methods = None, **options: Any) -> Callable[[Target], Target]:
        """Pages of these origins may read the answers, in place of GUARD_CORS_ORIGINS.

        options: credentials, allow_methods, headers, expose, max_age; without one its setting GUARD_CORS_… counts.
        """
        return self._rule(words.cors(*origins, methods=methods, **options))

    def csp(self, policy: Any, *, methods: Methods = None) -> Callable[[Target], Target]:
        """Another Content-Security-Policy: "api", "page", "off", a policy's text, or `flask_guard.csp.csp(...)`."""
        return self._rule(words.csp(policy, methods=methods))

    def require_network(self, *networks: str, status: int = 403, methods: Methods = None) -> Callable[[Target], Target]:
        """The client's address is in one of the networks (CIDR); else 403, or 404 to hide the route."""
        return self._rule(words.require_network(*networks, status=status, methods=methods))
