"""Rules about several fields at once. They stand in the body of a schema, beside the fields that they name.

class BookingSchema(GuardSchema):
    start = fields.Date(required=True)
    end = fields.Date(required=True)
    in_order = DateRange("start", "end")

A rule sees the body as it was loaded and the object that it changes, if that is known. It answers None, a message
about the whole body, or messages by field. A built-in rule keeps silent where it cannot know: about a field that is
faulty itself, and on an update about one that was not sent while the object is not known.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, overload

from marshmallow import ValidationError, missing

from ..errors import ConfigError

Verdict = str | Mapping[str, Any] | None
Check = Callable[[Any, Any], Verdict]


class Body:
    """What rules look at. loaded: by names in the code; existing: the object, None when there is none or it is unknown.

    unsent: the fields that are left as they are when they are nowhere; any other is nothing then.
    """

    __slots__ = ("existing", "faulty", "keys", "labels", "loaded", "unsent")

    def __init__(
        self,
        loaded: Mapping[str, Any],
        existing: Any,
        *,
        unsent: frozenset[str],
        faulty: frozenset[str],
        keys: Mapping[str, str],
        labels: Mapping[str, str],
    ) -> None:
        self.loaded = loaded
        self.existing = existing
        self.unsent = unsent
        self.faulty = faulty
        self.keys = keys
        self.labels = labels

    def find(self, field: str) -> Any:
        """Return what a field will be: as sent, else as it is; None for nothing, `missing` when that is not known."""
        key = self.keys[field]
        if key in self.loaded:
            return self.loaded[key]
        if self.existing is not None:
            if isinstance(self.existing, Mapping):
                return self.existing.get(key)
            return getattr(self.existing, key, None)
        return missing if field in self.unsent else None


class Rule:
    """A rule about fields. Its answer is by fields' names, or "_schema" for the whole body."""

    def __init__(self, *fields: str) -> None:
        if not all(isinstance(field, str) for field in fields):
            raise ConfigError(f"{type(self).__name__} takes the names of fields.")
        self.fields = fields

    def judge(self, body: Body) -> Verdict:
        """Return what is wrong; None for nothing."""
        raise NotImplementedError


class RequireAtLeastOne(Rule):
    """One of the fields at least is there and neither null nor ""."""

    def __init__(self, *fields: str) -> None:
        if len(set(fields)) < 2:
            raise ConfigError("RequireAtLeastOne takes two fields or more; one alone is `required=True`.")
        super().__init__(*fields)

    def judge(self, body: Body) -> Verdict:
        values = [body.find(field) for field in self.fields]
        if any(value is missing or not _is_empty(value) for value in values):
            return None
        return f"At least one of {', '.join(body.labels[field] for field in self.fields)} is required."


class RequireWhen(Rule):
    """Fields that are required when another one is there, or is one of some values.

    field: the required field, or several. when: the other field. equals: one value; one_of: several; with neither,
    anything but null and "".
    """

    def __init__(
        self, field: str | Iterable[str], *, when: str, equals: Any = missing, one_of: Iterable[Any] = ()
    ) -> None:
        self._required = (field,) if isinstance(field, str) else tuple(field)
        self._when = when
        self._values = [*one_of] if equals is missing else [equals, *one_of]
        if not self._required or when in self._required:
            raise ConfigError("RequireWhen takes fields that are required, and another one that decides.")
        super().__init__(*self._required, when)

    def judge(self, body: Body) -> Verdict:
        reason = body.find(self._when)
        if reason is missing or (reason not in self._values if self._values else _is_empty(reason)):
            return None
        lacking = [field for field in self._required if _is_empty(body.find(field))]
        return {field: f"Required because of {body.labels[self._when]}." for field in lacking} or None


class DateRange(Rule):
    """One date or time is not after another. allow_equal: both may be the same."""

    def __init__(self, start: str, end: str, *, allow_equal: bool = True) -> None:
        if start == end:
            raise ConfigError("DateRange takes two fields.")
        self.start, self.end = start, end
        self.allow_equal = allow_equal
        super().__init__(start, end)

    def judge(self, body: Body) -> Verdict:
        start, end = body.find(self.start), body.find(self.end)
        if start is missing or end is missing or start is None or end is None:
            return None
        label = body.labels[self.start]
        try:
            is_right = start <= end if self.allow_equal else start < end
        except TypeError:  # one has an offset from UTC and one has none
            return {self.end: f"Cannot be compared with {label}: give both an offset from UTC, or neither."}
        word = "before" if self.allow_equal else "after"
        return None if is_right else {self.end: f"Must{' not' if self.allow_equal else ''} be {word} {label}."}


class CrossField(Rule):
    """A function of the body and the existing object. Made by `cross_field`."""

    def __init__(self, check: Check, *fields: str) -> None:
        self._check = check
        super().__init__(*fields)

    def judge(self, body: Body) -> Verdict:
        try:
            verdict = self._check(body.loaded, body.existing)
        except ValidationError as error:
            return {"_schema": error.messages} if isinstance(error.messages, list) else error.messages_dict
        if verdict is None or isinstance(verdict, (str, Mapping)):
            return verdict
        raise TypeError(f"a cross_field function returns None, a message or messages by field, not {verdict!r}")


@overload
def cross_field(check: Check, /) -> CrossField: ...
@overload
def cross_field(*fields: str) -> Callable[[Check], CrossField]: ...
def cross_field(*given: Any) -> Any:
    """Make a rule of `function(body, existing)`, which answers None, a message, or messages by field.

    With names of fields, `@cross_field("start", "end")`, it is asked when these are right; without, when all are.
    What it raises is the caller's 500, but for a ValidationError.
    """
    if len(given) == 1 and callable(given[0]):
        return CrossField(given[0])
    if not given or not all(isinstance(name, str) for name in given):
        raise ConfigError("cross_field takes a function, or the names of fields.")
    return lambda check: CrossField(check, *given)


def _is_empty(value: Any) -> bool:
    return value is None or value == ""


RULES: Final = (DateRange, RequireAtLeastOne, RequireWhen)
