"""`POST /csp-reports` with nothing of Guard around it but its blueprint, and within a guarded application."""

from __future__ import annotations

import json
import logging
import secrets
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st

from flask_guard import Guard
from flask_guard.api.csp_reports import MAX_REPORT_BYTES, make_csp_reports_blueprint
from flask_guard.db.csp_reports import SqlCspReportStore
from flask_guard.db.engine import Database
from flask_guard.db.schema import create_schema
from flask_guard.errors import Refusal
from tests.contracts.csp_report_stores import MemoryCspReportStore

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
CSP_REPORT = "application/csp-report"
REPORTS = "application/reports+json"


def make_sent(blocked: str = "https://cdn.example/x.js") -> dict[str, Any]:
    return {
        "csp-report": {
            "document-uri": "https://app.example/notes?mail=ada@example.org",
            "effective-directive": "script-src-elem",
            "blocked-uri": blocked,
        }
    }


def make_reports(*blocked: str) -> list[dict[str, Any]]:
    body = {"documentURL": "https://app.example/notes", "effectiveDirective": "script-src-elem"}
    return [{"type": "csp-violation", "body": {**body, "blockedURL": one}} for one in blocked]


def make_client(store: Any, *, prefix: str = "") -> FlaskClient:
    """The endpoint in a bare application, which answers a refusal with its status, text and detail."""
    app = Flask(__name__)
    app.register_blueprint(make_csp_reports_blueprint(store, prefix=prefix, clock=NOW.timestamp))
    app.register_error_handler(Refusal, lambda refusal: ({"text": refusal.text}, refusal.status))
    return app.test_client()


@pytest.fixture
def store() -> MemoryCspReportStore:
    return MemoryCspReportStore()


@pytest.fixture
def client(store: MemoryCspReportStore) -> FlaskClient:
    return make_client(store)


def post(client: FlaskClient, document: object, content_type: str = CSP_REPORT, path: str = "/csp-reports") -> Any:
    data = document if isinstance(document, bytes) else json.dumps(document).encode()
    return client.post(path, data=data, content_type=content_type)


@pytest.mark.parametrize(
    ("document", "content_type"),
    [
        pytest.param(make_sent(), CSP_REPORT, id="csp-report"),
        pytest.param(make_sent(), "Application/CSP-Report; charset=utf-8", id="with a parameter"),
        pytest.param(make_reports("https://cdn.example/x.js"), REPORTS, id="reports+json"),
    ],
)
def test_a_report_is_kept_and_answered_with_nothing(
    client: FlaskClient, store: MemoryCspReportStore, document: object, content_type: str
) -> None:
    answer = post(client, document, content_type)

    assert (answer.status_code, answer.data) == (204, b"")
    (row,) = store.list_reports()
    assert (row.violation.blocked, row.violation.document) == ("https://cdn.example", "/notes")
    assert (row.count, row.first_seen) == (1, NOW)


def test_the_endpoint_is_below_the_prefix(store: MemoryCspReportStore) -> None:
    client = make_client(store, prefix="/api/v1")

    assert post(client, make_sent(), path="/api/v1/csp-reports").status_code == 204
    assert post(client, make_sent()).status_code == 404


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_other_methods_are_refused(client: FlaskClient, method: str) -> None:
    assert client.open("/csp-reports", method=method).status_code == 405


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json",
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "text/plain; x=application/csp-report",
        "application/csp-report+json",
        "",
    ],
)
def test_another_media_type_is_refused(client: FlaskClient, store: MemoryCspReportStore, content_type: str) -> None:
    """What a form of another site could send without asking is among them."""
    answer = post(client, make_sent(), content_type)

    assert answer.status_code == 415
    assert answer.json == {"text": "This route accepts application/csp-report and application/reports+json."}
    assert store.list_reports() == []


def pad(document: dict[str, Any], size: int) -> bytes:
    body = json.dumps(document).encode()
    return body + b" " * (size - len(body))


@pytest.mark.parametrize(("excess", "status"), [(0, 204), (1, 413)])
def test_a_body_above_the_bound_is_refused(client: FlaskClient, excess: int, status: int) -> None:
    assert post(client, pad(make_sent(), MAX_REPORT_BYTES + excess)).status_code == status


@pytest.mark.parametrize(
    ("data", "content_type"),
    [
        pytest.param(b"", CSP_REPORT, id="empty"),
        pytest.param(b"{", CSP_REPORT, id="cut off"),
        pytest.param(b"\xff\xfe{\x00}\x00", CSP_REPORT, id="UTF-16"),
        pytest.param(b"[" * 16_000, REPORTS, id="nested lists"),
        pytest.param(b'{"csp-report":' * 1100 + b"1" + b"}" * 900, CSP_REPORT, id="nested objects"),
        pytest.param(b"[" * 9 + b"]" * 9, REPORTS, id="one level too deep"),
        pytest.param(b'{"csp-report": {"a": 1, "a": 2}}', CSP_REPORT, id="a key twice"),
        pytest.param(b'{"csp-report": {"a": NaN}}', CSP_REPORT, id="NaN"),
        pytest.param(b'{"csp-report": {"a": ' + b"9" * 5000 + b"}}", CSP_REPORT, id="number of 5000 digits"),
        pytest.param(b'{"csp-report": 1}', CSP_REPORT, id="no report"),
        pytest.param(b"[]", CSP_REPORT, id="list for an object"),
        pytest.param(json.dumps(make_sent()).encode(), REPORTS, id="object for a list"),
        pytest.param(b'"csp-report"', CSP_REPORT, id="text"),
    ],
)
def test_a_body_that_is_no_report_is_refused(client: FlaskClient, data: bytes, content_type: str) -> None:
    answer = post(client, data, content_type)

    assert answer.status_code == 400
    assert set(answer.json) == {"text"}


def test_reports_of_other_kinds_are_answered_and_not_kept(client: FlaskClient, store: MemoryCspReportStore) -> None:
    store.is_down = True  # which nobody notices

    assert post(client, [{"type": "deprecation", "body": {"id": "x"}}], REPORTS).status_code == 204
    assert post(client, make_sent("moz-extension://x/y.js")).status_code == 204


def test_a_request_counts_for_twenty_reports_at_most(client: FlaskClient, store: MemoryCspReportStore) -> None:
    post(client, make_reports(*(f"https://h{number}.example" for number in range(60))), REPORTS)

    assert len(store.list_reports()) == 20


def test_while_the_store_is_down_the_answer_is_503_and_the_log_says_so_once(
    client: FlaskClient, store: MemoryCspReportStore, caplog: pytest.LogCaptureFixture
) -> None:
    store.is_down = True
    answers = [post(client, make_sent()) for _ in range(3)]
    store.is_down = False
    answers.append(post(client, make_sent()))
    store.is_down = True
    answers.append(post(client, make_sent()))

    assert [answer.status_code for answer in answers] == [503, 503, 503, 204, 503]
    assert b"store" not in answers[0].data
    records = [record for record in caplog.records if record.name == "flask_guard.csp_reports"]
    assert [record.levelno for record in records] == [logging.ERROR] * 2
    assert "the store does not answer" in records[0].getMessage()


def test_nothing_that_was_sent_gets_into_the_log_or_an_answer(
    client: FlaskClient, store: MemoryCspReportStore, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    secret = secrets.token_hex(8)
    sent = make_sent(f"https://{secret}.example")
    bodies = [json.dumps(sent), json.dumps({secret: 1}), f'{{"{secret}', f'{{"{secret}": 1, "{secret}": 2}}']

    said = b"".join(post(client, body.encode()).data for body in bodies)
    said += post(client, sent, f"text/{secret}").data
    store.is_down = True
    said += post(client, sent).data

    assert secret.encode() not in said
    assert secret not in caplog.text
    assert "refused until they can be kept" in caplog.text


def test_nothing_about_the_visitor_is_in_the_database(database_url: str) -> None:
    database = Database.from_url(database_url)
    create_schema(database)
    client = make_client(SqlCspReportStore(database))

    assert post(client, make_sent()).status_code == 204

    with database.transaction() as connection:
        rows = connection.exec_driver_sql("SELECT * FROM guard_csp_reports WHERE digest <> 'dropped'").all()
    assert len(rows) == 1
    assert "/notes" in rows[0]
    assert "ada" not in repr(rows)
    database.close()


json_texts = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["csp-report", "type", "body", "x"]), inner),
    max_leaves=30,
).map(lambda value: json.dumps(value).encode())


@given(json_texts | st.binary(), st.sampled_from([CSP_REPORT, REPORTS]))
def test_whatever_is_sent_the_answer_is_204_or_400(data: bytes, content_type: str) -> None:
    client = make_client(MemoryCspReportStore())

    assert post(client, data, content_type).status_code in {204, 400}


@pytest.fixture
def guarded(store: MemoryCspReportStore, tmp_path: Path) -> FlaskClient:
    """The endpoint as an application of Guard's mounts it."""
    app = Flask("app", instance_path=str(tmp_path))
    guard = Guard(app, jwt_secret_key=secrets.token_urlsafe(48))
    blueprint = make_csp_reports_blueprint(store, prefix="", clock=NOW.timestamp)
    guard.max_body(MAX_REPORT_BYTES)(guard.public(reason="reports of browsers")(blueprint))
    app.register_blueprint(blueprint)
    return app.test_client()


@pytest.mark.parametrize(
    ("data", "content_type", "is_down", "code"),
    [
        pytest.param(json.dumps(make_sent()), "text/plain", False, "unsupported_media_type", id="415"),
        pytest.param(" " * (MAX_REPORT_BYTES + 1), CSP_REPORT, False, "body_too_large", id="413"),
        pytest.param("{", CSP_REPORT, False, "invalid_json", id="400"),
        pytest.param("[" * 16_000, REPORTS, False, "invalid_json", id="nested"),
        pytest.param('{"x": 1}', CSP_REPORT, False, "bad_request", id="no report"),
        pytest.param(json.dumps(make_sent()), CSP_REPORT, True, "service_unavailable", id="503"),
    ],
)
def test_in_a_guarded_application_a_refusal_is_a_problem(
    guarded: FlaskClient, store: MemoryCspReportStore, data: str, content_type: str, is_down: bool, code: str
) -> None:
    store.is_down = is_down

    answer = post(guarded, data.encode(), content_type)

    assert answer.content_type == "application/problem+json"
    assert json.loads(answer.data)["code"] == code
    assert "does not answer" not in answer.text


def test_in_a_guarded_application_a_report_needs_no_credential(
    guarded: FlaskClient, store: MemoryCspReportStore
) -> None:
    assert post(guarded, make_sent()).status_code == 204
    assert len(store.list_reports()) == 1
