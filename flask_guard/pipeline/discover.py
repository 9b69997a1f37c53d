"""What an application routes: its endpoints, their methods, and the rules found on the way to each.

Reads a Flask app and writes nothing. Rule: what cannot be seen here cannot be reached by a request.
"""

from __future__ import annotations

import gc
import inspect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from flask import Blueprint, Flask
from flask.views import MethodView, View

from .merge import Level
from .rules import HTTP_METHODS, Rule, rules_of

Patterns = Mapping[str, tuple[Rule, ...]]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One endpoint: its view, its URL rules as text, the methods it answers."""

    name: str
    view: Any
    paths: tuple[str, ...]
    methods: tuple[str, ...]
    blueprints: tuple[str, ...]

    @property
    def view_class(self) -> type[View] | None:
        return getattr(self.view, "view_class", None)


def find_endpoints(app: Flask) -> list[Endpoint]:
    """Return every endpoint that the URL map can lead to, sorted by name."""
    paths: dict[str, set[str]] = {}
    methods: dict[str, set[str]] = {}
    for rule in app.url_map.iter_rules():
        paths.setdefault(rule.endpoint, set()).add(rule.rule)
        methods.setdefault(rule.endpoint, set()).update(rule.methods or HTTP_METHODS)
    return [
        Endpoint(
            name=name,
            view=app.view_functions.get(name),
            paths=tuple(sorted(paths[name])),
            methods=tuple(sorted(methods[name])),
            blueprints=tuple(_blueprint_names(app, name)),
        )
        for name in sorted(paths)
    ]


def _blueprint_names(app: Flask, endpoint: str) -> Iterator[str]:
    """Yield the names under which the blueprints around an endpoint are registered, the outer one first."""
    parts = endpoint.split(".")[:-1]
    for length in range(1, len(parts) + 1):
        name = ".".join(parts[:length])
        if name in app.blueprints:
            yield name


def find_levels(app: Flask, endpoint: Endpoint, patterns: Patterns, *, method: str) -> list[Level]:
    """Return the levels of rules for a method of an endpoint, from the outside in."""
    levels = [Level(f"blueprint {name}", rules_of(app.blueprints[name]), is_wide=True) for name in endpoint.blueprints]
    levels += _pattern_levels(endpoint.name, patterns)
    view_class = endpoint.view_class
    if view_class is not None:
        classes = [cls for cls in reversed(view_class.__mro__) if rules_of(cls)]
        levels += [Level(f"class {cls.__qualname__}", rules_of(cls), is_wide=True) for cls in classes]
    levels.append(Level(f"view {endpoint.name}", rules_of(endpoint.view)))
    if view_class is not None and issubclass(view_class, MethodView):
        rules = _method_rules(view_class, method)
        levels.append(
            Level(f"method {endpoint.name}.{method.lower()}", rules, methods=_answered_by(view_class, method))
        )
    return [level for level in levels if level.rules]


def _pattern_levels(endpoint: str, patterns: Patterns) -> list[Level]:
    """The patterns that match, the vaguer outside: the longer stands inside, the exact name innermost."""
    matching = [pattern for pattern in patterns if fnmatchcase(endpoint, pattern)]
    matching.sort(key=lambda pattern: (pattern == endpoint, len(pattern)))
    return [Level(f"pattern {pattern!r}", patterns[pattern], is_wide=True) for pattern in matching]


def _answered_by(view_class: type[View], method: str) -> frozenset[str]:
    """Return the methods that the function of a method answers: HEAD goes to get() unless there is a head()."""
    if method in ("GET", "HEAD") and not hasattr(view_class, "head"):
        return frozenset({"GET", "HEAD"})
    return frozenset({method})


def _method_rules(view_class: type[View], method: str) -> tuple[Rule, ...]:
    function = getattr(view_class, method.lower(), None)
    if function is None and method == "HEAD":
        function = getattr(view_class, "get", None)
    return rules_of(function)


def find_unregistered_blueprint(target: object) -> str | None:
    """Return the name of a blueprint, registered nowhere, that routes this view; None if there is none.

    Walks all living objects; used only when a rule has no route, to tell a forgotten registration from a
    typo.
    """
    for candidate in gc.get_objects():
        if issubclass(type(candidate), Blueprint) and any(
            _leads_to(view, target) for deferred in candidate.deferred_functions for view in _held_by(deferred)
        ):
            return str(candidate.name)
    return None


def find_hiding_wrapper(endpoints: list[Endpoint], target: object) -> str | None:
    """Return the endpoint whose view hides this function behind a wrapper without `functools.wraps`."""
    for endpoint in endpoints:
        if any(_leads_to(hidden, target) for hidden in _hidden_by(endpoint.view)):
            return endpoint.name
    return None


def find_hidden(endpoint: Endpoint) -> Iterator[tuple[Any, tuple[Rule, ...]]]:
    """Yield each function that a view stands in front of, with the rules that are on it and not on the view.

    Such a view is a decorator's inner function that `functools.wraps` was forgotten on; what is written
    below that decorator is not on the route. A function with rules counts whatever the view looks like, a
    function without only when the view takes whatever it is given, as wrappers do.
    """
    seen = {id(rule) for rule in rules_of(endpoint.view)}
    for hidden in _hidden_by(endpoint.view):
        view_class = inspect.getattr_static(hidden, "view_class", None)
        classes = view_class.__mro__ if isinstance(view_class, type) else ()
        written = [rule for source in (hidden, *classes) for rule in rules_of(source)]
        missed = tuple(rule for rule in written if id(rule) not in seen)
        if (missed and not seen) or _takes_anything(endpoint.view):
            yield hidden, missed


def _hidden_by(view: object, depth: int = 4) -> Iterator[Any]:
    """Yield the functions in a view's closure; behind a wrapper, those in its closure too."""
    if depth == 0 or not inspect.isfunction(view) or hasattr(view, "__wrapped__") or hasattr(view, "view_class"):
        return
    for item in _held_by(view):
        if inspect.isfunction(item) and item is not view:
            yield item
            if _takes_anything(item):
                yield from _hidden_by(item, depth - 1)


def _takes_anything(function: Any) -> bool:
    return bool(function.__code__.co_flags & (inspect.CO_VARARGS | inspect.CO_VARKEYWORDS))


def _held_by(function: object) -> Iterator[Any]:
    """Yield what a function's closure holds. A variable that has no value yet is skipped."""
    for cell in getattr(function, "__closure__", None) or ():
        try:
            yield cell.cell_contents
        except ValueError:
            continue


def _leads_to(view: object, target: object) -> bool:
    """Say whether a view is the target, or comes from a class that is it or has it as a method."""
    view_class = inspect.getattr_static(view, "view_class", None)
    if view is target or not isinstance(view_class, type):
        return view is target
    return any(target is cls or target in vars(cls).values() for cls in view_class.__mro__)
