"""What a view takes and gives, by schemas of marshmallow: `guard.accepts` and `guard.returns`.

A body is loaded after the rules said yes and before the view runs, so that a view with `accepts` never sees input
that was not judged. What a view returns is dumped before Flask makes a response of it. What is not in the schema
cannot leave by mistake: a finished response is refused, unless it is a redirect, an error or empty.
Raises TypeError for a view that returns what cannot be projected; the caller gets 500 and nothing of it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, cast, get_args

from flask import Flask, Request
from flask.globals import request
from marshmallow import Schema, ValidationError, fields
from werkzeug.datastructures import MultiDict
from werkzeug.wrappers import Response as WerkzeugResponse

from ..errors import ConfigError, FieldFault, UnsupportedMediaType, ValidationFailed
from ..schemas.pointers import flatten_messages
from .context import RequestContext, find_request_context
from .csrf_session import FORM_FIELD
from .objects import require_visible
from .plan import PlanTable

Location = Literal["json", "form", "query"]
LOCATIONS: Final = get_args(Location)
# RFC 9110, section 9.3.4, and RFC 5789: these change what is there.
_UPDATING: Final = frozenset({"PUT", "PATCH"})
_BODILESS: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
_WITHOUT_QUERY: Final = frozenset({"OPTIONS", "TRACE"})
_FORM_TYPES: Final = frozenset({"application/x-www-form-urlencoded", "multipart/form-data"})


@dataclass(frozen=True, slots=True, eq=False)
class AcceptRule:
    """What a view takes.

    schema: an instance, shared by all requests. location: where it is found. max_items: of an array.
    is_partial: None for PATCH only. find_existing: returns the object that is changed from the view's arguments.
    """

    schema: Schema
    location: Location
    max_items: int
    is_partial: bool | None = None
    find_existing: Callable[..., Any] | None = None

    def is_for(self, method: str) -> bool:
        """Say whether requests of a method have what is to be loaded."""
        return method not in (_WITHOUT_QUERY if self.location == "query" else _BODILESS)


def make_schema(word: str, schema: Any, *, many: bool = False) -> Schema:
    """Return an instance of a schema that was given as one or as a class. Raises ConfigError for anything else."""
    if isinstance(schema, Schema):
        if many:
            raise ConfigError(f"{word}() has many= and partial= for a schema class; an instance has its own.")
        return schema
    if not (inspect.isclass(schema) and issubclass(schema, Schema)):
        raise ConfigError(f"{word}() takes a marshmallow schema, not {schema!r}.")
    return schema(many=many)


def make_accept_rule(
    schema: Any,
    *,
    location: str,
    many: bool,
    max_items: int,
    partial: bool | None,
    existing: Callable[..., Any] | None,
    methods: frozenset[str] | None,
) -> AcceptRule:
    """Return the rule of `accepts`. Raises ConfigError for what is no schema and no location, and cannot be meant."""
    if location not in LOCATIONS:
        raise ConfigError(f"accepts() looks in {', '.join(LOCATIONS)}, not in {location!r}.")
    if isinstance(schema, Schema) and partial is not None:
        raise ConfigError("accepts() has many= and partial= for a schema class; an instance has its own.")
    loaded = make_schema("accepts", schema, many=many)
    if loaded.many and location != "json":
        raise ConfigError("accepts(many=True) is for JSON: forms and queries are one object.")
    if type(max_items) is not int or max_items < 1:
        raise ConfigError(f"accepts(max_items={max_items!r}) takes a whole number, at least 1.")
    if existing is not None:
        _require_fitting(existing, loaded, location)
    rule = AcceptRule(_for_location(loaded, location), cast(Location, location), max_items, partial, existing)
    unread = sorted(method for method in methods or () if not rule.is_for(method))
    if unread:
        raise ConfigError(f"accepts(location={location!r}) has nothing to load for {', '.join(unread)}.")
    return rule


def _require_fitting(existing: object, schema: Schema, location: str) -> None:
    if not callable(existing):
        raise ConfigError(f"accepts(existing=) takes a function of the view's arguments, not {existing!r}.")
    if not _is_guarded(schema) or schema.many or location == "query":
        raise ConfigError("accepts(existing=) is for a GuardSchema and the body of one object.")


def _is_guarded(schema: Schema) -> bool:
    return bool(getattr(schema, "guards_itself", False))


def _for_location(schema: Schema, location: str) -> Schema:
    """Return the schema as it reads a form or a query, where everything is text."""
    return cast(Any, schema).for_texts() if location != "json" and _is_guarded(schema) else schema


# What a view takes ---------------------------------------------------------------------------------------


def accept_step(
    rule: AcceptRule, method: str, *, ensure_sync: Callable[[Callable[..., Any]], Callable[..., Any]]
) -> Callable[[RequestContext], None]:
    """Load what the view takes; it finds it as `guard.body`. method: of the requests that the step is for."""
    is_update = method in _UPDATING and rule.location != "query"
    schema = cast(Any, rule.schema).for_update() if is_update and _is_guarded(rule.schema) else rule.schema
    settings: dict[str, Any] = {}
    if rule.is_partial is not None:
        settings["partial"] = rule.is_partial
    elif method == "PATCH" and is_update and schema.partial is None:
        settings["partial"] = True
    find_existing = None if rule.find_existing is None else ensure_sync(rule.find_existing)

    def accept(context: RequestContext) -> None:
        existing = settings
        if find_existing is not None:
            existing = {**settings, "existing": require_visible(find_existing(**(request.view_args or {})))}
        context.loaded = _load(schema, _read(rule, context, request), existing)

    return accept


def _load(schema: Schema, given: Any, settings: Mapping[str, Any]) -> Any:
    """Return the loaded value. Raises ValidationFailed with every fault, and what else the schema raises."""
    try:
        return schema.load(given, **settings)
    except ValidationError as exc:
        raise ValidationFailed(errors=flatten_messages(exc.messages)) from exc
    except RecursionError as exc:  # a schema that nests itself, and GUARD_MAX_JSON_DEPTH is high
        raise ValidationFailed(errors=[FieldFault("", "Nested too deeply.")], detail="RecursionError") from exc


def _read(rule: AcceptRule, context: RequestContext, flask_request: Request) -> Any:
    if rule.location == "query":
        return flatten_values(rule.schema, flask_request.args)
    if rule.location == "form":
        return _read_form(rule.schema, context, flask_request)
    given = flask_request.get_json()
    if rule.schema.many and isinstance(given, list) and len(given) > rule.max_items:
        fault = FieldFault("", f"Longer than maximum length {rule.max_items}.")
        raise ValidationFailed(errors=[fault], detail=f"{len(given)} items")
    return given


def _read_form(schema: Schema, context: RequestContext, flask_request: Request) -> dict[str, Any]:
    """Return the values of a form, without the token that Guard has checked.

    Raises UnsupportedMediaType for a body that is no form: an empty form would be loaded in its place.
    """
    if flask_request.mimetype not in _FORM_TYPES and (context.body is not None or flask_request.content_length):
        raise UnsupportedMediaType("This route accepts forms.", detail=f"media type {flask_request.mimetype!r}")
    given = flatten_values(schema, flask_request.form)
    if not any((field.data_key or name) == FORM_FIELD for name, field in schema.fields.items()):
        given.pop(FORM_FIELD, None)
    return given


def flatten_values(schema: Schema, given: MultiDict[str, str]) -> dict[str, Any]:
    """Return the values of a form or a query: lists for fields that are lists, one value for any other.

    Raises ValidationFailed for a value that is given twice where one is asked for.
    """
    lists = {field.data_key or name for name, field in schema.fields.items() if _takes_several(field)}
    doubled = [name for name in given if name not in lists and len(given.getlist(name)) > 1]
    if doubled:
        raise ValidationFailed(errors=flatten_messages({name: ["Given more than once."] for name in doubled}))
    return {name: given.getlist(name) if name in lists else given[name] for name in given}


def _takes_several(field: fields.Field[Any]) -> bool:
    """Say whether a field is given several times. is_multiple: what webargs has on fields of its own."""
    return bool(getattr(field, "is_multiple", isinstance(field, (fields.List, fields.Tuple))))


def require_callable(app: Flask, plans: PlanTable) -> None:
    """Raise ConfigError for each `existing=` that cannot take the arguments that its route has for a view."""
    faults = dict.fromkeys(_uncallable(app, plans))
    if faults:
        raise ConfigError(*faults)


def _uncallable(app: Flask, plans: PlanTable) -> Iterator[str]:
    for url_rule in app.url_map.iter_rules():
        names = {*url_rule.arguments, *(url_rule.defaults or ())}
        for method in url_rule.methods or ():
            plan = plans.find(url_rule.endpoint, method)
            rule = None if plan is None else plan.accepts
            if rule is None or rule.find_existing is None or not rule.is_for(method):
                continue
            try:
                inspect.signature(rule.find_existing).bind(**dict.fromkeys(names))
            except TypeError as exc:
                yield f"accepts(existing=) of {url_rule.endpoint!r} cannot be called for {url_rule.rule}: {exc}."
            except ValueError:  # some built-in functions have no signature to be read
                continue


# What a view gives ---------------------------------------------------------------------------------------


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
    is_tuple = isinstance(result, tuple) and not hasattr(result, "_fields")
    body, *rest = result if is_tuple else (result,)
    status = next((part for part in rest if isinstance(part, (int, str))), 200)
    if int(str(status)[:3]) >= 400:
        return result
    if isinstance(body, WerkzeugResponse):
        return _pass(result, body)
    if body == "":  # Flask's way to say "no body"
        return result
    is_several = _is_several(body)
    given = [_require_object(item) for item in body] if is_several else _require_object(body)
    dumped = schema.dump(given, many=is_several)
    return (dumped, *rest) if rest else dumped


def _is_several(body: Any) -> bool:
    """Say whether a body is several objects. A mapping is one, and so is what has named members, such as a row."""
    is_one = isinstance(body, (Mapping, str, bytes, bytearray)) or hasattr(body, "_fields")
    return hasattr(body, "__iter__") and not is_one


def _require_object(item: Any) -> Any:
    """Return what has members. Anything else would be dumped as an empty object, or as what Python has on it."""
    if item is None or isinstance(item, (str, bytes, bytearray, int, float)) or hasattr(item, "__aiter__"):
        raise TypeError(f"a view with returns() gives a mapping or an object, not {type(item).__name__}")
    return item


def _pass(result: Any, response: WerkzeugResponse) -> Any:
    """Let a finished response go that has nothing to project: a redirect, an error, an empty one."""
    is_empty = isinstance(response.response, (list, tuple)) and not any(response.response)
    if response.status_code >= 300 or response.status_code == 204 or is_empty:
        return result
    raise TypeError("a view with returns() gives what is to be dumped, not a finished response")
