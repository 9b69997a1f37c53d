"""What a view takes and gives, by schemas of marshmallow: `guard.accepts` and `guard.returns`.

A body is loaded after the rules said yes and before the view runs, so that a view with `accepts` never sees input
that was not judged. What a view returns is dumped before Flask makes a response of it. What is not in the schema
cannot leave by mistake: a finished response is refused, unless it is a redirect, an error or empty.
Raises TypeError for a view that returns what cannot be projected; the caller gets 500 and nothing of it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, cast, get_args

from flask import Flask, Request
from flask.globals import request
from marshmallow import Schema, ValidationError, fields
from werkzeug.datastructures import MultiDict
from werkzeug.wrappers import Response as WerkzeugResponse

from ..errors import ConfigError, ValidationFailed
from ..schemas.pointers import flatten_messages
from .context import RequestContext, find_request_context

Location = Literal["json", "form", "query"]
LOCATIONS: Final = get_args(Location)


@dataclass(frozen=True, slots=True)
class AcceptRule:
    """What a view takes. schema: an instance, shared by all requests. location: where it is found."""

    schema: Schema
    location: Location

    def load(self, flask_request: Request) -> Any:
        """Return the loaded value. Raises ValidationFailed with every fault, and what else the schema raises."""
        try:
            return self.schema.load(self._read(flask_request))
        except ValidationError as exc:
            raise ValidationFailed(errors=flatten_messages(exc.messages)) from exc

    def _read(self, flask_request: Request) -> Any:
        if self.location == "json":
            return flask_request.get_json()
        return flatten_values(self.schema, flask_request.form if self.location == "form" else flask_request.args)


def make_schema(word: str, schema: Any, *, many: bool = False, partial: bool = False) -> Schema:
    """Return an instance of a schema that was given as one or as a class. Raises ConfigError for anything else."""
    if isinstance(schema, Schema):
        if many or partial:
            raise ConfigError(f"{word}() has many= and partial= for a schema class; an instance has its own.")
        return schema
    if not (inspect.isclass(schema) and issubclass(schema, Schema)):
        raise ConfigError(f"{word}() takes a marshmallow schema, not {schema!r}.")
    return schema(many=many, partial=partial)


def make_accept_rule(schema: Any, *, location: str, many: bool, partial: bool) -> AcceptRule:
    """Return the rule of `accepts`. Raises ConfigError for what is no schema and no location."""
    if location not in LOCATIONS:
        raise ConfigError(f"accepts() looks in {', '.join(LOCATIONS)}, not in {location!r}.")
    loaded = make_schema("accepts", schema, many=many, partial=partial)
    if loaded.many and location != "json":
        raise ConfigError("accepts(many=True) is for JSON: forms and queries are one object.")
    return AcceptRule(loaded, cast(Location, location))


def flatten_values(schema: Schema, given: MultiDict[str, str]) -> dict[str, Any]:
    """Return the values of a form or a query: lists for fields that are lists, one value for any other.

    Raises ValidationFailed for a value that is given twice where one is asked for.
    """
    lists = {field.data_key or name for name, field in schema.fields.items() if isinstance(field, fields.List)}
    doubled = [name for name in given if name not in lists and len(given.getlist(name)) > 1]
    if doubled:
        raise ValidationFailed(errors=flatten_messages({name: ["Given more than once."] for name in doubled}))
    return {name: given.getlist(name) if name in lists else given[name] for name in given}


def accept_step(rule: AcceptRule) -> Callable[[RequestContext], None]:
    """Load what the view takes; it finds it as `guard.body`."""

    def accept(context: RequestContext) -> None:
        context.loaded = rule.load(request)

    return accept


def install_projection(app: Flask) -> None:
    """Dump what views return by their `returns`, for the routes that have one."""
    dispatch = app.dispatch_request

    def dispatch_and_project(*args: Any) -> Any:
        result = dispatch(*args)
        context = find_request_context()
        plan = None if context is None else context.plan
        return result if plan is None or plan.returns is None else project(plan.returns, result)

    app.dispatch_request = dispatch_and_project  # type: ignore[method-assign]


def project(schema: Schema, result: Any) -> Any:
    """Return what a view returned with its body dumped. result: a body, or a tuple as Flask takes it."""
    body, *rest = result if isinstance(result, tuple) else (result,)
    status = next((part for part in rest if isinstance(part, (int, str))), 200)
    if int(str(status)[:3]) >= 400:
        return result
    if isinstance(body, WerkzeugResponse):
        return _pass(result, body)
    if body is None or isinstance(body, (bytes, bytearray)) or (isinstance(body, str) and body):
        raise TypeError(f"a view with returns() gives a mapping or an object, not {type(body).__name__}")
    if body == "":  # Flask's way to say "no body"
        return result
    is_many = isinstance(body, (list, tuple, set, frozenset)) or (
        not isinstance(body, Mapping) and hasattr(body, "__iter__")
    )
    dumped = schema.dump(body, many=is_many)
    return (dumped, *rest) if rest else dumped


def _pass(result: Any, response: WerkzeugResponse) -> Any:
    """Let a finished response go that has nothing to project: a redirect, an error, an empty one."""
    if response.status_code >= 300 or response.status_code == 204:
        return result
    raise TypeError("a view with returns() gives what is to be dumped, not a finished response")
