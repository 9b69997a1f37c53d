"""Identifiers from outside: each kind has its characters and its length, and nothing is ever cut to fit.

Pure. What keeps SQL apart from data are parameters, and what keeps HTML apart is escaping; this keeps identifiers
identifiers, for the places where neither is at hand: file names, cache keys, log lines, other people's APIs.
"""

from __future__ import annotations

import functools
import html
import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, NoReturn

from ..config.suggest import did_you_mean
from ..errors import ConfigError, FieldFault, InvalidInput

_KEYWORDS: Final = re.compile(
    r"\b(?:select|insert|update|delete|drop|create|alter|exec|union|script)\b", re.IGNORECASE | re.ASCII
)
_COMMENT_MARKS: Final = ("--", "/*", "*/", "#")
_ALWAYS_TRUE: Final = re.compile(r"\b(?:or|and)\b[\s'\"()]{1,8}1[\s'\"()]{0,8}=[\s'\"()]{0,8}1\b", re.IGNORECASE)
_SCRIPT: Final = re.compile(r"<\s{0,8}/?\s{0,8}script|javascript\s{0,8}:", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _Kind:
    """form: what the whole text matches. told: how that is said. keywords: words of SQL are refused."""

    form: re.Pattern[str]
    told: str
    refuses_keywords: bool = False
    escapes: bool = False


def _kind(characters: str, most: int, told: str, **facts: bool) -> _Kind:
    return _Kind(re.compile(rf"[{characters}]{{1,{most}}}\Z"), f"1 to {most} {told}", **facts)


KINDS: Final = {
    "user": _kind("A-Za-z0-9_.@+-", 64, "letters, digits and _ . @ + -"),
    "role": _kind("A-Za-z0-9_-", 64, "letters, digits, _ and -"),
    "permission": _kind("A-Za-z0-9_-", 128, "letters, digits, _ and -"),
    "label": _kind("A-Za-z0-9_. -", 64, "letters, digits, spaces and _ . -", refuses_keywords=True),
    "text": _kind(r"\x20-\x7e", 1024, "printable ASCII characters", refuses_keywords=True),
    "free_text": _kind(
        r"^\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff", 10_000, "characters, none of them a control", escapes=True
    ),
}


def sanitize_input(
    value: Any = inspect.Parameter.empty, /, kind: Any = None, *, field: str = "value", **kinds: str
) -> Any:
    """Return an identifier that has the form of its kind; or make a decorator that asks so of arguments.

    kind: `user`, `role`, `permission`, `label`, `text`; or `free_text`, which keeps its words and is returned with
    its HTML escaped. Every kind refuses the marks of SQL comments, `OR 1=1`, script tags and `javascript:`; label
    and text refuse words of SQL too. field: what the value is called in an error.

    sanitize_input(raw_name, "user")            the value
    @sanitize_input(name="user", label="label") of these arguments
    @sanitize_input("role")                     of every argument

    Raises InvalidInput, which names the field and the rule and never the value; ConfigError for an unknown kind or
    argument.
    """
    if value is inspect.Parameter.empty or (kind is None and isinstance(value, str)):
        every = kind if value is inspect.Parameter.empty else value
        return _decorator(every, {**kinds, **({"field": field} if field in KINDS else {})})
    if kinds:
        raise ConfigError("sanitize_input() takes a value with its kind, or the kinds of arguments.")
    return _check(value, _find_kind(kind), field=field)


def _find_kind(name: Any) -> _Kind:
    if not isinstance(name, str) or name not in KINDS:
        raise ConfigError(f"sanitize_input(): {name!r} is no kind.{did_you_mean(name, KINDS)}")
    return KINDS[name]


def _check(value: Any, kind: _Kind, *, field: str) -> str:
    if not isinstance(value, str):
        _refuse(field, "Must be a text.")
    if kind.form.match(value) is None:
        _refuse(field, f"Must be {kind.told}.")
    if any(mark in value for mark in _COMMENT_MARKS):
        _refuse(field, "May not contain the mark of a comment.")
    if _ALWAYS_TRUE.search(value):
        _refuse(field, "May not contain a condition that is always true.")
    if _SCRIPT.search(value):
        _refuse(field, "May not contain a script.")
    if kind.refuses_keywords and (_KEYWORDS.search(value) or ";" in value):
        _refuse(field, "May not contain words of SQL.")
    return html.escape(value) if kind.escapes else value


def _refuse(field: str, rule: str) -> NoReturn:
    pointer = "/" + field.replace("~", "~0").replace("/", "~1")
    raise InvalidInput(errors=[FieldFault(pointer, rule)], detail=f"{field}: {rule}")


def _decorator(every: Any, kinds: dict[str, str]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    if (every is None) is not bool(kinds):
        raise ConfigError("sanitize_input() takes one kind for all arguments, or the kinds of some by name.")
    found = {name: _find_kind(kind) for name, kind in kinds.items()}
    of_all = None if every is None else _find_kind(every)

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        signature = inspect.signature(function)
        _require_parameters(signature, found)

        @functools.wraps(function)
        def checked(*args: Any, **kwargs: Any) -> Any:
            bound = signature.bind(*args, **kwargs)
            for name, value in bound.arguments.items():
                kind = of_all or found.get(name)
                if kind is not None and name not in ("self", "cls"):
                    bound.arguments[name] = _check_argument(signature.parameters[name], value, kind)
            return function(*bound.args, **bound.kwargs)

        return checked

    return decorate


def _check_argument(parameter: inspect.Parameter, value: Any, kind: _Kind) -> Any:
    if parameter.kind is parameter.VAR_POSITIONAL:
        return tuple(_check(item, kind, field=parameter.name) for item in value)
    if parameter.kind is parameter.VAR_KEYWORD:
        return {name: _check(item, kind, field=name) for name, item in value.items()}
    return _check(value, kind, field=parameter.name)


def _require_parameters(signature: inspect.Signature, kinds: dict[str, _Kind]) -> None:
    for name in kinds:
        if name not in signature.parameters:
            raise ConfigError(
                f"sanitize_input(): there is no argument {name}.{did_you_mean(name, signature.parameters)}"
            )
