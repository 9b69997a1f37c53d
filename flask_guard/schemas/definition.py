"""What is wrong with a schema, said when its class is made: a rule that could never hold is worse than none.

Rule: every fault is told at once, each with where it is and, for a name that nobody knows, the nearest known one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import combinations
from typing import Any, Final

from marshmallow import INCLUDE, fields, validate
from marshmallow.decorators import VALIDATES

from ..config.suggest import did_you_mean
from .lookups import Unique, find_unique
from .markers import Marked, Marks, find_marks
from .rules import DateRange, Rule
from .strict import walk_fields, walk_validators

META_OPTIONS: Final = frozenset({"coerce", "model"})
_NEVER_SCHEMES: Final = frozenset({"javascript", "data", "vbscript"})

_TEXTS: Final = (fields.String, fields.Raw, fields.Enum)
_SIZED: Final = (fields.String, fields.List, fields.Tuple, fields.Mapping, fields.Raw, fields.Nested)
_ORDERED: Final = (fields.Number, fields.DateTime, fields.Date, fields.Time, fields.TimeDelta, fields.Raw)
_COMPARABLE: Final = (fields.String, fields.Number, fields.UUID, fields.DateTime, fields.Date, fields.Enum, fields.IP)
_DATES: Final = (fields.DateTime, fields.Date, fields.Time, fields.Raw)

_ALONE: Final = ("Hidden",)
_CONTRADICTIONS: Final = {
    frozenset({"ReadOnly", "WriteOnly"}): "is neither written nor shown then: say Hidden",
    frozenset({"ReadOnly", "WritableBy"}): "nobody writes what is read-only",
    frozenset({"ReadOnly", "Immutable"}): "what is read-only is not written once either",
    frozenset({"ReadOnly", "Hashed"}): "what is read-only never comes in to be hashed",
    frozenset({"WriteOnly", "Redacted"}): "what is write-only is shown to nobody",
    frozenset({"Hashed", "Redacted"}): "a hash is shown to nobody",
}


def find_faults(schema: Any) -> list[str]:
    """Return what is wrong with a schema class; its declared fields and its rules are known by now."""
    faults = [*_meta_faults(schema), *_rule_faults(schema), *_validates_faults(schema), *_lost_marks(schema)]
    for name, field in schema._declared_fields.items():
        faults += (f"{name}: {fault}" for fault in _field_faults(field))
    return [f"{schema.__name__}: {fault}" for fault in faults]


def _meta_faults(schema: Any) -> Iterator[str]:
    if schema.opts.unknown == INCLUDE:
        yield "Meta.unknown is INCLUDE, which lets a client set what is not declared; RAISE refuses, EXCLUDE strips."
    known = vars(schema.opts).keys() | META_OPTIONS
    own = {name for cls in schema.Meta.__mro__ if cls is not object for name in vars(cls) if not name.startswith("_")}
    for name in sorted(own - known):
        yield f"Meta.{name} is no option.{did_you_mean(name, sorted(known))}"
    for option in ("fields", "exclude", "load_only", "dump_only"):
        for name in getattr(schema.opts, option):
            yield from _unknown_field(f"Meta.{option}", name.split(".")[0], schema)


def _rule_faults(schema: Any) -> Iterator[str]:
    for name, rule in schema.guard_rules.items():
        for field_name in rule.fields:
            yield from _unknown_field(name, field_name, schema)
        if isinstance(rule, DateRange):
            for field_name in rule.fields:
                field = schema._declared_fields.get(field_name)
                if field is not None and not isinstance(field, _DATES):
                    yield f"{name}: DateRange compares dates and times, and {field_name} is {_name(field)}."


def _validates_faults(schema: Any) -> Iterator[str]:
    for method, _, settings in schema._hooks[VALIDATES]:
        for field_name in settings["field_names"]:
            yield from _unknown_field(method, field_name, schema)


def _unknown_field(where: str, name: str, schema: Any) -> Iterator[str]:
    known = schema._declared_fields
    if name not in known:
        yield f"{where} names {name}, which is no field.{did_you_mean(name, known)}"


def _lost_marks(schema: Any) -> Iterator[str]:
    """Yield the fields that an ancestor keeps in and that were declared anew without saying so."""
    for name, field in schema._declared_fields.items():
        for base in schema.__mro__[1:]:
            before = getattr(base, "_declared_fields", {}).get(name)
            if before is not None and _keeps_in(find_marks(before)) and not _keeps_in(find_marks(field)):
                marker = find_marks(before).names[-1]
                yield f"{name} is {marker} in {base.__name__} and would be shown here; wrap it again."
                break


def _keeps_in(marks: Marks) -> bool:
    return marks.write_only or marks.hidden


# Fields --------------------------------------------------------------------------------------------------


def _field_faults(field: fields.Field[Any]) -> Iterator[str]:
    yield from _mark_faults(field)
    yield from _validator_faults(field)
    for inner in walk_fields(field):
        if isinstance(inner, Marked):
            yield f"{find_marks(inner).names[-1]} is inside of {_name(field)}, where nothing keeps it; wrap the whole."
        if any(isinstance(one, Unique) for one in inner.validators):
            yield f"Unique is inside of {_name(field)}; it belongs to a single value."
            continue
        yield from _validator_faults(inner)
    for part in (field, *walk_fields(field)):
        if isinstance(part, fields.Nested) and part.unknown == INCLUDE:
            yield "Nested(unknown=INCLUDE) lets a client set what is not declared."


def _mark_faults(field: fields.Field[Any]) -> Iterator[str]:
    marks = find_marks(field)
    names = set(marks.names)
    for pair in combinations(sorted(names), 2):
        if reason := _CONTRADICTIONS.get(frozenset(pair)):
            yield f"{pair[0]} with {pair[1]}: {reason}."
    for name in names & set(_ALONE):
        if len(names) > 1:
            yield f"{name} stands alone; with {', '.join(sorted(names - {name}))} it would say two things."
    if marks.hasher is not None:
        if not isinstance(field, fields.String):
            yield f"Hashed is for texts, and this is {_name(field)}."
        if find_unique(field) is not None:
            yield "Hashed with Unique: no two hashes are the same, so nothing would ever be taken."
    if field.load_only and field.dump_only and not marks.hidden and "ReadOnly" not in names:
        yield "is load_only and dump_only: neither written nor shown. Say Hidden."


def _validator_faults(field: fields.Field[Any]) -> Iterator[str]:
    if find_unique(field) is not None and not isinstance(field, _COMPARABLE):
        yield f"Unique is for single values, and this is {_name(field)}."
    for one in walk_validators(field.validators):
        if isinstance(one, Unique):
            yield "Unique is there twice, or within another validator."
        for kinds, types, verb in _FITS:
            if isinstance(one, kinds) and not isinstance(field, types):
                yield f"{type(one).__name__} {verb}, and this is {_name(field)}."
        if isinstance(one, (validate.Range, validate.Length)) and _is_empty_range(one):
            yield f"{type(one).__name__} lets nothing pass: its least is more than its most."
        if isinstance(one, validate.OneOf) and not list(one.choices):
            yield "OneOf lets nothing pass: it has no choices."
        if isinstance(one, validate.URL):
            for scheme in sorted(_NEVER_SCHEMES.intersection(map(str.lower, one.schemes))):
                yield f"a URL may not have the scheme {scheme}, which runs what it holds."


_FITS: Final[tuple[tuple[Any, tuple[type, ...], str], ...]] = (
    (validate.Regexp, _TEXTS, "is for texts"),
    ((validate.URL, validate.Email), _TEXTS, "is for texts"),
    (validate.Length, _SIZED, "is for what has a length"),
    (validate.Range, _ORDERED, "is for numbers, dates and times"),
    ((validate.ContainsOnly, validate.ContainsNoneOf), _SIZED, "is for lists"),
)


def _is_empty_range(one: validate.Range | validate.Length) -> bool:
    try:
        return one.min is not None and one.max is not None and one.min > one.max
    except TypeError:  # values that have no order among them: not for us to say
        return False


def _name(field: fields.Field[Any]) -> str:
    return type(field).__name__


def collect_rules(bases: Iterable[type], attributes: dict[str, Any]) -> dict[str, Rule]:
    """Return the rules of a class by name, those of its ancestors first; a later one of the same name stands."""
    rules: dict[str, Rule] = {}
    for base in reversed(list(bases)):
        rules |= getattr(base, "guard_rules", {})
    return rules | {name: value for name, value in attributes.items() if isinstance(value, Rule)}
