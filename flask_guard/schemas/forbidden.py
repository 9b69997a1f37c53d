"""Values that a client may not send: `admin` as a user's name or role, however it is written."""

from __future__ import annotations

import logging
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from enum import Enum
from typing import Any, Final, Literal

from marshmallow import ValidationError, missing, validate

from ..errors import ConfigError
from .markers import name_roles
from .messages import STRIPPED, is_stripped
from .passage import holds_role, loading

logger = logging.getLogger("flask_guard.schemas")
MODES: Final = ("reject", "strip")
_INVISIBLE: Final = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u3164\uffa0")


class ForbiddenValues(validate.Validator):
    """Validator: refuses the values, or with `mode="strip"` has the member removed and says so in the log.

    Values are compared as people read them: compatibility forms, case, space around and invisible characters do not
    count (NFKC_Casefold of the Unicode Standard, section 3.13), nor whether a number is written as a text. Lists
    and mappings are searched throughout. path: dotted names; where in a mapping to look, all of it by default.
    unless_role: who holds one of these roles may send them.
    """

    error = "This value is not allowed."

    def __init__(
        self,
        values: Iterable[Any],
        mode: Literal["reject", "strip"] = "reject",
        unless_role: str | Iterable[str] = (),
        *,
        path: str = "",
    ) -> None:
        if isinstance(values, (str, bytes)):
            raise ConfigError("ForbiddenValues() takes a list of values, not one text.")
        self._values = frozenset(fold(value) for value in values if value is not None)
        if not self._values:
            raise ConfigError("ForbiddenValues() forbids nothing: it has no values.")
        if mode not in MODES:
            raise ConfigError(f"ForbiddenValues(): mode is reject or strip, not {mode!r}.")
        self.mode = mode
        self.path = tuple(path.split(".")) if path else ()
        self._roles = name_roles("ForbiddenValues", unless_role)

    def __call__(self, value: Any) -> Any:
        if any(fold(leaf) in self._values for leaf in _walk(value, self.path)) and not self._is_exempt():
            raise ValidationError(STRIPPED if self.mode == "strip" else self.error)
        return value

    def _is_exempt(self) -> bool:
        return bool(self._roles) and holds_role(self._roles)


def fold(value: Any) -> str:
    """Return a value as the text that it is compared by."""
    if isinstance(value, Enum):
        value = value.value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    text = unicodedata.normalize("NFKC", str(value))
    if not text.isascii():
        text = "".join(character for character in text if not _is_invisible(character))
    return unicodedata.normalize("NFKC", " ".join(text.casefold().split()))


def _is_invisible(character: str) -> bool:
    # Default_Ignorable_Code_Point: format characters, variation selectors, joiners and fillers.
    return (
        unicodedata.category(character) == "Cf"
        or character in _INVISIBLE
        or "\ufe00" <= character <= "\ufe0f"
        or "\U000e0000" <= character <= "\U000e0fff"
    )


def _walk(value: Any, path: tuple[str, ...]) -> Iterator[Any]:
    """Yield the single values at a path; those in lists and, once the path is walked, in mappings too."""
    left = [(value, path)]
    while left:
        part, ahead = left.pop()
        if isinstance(part, Mapping):
            if not ahead:
                left.extend((inner, ahead) for inner in part.values())
            elif ahead[0] in part:
                left.append((part[ahead[0]], ahead[1:]))
        elif isinstance(part, (list, tuple, set, frozenset)):
            left.extend((inner, ahead) for inner in part)
        elif part is not None and not ahead:
            yield part
            if isinstance(part, Enum):
                yield part.name


class Stripping:
    """Mixin of fields that have a validator which strips: what it forbids is as good as not sent."""

    name: str | None

    def deserialize(self, value: Any, attr: str | None = None, data: Any = None, **kwargs: Any) -> Any:
        try:
            return super().deserialize(value, attr, data, **kwargs)  # type: ignore[misc]
        except ValidationError as error:
            if not is_stripped(error.messages):
                raise
        logger.warning("removed a forbidden value of %s", self.name)
        passage = loading.get()
        left = missing if kwargs.get("partial") else super().deserialize(missing, attr, data, **kwargs)  # type: ignore[misc]
        if passage is not None:
            passage.removed.add(self)
        return left
