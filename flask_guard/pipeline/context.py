"""What is known of one request, and the proxies through which a view reads it.

The edge makes one RequestContext for each request and puts it into the WSGI environment; steps get it
handed on, so that nothing on the way reads `request`, `g` or `current_app` again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from flask import has_request_context
from flask.globals import request
from werkzeug.local import LocalProxy

from ..limits.payload import BoundedInput
from ..tenancy.scope import find_scoped_tenant
from ..values import ANONYMOUS, NO_TENANT, Decision, Principal, Tenant

if TYPE_CHECKING:
    from .plan import Plan
    from .runtime import Runtime

ENVIRON_KEY = "flask_guard.context"


class RequestContext:
    """One request on its way. The shells and the steps fill it; views read it through the proxies below.

    now: seconds since the epoch at arrival. started_ns: the monotonic clock at arrival.
    body: the bounded input, None for a request without a body.
    answers_credentials: the answer holds a token or key that was just made, so no cache may keep it.
    """

    __slots__ = (
        "answers_credentials",
        "body",
        "client",
        "decision",
        "environ",
        "method",
        "now",
        "plan",
        "principal",
        "refusal_code",
        "request_id",
        "route",
        "runtime",
        "started_ns",
        "status",
        "trace_id",
    )

    def __init__(
        self, environ: dict[str, Any], *, runtime: Runtime, request_id: str, now: float, started_ns: int
    ) -> None:
        self.environ = environ
        self.runtime = runtime
        self.request_id = request_id
        self.now = now
        self.started_ns = started_ns
        self.method: str = environ["REQUEST_METHOD"]
        self.client: str = environ.get("REMOTE_ADDR", "")
        self.principal: Principal = ANONYMOUS
        self.plan: Plan | None = None
        self.body: BoundedInput | None = None
        self.decision: Decision | None = None
        self.refusal_code: str | None = None
        self.route: str | None = None
        self.trace_id: str | None = None
        self.status: int = 0
        self.answers_credentials: bool = False

    @property
    def tenant(self) -> Tenant:
        """The tenant that the credential names, NO_TENANT when it names none."""
        return Tenant(self.principal.tenant) if self.principal.tenant else NO_TENANT


def find_request_context() -> RequestContext | None:
    """Return the context of the current request; None outside of one, or in one that no Guard has seen."""
    if not has_request_context():
        return None
    return cast("RequestContext | None", request.environ.get(ENVIRON_KEY))


def _find_principal() -> Principal:
    context = find_request_context()
    return ANONYMOUS if context is None else context.principal


def _find_tenant() -> Tenant:
    scoped = find_scoped_tenant()
    if scoped is not None:
        return scoped
    context = find_request_context()
    return NO_TENANT if context is None else context.tenant


current_principal = cast(Principal, LocalProxy(_find_principal))
current_tenant = cast(Tenant, LocalProxy(_find_tenant))
