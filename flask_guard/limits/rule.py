"""What `guard.limit(...)` says of a route, and the functions of an application that take part in it.

Pure. A limit may take its text, its key, its cost and its exemption from functions of the application. To
Flask-Limiter 4.1 an empty key, an empty text and a text that cannot be read mean "no limit".
Rule: what is wrong with a limit is a ConfigError where it is written; what is wrong with the answer of a function
costs the caller, is logged, and never fails the request.
"""

from __future__ import annotations

import inspect
import logging
import re
import time
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from typing import Any, Final, Literal, TypeGuard

from ..config.suggest import did_you_mean
from ..errors import ConfigError
from .rates import MAX_COST, Window, parse_windows

logger = logging.getLogger("flask_guard.limits")

WORDS: Final = ("address", "principal", "tenant")
FIELD: Final = "body:"
MAX_KEY_CHARACTERS: Final = 256
# What counts while a function for the text has not given a good one yet.
STRICT_TEXT: Final = "1/minute"
COMPLAIN_EVERY_S: Final = 10.0

# Parsing a text takes ten times as long as looking it up; an application has a handful of them.
_KNOWN_TEXTS: Final = 64
_MAX_TEXT_CHARACTERS: Final = 200
# Composing shortens a text to a third at most (Unicode, UAX 15), so what is longer stays too long.
_MAX_RAW_CHARACTERS: Final = 4 * MAX_KEY_CHARACTERS
# What a string of RFC 9651 (section 3.3.3) may hold without escapes.
_LABEL: Final = re.compile(r"[ !#-\[\]-~]{1,64}")

_complained_at: dict[str, float] = {}


@dataclass(frozen=True, slots=True)
class LimitRule:
    """How often a route may be asked, by whom.

    text: "5/minute", "5 per hour; 1 per second", or a function that returns such a text.
    by: whose requests are counted together: "address", "principal" (its network for the anonymous one),
    "tenant", "body:<field>", or a function that returns a key.
    on_error: what happens while the storage is down; None: GUARD_RATE_LIMIT_FAIL_CLOSED decides.
    shared: the name of buckets that several routes have in common. label: the name in the RateLimit headers.
    """

    text: str | Callable[[], str]
    by: str | Callable[[], str] = "principal"
    on_error: Literal["allow", "deny"] | None = None
    cost: int | Callable[[], int] = 1
    shared: str | None = None
    exempt_when: Callable[[], bool] | None = None
    label: str | None = None

    def describe(self) -> str:
        """Return the limit as a reader of the route map should see it."""
        said = [f"{_show(self.text)} by {_show(self.by)}"]
        if self.cost != 1:
            said.append(f"cost {_show(self.cost)}")
        if self.shared is not None:
            said.append(f"shared as {self.shared}")
        if self.exempt_when is not None:
            said.append(f"exempt when {_show(self.exempt_when)}")
        if self.on_error is not None:
            said.append(f"on error {self.on_error}")
        return f"limit({', '.join(said)})"


def make_limit_rule(
    text: str | Callable[[], str],
    *,
    by: str | Callable[[], str] = "principal",
    on_error: Literal["allow", "deny"] | None = None,
    cost: int | Callable[[], int] = 1,
    shared: str | None = None,
    exempt_when: Callable[[], bool] | None = None,
    label: str | None = None,
) -> LimitRule:
    """Return the rule; raises ConfigError with everything that is wrong with it."""
    faults = (
        _fault_of_text(text),
        _fault_of_by(by),
        _fault_of_cost(cost, text),
        _fault_of_name("shared", shared),
        _fault_of_name("label", label),
        None if exempt_when is None else _fault_of_function("exempt_when", exempt_when),
        None if on_error in (None, "allow", "deny") else f"has on_error={on_error!r}; it takes allow or deny.",
    )
    found = [f"limit({_show(text)}) {fault}" for fault in faults if fault]
    if found:
        raise ConfigError(*found)
    said = text if callable(text) else text.strip()
    return LimitRule(said, by, on_error, cost, shared, exempt_when, label)


def _fault_of_text(text: object) -> str | None:
    if callable(text):
        return _fault_of_function("text", text)
    if isinstance(text, str) and text.strip().casefold() == "off":
        return "sets no limit; guard.unlimited(reason=...) lifts the limits that every route has."
    if not isinstance(text, str) or _sustained_rate(text) is None:
        return "is not a limit such as 5/minute or 5 per hour; 1 per second."
    return None


def _fault_of_by(by: object) -> str | None:
    if callable(by):
        return _fault_of_function("by", by)
    if by in WORDS:
        return None
    if isinstance(by, str) and by.startswith(FIELD):
        field = by.removeprefix(FIELD)
        is_name = field.isprintable() and field == field.strip() != ""
        return None if is_name else f"has by={by!r}, which names no field; by='body:email' is the field email."
    known = f"{', '.join(WORDS)}, body:<field> or a function"
    return f"has by={by!r}; it takes {known}.{did_you_mean(by, (*WORDS, 'body:email'))}"


def _fault_of_cost(cost: object, text: object) -> str | None:
    if callable(cost):
        return _fault_of_function("cost", cost)
    if not _is_cost(cost):
        return f"has cost={cost!r}; it takes a whole number from 1 to {MAX_COST}."
    if isinstance(text, str) and cost > smallest_amount(text):
        return f"has cost={cost}, which it never has room for."
    return None


def _fault_of_name(option: str, name: object) -> str | None:
    if name is None or (isinstance(name, str) and _LABEL.fullmatch(name)):
        return None
    return f"has {option}={name!r}; it takes 1 to 64 printable ASCII characters without quotes and backslashes."


def _fault_of_function(option: str, function: object) -> str | None:
    if not callable(function):
        return f"has {option}={function!r}, which cannot be called."
    if inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__):
        return f"has an asynchronous function for {option}; it takes a plain one."
    try:
        inspect.signature(function).bind()
    except ValueError:  # a builtin that does not tell
        return None
    except TypeError:
        return f"has a function for {option} that needs arguments; it is called with none."
    return None


def _show(said: object) -> str:
    """Return a text or a number as it is, and the name of a function."""
    return f"{_name_of(said)}()" if callable(said) else str(said)


def _name_of(function: object) -> str:
    name = getattr(function, "__qualname__", type(function).__qualname__)
    return f"{getattr(function, '__module__', '')}.{name}"


def _is_cost(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= MAX_COST


def _read(text: str) -> tuple[Window, ...]:
    """Return the windows of a text, none for one that sets no limit."""
    if len(text) > _MAX_TEXT_CHARACTERS:
        return ()
    try:
        return parse_windows(text, scope="", label="")
    except ValueError:
        return ()


def smallest_amount(text: str) -> float:
    return min((window.amount for window in _read(text)), default=inf)


def _sustained_rate(text: str) -> float | None:
    """Return what a limit lets through in a second for good; None for a text that sets none."""
    return min((window.amount / window.seconds for window in _read(text)), default=None)


# What an application's functions answer, while requests run ---------------------------------------------


def safe_key(function: Callable[[], Any]) -> Callable[[], str | None]:
    """Return the function as one whose answer is a key, or None for "count by the network instead".

    A key is a printable text of 1 to 256 characters that is not blank, or a whole number.
    """

    def key() -> str | None:
        try:
            value = function()
            if isinstance(value, int) and not isinstance(value, bool):
                value = str(value)
        except Exception as error:  # whatever it is, the request counts
            _complain(function, "raised; the client's network counts", error)
            return None
        if isinstance(value, str) and len(value) <= MAX_KEY_CHARACTERS and value.isprintable() and value.strip():
            return str(value)
        _complain(function, "returned no key; the client's network counts")
        return None

    return key


def safe_cost(function: Callable[[], Any], *, most: float = MAX_COST) -> Callable[[], int]:
    """Return the function as one whose answer is a cost from 1 to MAX_COST.

    More counts as MAX_COST; anything else as the highest cost that it has given so far, so that provoking a fault
    is no way to pay less. For a request that costs nothing there is `exempt_when`.
    """
    highest = 1

    def cost() -> int:
        nonlocal highest
        try:
            value = function()
        except Exception as error:  # whatever it is, the request counts
            _complain(function, "raised; the highest cost so far counts", error)
            return highest
        if _is_cost(value):
            if value <= most:
                highest = max(highest, value)
            return int(value)
        _complain(function, "returned no cost; the highest so far counts")
        return MAX_COST if isinstance(value, int) and value > MAX_COST else highest

    return cost


def safe_exempt(function: Callable[[], Any]) -> Callable[[], bool]:
    """Return the function as one that exempts by True alone: another answer, or none, leaves the limit in place."""

    def is_exempt() -> bool:
        try:
            value = function()
        except Exception as error:  # whatever it is, the request counts
            _complain(function, "raised; the limit counts", error)
            return False
        if value is not True and value is not False and value is not None:
            _complain(function, "returned neither True nor False; the limit counts")
        return value is True

    return is_exempt


def safe_text(function: Callable[[], Any]) -> Callable[[], str]:
    """Return the function as one whose answer is the text of a limit.

    In the place of anything else, "off" included, stands the strictest text that it has given so far, and
    STRICT_TEXT while there is none: provoking a fault must not lead to the limits of a better customer.
    """
    known: dict[str, float] = {}
    strictest, lowest_rate = STRICT_TEXT, inf

    def text() -> str:
        nonlocal strictest, lowest_rate
        try:
            value = function()
        except Exception as error:  # whatever it is, the request counts
            _complain(function, "raised; its strictest limit counts", error)
            return strictest
        if type(value) is str and value in known:
            return value
        rate = _sustained_rate(value) if isinstance(value, str) else None
        if rate is None:
            _complain(function, "returned no limit; its strictest counts")
            return strictest
        if len(known) < _KNOWN_TEXTS:
            known[str(value)] = rate
        if rate < lowest_rate:
            strictest, lowest_rate = str(value), rate
        return str(value)

    return text


def _complain(function: object, what: str, error: Exception | None = None) -> None:
    """Log that a function failed, once in 10 s for each: what is sent by the million must not fill a disk."""
    name, now = _name_of(function), time.monotonic()
    if now - _complained_at.get(name, -inf) >= COMPLAIN_EVERY_S:
        _complained_at[name] = now
        logger.error("the function %s of a rate limit %s", name, what, exc_info=error)


def normalise_field(value: object) -> str | None:
    """Return a member of a body as the key that every spelling of it has; None for what is no key.

    Compatibility forms, case, surrounding blanks and invisible characters do not count (Unicode, UAX 15), because
    they do not for the account that is meant. Only texts and whole numbers are keys, of 1 to 256 characters.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value) if abs(value) < 10**MAX_KEY_CHARACTERS else None
    if not isinstance(value, str):
        return None
    text = value.strip()
    if len(text) > _MAX_RAW_CHARACTERS:
        return None
    visible = "".join(filter(str.isprintable, unicodedata.normalize("NFKC", text)))
    folded = unicodedata.normalize("NFKC", visible.casefold()).strip()
    return folded if 0 < len(folded) <= MAX_KEY_CHARACTERS else None
