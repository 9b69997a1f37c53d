"""What is done once the fields of a body are right: rules about several of them, values that are taken, hashes.

In this order, because each costs more than the one before it and is of no use when that fails.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from marshmallow import ValidationError

from ..crypto.passwords import HashedText, PasswordTooLong
from ..errors import HashFailed
from .lookups import find_unique
from .markers import find_marks
from .messages import TAKEN
from .passage import loading
from .rules import Body, Rule


def check_rules(schema: Any, data: Any, original: Any, *, many: bool, partial: Any, named: bool, **_: Any) -> None:
    """Judge a loaded body, or each of several, by the schema's rules. Raises ValidationError with their answers.

    named: the rules that name their fields; one of which a field is faulty is left out.
    """
    passage = loading.get()
    existing = passage.existing_for(schema) if passage is not None else None
    rules = [rule for rule in schema.guard_rules.values() if bool(rule.fields) is named]
    keys = {name: field.attribute or name for name, field in schema.declared_fields.items()}
    labels = {name: field.data_key or name for name, field in schema.declared_fields.items()}
    expected = schema.find_loaded_fields()
    unsent = frozenset(keys) if partial else frozenset(schema.load_fields.keys() - expected.keys())
    removed = passage.removed if passage is not None else set()
    judged = [name for name, field in expected.items() if field not in removed]
    faults: dict[Any, Any] = {}
    for index, (loaded, raw) in enumerate(_pair(data, original, many=many)):
        sent = raw if isinstance(raw, Mapping) else {}
        faulty = frozenset(name for name in judged if labels[name] in sent and keys[name] not in loaded)
        body = Body(loaded, existing, unsent=unsent, faulty=faulty, keys=keys, labels=labels)
        found = _judge(rules, body)
        if found:
            faults |= {index: found} if many and schema.opts.index_errors else found
    if faults:
        raise ValidationError(faults)


def _pair(data: Any, original: Any, *, many: bool) -> Iterator[tuple[Any, Any]]:
    if not many:
        yield data, original
    elif isinstance(original, (list, tuple)) and len(original) == len(data):
        yield from zip(data, original, strict=True)
    else:
        yield from ((item, None) for item in data)


def _judge(rules: list[Rule], body: Body) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for rule in rules:
        if body.faulty.intersection(rule.fields):
            continue
        verdict = rule.judge(body)
        if verdict is None:
            continue
        by_field = verdict if isinstance(verdict, Mapping) else {"_schema": verdict}
        for name, message in by_field.items():
            messages = message if isinstance(message, list) else [message]
            found.setdefault(body.labels.get(name, name), []).extend(messages)
    return found


def finish(schema: Any, data: Any, *, many: bool) -> Any:
    """Return a loaded body with its values looked up and its hashes made.

    Raises ValidationError for what is taken or cannot be hashed, UniqueCheckFailed and HashFailed.
    """
    items = data if many else [data]
    faults: dict[Any, Any] = {}
    seen: set[tuple[str, Any]] = set()
    for index, item in enumerate(items):
        found = _find_taken(schema, item, seen)
        if found:
            faults |= {index: found} if many and schema.opts.index_errors else found
    if faults:
        raise ValidationError(faults)
    for index, item in enumerate(items):
        found = _hash_fields(schema, item)
        if found:
            faults |= {index: found} if many and schema.opts.index_errors else found
    if faults:
        raise ValidationError(faults)
    return data


def _find_taken(schema: Any, item: Any, seen: set[tuple[str, Any]]) -> dict[str, list[Any]]:
    passage = loading.get()
    existing = passage.existing_for(schema) if passage is not None else None
    is_unknown_update = passage is not None and passage.is_update and existing is None
    found: dict[str, list[Any]] = {}
    for name, field in schema.load_fields.items():
        unique = find_unique(field)
        value = item.get(field.attribute or name) if unique is not None else None
        if unique is None or value is None:
            continue
        again = (name, unique.fold(value))
        is_taken = again in seen or (not is_unknown_update and unique.is_taken(value, existing=existing))
        seen.add(again)
        if is_taken:
            found[field.data_key or name] = [TAKEN]
    return found


def _hash_fields(schema: Any, item: Any) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for name, field in schema.load_fields.items():
        hasher = find_marks(field).hasher
        key = field.attribute or name
        value = item.get(key) if hasher is not None else None
        if hasher is None or not isinstance(value, str) or not value or isinstance(value, HashedText):
            continue
        try:
            item[key] = HashedText(hasher.hash(value))
        except PasswordTooLong as exc:
            found[field.data_key or name] = [f"Longer than {exc.max_bytes} bytes."]
        except Exception as exc:  # whatever a hasher raises; its text may quote the value
            raise HashFailed(detail=f"{type(schema).__name__}.{name}: {type(exc).__name__}") from None
    return found
