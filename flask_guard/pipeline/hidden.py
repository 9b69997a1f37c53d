"""Routes behind a fence that hides them (`require_network(..., status=404)`): who is outside of it finds nothing.

Not their limits, nor the methods that they answer, nor the redirect of a missing slash tells them apart from an
address that leads nowhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import unquote, urlsplit

from flask import Response
from flask.globals import current_app, request, request_ctx
from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound
from werkzeug.routing import RequestRedirect

from .context import RequestContext
from .plan import Plan

FindPlan = Callable[[str, str], Plan | None]


def find_hiding_fence(plan: Plan | None, context: RequestContext) -> str | None:
    """Return in words the fence that hides a route from the client, None where nothing does."""
    if plan is None or not plan.fences:
        return None
    faults = (fence.find_fault(context.client.address) for fence in plan.fences if fence.status == 404)
    return next(filter(None, faults), None)


def without_hidden(error: Exception | None, context: RequestContext, find_plan: FindPlan) -> Any:
    """Return what Flask found while it looked for a route as it would be without the routes that are hidden."""
    if isinstance(error, RequestRedirect):
        root = context.environ.get("SCRIPT_NAME", "")
        methods = [context.method]
        seen = _find_seen(methods, context, find_plan, path=unquote(urlsplit(error.new_url).path).removeprefix(root))
    elif isinstance(error, MethodNotAllowed):
        methods = list(error.valid_methods or ())
        seen = _find_seen(methods, context, find_plan)
    else:
        return error
    if not seen:
        return NotFound()
    return error if len(seen) == len(methods) else MethodNotAllowed(valid_methods=seen)


def options_step(find_plan: FindPlan) -> Callable[[RequestContext], Response | None]:
    """Return the last step of OPTIONS: Flask's own answer names every method of an address, the hidden ones too."""

    def options(context: RequestContext) -> Response | None:
        if not getattr(request.url_rule, "provide_automatic_options", False):
            return None
        answer = current_app.make_default_options_response()
        seen = _find_seen(answer.allow, context, find_plan)
        if len(seen) == len(answer.allow):
            return None
        answer.allow.clear()
        answer.allow.update(seen)
        return answer

    return options


def _find_seen(
    methods: Iterable[str], context: RequestContext, find_plan: FindPlan, *, path: str | None = None
) -> list[str]:
    """Return the methods that an address has for this client. path: None for that of the request."""
    return [method for method in methods if not _hides(path, method, context, find_plan)]


def _hides(path: str | None, method: str, context: RequestContext, find_plan: FindPlan) -> bool:
    adapter = request_ctx.url_adapter
    if adapter is None:
        return False
    try:
        endpoint, _values = adapter.match(path, method=method)
    except HTTPException:
        return False
    return find_hiding_fence(find_plan(endpoint, method), context) is not None
