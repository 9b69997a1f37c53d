"""What happens to exceptions: refusals of Guard, HTTP errors of views, data errors, and surprises.

Installed once per application. An application's own error handlers win for errors of its views.
"""

from __future__ import annotations

import importlib
import logging
import sys
from collections.abc import Callable
from typing import Any

from flask import Flask
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response as WerkzeugResponse

from ..errors import RateLimitUnavailable, Refusal, ValidationFailed
from ..protocols import ErrorFormatter
from ..schemas.pointers import flatten_messages
from .answers import Refused, from_http_error, from_refusal, make_response
from .context import RequestContext, find_request_context

panic_logger = logging.getLogger("flask_guard.panic")
refusal_logger = logging.getLogger("flask_guard.refused")


def log_failure(context: RequestContext | None, error: BaseException) -> None:
    """Log an exception that nobody handled, once, under the request id that the caller was given."""
    facts: dict[str, Any] = {"event": "unhandled_exception"}
    if context is not None:
        facts |= {
            "method": context.method,
            "path": context.environ.get("PATH_INFO"),
            "request_id": context.request_id,
        }
    panic_logger.critical(
        "unhandled %s",
        type(error).__name__,
        exc_info=(type(error), error, error.__traceback__),
        extra={"guard": facts},
    )


def answer_refusal(
    context: RequestContext | None, refusal: Refusal, formatter: ErrorFormatter | None
) -> WerkzeugResponse:
    """Log a refusal and return what the caller is told of it."""
    if context is not None:
        log_refusal(context, refusal)
    request_id = context.request_id if context is not None else ""
    return make_response(from_refusal(refusal, request_id=request_id), formatter)


def refuse_now(context: RequestContext, refusal: Refusal, formatter: ErrorFormatter | None) -> Refused:
    """Return an exception that ends the view with this refusal, past the application's error handlers."""
    return Refused(answer_refusal(context, refusal, formatter), refusal.code)


def log_refusal(context: RequestContext, refusal: Refusal) -> None:
    """Log why a request was refused. The detail is for the operator; the caller was told `refusal.text`."""
    context.refusal_code = refusal.code
    level = logging.ERROR if refusal.status >= 500 else logging.INFO
    # An outage of the limits' storage is told once, by the limits.
    has_cause = level == logging.ERROR and not isinstance(refusal, RateLimitUnavailable)
    cause = refusal.__cause__ if has_cause else None
    facts = _list_facts(context, refusal, event="refused")
    refusal_logger.log(level, "refused: %s", refusal.detail or refusal.text, exc_info=cause, extra={"guard": facts})


def log_would_refuse(context: RequestContext, refusal: Refusal) -> None:
    """Log the first refusal that a request would have met (`GUARD_DEFAULT_ACCESS=report-only`)."""
    if context.refusal_code is None:
        context.refusal_code = refusal.code
        facts = _list_facts(context, refusal, event="would_refuse")
        refusal_logger.warning("would be refused: %s", refusal.detail or refusal.text, extra={"guard": facts})


def _list_facts(context: RequestContext, refusal: Refusal, *, event: str) -> dict[str, Any]:
    return {
        "event": event,
        "code": refusal.code,
        "status": refusal.status,
        "method": context.method,
        "route": context.route,
        "client": context.client.address,
        "request_id": context.request_id,
    }


class FailureHandlers:
    """The error handlers of one application. formatter: its own shape of problems, if it has one."""

    def __init__(self, formatter: ErrorFormatter | None) -> None:
        self._formatter = formatter

    def install(self, app: Flask) -> None:
        """Register the handlers that the application has not registered itself, and log failures our way."""
        self._register(app, HTTPException, self.on_http_error)
        self._register(app, Refusal, self.on_refusal)
        if type(app).log_exception is Flask.log_exception and "log_exception" not in vars(app):
            app.log_exception = self.on_unhandled  # type: ignore[method-assign]

    def install_data_handlers(self, app: Flask) -> None:
        """Register handlers for data libraries that the application has loaded by now."""
        if "sqlalchemy" in sys.modules:
            importlib.import_module("flask_guard.db.timeouts").name_timeouts()
            integrity = importlib.import_module("flask_guard.db.integrity")
            self._register(app, integrity.IntegrityError, lambda error: self.on_refusal(integrity.as_refusal(error)))
        if app.extensions.get("limiter"):
            foreign = importlib.import_module("flask_guard.pipeline.foreign_limiter")
            foreign.name_storage_failures(app)
            self._register(app, foreign.StorageError, lambda error: self.on_refusal(foreign.as_refusal(error)))
        if "marshmallow" in sys.modules:
            self._register(app, sys.modules["marshmallow"].ValidationError, self.on_invalid)

    def _register(self, app: Flask, kind: type[Exception], handler: Callable[[Any], Any]) -> None:
        if not any(kind in handlers for handlers in app.error_handler_spec[None].values()):
            app.register_error_handler(kind, handler)

    def on_http_error(self, error: HTTPException) -> Any:
        if error.response is not None or error.code is None or error.code < 400:
            return error
        if error.code in (429, 500) and "flask_limiter" in sys.modules:
            refusal = importlib.import_module("flask_guard.pipeline.foreign_limiter").as_refusal(error)
            if refusal is not None:
                return self.on_refusal(refusal)
        context = find_request_context()
        problem = from_http_error(error, request_id=context.request_id if context else "")
        if context is not None:
            context.refusal_code = problem.code
        return make_response(problem, self._formatter)

    def on_refusal(self, refusal: Refusal) -> WerkzeugResponse:
        return answer_refusal(find_request_context(), refusal, self._formatter)

    def on_invalid(self, error: Any) -> WerkzeugResponse:
        """Answer for a marshmallow ValidationError that a view let go."""
        return self.on_refusal(ValidationFailed(errors=flatten_messages(error.messages)))

    def on_unhandled(self, exc_info: Any) -> None:
        log_failure(find_request_context(), exc_info[1])
