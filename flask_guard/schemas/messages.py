"""What is wrong with a member, where it is not simply its value: marshmallow carries these to their place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..errors import Conflict, FieldFault, FieldForbidden, Refusal
from .pointers import MAX_FAULTS, walk_messages

WITHHELD = "Invalid value."


class NotAllowed(str):
    """The caller lacks the role to write this member: 403."""

    __slots__ = ()


class Taken(str):
    """Another row has this value: 409."""

    __slots__ = ()


class Stripped(str):
    """The member is removed and not refused. Where nobody removes it, it is refused."""

    __slots__ = ()


NOT_ALLOWED = NotAllowed(FieldForbidden.public)
TAKEN = Taken("This value is already taken.")
STRIPPED = Stripped("This value is not allowed.")


def find_refusal(messages: Any) -> Refusal | None:
    """Return 403 when a member may not be written, 409 when values are taken and nothing else is wrong."""
    not_allowed: list[FieldFault] = []
    taken: list[FieldFault] = []
    others = 0
    for fault in walk_messages(messages):
        if isinstance(fault.message, NotAllowed):
            not_allowed.append(fault)
        elif isinstance(fault.message, Taken):
            taken.append(fault)
        else:
            others += 1
    if not_allowed:
        return FieldForbidden(errors=not_allowed[:MAX_FAULTS], detail=_tell(not_allowed))
    if taken and not others:
        return Conflict(errors=taken[:MAX_FAULTS], detail=_tell(taken))
    return None


def _tell(faults: list[FieldFault]) -> str:
    return f"{faults[0].message} {', '.join(fault.pointer for fault in faults[:10])}"


def withhold_value(messages: Any, value: Any) -> Any:
    """Return messages of which none quotes the value, nor a text anywhere in it."""
    texts = {text for text in _texts(value) if text}

    def clean(part: Any) -> Any:
        if isinstance(part, dict):
            return {name: clean(inner) for name, inner in part.items()}
        if isinstance(part, (list, tuple)):
            return [clean(inner) for inner in part]
        told = str(part)
        return WITHHELD if any(text in told for text in texts) else part

    return clean(messages)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield str(name)
            yield from _texts(inner)
    elif isinstance(value, (list, tuple, set, frozenset)):
        for inner in value:
            yield from _texts(inner)
    elif value is not None:
        yield str(value)


def is_stripped(messages: Any) -> bool:
    """Tell whether a member is to be removed because of one of these messages."""
    return any(isinstance(fault.message, Stripped) for fault in walk_messages(messages))
