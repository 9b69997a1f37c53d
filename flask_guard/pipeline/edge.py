"""The outer shell: wraps `app.wsgi_app` and holds even when Flask itself fails.

It gives the request its id and its bounded body, sends the headers with every answer whoever made it
(an `after_request` of another extension may raise; the answer to that has them too), and writes the access
log. Rule: nothing here depends on the route, except through the plan that the hooks put into the context.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any

from ..browser.headers import NO_STORE, NO_STORE_AUTHENTICATED, HeaderRule, apply_header_rules
from ..errors import BodyTooLarge
from ..limits.payload import BoundedInput
from ..logs.access import AccessEvent, access_level, log_access
from ..net.identifiers import choose_request_id, parse_traceparent
from ..values import ANONYMOUS
from .answers import Refused, internal_error, render
from .context import ENVIRON_KEY, RequestContext
from .failures import log_failure, refuse_now
from .runtime import Runtime

access_logger = logging.getLogger("flask_guard.access")
# A view's own Cache-Control does not stand above these: no cache may keep a credential.
_NO_STORE_RULES = tuple(HeaderRule(name, value) for name, value in NO_STORE)
WSGIApp = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class Edge:
    """The WSGI application around a Flask application."""

    def __init__(self, runtime: Runtime, wsgi_app: WSGIApp) -> None:
        self.runtime = runtime
        self.wsgi_app = wsgi_app
        self._complete = runtime.headers.complete
        self._clock = runtime.clock

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        context = self.open_context(environ)
        complete = self._complete
        held = HeldStart(start_response)

        def start(status: str, headers: Iterable[tuple[str, str]], exc_info: Any = None) -> Any:
            context.status = int(status[:3])
            sent = list(headers)
            rules = self._common_headers if context.plan is None else context.plan.headers
            if rules:
                apply_header_rules(sent, rules)
            if context.answers_credentials:
                apply_header_rules(sent, _NO_STORE_RULES)
            complete(sent, self._extra_headers(context), status=status)
            return held.begin(status, sent, exc_info)

        try:
            if self.runtime.plans is None:
                self.runtime.compile()
            answer = self.wsgi_app(environ, start)
        except Exception as exc:
            if self.runtime.propagates_errors:
                raise
            answer = self._fail(context, start, exc)
        held.release()
        self._log(context)
        # A cycle would keep the body of every request alive until the garbage collector finds it.
        context.environ, context.body = {}, None
        return answer

    def open_context(self, environ: dict[str, Any]) -> RequestContext:
        """Put a new RequestContext into the environment and return it."""
        context = RequestContext(
            environ,
            runtime=self.runtime,
            request_id=choose_request_id(environ.get("HTTP_X_REQUEST_ID")),
            now=self._clock(),
            started_ns=time.perf_counter_ns(),
        )
        environ[ENVIRON_KEY] = context
        if "HTTP_TRACEPARENT" in environ:
            context.trace_id = parse_traceparent(environ["HTTP_TRACEPARENT"])
        self.bound_body(context)
        return context

    def bound_body(self, context: RequestContext) -> None:
        """Put a bounded input in the place of the body, if there is one and it is not bounded yet."""
        environ = context.environ
        if context.body is not None or not _has_body(environ) or self.runtime.is_report_only:
            return

        def refuse(limit_bytes: int) -> Refused:
            refusal = BodyTooLarge(detail=f"more than {limit_bytes} bytes sent")
            return refuse_now(context, refusal, self.runtime.error_formatter)

        limit_bytes = self.runtime.settings.limits.max_body_bytes
        context.body = environ["wsgi.input"] = BoundedInput(environ["wsgi.input"], limit_bytes, refuse)

    def _extra_headers(self, context: RequestContext) -> tuple[tuple[str, str], ...]:
        request_id = ("X-Request-Id", context.request_id)
        if context.principal is not ANONYMOUS:
            return (request_id, NO_STORE_AUTHENTICATED)
        return (request_id,)

    @property
    def _common_headers(self) -> tuple[HeaderRule, ...]:
        """The application's headers for an answer that no plan was found for."""
        return self.runtime.definitions.headers_of(None)

    def _fail(self, context: RequestContext, start: Callable[..., Any], error: Exception) -> Iterable[bytes]:
        """Answer for an application that raised: rules that do not compile, a teardown that failed."""
        log_failure(context, error)
        body, headers = render(internal_error(context.request_id), self.runtime.error_formatter)
        status = HTTPStatus.INTERNAL_SERVER_ERROR
        begun = (type(error), error, error.__traceback__) if context.status else None  # PEP 3333, "exc_info"
        start(f"{int(status)} {status.phrase}", headers, begun)
        return [body]

    def _log(self, context: RequestContext) -> None:
        plan = context.plan
        if (plan is not None and plan.is_quiet) or not access_logger.isEnabledFor(access_level(context.status)):
            return
        principal = context.principal
        log_access(
            access_logger,
            AccessEvent(
                method=context.method,
                route=context.route,
                status=context.status,
                duration_ms=(time.perf_counter_ns() - context.started_ns) / 1e6,
                request_id=context.request_id,
                trace_id=context.trace_id,
                actor=principal.id if principal.is_authenticated else None,
                tenant=principal.tenant,
                code=context.refusal_code,
                matched_rule_id=context.decision.matched_rule_id if context.decision else None,
            ),
        )


class HeldStart:
    """The server's `start_response`, called when the application has returned.

    Until then a failure, such as that of a teardown function, replaces the answer. PEP 3333 lets it do so
    afterwards too, by `exc_info`, but gunicorn 27.0 then sends the headers of both answers, two lengths among them.
    """

    __slots__ = ("_begun", "_is_released", "_start_response", "_write")

    def __init__(self, start_response: Callable[..., Any]) -> None:
        self._start_response = start_response
        self._begun: tuple[str, list[tuple[str, str]]] | None = None
        self._is_released = False
        self._write: Callable[[bytes], Any] | None = None

    def begin(self, status: str, headers: list[tuple[str, str]], exc_info: Any) -> Callable[[bytes], Any]:
        """Take an answer, or hand it on if the application has returned; the result is PEP 3333's `write`."""
        if self._is_released:
            begun = (status, headers, exc_info) if exc_info else (status, headers)
            self._write = self._start_response(*begun)
        else:
            self._begun = status, headers
        return self.write

    def write(self, data: bytes) -> None:
        """Send a piece of the body the old way, which begins the answer."""
        self.release()
        if self._write is not None:
            self._write(data)

    def release(self) -> None:
        """Call the server with what was begun, if anything was."""
        self._is_released = True
        if self._begun is not None:
            self._write = self._start_response(*self._begun)
            self._begun = None


def _has_body(environ: dict[str, Any]) -> bool:
    """Say whether a body can be read. A server that marks its end (HTTP/2) may announce neither size nor coding."""
    return bool(
        environ.get("CONTENT_LENGTH") or "HTTP_TRANSFER_ENCODING" in environ or environ.get("wsgi.input_terminated")
    )
