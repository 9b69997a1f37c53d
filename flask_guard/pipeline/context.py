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
from ..tenancy.scope import Identity, find_identity, set_request_source
from ..tenancy.time_limits import set_time_limit_source
from ..values import ANONYMOUS, NO_TENANT, Client, Decision, Principal, Tenant

if TYPE_CHECKING:
    from .plan import Plan
    from .runtime import Runtime

ENVIRON_KEY = "flask_guard.context"
NOT_LOADED = object()


class RequestContext:
    """One request on its way. The shells and the steps fill it; views read it through the proxies below.

    now: seconds since the epoch at arrival. started_ns: the monotonic clock at arrival.
    body: the bounded input, None for a request without a body.
    client: who sent it, as `net.addresses` tells. is_charged: the limits have counted it.
    rate_headers: what the caller is told of its limits. nonce: that of the content policy, None until asked for.
    loaded: what the view takes, as its schema loaded it; NOT_LOADED where none is asked for.
    answers_credentials: the answer holds a token or key that was just made, so no cache may keep it.
    clears_browser: the answer has the browser forget what it keeps of this site.
    """

    __slots__ = (
        "answers_credentials",
        "body",
        "clears_browser",
        "client",
        "decision",
        "environ",
        "is_charged",
        "is_handed_over",
        "loaded",
        "method",
        "nonce",
        "now",
        "plan",
        "principal",
        "rate_headers",
        "refusal_code",
        "request_id",
        "route",
        "runtime",
        "started_ns",
        "status",
        "trace_id",
    )

    def __init__(
        self, environ: dict[str, Any], *, runtime: Runtime, client: Client, request_id: str, now: float, started_ns: int
    ) -> None:
        self.environ = environ
        self.runtime = runtime
        self.request_id = request_id
        self.now = now
        self.started_ns = started_ns
        self.method: str = environ["REQUEST_METHOD"]
        self.client = client
        self.principal: Principal = ANONYMOUS
        self.plan: Plan | None = None
        self.body: BoundedInput | None = None
        self.decision: Decision | None = None
        self.refusal_code: str | None = None
        self.route: str | None = None
        self.trace_id: str | None = None
        self.status: int = 0
        self.answers_credentials: bool = False
        self.clears_browser: bool = False
        self.is_charged: bool = False
        self.is_handed_over: bool = False
        self.nonce: str | None = None
        self.loaded: Any = NOT_LOADED
        self.rate_headers: tuple[tuple[str, str], ...] = ()

    @property
    def tenant(self) -> Tenant:
        """The tenant that the credential names, NO_TENANT when it names none."""
        return Tenant(self.principal.tenant) if self.principal.tenant else NO_TENANT


def find_request_context() -> RequestContext | None:
    """Return the context of the current request; None outside of one, or in one that no Guard has seen."""
    if not has_request_context():
        return None
    return cast("RequestContext | None", request.environ.get(ENVIRON_KEY))


def _find_identity() -> Identity | None:
    context = find_request_context()
    return None if context is None else Identity(context.tenant, context.principal)


def _find_time_limit_s() -> float:
    context = find_request_context()
    return 0.0 if context is None else context.runtime.settings.database.query_timeout_s


def _find_request_id() -> str | None:
    context = find_request_context()
    return None if context is None else context.request_id


set_request_source(_find_identity, _find_request_id, find_request_context)
set_time_limit_source(_find_time_limit_s)
current_principal = cast(Principal, LocalProxy(lambda: find_identity().principal))
current_tenant = cast(Tenant, LocalProxy(lambda: find_identity().tenant))
