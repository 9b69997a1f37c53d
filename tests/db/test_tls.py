"""A server on another machine is reached by TLS unless somebody chose otherwise."""

from __future__ import annotations

import pytest
from sqlalchemy import event, make_url

from flask_guard.db.engine import Database
from flask_guard.db.tls import default_tls, is_remote
from flask_guard.errors import StoreUnavailable

REQUIRED = {"sslmode": "require"}


@pytest.mark.parametrize(
    ("rest", "environ", "expected"),
    [
        ("db.example/app", {}, REQUIRED),
        ("10.0.0.5/app", {}, REQUIRED),
        ("[2001:db8::1]/app", {}, REQUIRED),
        ("localhost.example/app", {}, REQUIRED),
        ("/app?host=db1.example,db2.example", {}, REQUIRED),
        ("/app?host=db1.example&host=localhost", {}, REQUIRED),
        ("/app", {"PGHOST": "db.example"}, REQUIRED),
        ("localhost/app?hostaddr=10.0.0.5", {}, REQUIRED),
        ("localhost/app", {}, {}),
        ("127.0.0.1/app", {}, {}),
        ("[::1]:5432/app", {}, {}),
        ("/app", {}, {}),
        ("/app?host=/run/postgresql", {}, {}),
        ("localhost/app", {"PGHOST": "db.example"}, {}),
        ("db.example/app?sslmode=disable", {}, {}),
        ("db.example/app?sslmode=verify-full", {}, {}),
        ("db.example/app", {"PGSSLMODE": "prefer"}, {}),
        ("db.example/app", {"PGSSLMODE": ""}, REQUIRED),
        ("db.example/app?service=main", {}, {}),
        ("db.example/app", {"PGSERVICE": "main"}, {}),
    ],
)
def test_tls_is_required_where_nobody_said_otherwise(
    rest: str, environ: dict[str, str], expected: dict[str, str]
) -> None:
    assert default_tls(make_url(f"postgresql+psycopg://app@{rest}"), environ) == expected


def test_sqlite_has_no_tls() -> None:
    assert default_tls(make_url("sqlite:///app.db"), {}) == {}
    assert not is_remote(make_url("sqlite:///app.db"), {})


@pytest.mark.parametrize(("host", "mode"), [("db.example", "require"), ("127.0.0.1", None)])
def test_guards_own_engine_asks_for_it(monkeypatch: pytest.MonkeyPatch, host: str, mode: str | None) -> None:
    monkeypatch.delenv("PGSSLMODE", raising=False)
    database = Database.from_url(f"postgresql://app@{host}/app")
    asked = []

    @event.listens_for(database.engine, "do_connect")
    def stop(_dialect: object, _record: object, _arguments: object, parameters: dict[str, object]) -> None:
        asked.append(parameters.get("sslmode"))
        raise ConnectionRefusedError

    with pytest.raises(StoreUnavailable):
        database.ping()
    assert asked == [mode]
