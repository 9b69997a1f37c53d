"""The address of a request: how long it may be, and what the query string of a list may ask for.

Pure. Relies on nobody: names and values come decoded, as Werkzeug's `request.args` has them.
Rule: every parameter is known and given once; a refusal names the parameter and never repeats what was sent.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Protocol, TypeVar

from ..errors import FieldFault, InvalidQuery, UriTooLong

# A database walks over every row that an offset skips.
MAX_OFFSET: Final = 10_000

_RESERVED: Final = ("limit", "offset", "sort")
# More digits than any bound has, and far from int()'s own refusal of long numbers.
_NUMBER: Final = re.compile(r"[0-9]{1,9}")
# A NUL would be an error of the database; the others have no place in a filter either.
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")

Sort = tuple[tuple[str, bool], ...]
_Read = TypeVar("_Read")


class QueryArguments(Protocol):
    """The part of Werkzeug's MultiDict that is used: each name with all of its values."""

    def lists(self) -> Iterable[tuple[str, list[str]]]: ...


@dataclass(frozen=True, slots=True)
class ListQuery:
    """What a caller wants of a list. filters: name to value. sort: (name, is_descending), the first counts most."""

    filters: Mapping[str, str]
    sort: Sort
    limit: int
    offset: int


def check_url(path: str, query: str, *, max_bytes: int) -> None:
    """Raise UriTooLong when path and query string together have more than `max_bytes`.

    Both as WSGI has them: one character a byte, the path percent-decoded (PEP 3333).
    """
    length = len(path) + len(query)
    if length > max_bytes:
        raise UriTooLong(detail=f"{length} bytes, {max_bytes} accepted")


def parse_list_query(
    args: QueryArguments,
    *,
    filters: Collection[str],
    sorts: Collection[str],
    page_size: int = 50,
    max_page_size: int = 200,
    max_filters: int = 32,
    max_sorts: int = 8,
) -> ListQuery:
    """Return what `?status=open&sort=-created_at,title&limit=20&offset=40` asks for.

    args: `request.args`. filters: the parameters that the list can be filtered by, any text without control
    characters. sorts: the names that it can be sorted by; a minus in front means descending. page_size: the
    limit where none is given. The offset goes up to 10 000; a page further on needs a filter.
    Raises InvalidQuery with one fault for each parameter that is wrong, ValueError for a list that cannot be
    asked for: a filter that is named like one of the other parameters, a page size above its own maximum.
    """
    if not set(_RESERVED).isdisjoint(filters) or not 1 <= page_size <= max_page_size:
        raise ValueError(f"a list cannot be asked for with the filters {sorted(filters)} and pages of {page_size}")
    given, faults = _take_known(args, {*filters, *_RESERVED} if sorts else {*filters, "limit", "offset"})

    def read(name: str, parse: Callable[[str], _Read], default: _Read) -> _Read:
        if name in given:
            try:
                return parse(given.pop(name))
            except ValueError as exc:
                faults.append(_fault(name, str(exc)))
        return default

    limit = read("limit", lambda text: _parse_number(text, least=1, most=max_page_size), page_size)
    offset = read("offset", lambda text: _parse_number(text, least=0, most=MAX_OFFSET), 0)
    unsorted: Sort = ()
    sort = read("sort", lambda text: _parse_sort(text, names=sorts, most=max_sorts), unsorted)
    if len(given) > max_filters:
        faults.append(_fault(None, f"At most {max_filters} filters are accepted."))
    if faults:
        raise InvalidQuery(errors=faults)
    return ListQuery(filters=MappingProxyType(given), sort=sort, limit=limit, offset=offset)


def _take_known(args: QueryArguments, known: set[str]) -> tuple[dict[str, str], list[FieldFault]]:
    """Return the parameters that are known and given once, and the faults of the others."""
    given: dict[str, str] = {}
    faults: list[FieldFault] = []
    has_unknown = False
    for name, values in args.lists():
        if name not in known:
            has_unknown = True
        elif len(values) != 1:
            faults.append(_fault(name, "Must be given once."))
        elif _CONTROL.search(values[0]):
            faults.append(_fault(name, "Must not hold control characters."))
        else:
            given[name] = values[0]
    if has_unknown:
        faults.append(_fault(None, f"The parameters here are {', '.join(sorted(known))}, and no others."))
    return given, faults


def _fault(name: str | None, message: str) -> FieldFault:
    """name: a parameter that is known here, None for the query string as a whole."""
    pointer = "" if name is None else "/" + name.replace("~", "~0").replace("/", "~1")
    return FieldFault(pointer, message)


def _parse_number(text: str, *, least: int, most: int) -> int:
    """Raises ValueError with what the caller is told."""
    if _NUMBER.fullmatch(text) and least <= int(text) <= most:
        return int(text)
    raise ValueError(f"Must be a whole number from {least} to {most}.")


def _parse_sort(text: str, *, names: Collection[str], most: int) -> Sort:
    """Raises ValueError with what the caller is told."""
    keys = tuple((item.removeprefix("-"), item.startswith("-")) for item in text.split(","))
    asked = {name for name, _ in keys}
    if len(keys) > most:
        raise ValueError(f"At most {most} names are accepted.")
    if len(asked) != len(keys) or not asked <= set(names):
        raise ValueError(f"Must be some of {', '.join(sorted(names))}, each once, with a minus for descending.")
    return keys
