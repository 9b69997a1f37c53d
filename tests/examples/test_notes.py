"""examples/notes: what it promises, on SQLite and on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import event, inspect
from werkzeug.test import TestResponse

from .notes_client import BOTH, Caller, make_app

MIB = 1024 * 1024
NO_NOTE = "/notes/00000000-0000-4000-8000-000000000000"


@pytest.fixture
def app(notes: Any, database_url: str) -> Iterator[Flask]:
    app = make_app(notes, DATABASE_URL=database_url)
    yield app
    app.extensions["notes.engine"].dispose()


@pytest.fixture
def sqlite_app(notes: Any, tmp_path: Path) -> Iterator[Flask]:
    """For what has nothing to do with the kind of database."""
    app = make_app(notes, DATABASE_URL=f"sqlite:///{tmp_path / 'notes.db'}")
    yield app
    app.extensions["notes.engine"].dispose()


def assert_problem(answer: TestResponse, status: int, code: str) -> dict[str, Any]:
    assert (answer.status_code, answer.content_type) == (status, "application/problem+json"), answer.text
    problem: dict[str, Any] = answer.get_json(force=True)
    assert problem["code"] == code
    return problem


# Notes -------------------------------------------------------------------------------------------------


def test_a_note_is_written_read_changed_and_deleted(app: Flask) -> None:
    ada = Caller(app)

    written = ada("POST", "/notes", json={"title": "Milk"})
    path = written.headers["Location"]
    changed = ada("PUT", path, json={"title": "Beer", "body": "One crate"})
    read = ada("GET", path)
    deleted = ada("DELETE", path)

    assert written.status_code == 201
    assert written.get_json() | {"id": "", "created_at": ""} == {
        "id": "", "title": "Milk", "body": "", "owner": "ada", "created_at": "",
    }  # fmt: skip
    assert changed.get_json() == read.get_json() == written.get_json() | {"title": "Beer", "body": "One crate"}
    assert (deleted.status_code, deleted.data) == (204, b"")
    assert_problem(ada("GET", path), 404, "not_found")


def test_the_list_has_the_newest_hundred(app: Flask) -> None:
    ada = Caller(app)
    ada("POST", "/import", json=[{"title": f"old {number}"} for number in range(120)])
    ada.write("newer")
    ada.write("newest")

    titles = ada.titles()

    assert len(titles) == 100
    assert titles[:2] == ["newest", "newer"]


@pytest.mark.parametrize(
    ("members", "pointer"),
    [
        pytest.param({"title": "Milk", "tenant_id": "globex"}, "/tenant_id", id="a tenant"),
        pytest.param({"title": "Milk", "owner_id": "grace"}, "/owner_id", id="an owner"),
        pytest.param({"title": "Milk", "id": NO_NOTE[-36:]}, "/id", id="an id"),
        pytest.param({"body": "no title"}, "/title", id="no title"),
        pytest.param({"title": ""}, "/title", id="an empty title"),
        pytest.param({"title": None}, "/title", id="a title that is null"),
        pytest.param({"title": ["Milk"]}, "/title", id="a title that is a list"),
        pytest.param({"title": "x" * 201}, "/title", id="a title too long"),
        pytest.param({"title": "Mi\0lk"}, "/title", id="a title with NUL"),
        pytest.param({"title": "Milk", "body": "x" * 20_001}, "/body", id="a body too long"),
        pytest.param({"title": "Milk", "body": "\0"}, "/body", id="a body with NUL"),
    ],
)
def test_what_is_no_note_is_refused_by_post_and_put(sqlite_app: Flask, members: dict[str, Any], pointer: str) -> None:
    ada = Caller(sqlite_app)
    kept = ada.write()

    answers = [ada("POST", "/notes", json=members), ada("PUT", f"/notes/{kept['id']}", json=members)]

    for answer in answers:
        problem = assert_problem(answer, 422, "validation_error")
        assert [fault["pointer"] for fault in problem["errors"]] == [pointer]
    assert ada("GET", "/notes").get_json() == {"notes": [kept]}


def test_the_longest_note_is_kept_as_it_was_given(app: Flask) -> None:
    longest = {"title": "ü" * 200, "body": "\U0001f95b\n" * 10_000}

    kept = Caller(app).write(**longest)

    assert {name: kept[name] for name in longest} == longest


# Tenants -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "request_"),
    [("GET", {}), ("PUT", {"json": {"title": "Mine now"}}), ("DELETE", {})],
    ids=["read", "change", "delete"],
)
def test_another_tenants_note_is_answered_like_one_that_never_was(
    app: Flask, method: str, request_: dict[str, Any]
) -> None:
    ada, grace = Caller(app), Caller(app, "globex", subject="grace")
    note = ada.write()

    foreign = assert_problem(grace(method, f"/notes/{note['id']}", **request_), 404, "not_found")
    unknown = assert_problem(grace(method, NO_NOTE, **request_), 404, "not_found")

    assert foreign | {"request_id": ""} == unknown | {"request_id": ""}
    assert ada("GET", f"/notes/{note['id']}").get_json() == note


def test_lists_counts_and_imports_stay_within_the_tenant(app: Flask) -> None:
    ada, grace = Caller(app, roles=["admin"]), Caller(app, "globex", subject="grace", roles=["admin"])
    ada.write("of acme")

    imported = grace("POST", "/import", json=[{"title": "of globex"}, {"title": "of globex"}])

    assert (imported.status_code, imported.get_json()) == (201, {"imported": 2})
    assert (ada.titles(), grace.titles()) == (["of acme"], ["of globex"] * 2)
    counts = [who("GET", "/admin/notes/count").get_json() for who in (ada, grace)]
    assert counts == [{"notes": 1}, {"notes": 2}]


def test_no_filter_leads_to_another_tenants_notes(app: Flask) -> None:
    ada, grace = Caller(app), Caller(app, "globex", subject="grace")
    ada.write("Milk")
    grace.write("Beer")

    found = grace("GET", "/notes?owner_id=ada").get_json()
    foreign = grace("GET", "/notes?title=Milk").get_json()
    own = grace("GET", "/notes?title=Beer&owner_id=grace").get_json()

    assert found == foreign == {"notes": []}
    assert [note["title"] for note in own["notes"]] == ["Beer"]
    assert_problem(grace("GET", "/notes?tenant_id=acme"), 400, "invalid_query")


def test_no_comment_refers_to_another_tenants_note(app: Flask) -> None:
    ada, grace = Caller(app), Caller(app, "globex", subject="grace")
    note = ada.write()
    path = f"/notes/{note['id']}/comments"
    written = ada("POST", "/comments", json={"note_id": note["id"], "words": "Done."})

    foreign = assert_problem(
        grace("POST", "/comments", json={"note_id": note["id"], "words": "Found you."}), 422, "validation_error"
    )
    unknown = assert_problem(
        grace("POST", "/comments", json={"note_id": NO_NOTE[-36:], "words": "Found you."}), 422, "validation_error"
    )

    assert written.status_code == 201
    assert foreign | {"request_id": ""} == unknown | {"request_id": ""}
    assert [fault["pointer"] for fault in foreign["errors"]] == ["/note_id"]
    assert_problem(grace("GET", path), 404, "not_found")
    assert ada("GET", path).get_json() == {"comments": ["Done."]}


def test_a_note_goes_with_its_comments(app: Flask) -> None:
    ada = Caller(app, roles=["admin"])
    note = ada.write()
    ada("POST", "/comments", json={"note_id": note["id"], "words": "Done."})

    deleted = ada("DELETE", f"/notes/{note['id']}")

    assert deleted.status_code == 204
    assert ada("GET", "/admin/notes/count").get_json() == {"notes": 0}


def test_a_bulk_update_renames_notes_of_the_tenant_only(app: Flask) -> None:
    ada, grace = Caller(app), Caller(app, "globex", subject="grace")
    note, own = ada.write("Milk"), grace.write("Beer")
    body = {"ids": [note["id"], own["id"]], "title": "Mine now"}

    answer = grace("PATCH", "/notes", json=body)

    assert (answer.status_code, answer.get_json()) == (200, {"renamed": 1})
    assert (ada.titles(), grace.titles()) == (["Milk"], ["Mine now"])
    assert_problem(grace("PATCH", "/notes", json={"ids": [], "title": "x"}), 422, "validation_error")
    assert_problem(grace("PATCH", "/notes", json={"ids": [own["id"]]}), 422, "validation_error")


def test_every_select_on_notes_names_the_tenant(sqlite_app: Flask) -> None:
    ada = Caller(sqlite_app, roles=["admin"])
    note = ada.write()
    selects: list[str] = []

    def note_select(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        if statement.startswith("SELECT") and "FROM notes" in statement.replace("\n", ""):
            selects.append(statement)

    event.listen(sqlite_app.extensions["notes.engine"], "before_cursor_execute", note_select)
    for method, path in (
        ("GET", "/notes"),
        ("GET", f"/notes/{note['id']}"),
        ("GET", "/admin/notes/count"),
        ("DELETE", f"/notes/{note['id']}"),
    ):
        assert ada(method, path).status_code < 300

    assert len(selects) == 4
    assert all("notes.tenant_id = ?" in statement for statement in selects)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/notes"),
        ("POST", "/notes"),
        ("GET", NO_NOTE),
        ("PUT", NO_NOTE),
        ("DELETE", NO_NOTE),
        ("PATCH", "/notes"),
        ("POST", "/import"),
        ("POST", "/comments"),
        ("GET", f"{NO_NOTE}/comments"),
        ("GET", "/admin/notes/count"),
    ],
)
def test_a_token_without_a_tenant_reaches_no_notes(sqlite_app: Flask, method: str, path: str) -> None:
    nobodys = Caller(sqlite_app, None, roles=["admin"])

    problem = assert_problem(nobodys(method, path), 403, "forbidden")

    assert problem["detail"] == "Tenant identity could not be determined."


# Rules -------------------------------------------------------------------------------------------------


def test_every_route_but_the_front_page_and_the_probes_is_closed(sqlite_app: Flask) -> None:
    client = sqlite_app.test_client()
    opened = []

    for rule in sqlite_app.url_map.iter_rules():
        path = rule.rule.replace("/notes/<uuid:note_id>", NO_NOTE)
        for method in rule.methods or ():
            answer = client.open(path, method=method)
            if answer.status_code != 401:
                opened.append((rule.endpoint, answer.status_code))

    assert {endpoint for endpoint, _ in opened} == {"notes.index", "guard_health.live", "guard_health.ready"}
    assert {status for _, status in opened} == {200}


@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [
        ("GET", "/notes", "notes:read"),
        ("POST", "/notes", "notes:write"),
        ("GET", NO_NOTE, "notes:read"),
        ("PUT", NO_NOTE, "notes:write"),
        ("DELETE", NO_NOTE, "notes:write"),
        ("PATCH", "/notes", "notes:write"),
        ("POST", "/import", "notes:write"),
        ("POST", "/comments", "notes:write"),
        ("GET", f"{NO_NOTE}/comments", "notes:read"),
    ],
)
def test_each_method_names_the_scope_that_it_lacks(sqlite_app: Flask, method: str, path: str, scope: str) -> None:
    others = [held for held in BOTH if held != scope]
    lacking = Caller(sqlite_app, scopes=others)

    answer = lacking(method, path)

    assert_problem(answer, 403, "insufficient_scope")
    assert answer.headers["WWW-Authenticate"] == f'Bearer error="insufficient_scope", scope="{scope}"'


def test_the_admin_blueprint_asks_for_the_role_admin(sqlite_app: Flask) -> None:
    problem = assert_problem(Caller(sqlite_app, roles=["editor"])("GET", "/admin/notes/count"), 403, "forbidden")

    assert "admin" not in problem["detail"]


def test_whoami_tells_what_the_token_says_and_asks_for_no_tenant(sqlite_app: Flask) -> None:
    answer = Caller(sqlite_app, None, subject="grace", roles=["b", "a"], scopes=())("GET", "/whoami")

    assert answer.get_json() == {"id": "grace", "tenant": None, "roles": ["a", "b"], "scopes": []}


# The import --------------------------------------------------------------------------------------------


def test_an_import_takes_an_array_and_nothing_else(sqlite_app: Flask) -> None:
    ada = Caller(sqlite_app)

    assert_problem(ada("POST", "/import", json={"title": "Milk"}), 400, "invalid_json")
    assert_problem(ada("POST", "/notes", json=[{"title": "Milk"}]), 400, "invalid_json")
    assert ada("POST", "/import", json=[]).get_json() == {"imported": 0}


def test_an_import_with_one_bad_note_imports_none(app: Flask) -> None:
    ada = Caller(app)

    problem = assert_problem(ada("POST", "/import", json=[{"title": "Milk"}, {"title": ""}]), 422, "validation_error")

    assert [fault["pointer"] for fault in problem["errors"]] == ["/1/title"]
    assert ada.titles() == []


@pytest.mark.parametrize(
    ("path", "mebibytes", "status"),
    [("/notes", 5, 413), ("/import", 5, 422), ("/import", 17, 413)],
    ids=["a note of 5 MiB", "an import of 5 MiB", "an import of 17 MiB"],
)
def test_the_import_takes_more_than_other_routes_but_not_everything(
    sqlite_app: Flask, path: str, mebibytes: int, status: int
) -> None:
    answer = Caller(sqlite_app)("POST", path, json=[{"title": "x" * (mebibytes * MIB)}])

    assert answer.status_code == status


# The database ------------------------------------------------------------------------------------------


def test_api_keys_are_kept_in_the_database_of_the_notes(app: Flask) -> None:
    engine = app.extensions["notes.engine"]
    if engine.dialect.name == "postgresql":
        assert app.test_cli_runner().invoke(args=["guard", "init-db"]).exit_code == 0
    Caller(app).write("of acme")
    Caller(app, "globex").write("of globex")
    with app.app_context():
        _, key = app.extensions["guard"].api_keys.create("export", scopes=["notes:read"], tenant="acme")

    answer = app.test_client().get("/notes", headers={"X-API-Key": key})

    assert [note["title"] for note in answer.get_json()["notes"]] == ["of acme"]
    assert {"notes", "guard_api_keys"} <= set(inspect(engine).get_table_names())
