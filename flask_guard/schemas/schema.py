"""GuardSchema: what may come in and what may go out, with nothing left to chance.

A marshmallow schema that any code which takes one can use: `load`, `dump`, `validate` and the OpenAPI export are
marshmallow's own. Added is what happens around them: unknown members are refused at every depth, markers and rules
are kept, and who the principal is decides what may be written and seen.
Rule: what does not depend on the body or the object is found out when the class or the instance is made.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from itertools import islice
from typing import Any, ClassVar, Final, cast

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

    dropped: read-only; frozen: immutable, dropped on an update; writers: by member, the roles that may write it.
    """

    __slots__ = ("dropped", "frozen", "writers")

    def __init__(self, marked: Mapping[str, Marks]) -> None:
        self.dropped = frozenset(key for key, marks in marked.items() if marks.read_only)
        self.frozen = frozenset(key for key, marks in marked.items() if marks.immutable)
        self.writers = {key: marks.writers for key, marks in marked.items() if marks.writers is not None}

    @property
    def is_needed(self) -> bool:
        return bool(self.dropped or self.frozen or self.writers)

    def admit(self, data: Mapping[str, Any], error_store: ErrorStore, index: int | None) -> Mapping[str, Any]:
        """Return the members that may be loaded; what may not be written is noted as a fault."""
        passage = loading.get()
        refused = set(self.dropped.intersection(data))
        if passage is not None and passage.is_update:
            refused.update(self.frozen.intersection(data))
        roles = passage.principal.roles if passage is not None else find_identity().principal.roles
        for key, writers in self.writers.items():
            if key in data and key not in refused and writers.isdisjoint(roles):
                error_store.store_error([NOT_ALLOWED], key, index)  # type: ignore[no-untyped-call]
                refused.add(key)
        return {key: value for key, value in data.items() if key not in refused} if refused else data


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
        if not settings.get("many") and isinstance(data, Mapping):
            if self._gate is not None:
                index = settings.get("index") if self.opts.index_errors else None
                data = self._gate.admit(data, settings["error_store"], index)
            if len(data) > len(self.load_fields) + MAX_FAULTS:
                data = self._cut(data)
        if self._update_view is not None and (passage := loading.get()) is not None and passage.is_update:
            return super(GuardSchema, self._update_view)._deserialize(data, **settings)
        return super()._deserialize(data, **settings)

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
        marked = {field.data_key or name: find_marks(field) for name, field in self.fields.items()}
        gate = _Gate(marked)
        self._gate = gate if gate.is_needed else None
        self._update_view: GuardSchema | None = None
        if gate.frozen:
            # Without the fields, because what is dropped is neither missing nor to be had from a default.
            self._update_view = copy(self)
            self._update_view.load_fields = {
                name: field for name, field in self.load_fields.items() if not find_marks(field).immutable
            }
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


def _refuse_include(unknown: str | None) -> None:
    if unknown == INCLUDE:
        raise ConfigError(
            "unknown=INCLUDE lets a client set what is not declared; RAISE refuses it, EXCLUDE strips it."
        )
