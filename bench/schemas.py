"""What a body and an answer cost through a GuardSchema, next to plain marshmallow with the same fields.

Guarded fields are strict, unknown members are refused at every depth, and who reads decides what is shown. The plain
schema does nothing of it. Rule: before the clock runs, both give the same, and what should be redacted is.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from marshmallow import Schema, ValidationError, fields, validate

from flask_guard import Principal, tenant_scope
from flask_guard.schemas import GuardSchema, Redacted

from .measure import Case, measure, scaled
from .report import Report, Target

TITLE = "Schemas"
ROUNDS = 41
ROWS = 1000
LINES = 5
PLAIN = "marshmallow"
GUARD = "GuardSchema"
TARGET = Target(1.15)
REDACTION = Target(1.05)
BY_ROLE, BY_MASK = "two fields redacted by role", "two fields masked by role"
BY_ROLE_SHOWN, BY_PREDICATE = "two fields shown by role", "a field shown by a predicate"


def run(report: Report, *, scale: float) -> None:
    """Print the tables of schemas."""
    rounds = scaled(ROUNDS, scale)
    plain, guarded = _make(Schema), _make(GuardSchema)
    body, nested = _body(), {**_body(), "lines": [_line(number) for number in range(LINES)]}
    for name, given in (("ten members", body), (f"ten members and {LINES} nested objects", nested)):
        _require_the_same(plain, guarded, given)
        report.heading(f"Schemas: load a body of {name}")
        _compare(report, f"load, {name}", partial(plain.load, given), partial(guarded.load, given), rounds=rounds)
        row = plain.load(given)
        report.heading(f"Schemas: dump an object of {name}")
        _compare(report, f"dump, {name}", partial(plain.dump, row), partial(guarded.dump, row), rounds=rounds)
    report.heading(f"Schemas: redaction in a dump of {ROWS} rows, in a schema without any")
    timing = measure(_redacting(plain.load(body)), rounds=rounds)
    targets = dict.fromkeys((BY_ROLE, BY_MASK, BY_ROLE_SHOWN, BY_PREDICATE), REDACTION)
    report.timing(f"{TITLE}, redaction", timing, floor=GUARD, targets=targets)


def _compare(report: Report, what: str, plain: Any, guarded: Any, *, rounds: int) -> None:
    timing = measure([Case(PLAIN, plain), Case(GUARD, guarded)], rounds=rounds)
    report.timing(f"{TITLE}, {what}", timing, floor=PLAIN, targets={GUARD: TARGET})


def _members() -> dict[str, Any]:
    return {
        "title": fields.String(required=True, validate=validate.Length(max=200)),
        "body": fields.String(),
        "author": fields.String(),
        "language": fields.String(validate=validate.OneOf(["en", "de"])),
        "views": fields.Integer(strict=True),
        "rating": fields.Float(),
        "price": fields.Decimal(),
        "is_public": fields.Boolean(),
        "day": fields.Date(),
        "email": fields.Email(),
    }


def _make(base: Any, **more: Any) -> Any:
    line = base.from_dict({"sku": fields.String(), "count": fields.Integer()})
    return base.from_dict(_members() | {"lines": fields.List(fields.Nested(line))} | more)()


def _line(number: int) -> dict[str, Any]:
    return {"sku": f"A-{number}", "count": number}


def _body() -> dict[str, Any]:
    return {
        "title": "A title",
        "body": "Some words. " * 10,
        "author": "Ann Author",
        "language": "en",
        "views": 3,
        "rating": 4.5,
        "price": "12.50",
        "is_public": True,
        "day": "2026-02-03",
        "email": "ann@example.org",
    }


def _require_the_same(plain: Any, guarded: Any, body: dict[str, Any]) -> None:
    """Stop unless both load and dump the same, and the guarded one alone is strict."""
    loaded = plain.load(body)
    assert guarded.load(body) == loaded
    assert guarded.dump(loaded) == plain.dump(loaded)
    for schema, is_strict in ((plain, False), (guarded, True)):
        try:
            schema.load({**body, "rating": "4.5"})
        except ValidationError:
            assert is_strict
        else:
            assert not is_strict


def _redacting(row: dict[str, Any]) -> Iterator[Case]:
    rows = [row] * ROWS
    principal = Principal("bench", roles=frozenset({"reader"}))

    def case(name: str, keys: int, **more: Any) -> Case:
        schema = _make(GuardSchema, **more)

        def call() -> Any:
            with tenant_scope("bench", principal=principal):
                return schema.dump(rows, many=True)

        assert len(call()[0]) == keys, call()[0]
        return Case(name, call)

    yield case(GUARD, 10)
    for name, keys, options in (
        (BY_ROLE, 8, {"visible_to": "boss"}),
        (BY_MASK, 10, {"visible_to": "boss", "mask": None}),
        (BY_ROLE_SHOWN, 10, {"visible_to": ("boss", "reader")}),
    ):
        texts = {field: Redacted(fields.String(), **options) for field in ("author", "body")}
        yield case(name, keys, **texts)
    yield case(BY_PREDICATE, 10, author=Redacted(fields.String(), visible_to=_is_reader))


def _is_reader(principal: Principal, _row: Any) -> bool:
    return principal.id == "bench"
