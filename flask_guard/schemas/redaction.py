"""Takes members out of plain data: dicts and lists, at every depth, and streams of them.

For what no schema dumps: exports, events, the payload of a webhook.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from .markers import ABSENT


def redact(
    data: Any, paths: str | Iterable[str], *, when: Callable[[Mapping[str, Any]], Any] | None = None, mask: Any = ABSENT
) -> Any:
    """Return a copy of data without the members at these paths; a stream is returned as a stream.

    paths: `email` is every member of that name, however deep; `owner.email` is that of every `owner`, lists between
    them or not. when: tells from the mapping that holds the member whether to redact; always by default. Anything
    but False, and an exception, is yes. mask: what stands there instead.
    Raises ValueError for a path that names nothing.
    """
    names = {path: tuple(path.split(".")) for path in ([paths] if isinstance(paths, str) else paths)}
    if not all(all(parts) for parts in names.values()):
        raise ValueError("a path is names with dots between them")
    redactor = _Redactor(tuple(names.values()), when, mask)
    if isinstance(data, (Iterator, Generator)):
        return (redactor.walk(item, ()) for item in data)
    return redactor.walk(data, ())


class _Redactor:
    def __init__(
        self, paths: tuple[tuple[str, ...], ...], when: Callable[[Mapping[str, Any]], Any] | None, mask: Any
    ) -> None:
        self._single = frozenset(path[0] for path in paths if len(path) == 1)
        self._long = tuple(path for path in paths if len(path) > 1)
        self._when = when
        self._mask = mask

    def walk(self, value: Any, above: tuple[str, ...]) -> Any:
        if is_dataclass(value) and not isinstance(value, type):
            value = {field.name: getattr(value, field.name) for field in fields(value)}
        if isinstance(value, Mapping):
            return self._walk_mapping(value, above)
        if isinstance(value, (list, tuple, set, frozenset)):
            return [self.walk(item, above) for item in value]
        return value

    def _walk_mapping(self, value: Mapping[Any, Any], above: tuple[str, ...]) -> dict[Any, Any]:
        kept = {}
        for name, inner in value.items():
            here = (*above, str(name))
            if not self._is_meant(here) or not self._applies(value):
                kept[name] = self.walk(inner, here)
            elif self._mask is not ABSENT:
                kept[name] = self._mask
        return kept

    def _is_meant(self, here: tuple[str, ...]) -> bool:
        return here[-1] in self._single or any(here[-len(path) :] == path for path in self._long)

    def _applies(self, holder: Mapping[str, Any]) -> bool:
        if self._when is None:
            return True
        try:
            return self._when(holder) is not False
        except Exception:  # whatever it raises: not knowing means not showing
            return True
