"""What a field is besides its type: who may write it, who may read it, what becomes of it.

A marker wraps a field and returns one of the same class, so markers combine: `WriteOnly(Hashed(String()))`.
What a marker says is kept by GuardSchema; in any other schema, and inside a list or a mapping, where nobody would
keep it, a marked field refuses to be used. Which markers go together is said in `definition`.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol, TypeVar

from marshmallow import ValidationError, fields

from ..crypto.passwords import HashedText, PasswordHasher
from ..errors import ConfigError
from ..values import Principal
from .messages import withhold_value
from .strict import as_twin

F = TypeVar("F", bound=fields.Field[Any])
# Tells from the reader and the object whether the reader may see the field.
Visibility = Callable[[Principal, Any], Any]


class Hasher(Protocol):
    """What `Hashed` stores values with. `crypto.passwords.PasswordHasher` is one."""

    def hash(self, password: str) -> str:
        """Return what is stored. Raises ValueError for a text that cannot be hashed as it is."""
        ...


class _Absent:
    """No mask: the member is left out."""

    def __repr__(self) -> str:
        return "ABSENT"


ABSENT: Final = _Absent()


@dataclass(frozen=True, slots=True)
class Marks:
    """What markers say of a field.

    names: the markers, outermost last. writers: the roles that may write it, None for everybody.
    readers: the roles that may read it, None for everybody; sees: tells it of one object.
    mask: what others read instead, ABSENT for nothing.
    """

    names: tuple[str, ...] = ()
    read_only: bool = False
    write_only: bool = False
    immutable: bool = False
    hidden: bool = False
    writers: frozenset[str] | None = None
    readers: frozenset[str] | None = None
    sees: Visibility | None = None
    mask: Any = ABSENT
    hasher: Hasher | None = None


NO_MARKS: Final = Marks()


class Marked:
    """Mixin of marked fields."""

    guard_marks: Marks = NO_MARKS

    def deserialize(self, value: Any, attr: str | None = None, data: Any = None, **kwargs: Any) -> Any:
        if isinstance(value, HashedText) and self.guard_marks.hasher is not None:
            return value
        try:
            return super().deserialize(value, attr, data, **kwargs)  # type: ignore[misc]
        except ValidationError as error:
            if not self.guard_marks.write_only:
                raise
            messages = withhold_value(error.messages, value)
        raise ValidationError(messages)

    def _bind_to_schema(self, field_name: str, parent: Any) -> None:
        if not getattr(parent, "guards_itself", False):
            marker = self.guard_marks.names[-1]
            where = f"in {type(parent).__name__}" if not isinstance(parent, fields.Field) else "inside of another field"
            raise ConfigError(f"{field_name}: {marker} means nothing {where}; it marks a field of a GuardSchema.")
        super()._bind_to_schema(field_name, parent)  # type: ignore[misc]


def find_marks(field: fields.Field[Any]) -> Marks:
    """Return what markers say of a field."""
    marks: Marks = getattr(field, "guard_marks", NO_MARKS)
    return marks


def _mark(name: str, field: F | type[F], **facts: Any) -> F:
    instance = field() if isinstance(field, type) and issubclass(field, fields.Field) else field
    if not isinstance(instance, fields.Field):
        raise ConfigError(f"{name}() wraps a marshmallow field, not {type(field).__name__}.")
    marks = find_marks(instance)
    marked: Any = copy.copy(instance) if isinstance(instance, Marked) else as_twin(instance, Marked)
    marked.guard_marks = replace(marks, names=(*marks.names, name), **facts)
    marked.load_only = marked.load_only or marked.guard_marks.write_only
    marked.dump_only = marked.dump_only or marked.guard_marks.read_only
    result: F = marked
    return result


def ReadOnly(field: F | type[F]) -> F:
    """Shown, never written: what a client sends of it is dropped."""
    return _mark("ReadOnly", field, read_only=True)


def WriteOnly(field: F | type[F]) -> F:
    """Written, never shown: not in output of any depth, not in messages, masked in logs."""
    return _mark("WriteOnly", field, write_only=True)


def Immutable(field: F | type[F]) -> F:
    """Written when the object is made; what an update brings of it is dropped."""
    return _mark("Immutable", field, immutable=True)


def Hidden(field: F | type[F]) -> F:
    """Neither in nor out, as if it were not declared: what a client sends of it is an unknown member."""
    return _mark("Hidden", field, hidden=True)


def Redacted(field: F | type[F], *, visible_to: str | Iterable[str] | Visibility, mask: Any = ABSENT) -> F:
    """Shown to some only.

    visible_to: a role, roles of which one is enough (none of them: nobody), or a function of the principal and the
    object that is dumped, which answers True, False or a Decision; when it fails nobody sees the field.
    mask: what others see, instead of nothing at all.
    """
    if callable(visible_to):
        return _mark("Redacted", field, sees=_check_visibility(visible_to), mask=mask)
    return _mark("Redacted", field, readers=name_roles("Redacted", visible_to), mask=mask)


def WritableBy(field: F | type[F], *roles: str) -> F:
    """Written by who holds one of the roles, else 403; null is a write too. Without roles: by nobody."""
    return _mark("WritableBy", field, writers=name_roles("WritableBy", roles))


def Hashed(field: F | type[F], *, hasher: Hasher | None = None) -> F:
    """Stored as a hash, once everything else of the body is right. Implies WriteOnly: a hash is not shown either.

    hasher: Argon2id by default. Null, "" and what is no text stay as they are; a hash that `load` made is not
    hashed again, while a text that merely looks like a hash is a text.
    """
    return _mark("Hashed", field, hasher=hasher or default_hasher(), write_only=True)


def name_roles(word: str, roles: str | Iterable[str]) -> frozenset[str]:
    """Return roles as a set. Raises ConfigError for what is no role's name."""
    names = frozenset({roles} if isinstance(roles, str) else roles)
    if not all(isinstance(name, str) and name.strip() for name in names):
        raise ConfigError(f"{word}() takes the names of roles.")
    return names


def _check_visibility(sees: Visibility) -> Visibility:
    if inspect.iscoroutinefunction(sees):
        raise ConfigError("Redacted(): visible_to is an async function; its answer would always count as yes.")
    try:
        inspect.signature(sees).bind(None, None)
    except TypeError:
        raise ConfigError("Redacted(): visible_to takes the principal and the object.") from None
    except ValueError:  # some built-in functions have no signature to be read
        pass
    return sees


_default_hasher: list[PasswordHasher] = []


def default_hasher() -> PasswordHasher:
    """Return the hasher of fields that name none."""
    if not _default_hasher:
        _default_hasher.append(PasswordHasher())
    return _default_hasher[0]


MARKERS: Final[Mapping[str, Callable[..., Any]]] = {
    marker.__name__: marker for marker in (Hashed, Hidden, Immutable, ReadOnly, Redacted, WritableBy, WriteOnly)
}
