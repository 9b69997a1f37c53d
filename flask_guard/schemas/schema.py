"""GuardSchema: what may come in and what may go out, with nothing left to chance.

A marshmallow schema that any code which takes one can use: `load`, `dump`, `validate` and the OpenAPI export are
marshmallow's own. Added is what happens around them: unknown members are refused at every depth, markers and rules
are kept, and who the principal is decides what may be written and seen.
Rule: what does not depend on the body or the object is found out when the class or the instance is made.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from copy import copy
from itertools import islice
from typing import Any, ClassVar, Final, Self, cast

from marshmallow import INCLUDE, Schema, ValidationError, fields
from marshmallow.decorators import POST_LOAD, VALIDATES_SCHEMA
from marshmallow.error_store import ErrorStore
from marshmallow.schema import SchemaMeta

from ..errors import ConfigError
from ..tenancy.scope import find_identity
from ..withheld import list_write_only, withhold
from .definition import collect_rules, find_faults
from .finishing import check_rules, finish
from .forbidden import ForbiddenValues, Stripping
from .lookups import find_unique, set_unique_apart
from .markers import Marks, find_marks
from .messages import NOT_ALLOWED, find_refusal
from .passage import Dumping, Loading, dumping, loading
from .pointers import MAX_FAULTS
from .redaction import redact
from .rules import Rule
from .strict import as_twin, harden, walk_fields, walk_validators
from .views import dump_fields_for

_MAX_VIEWS: Final = 256
_NOTHING: Final[frozenset[str]] = frozenset()


class GuardSchemaMeta(SchemaMeta):
    """Makes the fields strict, and refuses a class of which a rule could not be kept."""

    def __new__(mcs, name: str, bases: tuple[type, ...], attrs: dict[str, Any]) -> Any:
        cls: Any = super().__new__(mcs, name, bases, attrs)
        cls.guard_rules = collect_rules(cls.__mro__[1:], attrs)
        coerces = bool(getattr(cls.Meta, "coerce", False))
        cls._declared_fields = {
            field_name: _prepare(field, coerces=coerces) for field_name, field in cls._declared_fields.items()
        }
        return cls

    def __init__(cls, name: str, bases: tuple[type, ...], attrs: dict[str, Any]) -> None:
        super().__init__(name, bases, attrs)  # type: ignore[no-untyped-call]
        schema = cast(Any, cls)
        if faults := find_faults(schema):
            raise ConfigError(*faults)
        schema._hooks = _add_hooks(schema)
        _register(schema)


def _prepare(field: fields.Field[Any], *, coerces: bool) -> fields.Field[Any]:
    """Return a field as GuardSchema uses it: strict, with removing what is to be stripped."""
    strict: Any = harden(field, coerces=coerces)
    strips = any(
        isinstance(one, ForbiddenValues) and one.mode == "strip"
        for part in (strict, *walk_fields(strict))
        for one in walk_validators(part.validators)
    )
    if strips and not isinstance(strict, Stripping):
        strict = as_twin(strict, Stripping)
    set_unique_apart(strict)
    return cast("fields.Field[Any]", strict)


def _add_hooks(schema: Any) -> Any:
    """Return the hooks with ours before all others, for the classes that have a use for them."""
    hooks = copy(schema._hooks)
    for tag, entries in _list_hooks(schema).items():
        names = {entry[0] for entry in entries}
        hooks[tag] = [*entries, *(entry for entry in schema._hooks[tag] if entry[0] not in names)]
    return hooks


def _list_hooks(schema: Any) -> dict[str, list[tuple[str, bool, dict[str, Any]]]]:
    hooks = {}
    rules = schema.guard_rules.values()
    checks = [
        (method, True, {"skip_on_field_errors": skips, "pass_original": True})
        for method, skips in (("_check_named", False), ("_check_whole", True))
        if any(bool(rule.fields) is not skips for rule in rules)
    ]
    if checks:
        hooks[VALIDATES_SCHEMA] = checks
    declared = schema._declared_fields.values()
    if any(find_marks(field).hasher or find_unique(field) for field in declared):
        hooks[POST_LOAD] = [("_finish", True, {"pass_original": False})]
    return hooks


def _register(schema: Any) -> None:
    """Tell logs, audit and history which members never come out."""
    named = {name: find_marks(field) for name, field in schema._declared_fields.items()}
    names = {
        name: {name, field.attribute or name, field.data_key or name} for name, field in schema._declared_fields.items()
    }
    write_only = {alias for name, marks in named.items() if marks.write_only for alias in names[name]}
    hidden = {alias for name, marks in named.items() if marks.hidden for alias in names[name]}
    if write_only or hidden:
        withhold(getattr(schema.Meta, "model", None) or schema, write_only=write_only, hidden=hidden)


class _Gate:
    """What is done to the raw members of a body. Names are those of the body.

    dropped: read-only; frozen: immutable, dropped on an update; writers: members with the roles that may write them.
    """

    __slots__ = ("dropped", "frozen", "writers")

    def __init__(self, marked: Iterable[tuple[str, Marks]]) -> None:
        marked = list(marked)
        self.dropped = frozenset(key for key, marks in marked if marks.read_only)
        self.frozen = frozenset(key for key, marks in marked if marks.immutable)
        self.writers = [(key, marks.writers) for key, marks in marked if marks.writers is not None]

    @property
    def is_needed(self) -> bool:
        return bool(self.dropped or self.frozen or self.writers)

    def admit(self, data: Mapping[str, Any], error_store: ErrorStore, index: int | None) -> Mapping[str, Any]:
        """Return the members that may be loaded; what may not be written is noted as a fault."""
        passage = loading.get()
        refused = set(self.dropped.intersection(data))
        if passage is not None and passage.is_update:
            refused.update(self.frozen.intersection(data))
        for key in self._find_unwritable(passage):
            if key in data and key not in refused:
                error_store.store_error([NOT_ALLOWED], key, index)  # type: ignore[no-untyped-call]
                refused.add(key)
        return {key: value for key, value in data.items() if key not in refused} if refused else data

    def find_kept(self) -> frozenset[str]:
        """Return the members that an update leaves as they are: neither asked for nor to be had from a default."""
        passage = loading.get()
        if passage is None or not passage.is_update:
            return _NOTHING
        return self.frozen.union(self._find_unwritable(passage))

    def _find_unwritable(self, passage: Loading | None) -> list[str]:
        if not self.writers:
            return []
        roles = (find_identity() if passage is None else passage).principal.roles
        return [key for key, writers in self.writers if writers.isdisjoint(roles)]


class GuardSchema(Schema, metaclass=GuardSchemaMeta):
    """Base of schemas. Unknown members are refused; `class Meta: unknown = EXCLUDE` strips them, at every depth.

    Meta: marshmallow's options, `coerce` (texts are read as numbers and truths, for forms and query strings) and
    `model` (whose members they are, for `flask_guard.withheld`).
    is_update: bodies change objects that are there already, so immutable members are dropped. It need not be said
    when `partial` is, or when `load` is given the existing object.
    Raises ConfigError, when the class is made, for every rule that could not be kept.
    """

    guards_itself: ClassVar[bool] = True
    guard_rules: ClassVar[dict[str, Rule]] = {}

    def __init__(self, *, is_update: bool = False, unknown: str | None = None, **options: Any) -> None:
        _refuse_include(unknown)
        self._is_update = is_update
        super().__init__(unknown=unknown, **options)  # type: ignore[arg-type]

    def for_update(self) -> Self:
        """Return a copy whose bodies change objects that are there already."""
        changing = copy(self)
        changing._is_update = True
        return changing

    def for_texts(self) -> Self:
        """Return a copy that reads texts as numbers and truths, as with `Meta.coerce`."""
        reading = copy(self)
        reading.declared_fields = {name: harden(field, coerces=True) for name, field in self.declared_fields.items()}
        reading._init_fields()
        return reading

    def load(
        self,
        data: Any,
        *,
        many: bool | None = None,
        partial: Any = None,
        unknown: str | None = None,
        existing: Any = None,
    ) -> Any:
        """Return a body as it may be used. existing: the object, or mapping, that it changes.

        Raises ValidationError with every fault and without the body, FieldForbidden for members that the principal
        may not write, and Conflict when values are taken and nothing else is wrong.
        """
        return self._do_load(data, many=many, partial=partial, unknown=unknown, existing=existing)

    def _do_load(
        self,
        data: Any,
        *,
        many: bool | None = None,
        partial: Any = None,
        unknown: str | None = None,
        postprocess: bool = True,
        existing: Any = None,
    ) -> Any:
        _refuse_include(unknown)
        if loading.get() is not None and existing is None:
            return super()._do_load(data, many=many, partial=partial, unknown=unknown, postprocess=postprocess)  # type: ignore[arg-type]
        is_update = self._is_update or existing is not None or bool(partial or self.partial)
        token = loading.set(Loading(self, unknown=unknown or self.unknown, is_update=is_update, existing=existing))
        try:
            return super()._do_load(data, many=many, partial=partial, unknown=unknown, postprocess=postprocess)  # type: ignore[arg-type]
        except ValidationError as error:
            error.data = None
            error.valid_data = redact(error.valid_data, list_write_only())
            if refusal := find_refusal(error.messages):
                raise refusal from error
            raise
        finally:
            loading.reset(token)

    def _deserialize(self, data: Any, **settings: Any) -> Any:
        if settings.get("many") and isinstance(data, (list, tuple)):
            return [self._deserialize_one(item, index, settings) for index, item in enumerate(data)]
        if not settings.get("many") and isinstance(data, Mapping):
            if self._gate is not None:
                index = settings.get("index") if self.opts.index_errors else None
                data = self._gate.admit(data, settings["error_store"], index)
            if len(data) > len(self.load_fields) + MAX_FAULTS:
                data = self._cut(data)
            return super(GuardSchema, self._find_loaded())._deserialize(data, **settings)
        return super()._deserialize(data, **settings)

    def _deserialize_one(self, item: Any, index: int, settings: dict[str, Any]) -> Any:
        """Return one of several. Raises ValidationError when there are more faults than an answer names."""
        loaded = self._deserialize(item, **{**settings, "many": False, "index": index})
        if len(settings["error_store"].errors) > MAX_FAULTS:
            raise ValidationError(settings["error_store"].errors)
        return loaded

    def _find_loaded(self) -> GuardSchema:
        """Return the schema without the fields that an update leaves as they are."""
        kept = _NOTHING if self._gate is None else self._gate.find_kept()
        if not kept:
            return self
        view = self._loaded.get(kept)
        if view is None:
            view = copy(self)
            view.load_fields = {
                name: field for name, field in self.load_fields.items() if (field.data_key or name) not in kept
            }
            if len(self._loaded) < _MAX_VIEWS:
                self._loaded[kept] = view
        return view

    def find_loaded_fields(self) -> Mapping[str, fields.Field[Any]]:
        """Return the fields that the body which is being loaded may have, by name."""
        return self._find_loaded().load_fields

    def _cut(self, data: Mapping[str, Any]) -> Mapping[str, Any]:
        """Leave of the unknown members as many as an answer names: noting a million of them takes seconds."""
        known = {field.data_key or name for name, field in self.load_fields.items()}
        unknown = islice((key for key in data if key not in known), MAX_FAULTS + 1)
        return {key: data[key] for key in (*known.intersection(data), *unknown)}

    def _check_named(self, data: Any, original_data: Any, **settings: Any) -> None:
        check_rules(self, data, original_data, named=True, **settings)

    def _check_whole(self, data: Any, original_data: Any, **settings: Any) -> None:
        check_rules(self, data, original_data, named=False, **settings)

    def _finish(self, data: Any, *, many: bool, **_settings: Any) -> Any:
        return finish(self, data, many=many)

    def dump(self, obj: Any, *, many: bool | None = None) -> Any:
        """Return an object as the principal may see it."""
        if not (self._readers or self._has_nested):
            return super().dump(obj, many=many)
        passage = dumping.get()
        if passage is not None:
            return self._dump_view(passage, obj, many=many)
        passage = Dumping()
        token = dumping.set(passage)
        try:
            return self._dump_view(passage, obj, many=many)
        finally:
            dumping.reset(token)

    def _dump_view(self, passage: Dumping, obj: Any, *, many: bool | None) -> Any:
        if not self._readers:
            return super().dump(obj, many=many)
        roles = passage.find_principal().roles & self._reader_roles
        view = self._views.get(roles)
        if view is None:
            view = copy(self)
            view.dump_fields = dump_fields_for(self.dump_fields, roles)
            if len(self._views) < _MAX_VIEWS:
                self._views[roles] = view
        return super(GuardSchema, view).dump(obj, many=many)

    def _init_fields(self) -> None:
        super()._init_fields()
        for name in [name for name, field in self.fields.items() if find_marks(field).hidden]:
            for shown in (self.fields, self.load_fields, self.dump_fields):
                shown.pop(name, None)
        gate = _Gate(_list_marks(self.fields, self.load_fields))
        self._gate = gate if gate.is_needed else None
        self._readers = {
            name: marks
            for name, field in self.dump_fields.items()
            if (marks := find_marks(field)).readers is not None or marks.sees is not None
        }
        self._reader_roles = frozenset().union(*(marks.readers or () for marks in self._readers.values()))
        self._has_nested = any(
            isinstance(part, fields.Nested)
            for field in self.dump_fields.values()
            for part in (field, *walk_fields(field))
        )
        self._views: dict[frozenset[str], GuardSchema] = {}
        self._loaded: dict[frozenset[str], GuardSchema] = {}


def _list_marks(
    declared: Mapping[str, fields.Field[Any]], loaded: Mapping[str, fields.Field[Any]]
) -> Iterator[tuple[str, Marks]]:
    """Yield what markers say of the members of a body, by their names in it.

    A member may be loaded by one field and dumped by another: then what is said of the one that loads it counts.
    """
    taken = {field.data_key or name for name, field in loaded.items()}
    for name, field in declared.items():
        key = field.data_key or name
        if name in loaded or key not in taken:
            yield key, find_marks(field)


def _refuse_include(unknown: str | None) -> None:
    if unknown == INCLUDE:
        raise ConfigError(
            "unknown=INCLUDE lets a client set what is not declared; RAISE refuses it, EXCLUDE strips it."
        )
