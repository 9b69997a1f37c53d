"""The inner shell: Flask's hooks. Finds the plan of a request and walks it.

`before_request` unwraps Flask's request once; everything after it gets the RequestContext.
"""

from __future__ import annotations

import logging
from typing import Any, cast

from flask import Flask
from flask.globals import request

from ..errors import NotFound, Refusal
from .answers import Refused, from_refusal, make_response
from .context import ENVIRON_KEY, RequestContext
from .edge import Edge
from .failures import log_refusal
from .plan import PlanTable
from .runtime import Runtime

logger = logging.getLogger("flask_guard")


class Runner:
    """The hooks of one application."""

    def __init__(self, runtime: Runtime, edge: Edge) -> None:
        self._runtime = runtime
        self._edge = edge

    def install(self, app: Flask) -> None:
        """Put Guard's hook before every other, so that nothing answers ahead of the rules."""
        app.before_request_funcs.setdefault(None, []).insert(0, self.before_request)

    def keep_first(self) -> None:
        """Move the hook back to the front if an extension that came later took its place."""
        hooks = self._runtime.app.before_request_funcs[None]
        if hooks[0] != self.before_request:
            hooks.remove(self.before_request)
            hooks.insert(0, self.before_request)

    def install_after(self, plans: PlanTable) -> None:
        """Register the hook on the way out where a step asks for it: an idle hook costs every request."""
        if plans.has_after_steps:
            self._runtime.app.after_request_funcs.setdefault(None, []).insert(0, self.after_request)

    def before_request(self) -> Any:
        flask_request = request._get_current_object()  # type: ignore[attr-defined]
        environ = flask_request.environ
        context = environ.get(ENVIRON_KEY)
        if context is None:  # a test's request context, made without the WSGI application
            context = self._edge.open_context(environ)
        url_rule = flask_request.url_rule
        endpoint = None if url_rule is None else url_rule.endpoint
        plan = self._runtime.find_plan(endpoint, context.method)
        try:
            if plan is None:
                raise NotFound(detail=f"no plan for {context.method} on {endpoint!r}, added after the start")
            context.plan = plan
            context.route = None if url_rule is None else url_rule.rule
            for step in plan.before:
                answer = step(context)
                if answer is not None:
                    return answer
        except Refusal as refusal:
            log_refusal(context, refusal)
            problem = from_refusal(refusal, request_id=context.request_id)
            return make_response(problem, self._runtime.error_formatter)
        return None

    def after_request(self, response: Any) -> Any:
        context = cast("RequestContext", request.environ[ENVIRON_KEY])
        if context.plan is not None:
            for step in context.plan.after:
                changed = step(context, response)
                response = response if changed is None else changed
        return response


def refuse_now(runtime: Runtime, context: RequestContext, refusal: Refusal) -> Refused:
    """Return an exception that ends the view with this refusal, past the application's error handlers."""
    log_refusal(context, refusal)
    problem = from_refusal(refusal, request_id=context.request_id)
    return Refused(make_response(problem, runtime.error_formatter), refusal.code)
