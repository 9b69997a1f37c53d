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
from .failures import refuse_now

_OBJECT_ONLY = frozenset({"object"})


class StrictJsonMixin(Request):
    """Parses JSON bodies by Guard's rules. Mixed into the class that the application uses."""

    @property
    def is_json(self) -> bool:
        return is_json_media_type(self.environ.get("CONTENT_TYPE"))

    def get_json(self, force: bool = False, silent: bool = False, cache: bool = True) -> Any:
        """Return the parsed body; see Flask. Refuses with 415 or 400 unless silent."""
        if cache and self._cached_json[silent] is not Ellipsis:
            return self._cached_json[silent]
        context: RequestContext | None = self.environ.get(ENVIRON_KEY)
        if context is None:  # a request that no Guard has seen
            return super().get_json(force, silent, cache)
        try:
            value = self._parse(force, context)
        except Refusal as refusal:
            if silent:
                return None  # not kept: the next call may not be silent, or may force
            raise refuse_now(context, refusal, context.runtime.error_formatter) from refusal
        if cache:
            self._cached_json = (value, value)
        return value

    def _parse(self, force: bool, context: RequestContext) -> Any:
        if not (force or self.is_json):
            raise UnsupportedMediaType(detail=f"media type {self.mimetype!r}")
        data = self.get_data(cache=True)
        if not data:
            raise EmptyBody()
        return parse_json(
            data,
            max_depth=context.runtime.settings.limits.max_json_depth,
            top_level=context.plan.json_kinds if context.plan else _OBJECT_ONLY,
        )


def use_strict_json(app: Flask) -> None:
    """Give the application's request class the strict parser, whatever class it is."""
    if not issubclass(app.request_class, StrictJsonMixin):
        app.request_class = type("GuardedRequest", (StrictJsonMixin, app.request_class), {"__module__": __name__})
