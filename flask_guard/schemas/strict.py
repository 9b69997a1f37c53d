"""Standard fields of marshmallow, made strict: what a client may write as a text, a number, a truth, a URL.

A strict field is a copy of the declared one whose class is a subclass of the field's own, so that isinstance,
validators and the OpenAPI export see what was declared. Everything a field's own class does is kept.
Rule: a value is what JSON says it is. `class Meta: coerce = True` is for forms and query strings, where all is text.
"""

from __future__ import annotations

import copy
import re
import threading
import unicodedata
from collections.abc import Hashable, Iterable, Iterator
from decimal import Decimal
from functools import cache
from typing import Any, Final, TypeVar, cast

from marshmallow import RAISE, ValidationError, fields, missing, validate

from .passage import loading

F = TypeVar("F", bound=fields.Field[Any])

# Characters of a text whose field has no Length. A title or a name; a document says how long it may be.
MAX_TEXT: Final = 1024
# A text may shrink when it is composed: a Hangul syllable is written with up to three jamo.
_MAX_SHRINKAGE: Final = 4
# Items of a list or a mapping that has no Length: reading one takes marshmallow up to 50 us.
MAX_ITEMS: Final = 1000
MAX_INTEGER: Final = 2**63  # what SQL calls bigint
# IEEE 754-2008 decimal128 has 34 digits; more is no amount of anything.
MAX_DIGITS: Final = 64
SAFE_SCHEMES: Final = frozenset({"http", "https"})

_INTEGER: Final = re.compile(r"[+-]?[0-9]{1,20}\Z")
_NUMBER: Final = re.compile(r"[+-]?(?:[0-9]{1,64}(?:\.[0-9]{0,64})?|\.[0-9]{1,64})(?:[eE][+-]?[0-9]{1,3})?\Z")


class Strict:
    """What all strict fields have. guard_coerces: texts are read as what the field is."""

    guard_coerces: bool = False
    guard_skips_empty: bool = False  # the field's class judges by its validators and nothing else
    guard_reads_plainly: bool = False  # the field's class reads a text as String does
    validators: list[Any]

    def _validate(self, value: Any) -> None:
        # marshmallow makes an object to hold the validators at each call, for none of them too, which takes a third
        # of the time of a short field.
        if not self.guard_skips_empty or len(self.validators) > 1:
            super()._validate(value)  # type: ignore[misc]
        elif self.validators:
            self.validators[0](value)


class StrictText(Strict):
    """No NUL, which PostgreSQL does not store; no lone surrogates, which are no text; composed (NFC); bounded."""

    guard_max_length: int = MAX_TEXT

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        if type(value) is str:
            if len(value) > self.guard_max_length * _MAX_SHRINKAGE:
                raise ValidationError(_tell_longer(self.guard_max_length))
            text = value if self.guard_reads_plainly else super()._deserialize(value, attr, data, **kwargs)  # type: ignore[misc]
        else:
            text = super()._deserialize(value, attr, data, **kwargs)  # type: ignore[misc]
        if not isinstance(text, str):
            return text
        if not text.isascii():
            text = _compose(text)
        if "\0" in text:
            raise ValidationError("May not contain NUL.")
        if len(text) > self.guard_max_length:
            raise ValidationError(_tell_longer(self.guard_max_length))
        return text


def _tell_longer(length: int) -> str:
    return f"Longer than maximum length {length}."


def _compose(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValidationError("Not a valid string.") from None  # the error quotes the text
    return unicodedata.normalize("NFC", text)


class StrictInteger(Strict):
    """An integer of 64 bits: no truth, no fraction, no digits but those of ASCII."""

    guard_is_bounded: bool = True

    def _validated(self, value: Any) -> int:
        if isinstance(value, bool) or not (isinstance(value, int) or (self.guard_coerces and _reads_as_integer(value))):
            raise self.make_error("invalid", input=value)  # type: ignore[attr-defined]
        number: int = super()._validated(value)  # type: ignore[misc]
        if self.guard_is_bounded and not -MAX_INTEGER <= number < MAX_INTEGER:
            raise self.make_error("too_large", input=value)  # type: ignore[attr-defined]
        return number


def _reads_as_integer(value: Any) -> bool:
    return (isinstance(value, str) and _INTEGER.match(value) is not None) or (
        isinstance(value, float) and value.is_integer()
    )


class StrictFloat(Strict):
    def _validated(self, value: Any) -> float:
        if not _reads_as_number(value, coerces=self.guard_coerces):
            raise self.make_error("invalid", input=value)  # type: ignore[attr-defined]
        number: float = super()._validated(value)  # type: ignore[misc]
        return number


class StrictDecimal(Strict):
    """A number that has `MAX_DIGITS` digits before and after its point at most.

    A text is read whether coercion is on or not: it is the one way of JSON to write a decimal as it is.
    """

    def _validated(self, value: Any) -> Decimal:
        if not isinstance(value, Decimal) and not _reads_as_number(value, coerces=True):
            raise self.make_error("invalid", input=value)  # type: ignore[attr-defined]
        number: Decimal = super()._validated(value)  # type: ignore[misc]
        if number and number.is_finite() and not -MAX_DIGITS < number.adjusted() < MAX_DIGITS:
            raise self.make_error("too_large", input=value)  # type: ignore[attr-defined]
        return number


class StrictTimeDelta(Strict):
    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        if isinstance(value, (str, bytes, bool)) and not _reads_as_number(value, coerces=self.guard_coerces):
            raise self.make_error("invalid")  # type: ignore[attr-defined]
        return super()._deserialize(value, attr, data, **kwargs)  # type: ignore[misc]


def _reads_as_number(value: Any, *, coerces: bool) -> bool:
    if isinstance(value, bool):
        return False
    if isinstance(value, int):
        return value.bit_length() <= 1024
    return isinstance(value, float) or (coerces and isinstance(value, str) and _NUMBER.match(value) is not None)


class StrictBoolean(Strict):
    """true or false, unless the field says itself which other values mean so."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        if value is True or value is False:
            return value
        has_words = "truthy" in vars(self) or "falsy" in vars(self)
        if not (has_words or (self.guard_coerces and isinstance(value, str))):
            raise self.make_error("invalid", input=value)  # type: ignore[attr-defined]
        return super()._deserialize(value, attr, data, **kwargs)  # type: ignore[misc]


class StrictFree(Strict):
    """A field for any JSON: no NUL and no lone surrogates in any of its texts and names."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        for text in _texts_in(value):
            if "\0" in text:
                raise ValidationError("May not contain NUL.")
            if not text.isascii():
                _compose(text)
        return super()._deserialize(value, attr, data, **kwargs)  # type: ignore[misc]


def _texts_in(value: Any) -> Iterator[str]:
    """Yield every text in parsed JSON, without recursion."""
    left = [value]
    while left:
        part = left.pop()
        if isinstance(part, str):
            yield part
        elif isinstance(part, dict):
            left.extend(part)
            left.extend(part.values())
        elif isinstance(part, (list, tuple)):
            left.extend(part)


class StrictList(Strict):
    """As many items as the field's Length says, `MAX_ITEMS` without one; looked at before any of them is read."""

    guard_max_items: int = MAX_ITEMS

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        self._bound_items(value)
        return super()._deserialize(value, attr, data, **kwargs)  # type: ignore[misc]

    def _bound_items(self, value: Any) -> None:
        if not isinstance(value, (list, tuple, dict)) or len(value) <= self.guard_max_items:
            return
        for one in walk_validators(self.validators):
            if isinstance(one, validate.Length):
                one(value)  # says it in its own words
        raise ValidationError(_tell_longer(self.guard_max_items))


class StrictNested(StrictList):
    """A nested schema is loaded as strictly as the one around it, and treats unknown members as that does."""

    guard_schema: Any = None

    def _bound_items(self, value: Any) -> None:
        if isinstance(value, (list, tuple)):  # a mapping has the members of the schema
            super()._bound_items(value)

    def _load(self, value: Any, partial: Any = None) -> Any:
        passage = loading.get()
        own: str | None = self.unknown  # type: ignore[attr-defined]
        unknown = own or (RAISE if passage is None else passage.unknown)
        try:
            if passage is None or own is None:
                return self.schema.load(value, unknown=unknown, partial=partial)
            with passage.treating_unknown(own):
                return self.schema.load(value, unknown=unknown, partial=partial)
        except ValidationError as error:
            raise ValidationError(error.messages, valid_data=error.valid_data) from error

    @property
    def schema(self) -> Any:
        # marshmallow's own place shows a schema to other threads before it is strict.
        if self.guard_schema is None:
            with _resolving:
                if self.guard_schema is None:
                    self.guard_schema = self._make_strict(super().schema)  # type: ignore[misc]
        return self.guard_schema

    def _make_strict(self, schema: Any) -> Any:
        if not getattr(schema, "guards_itself", False):
            schema.declared_fields = {
                name: harden(field, coerces=self.guard_coerces) for name, field in schema.declared_fields.items()
            }
            schema._init_fields()
        return schema


class StrictPluck(StrictNested):
    """The member may be one that the reader does not see: then there is nothing, and no error."""

    def _serialize(self, nested_obj: Any, attr: str | None, obj: Any, **kwargs: Any) -> Any:
        dumped: Any = cast(Any, fields.Nested._serialize)(self, nested_obj, attr, obj, **kwargs)
        key = self._field_data_key  # type: ignore[attr-defined]
        if isinstance(dumped, list):
            return [one[key] for one in dumped if key in one]
        # A place in a list or a mapping cannot be left out.
        nothing = None if isinstance(self.parent, fields.Field) else missing  # type: ignore[attr-defined]
        return None if dumped is None else dumped.get(key, nothing)


class StrictMapping(StrictList):
    """Faults are placed as in the body: marshmallow has "value" and "key" on the way to them."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        try:
            return super()._deserialize(value, attr, data, **kwargs)
        except ValidationError as error:
            if not isinstance(error.messages, dict):
                raise
            messages = {key: _place(part.get("key", []), part.get("value", [])) for key, part in error.messages.items()}
            raise ValidationError(messages, valid_data=error.valid_data) from error


def _place(of_key: list[Any], of_value: Any) -> Any:
    if isinstance(of_value, dict):
        return {**of_value, "_schema": [*of_key, *of_value.get("_schema", [])]} if of_key else of_value
    return [*of_key, *of_value]


_TWINS: Final[tuple[tuple[type[Any], type[Strict]], ...]] = (
    (fields.String, StrictText),
    (fields.Integer, StrictInteger),
    (fields.Float, StrictFloat),
    (fields.Decimal, StrictDecimal),
    (fields.Boolean, StrictBoolean),
    (fields.TimeDelta, StrictTimeDelta),
    (fields.List, StrictList),
    (fields.Pluck, StrictPluck),
    (fields.Nested, StrictNested),
    (fields.Mapping, StrictMapping),
)
_resolving: Final = threading.RLock()


def as_twin(field: fields.Field[Any], mixin: type) -> Any:
    """Return a copy of a field with a mixin before its class."""
    twin: Any = object.__new__(_make_class(cast(Hashable, type(field)), mixin))
    vars(twin).update(vars(field))
    return twin


@cache
def _make_class(base: Any, mixin: Any) -> Any:
    """Return a subclass of a field's class with a mixin before it, under the name of the class."""
    facts: dict[str, Any] = {"__module__": base.__module__, "__qualname__": base.__qualname__}
    if issubclass(mixin, Strict):
        facts["guard_skips_empty"] = base._validate is fields.Field._validate
        facts["guard_reads_plainly"] = base._deserialize is fields.String._deserialize
    return type(base.__name__, (mixin, base), facts)


def harden(field: F, *, coerces: bool) -> F:
    """Return a strict copy of a field and of the fields in it; one that is strict already is copied only."""
    mixin = None if isinstance(field, Strict) else _find_mixin(field)
    strict: Any = copy.copy(field) if mixin is None else as_twin(field, mixin)
    if isinstance(strict, Strict):
        strict.guard_coerces = coerces
    if isinstance(strict, StrictText):
        bound = _find_bound(strict)
        # The field's own validator says it in its own words; this only spares the others a text that is far too long.
        strict.guard_max_length = MAX_TEXT if bound is None else bound * _MAX_SHRINKAGE
    if isinstance(strict, StrictList):
        bound = _find_bound(strict)
        strict.guard_max_items = MAX_ITEMS if bound is None else bound
    if isinstance(strict, StrictInteger):
        strict.guard_is_bounded = not any(isinstance(one, validate.Range) for one in strict.validators)
    if isinstance(strict, fields.Url):
        _bound_schemes(strict)
    _harden_inner(strict, coerces=coerces)
    hardened: F = strict
    return hardened


def _find_mixin(field: Any) -> type[Strict] | None:
    if isinstance(field, fields.Raw) or (
        isinstance(field, fields.Mapping) and not (field.key_field or field.value_field)
    ):
        return StrictFree
    return next((mixin for kind, mixin in _TWINS if isinstance(field, kind)), None)


def _harden_inner(field: Any, *, coerces: bool) -> None:
    for name in ("inner", "key_field", "value_field"):
        inner = vars(field).get(name)
        if isinstance(inner, fields.Field):
            setattr(field, name, harden(inner, coerces=coerces))
    if isinstance(field, fields.Tuple):
        field.tuple_fields = [harden(inner, coerces=coerces) for inner in field.tuple_fields]


def _find_bound(field: Any) -> int | None:
    """Return what the Length of a field lets pass at most, None without one."""
    bounds = [
        bound
        for one in walk_validators(field.validators)
        if isinstance(one, validate.Length)
        for bound in (one.max, one.equal)
        if bound is not None
    ]
    return max(bounds) if bounds else None


def walk_validators(validators: Iterable[Any]) -> Iterator[Any]:
    """Yield validators and those that `And` holds."""
    for one in validators:
        if isinstance(one, validate.And):
            yield from walk_validators(one.validators)
        else:
            yield one


def _bound_schemes(field: Any) -> None:
    """Leave http and https to a Url that does not say which schemes it takes."""
    field.validators = [_without_ftp(one) if isinstance(one, validate.URL) else one for one in field.validators]


def _without_ftp(validator: validate.URL) -> validate.URL:
    if set(validator.schemes) != validate.URL.default_schemes:
        return validator
    safe = copy.copy(validator)
    safe.schemes = set(SAFE_SCHEMES)
    return safe


def walk_fields(field: fields.Field[Any]) -> Iterator[fields.Field[Any]]:
    """Yield the fields in a field: of a list, a tuple, a mapping; not those of nested schemas."""
    for name in ("inner", "key_field", "value_field"):
        inner = vars(field).get(name)
        if isinstance(inner, fields.Field):
            yield inner
            yield from walk_fields(inner)
    if isinstance(field, fields.Tuple):
        for inner in field.tuple_fields:
            yield inner
            yield from walk_fields(inner)
