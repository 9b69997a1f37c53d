"""The application's request class with strict JSON: what `request.get_json()` accepts.

UTF-8, no duplicate keys, no NaN, bounded depth, an object at the top unless the route says otherwise
(`json_body`). `silent=True` and `force=True` keep Flask's meaning.
"""

from __future__ import annotations

from typing import Any

from flask import Flask, Request

from ..errors import EmptyBody, Refusal, UnsupportedMediaType
from ..limits.strict_json import is_json_media_type, parse_json
from .context import ENVIRON_KEY, RequestContext
from .runner import refuse_now
from .runtime import Runtime

_OBJECT_ONLY = frozenset({"object"})


class StrictJsonMixin(Request):
    """Parses JSON bodies by Guard's rules. Mixed into the class that the application uses."""

    _guard_runtime: Runtime

    @property
    def is_json(self) -> bool:
        return is_json_media_type(self.environ.get("CONTENT_TYPE"))

    def get_json(self, force: bool = False, silent: bool = False, cache: bool = True) -> Any:
        """Return the parsed body; see Flask. Refuses with 415 or 400 unless silent."""
        if cache and self._cached_json[silent] is not Ellipsis:
            return self._cached_json[silent]
        context: RequestContext | None = self.environ.get(ENVIRON_KEY)
        try:
            value = self._parse(force, context)
        except Refusal as refusal:
            if silent:
                value = None
            elif context is None:
                raise
            else:
                raise refuse_now(self._guard_runtime, context, refusal) from refusal
        if cache:
            self._cached_json = (value, value)
        return value

    def _parse(self, force: bool, context: RequestContext | None) -> Any:
        if not (force or self.is_json):
            raise UnsupportedMediaType(detail=f"media type {self.mimetype!r}")
        data = self.get_data(cache=True)
        if not data:
            raise EmptyBody()
        plan = context.plan if context else None
        return parse_json(
            data,
            max_depth=self._guard_runtime.settings.limits.max_json_depth,
            top_level=plan.json_kinds if plan else _OBJECT_ONLY,
        )


def strict_request_class(app: Flask, runtime: Runtime) -> None:
    """Give the application's request class the strict parser, whatever class it is."""
    if not issubclass(app.request_class, StrictJsonMixin):
        members = {"_guard_runtime": runtime, "__module__": __name__}
        app.request_class = type("GuardedRequest", (StrictJsonMixin, app.request_class), members)
