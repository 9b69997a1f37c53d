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

from ..browser.cors import merge_vary
from ..browser.headers import CLEAR_SITE_DATA, NO_STORE, NO_STORE_AUTHENTICATED, HeaderRule, apply_header_rules
from ..config.settings import Settings
from ..errors import BodyTooLarge, ConfigError, Refusal
from ..limits.payload import BoundedInput
from ..limits.server_input import ServerInput, find_announced_length
from ..logs.access import access_level
from ..logs.writer import AccessLog
from ..net.identifiers import choose_request_id, parse_traceparent
from ..values import ANONYMOUS
from .answers import Refused, internal_error, render
from .context import ENVIRON_KEY, RequestContext
from .failures import log_failure, refuse_now
from .proxy_fix import PROXY_FIX_FAULT, PROXY_FIX_KEY
from .runtime import Runtime

access_log = AccessLog(logging.getLogger("flask_guard.access"))
# A view's own Cache-Control does not stand above these: no cache may keep a credential.
_NO_STORE_RULES = tuple(HeaderRule(name, value) for name, value in NO_STORE)
WSGIApp = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class Edge:
    """The WSGI application around a Flask application."""

    def __init__(self, runtime: Runtime, wsgi_app: WSGIApp) -> None:
        self.runtime = runtime
        self.wsgi_app = wsgi_app
        self._complete = runtime.headers.complete
        self._read_client = runtime.client_reader.read
        self._clock = runtime.clock
        self._probe_paths = _find_probe_paths(runtime.settings)

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
            complete(
                sent,
                self._extra_headers(context, sent),
                status=status,
                is_secure=context.client.scheme == "https",
                policy=context.plan.policy if context.plan else None,
                nonce=context.nonce,
            )
            write = held.begin(status, sent, exc_info)
            if context.is_handed_over:
                self._end(context)
            return write

        try:
            if PROXY_FIX_KEY in environ:
                raise ConfigError(PROXY_FIX_FAULT)
            if self.runtime.plans is None:
                self.runtime.compile()
            answer = self.wsgi_app(environ, start)
        except Exception as exc:
            if self.runtime.propagates_errors:
                raise
            answer = self._fail(context, start, exc)
        held.release()
        context.is_handed_over = True
        if context.status:  # else there is middleware that asks the application when its answer is read
            self._end(context)
        return answer

    def open_context(self, environ: dict[str, Any]) -> RequestContext:
        """Put a new RequestContext into the environment and return it."""
        client = self._read_client(environ)
        if environ.get("PATH_INFO") in self._probe_paths:
            self._give_host(environ)
        context = RequestContext(
            environ,
            runtime=self.runtime,
            client=client,
            request_id=choose_request_id(environ.get("HTTP_X_REQUEST_ID")),
            now=self._clock(),
            started_ns=time.perf_counter_ns(),
        )
        environ[ENVIRON_KEY] = context
        if "HTTP_TRACEPARENT" in environ:
            context.trace_id = parse_traceparent(environ["HTTP_TRACEPARENT"])
        self.bound_body(context)
        return context

    def _give_host(self, environ: dict[str, Any]) -> None:
        """Have a probe ask for a host of ours: an orchestrator asks by an address that nobody can list.

        Flask refuses a foreign host before it looks for a route, so that no rule of the route could except it.
        """
        trusted = self.runtime.app.config["TRUSTED_HOSTS"]
        if trusted:
            environ["HTTP_HOST"] = trusted[0].removeprefix(".")

    def bound_body(self, context: RequestContext) -> None:
        """Put a bounded input in the place of the body, if there is one and it is not bounded yet."""
        environ = context.environ
        # A server that marks the end of the body (HTTP/2) may announce neither size nor coding.
        has_body = (
            environ.get("CONTENT_LENGTH") or "HTTP_TRANSFER_ENCODING" in environ or environ.get("wsgi.input_terminated")
        )
        if not has_body or context.body is not None or self.runtime.is_report_only:
            return

        def refuse(refusal: Refusal) -> Refused:
            return refuse_now(context, refusal, self.runtime.error_formatter)

        def refuse_large(limit_bytes: int) -> Refused:
            return refuse(BodyTooLarge(detail=f"more than {limit_bytes} bytes sent"))

        stream = ServerInput(environ["wsgi.input"], find_announced_length(environ), refuse)
        limit_bytes = self.runtime.settings.limits.max_body_bytes
        context.body = environ["wsgi.input"] = BoundedInput(stream, limit_bytes, refuse_large)

    def _extra_headers(self, context: RequestContext, sent: list[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
        """Return the headers of this request; the view's own win over them, but for Vary, which is added to."""
        extra: tuple[tuple[str, str], ...] = (("X-Request-Id", context.request_id), *context.rate_headers)
        plan = context.plan
        cors = self.runtime.cors if plan is None or plan.cors_answers is None else plan.cors_answers
        pairs = cors.for_answer(context.environ.get("HTTP_ORIGIN"))
        if pairs:
            extra += tuple(_without_vary(pairs, sent)) if _varies(sent) else pairs
        if context.principal is not ANONYMOUS or context.nonce is not None:
            extra += (NO_STORE_AUTHENTICATED,)
        return (*extra, CLEAR_SITE_DATA) if context.clears_browser else extra

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

    def _end(self, context: RequestContext) -> None:
        """Write the access line and let go of the request: in a cycle its body would wait for the garbage collector."""
        self._log(context)
        context.environ, context.body = {}, None

    def _log(self, context: RequestContext) -> None:
        plan = context.plan
        status = context.status
        level = access_level(status)
        if (plan is not None and plan.is_probe) or not access_log.takes(level):
            return
        principal, decision = context.principal, context.decision
        is_known = principal is not ANONYMOUS and principal.is_authenticated
        said = (
            context.method,
            context.route,
            status,
            (time.perf_counter_ns() - context.started_ns) / 1e6,
            context.request_id,
            context.trace_id,
            principal.id if is_known else None,
            principal.tenant,
            context.client.address,
            None,
            None if decision is None else decision.matched_rule_id,
            context.refusal_code,
        )
        access_log.write(said, level)


def _find_probe_paths(settings: Settings) -> frozenset[str]:
    health, prefix = settings.health, settings.service.path_prefix
    return frozenset(prefix + path for path in (*health.live_paths, *health.ready_paths))


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


def _varies(headers: list[tuple[str, str]]) -> bool:
    for name, _value in headers:  # noqa: SIM110  # any() takes three times as long
        if len(name) == 4 and name.lower() == "vary":
            return True
    return False


def _without_vary(pairs: Iterable[tuple[str, str]], sent: list[tuple[str, str]]) -> Iterable[tuple[str, str]]:
    """Yield the pairs but Vary, which is added to the one that is there: both say what the answer depends on."""
    for name, value in pairs:
        if name == "Vary":
            merge_vary(sent, value)
        else:
            yield name, value
