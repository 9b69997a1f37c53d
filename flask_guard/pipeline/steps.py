"""The order in which a request meets the concerns. Read this page to know what happens when.

| step         | asks                                   | refusal       |
|--------------|----------------------------------------|---------------|
| payload      | limits.payload: the announced size     | 400, 413      |
| authenticate | auth: whose credential is it           | 401, 400, 503 |
| tenant       | a place for steps of the application   |               |
| authorize    | the rules of the route, as a policy    | 401, 403      |
| (the view)   |                                        |               |
| respond      | a place for steps of the application   |               |

Before them, in the edge: request id, client, and the bytes of the body. After them, in the edge again:
headers and the access log. A step takes the RequestContext and returns None to go on, or a response.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Literal

from ..auth.credentials import CredentialReader
from ..authz.policies import Policy
from ..browser.headers import HeaderRule
from ..config.suggest import did_you_mean
from ..errors import BodyTooLarge, ConfigError, Unauthorized
from ..limits.payload import body_limit, parse_content_length
from ..values import Decision
from .context import RequestContext
from .discover import Endpoint
from .plan import Plan
from .rules import Access

ORDER = ("payload", "authenticate", "tenant", "authorize", "respond")
UNROUTED_STEPS = frozenset({"payload", "respond"})
Position = Literal["before", "after", "replace"]


def payload_step(*, route_limit: int | None, max_body: int, max_multipart: int) -> Callable[[RequestContext], None]:
    """Refuse a body that announces more than the route takes, and bound what is read of any other."""

    def payload(context: RequestContext) -> None:
        body = context.body
        if body is None:
            return
        environ = context.environ
        limit = body_limit(
            environ.get("CONTENT_TYPE"),
            route_limit=route_limit,
            max_body=max_body,
            max_multipart=max_multipart,
        )
        body.limit_bytes = limit
        announced = parse_content_length(environ.get("CONTENT_LENGTH"))
        if announced is not None and announced > limit:
            raise BodyTooLarge(detail=f"{announced} bytes announced, {limit} accepted")

    return payload


def authenticate_step(
    reader: CredentialReader, *, token_key: str, api_key_key: str
) -> Callable[[RequestContext], None]:
    """Establish the principal. token_key, api_key_key: the headers' names in the WSGI environment."""
    read = reader.read

    def authenticate(context: RequestContext) -> None:
        environ = context.environ
        principal = read(environ.get(token_key), environ.get(api_key_key), environ.get("QUERY_STRING", ""))
        if principal is not None:
            context.principal = principal

    return authenticate


_ANONYMOUS = Decision(False, "anonymous")
_AUTHENTICATED = Decision(True, "authenticated")


def authorize_step(access: Access, requirement: Policy | None) -> Callable[[RequestContext], None]:
    """Hold the principal against the rules of the route. An anonymous one that is refused may log in: 401."""
    needs_principal = access is Access.AUTHENTICATED

    def authorize(context: RequestContext) -> None:
        principal = context.principal
        if needs_principal and not principal.is_authenticated:
            context.decision = _ANONYMOUS
            raise Unauthorized(detail="no credential")
        if requirement is None:
            context.decision = _AUTHENTICATED
            return
        decision = requirement.decide(principal, now=context.now)
        if not isinstance(decision, Decision):
            raise TypeError(f"{requirement.describe()}.decide() returned {decision!r}, which is not a Decision")
        context.decision = decision
        if decision.allowed:
            return
        if not principal.is_authenticated:
            raise Unauthorized(detail=f"no credential, and {requirement.describe()} is asked for")
        raise requirement.refusal(principal, now=context.now)

    return authorize


@dataclass(frozen=True, slots=True)
class Registration:
    """A function of the application at a named step.

    endpoints: patterns; blueprints: names; both empty for every route. methods: None for all.
    """

    step: str
    function: Callable[..., Any]
    position: Position
    endpoints: tuple[str, ...]
    blueprints: tuple[str, ...]
    methods: frozenset[str] | None
    name: str

    def applies(self, endpoint: Endpoint | None, method: str) -> bool:
        if endpoint is None:
            is_for_all = not self.endpoints and not self.blueprints and self.methods is None
            return is_for_all and self.step in UNROUTED_STEPS
        if self.methods is not None and method not in self.methods:
            return False
        if not self.endpoints and not self.blueprints:
            return True
        return any(fnmatchcase(endpoint.name, pattern) for pattern in self.endpoints) or any(
            name in self.blueprints for name in endpoint.blueprints
        )


def require_known_step(step: str, position: str) -> None:
    """Raise ConfigError for a step or a position that is not there."""
    if step not in ORDER:
        raise ConfigError(f"There is no step {step!r}; the steps are {', '.join(ORDER)}.{did_you_mean(step, ORDER)}")
    if position not in ("before", "after", "replace"):
        raise ConfigError(f"A step takes functions before, after or as replace, not {position!r}.")


@dataclass(frozen=True, slots=True)
class StepBinder:
    """Gives plans their steps. Holds what the steps need; everything constant is computed here, once."""

    reader: CredentialReader
    token_key: str
    api_key_key: str
    max_body: int
    max_multipart: int
    registrations: Sequence[Registration]
    headers_of: Callable[[str | None], tuple[HeaderRule, ...]]
    ensure_sync: Callable[[Callable[..., Any]], Callable[..., Any]]
    report: Callable[[Callable[..., Any]], Callable[..., Any]] | None

    def bind(self, plan: Plan, endpoint: Endpoint | None) -> Plan:
        """Return the plan with its steps, in the order of `ORDER`."""
        before = [
            function
            for step in ORDER[:-1]
            for function in self._functions(step, self._main(step, plan), plan, endpoint)
        ]
        if self.report is not None:
            before = [self.report(function) for function in before]
        return dataclasses.replace(
            plan,
            before=tuple(before),
            after=tuple(self._functions("respond", None, plan, endpoint)),
            headers=self.headers_of(plan.endpoint),
            replaced=tuple(self._replaced(plan, endpoint)),
        )

    def _replaced(self, plan: Plan, endpoint: Endpoint | None) -> Iterable[str]:
        for step in ("authenticate", "authorize"):
            names = [r.name for r in self._mine(step, plan, endpoint) if r.position == "replace"]
            if names:
                yield f"{step} is replaced by {names[-1]}"

    def _mine(self, step: str, plan: Plan, endpoint: Endpoint | None) -> list[Registration]:
        return [r for r in self.registrations if r.step == step and r.applies(endpoint, plan.method)]

    def _main(self, step: str, plan: Plan) -> Callable[[RequestContext], Any] | None:
        if step == "payload":
            return payload_step(
                route_limit=plan.max_body_bytes, max_body=self.max_body, max_multipart=self.max_multipart
            )
        if plan.access is Access.PUBLIC:
            return None
        if step == "authenticate":
            return authenticate_step(self.reader, token_key=self.token_key, api_key_key=self.api_key_key)
        if step == "authorize" and (plan.access is Access.AUTHENTICATED or plan.requirement is not None):
            return authorize_step(plan.access, plan.requirement)
        return None

    def _functions(
        self, step: str, main: Callable[..., Any] | None, plan: Plan, endpoint: Endpoint | None
    ) -> Iterable[Callable[..., Any]]:
        mine = self._mine(step, plan, endpoint)
        replaced = [r for r in mine if r.position == "replace"]
        yield from (self.ensure_sync(r.function) for r in mine if r.position == "before")
        if replaced:
            yield self.ensure_sync(replaced[-1].function)
        elif main is not None:
            yield main
        yield from (self.ensure_sync(r.function) for r in mine if r.position == "after")
