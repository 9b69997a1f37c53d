"""What of an object a reader sees: which fields are dumped, for each set of roles worked out once."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, cast

from marshmallow import fields, missing

from ..values import Decision
from .markers import ABSENT, Visibility, find_marks
from .passage import Dumping, dumping

logger = logging.getLogger("flask_guard.schemas")


class Judged:
    """Stands for a field whose reader is judged for each object. Has of a field what a dump asks for.

    It is asked for every row: what it holds is what a row would otherwise have to look up.
    """

    __slots__ = ("_mask", "_name", "_sees", "_serialize", "data_key")

    def __init__(self, field: fields.Field[Any]) -> None:
        marks = find_marks(field)
        self.data_key = field.data_key
        self._name = str(field.name)
        self._sees = cast(Visibility, marks.sees)
        self._mask = missing if marks.mask is ABSENT else marks.mask
        self._serialize = field.serialize

    def serialize(self, attr: str, obj: Any, accessor: Any = None) -> Any:
        passage = cast(Dumping, dumping.get())
        try:
            verdict = self._sees(passage.principal, obj)  # type: ignore[arg-type]  # found before the first row
        except Exception as exc:  # whatever it raises
            verdict = exc
        if verdict is True or (verdict is not False and _allows(verdict, passage, name=self._name)):
            return self._serialize(attr, obj, accessor)
        return self._mask


def _allows(verdict: Any, passage: Dumping, *, name: str) -> bool:
    """Tell whether an answer that is no boolean is a yes. A predicate that fails is a no, and logged once a dump."""
    if isinstance(verdict, Decision):
        return verdict.allowed
    if name not in passage.faulty:
        passage.faulty.add(name)
        # Its type alone: the text of an exception may quote the object.
        logger.error("visible_to of %s gives %s; nobody sees the field", name, type(verdict).__name__)
    return False


def dump_fields_for(declared: Mapping[str, Any], roles: frozenset[str]) -> dict[str, Any]:
    """Return the fields that readers with these roles are shown, those of which they see a mask as the mask."""
    shown: dict[str, Any] = {}
    for name, field in declared.items():
        marks = find_marks(field)
        if marks.sees is not None:
            shown[name] = Judged(field)
        elif marks.readers is None or not marks.readers.isdisjoint(roles):
            shown[name] = field
        elif marks.mask is not ABSENT:
            shown[name] = fields.Constant(marks.mask, data_key=field.data_key)
    return shown
