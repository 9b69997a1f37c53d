"""The order in which a request meets the concerns. Read this page to know what happens when.

| step         | asks                                                | refusal            |
|--------------|-----------------------------------------------------|--------------------|
| host         | browser.hosts: the host's name, and https           | 400, 308, 403      |
| fence        | net.fences: the networks that the route is for      | 403, 404           |
| payload      | limits: the address's length, the announced body    | 400, 413, 414, 415 |
| preflight    | browser.cors; answers and ends the walk             | 204, 403, 405      |
| address_rate | limits: by network, where it is asked for           | 429, 503           |
| csrf         | browser.csrf, before a cookie is believed           | 403                |
| authenticate | auth: whose credential is it                        | 401, 400, 503      |
| rates        | limits: all of the route's, in one call             | 429, 503           |
| tenant       | a place for steps of the application                |                    |
| authorize    | the rules of the route, as a policy                 | 401, 403           |
| accept       | the view's schema: what it takes is loaded          | 400 to 422         |
| (the view)   | what it gives is dumped by its schema               |                    |
| respond      | a place for steps of the application                |                    |

Before them, in the edge: request id, the client's address, and the bytes of the body. After them, in the edge
again: headers and the access log. A step takes the RequestContext and returns None to go on, or a response.
A request that is refused before `rates` is charged there all the same, to its network.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from flask.globals import current_app, request
from werkzeug.exceptions import HTTPException
from werkzeug.utils import redirect
from werkzeug.wrappers import Response as WerkzeugResponse

from ..auth.credentials import CredentialReader
from ..authz.policies import Policy
from ..browser.csrf import CsrfRule
from ..browser.hosts import HttpsRule
from ..errors import BadHost, BodyTooLarge, NetworkDenied, NotFound, Refusal, Unauthorized
from ..limits.gzip_input import decode_body
from ..limits.payload import body_limit, parse_content_length
from ..limits.query import check_url
from ..net.fences import Fence
from ..values import Decision
from .answers import Refused
from .context import RequestContext
from .cors_answers import CorsAnswers
from .csrf_session import CsrfTokens
from .failures import refuse_now
from .rules import Access

ORDER = (
    "host", "fence", "payload", "preflight", "address_rate", "csrf",
    "authenticate", "rates", "tenant", "authorize", "accept", "respond",
)  # fmt: skip
UNROUTED_STEPS = frozenset({"host", "payload", "preflight", "address_rate", "rates", "respond"})
# RFC 9110, section 9.2.1, and what the Fetch standard never lets a page send (TRACE).
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
Position = Literal["before", "after", "replace"]
Step = Callable[[RequestContext], Any]


def host_step(https: HttpsRule | None) -> Step:
    """Refuse what is no host, or not one of ours; https: how plain http is answered, None where it may pass."""

    def host(context: RequestContext) -> WerkzeugResponse | None:
        client = context.client
        if client.host is None:
            raise BadHost(detail="the Host header names no host of ours")
        if https is None or client.scheme == "https":
            return None
        return redirect(https.require_target(context.environ, client), 308)

    return host


def fence_step(fences: tuple[Fence, ...]) -> Step:
    """Refuse addresses outside of the networks that the route is for."""

    def fence(context: RequestContext) -> None:
        address = context.client.address
        for one in fences:
            fault = one.find_fault(address)
            if fault is not None:
                raise NetworkDenied(detail=fault) if one.status == 403 else NotFound(detail=fault)

    return fence


def payload_step(
    *, route_limit: int | None, max_body: int, max_multipart: int, max_url: int, decode_gzip: bool
) -> Callable[[RequestContext], None]:
    """Refuse an address or a body that announces more than the route takes, and bound what is read of any other."""

    def payload(context: RequestContext) -> None:
        environ = context.environ
        check_url(environ.get("PATH_INFO", ""), environ.get("QUERY_STRING", ""), max_bytes=max_url)
        body = context.body
        if body is None:
            return
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
        if "HTTP_CONTENT_ENCODING" in environ:
            _decode_body(context, limit_bytes=limit, decode=decode_gzip)

    return payload


def _decode_body(context: RequestContext, *, limit_bytes: int, decode: bool) -> None:
    def refuse(refusal: Refusal) -> Refused:
        return refuse_now(context, refusal, context.runtime.error_formatter)

    decoded = decode_body(context.environ, decode=decode, limit_bytes=limit_bytes, refuse=refuse)
    if decoded is not None:
        context.body = decoded


def preflight_step(answers_for: Callable[[str | None, str, RequestContext], CorsAnswers]) -> Step:
    """Answer a preflight (Fetch standard, "CORS-preflight fetch"): before authentication, which it cannot carry.

    answers_for: finds the answers by endpoint, the method that is asked about, and who asks.
    """

    def preflight(context: RequestContext) -> WerkzeugResponse | None:
        environ = context.environ
        origin = environ.get("HTTP_ORIGIN")
        method = environ.get("HTTP_ACCESS_CONTROL_REQUEST_METHOD")
        if context.method != "OPTIONS" or origin is None or method is None:
            return None
        answers = answers_for(_find_endpoint(method), method, context)
        requested = environ.get("HTTP_ACCESS_CONTROL_REQUEST_HEADERS")
        pairs = answers.for_preflight(origin, method, requested)
        response = WerkzeugResponse(status=204)
        response.headers.clear()
        response.headers.extend(pairs)
        return response

    return preflight


def _find_endpoint(method: str) -> str | None:
    """Return the endpoint that serves the path with a method; another one may be that answers OPTIONS."""
    adapter = current_app.create_url_adapter(request)
    try:
        return None if adapter is None else adapter.match(method=method)[0]
    except HTTPException:
        return None


def csrf_step(rule: CsrfRule, tokens: CsrfTokens) -> Step:
    """Refuse an unsafe request that a page of another origin sent."""

    def csrf(context: RequestContext) -> None:
        rule.judge(context.environ, context.client, token=lambda: tokens.state(request))

    return csrf


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
