"""The inner shell: Flask's hooks. Finds the plan of a request and walks it.

`before_request` unwraps Flask's request once; everything after it gets the RequestContext.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any, NoReturn, cast
from urllib.parse import urlsplit, urlunsplit

from flask import Flask, Request
from flask.globals import request
from werkzeug.exceptions import HTTPException, SecurityError
from werkzeug.routing import RequestRedirect

from ..errors import NotFound, Refusal
from .answers import Refused
from .context import ENVIRON_KEY, RequestContext
from .edge import Edge
from .failures import answer_refusal
from .hidden import find_hiding_fence, without_hidden
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
        preprocessors = self._runtime.app.url_value_preprocessors
        if any(preprocessors.values()):
            hooks.remove(self.before_request)
            preprocessors.setdefault(None, []).insert(0, self.answer_before_values)

    def answer_before_values(self, _endpoint: str | None, _values: dict[str, Any] | None) -> None:
        """Judge before functions that look at the values of an address; what they find is not for everybody."""
        answer = self.before_request()
        if answer is not None:
            raise Refused(self._runtime.app.make_response(answer), "")

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
        context.environ, context.method = environ, flask_request.method.upper()
        if context.body is None:
            self._edge.bound_body(context)
        plans = self._runtime.plans or self._runtime.compile()
        try:
            return self._walk(context, flask_request, plans)
        except Refusal as refusal:
            return answer_refusal(context, charge_refused(context, refusal), self._runtime.error_formatter)
        except HTTPException:  # of a function of the application, or a body that could not be read
            return self._charge_answer(context)

    def _walk(self, context: RequestContext, flask_request: Request, plans: PlanTable) -> Any:
        """Find the plan and take its steps; return the answer of one that ends the walk."""
        url_rule = flask_request.url_rule
        plan: Plan | None = plans.unrouted
        if url_rule is None:
            note_routing_error(context, flask_request.routing_exception)
            if plans.is_enforced:
                flask_request.routing_exception = without_hidden(flask_request.routing_exception, context, plans.find)
        else:
            plan = plans.find(url_rule.endpoint, context.method)
            context.route = url_rule.rule
        hidden_by = find_hiding_fence(plan, context) if plans.is_enforced else None
        if hidden_by is not None:  # the same way as for a route that is not there
            plan = plans.unrouted
        if plan is None:
            return self._refuse_unplanned(context)
        context.plan = plan
        for step in plan.before:
            answer = step(context)
            if answer is not None:
                return self._judge_answer(context, answer)
        if hidden_by is not None:
            raise NotFound(detail=hidden_by)
        return None

    def _judge_answer(self, context: RequestContext, answer: Any) -> Any:
        """Return the answer of a step; one that refuses is charged like a Refusal."""
        response = self._runtime.app.make_response(answer)
        if response.status_code < 400:
            return response
        over_limit = find_over_limit(context)
        return response if over_limit is None else answer_refusal(context, over_limit, self._runtime.error_formatter)

    def _charge_answer(self, context: RequestContext) -> Any:
        """Charge for the exception that is handled, and raise it again unless the request is over a limit."""
        over_limit = find_over_limit(context)
        if over_limit is None:
            raise
        return answer_refusal(context, over_limit, self._runtime.error_formatter)

    def after_request(self, response: Any) -> Any:
        context = cast("RequestContext", request.environ[ENVIRON_KEY])
        if context.plan is not None:
            for step in context.plan.after:
                changed = step(context, response)
                response = response if changed is None else changed
        return response


def charge_refused(context: RequestContext, refusal: Refusal) -> Refusal:
    """Count a request that is refused before its limits were asked, and return the refusal that it gets.

    Otherwise guessing credentials, or knocking with a foreign origin, would be free.
    """
    return find_over_limit(context, code=refusal.code) or refusal


def find_over_limit(context: RequestContext, *, code: str = "refused") -> Refusal | None:
    """Count a request that is refused unless it is counted already; return the limit's refusal if it is over one."""
    plan = context.plan
    if plan is None or plan.charge is None or context.is_charged:
        return None
    context.refusal_code = code
    try:
        plan.charge(context)
    except Refusal as over_limit:
        return over_limit
    return None


def note_routing_error(context: RequestContext, error: Exception | None) -> None:
    """Take over what Flask found while it looked for a route, for the steps to judge and for the answer."""
    if isinstance(error, SecurityError):  # TRUSTED_HOSTS does not name it
        context.client = replace(context.client, host=None)
    elif isinstance(error, RequestRedirect):
        # To /path/ from /path: without the host, which anybody may have sent.
        target = urlsplit(error.new_url)
        if target.netloc == context.environ.get("HTTP_HOST"):
            error.new_url = urlunsplit(("", "", f"/{target.path.lstrip('/')}", target.query, ""))


def refuse_unplanned(context: RequestContext) -> NoReturn:
    """Refuse a route or a method that was added after the plans were compiled: nobody has judged its rules."""
    raise NotFound(detail=f"no plan for {context.method} on {context.route}, added after the start")
