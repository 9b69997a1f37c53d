"""The inner shell: Flask's hooks. Finds the plan of a request and walks it.

`before_request` unwraps Flask's request once; everything after it gets the RequestContext.
"""

from __future__ import annotations

import logging
from typing import Any, NoReturn, cast

from flask import Flask
from flask.globals import request

from ..errors import NotFound, Refusal
from .context import ENVIRON_KEY, RequestContext
from .edge import Edge
from .failures import answer_refusal
from .plan import Plan, PlanTable
from .runtime import Runtime, report_only

logger = logging.getLogger("flask_guard")


class Runner:
    """The hooks of one application."""

    def __init__(self, runtime: Runtime, edge: Edge) -> None:
        self._runtime = runtime
        self._edge = edge
        is_lenient = runtime.is_report_only
        self._refuse_unplanned = report_only(refuse_unplanned) if is_lenient else refuse_unplanned

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
        # Middleware between the edge and Flask may have changed the method, the headers or the whole
        # environment: what is judged is what will be served.
        context.environ, context.method = environ, environ["REQUEST_METHOD"].upper()
        if context.body is None:
            self._edge.bound_body(context)
        plans = self._runtime.plans or self._runtime.compile()
        url_rule = flask_request.url_rule
        try:
            plan: Plan | None = plans.unrouted
            if url_rule is not None:
                plan = plans.find(url_rule.endpoint, context.method)
                context.route = url_rule.rule
            if plan is None:
                return self._refuse_unplanned(context)
            context.plan = plan
            for step in plan.before:
                answer = step(context)
                if answer is not None:
                    return answer
        except Refusal as refusal:
            return answer_refusal(context, refusal, self._runtime.error_formatter)
        return None

    def after_request(self, response: Any) -> Any:
        context = cast("RequestContext", request.environ[ENVIRON_KEY])
        if context.plan is not None:
            for step in context.plan.after:
                changed = step(context, response)
                response = response if changed is None else changed
        return response


def refuse_unplanned(context: RequestContext) -> NoReturn:
    """Refuse a route or a method that was added after the plans were compiled: nobody has judged its rules."""
    raise NotFound(detail=f"no plan for {context.method} on {context.route}, added after the start")
