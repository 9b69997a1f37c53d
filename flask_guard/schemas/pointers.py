"""marshmallow's nested messages as a flat list of faults, each with the place in the body that it is about.

Pure, and without marshmallow: a dict of messages is all it needs.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any, Final

from ..errors import FieldFault

# An answer names so many faults: a body of 4 MiB may have a million unknown members.
MAX_FAULTS: Final = 200


def flatten_messages(messages: Any) -> list[FieldFault]:
    """Return the faults with RFC 6901 pointers; of more than `MAX_FAULTS` the first, and that there are more."""
    faults = list(islice(walk_messages(messages), MAX_FAULTS + 1))
    if len(faults) > MAX_FAULTS:
        faults[-1] = FieldFault("", f"There are more faults than the first {MAX_FAULTS}.")
    return faults


def walk_messages(messages: Any, pointer: str = "") -> Iterator[FieldFault]:
    """Yield a fault for each message. A message keeps its type, which tells a refusal from a wrong value."""
    if isinstance(messages, dict):
        for name, inner in messages.items():
            yield from walk_messages(inner, _descend(pointer, name))
    elif isinstance(messages, (list, tuple)):
        for item in messages:
            yield from walk_messages(item, pointer)
    else:
        yield FieldFault(pointer, messages if isinstance(messages, str) else str(messages))


def _descend(pointer: str, name: object) -> str:
    if name == "_schema":
        return pointer
    return f"{pointer}/{str(name).replace('~', '~0').replace('/', '~1')}"
