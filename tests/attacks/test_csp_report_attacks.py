"""The endpoint that anybody may post to: what it reads, what it keeps, whom it hinders, and what it shows."""

from __future__ import annotations

import io
import json
import secrets
import string
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from flask import Flask
from hypothesis import example, given
from hypothesis import strategies as st

from flask_guard import Guard
from flask_guard.browser.csp import PAGE_POLICY
from flask_guard.browser.csp_reports import read_violations
from flask_guard.pipeline.runtime import Runtime
from flask_guard.protocols import CspReportStore
from tests.requests.conftest import AppMaker

BASE = "https://notes.test"
CSP_REPORT = "application/csp-report"
REPORTS = "application/reports+json"


def _routes(app: Flask, guard: Guard) -> None:
    @app.get("/page")
    @guard.public(reason="test")
    def page() -> str:
        return "<!doctype html>"


def _report(line: int = 1, **changes: Any) -> dict[str, Any]:
    """Return a report as Chromium writes it, for a style attribute under the policy for pages."""
    body = {
        "blockedURL": "inline",
        "columnNumber": 39,
        "disposition": "report",
        "documentURL": f"{BASE}/shop/cart",
        "effectiveDirective": "style-src-attr",
        "lineNumber": line,
        "originalPolicy": f"{PAGE_POLICY}; report-uri /csp-reports; report-to guard-csp",
        "referrer": f"{BASE}/",
        "sample": "",
        "sourceFile": f"{BASE}/shop/cart",
        "statusCode": 200,
    }
    agent = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0"
    return {"age": 2, "body": body | changes, "type": "csp-violation", "url": f"{BASE}/shop", "user_agent": agent}


def _send(app: Flask, data: bytes | str, media_type: str = REPORTS, **named: Any) -> Any:
    return app.test_client().post("/csp-reports", base_url=BASE, data=data, content_type=media_type, **named)


def _store(app: Flask) -> CspReportStore:
    runtime: Runtime = app.extensions["guard.runtime"]
    return runtime.csp_reports


def _document_of(path: str) -> str:
    report = {"document-uri": BASE + path, "effective-directive": "img-src", "blocked-uri": "https://cdn.test/"}
    (violation,) = read_violations({"csp-report": report})
    return violation.document


# What is read ----------------------------------------------------------------------------------------------


class _Counting(io.BytesIO):
    """Notes how many bytes were taken from it."""

    taken = 0

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        self.taken += len(data)
        return data

    def readinto(self, buffer: Any, /) -> int:
        taken = super().readinto(buffer)
        self.taken += taken
        return taken


@pytest.mark.parametrize("access", ["authenticated", "report-only"])
def test_no_more_of_a_report_is_read_than_can_be_one(make_app: AppMaker, access: str) -> None:
    """In report-only Guard bounds no body of the application's; this endpoint is Guard's own, and open to everybody."""
    app, _guard = make_app(csp_reports=True, default_access=access)
    body = _Counting(b" " * 5_000_000)

    answer = _send(app, b"", environ_overrides={"wsgi.input": body, "CONTENT_LENGTH": "5000000"})

    assert answer.status_code == 413
    assert body.taken <= 1_000_000


def test_a_page_with_many_violations_is_heard(make_app: AppMaker) -> None:
    """A browser gathers the reports of a minute into one request; a page that is under trial has dozens."""
    app, _guard = make_app(csp_reports=True)

    answer = _send(app, json.dumps([_report(line) for line in range(60)]))

    assert answer.status_code == 204
    assert [row.violation.directive for row in _store(app).list_reports()] == ["style-src-attr"]


@pytest.mark.parametrize(
    ("data", "media_type", "status"),
    [
        (b"[]" + b" " * 2**20, REPORTS, 413),
        (b'{"csp-report": {}}'.replace(b" ", b"\x00"), CSP_REPORT, 400),
        ('{"csp-report": {}}'.encode("utf-16"), f"{CSP_REPORT}; charset=utf-16", 400),
        (b"[" * 5000, REPORTS, 400),
        (b'{"csp-report": {"line-number": ' + b"9" * 5000 + b"}}", CSP_REPORT, 400),
        (b'{"csp-report": {"line-number": 1e999}}', CSP_REPORT, 400),
        (b"csp-report=1", "application/x-www-form-urlencoded", 415),
        (b"[]", "text/plain; application/reports+json", 415),
    ],
    ids=["large", "NUL", "UTF-16", "deep", "digits", "infinite", "form", "no report"],
)
def test_what_is_no_report_is_refused_and_kept_nowhere(
    make_app: AppMaker, data: bytes, media_type: str, status: int
) -> None:
    app, _guard = make_app(csp_reports=True)

    assert _send(app, data, media_type).status_code == status
    assert _store(app).list_reports() == []


# Whom it hinders -------------------------------------------------------------------------------------------


def test_the_reports_of_a_visitors_browser_do_not_use_up_the_visitors_requests(make_app: AppMaker) -> None:
    """They have a limit of their own; who opens a page with many violations can still open the next one."""
    app, _guard = make_app(_routes, csp_reports=True)
    client = app.test_client()
    for _ in range(60):
        _send(app, json.dumps([_report()]))

    statuses = {client.get("/page", base_url=BASE).status_code for _ in range(99)}

    assert statuses == {200}


def test_many_reports_at_once_are_all_counted(make_app: AppMaker) -> None:
    app, _guard = make_app(csp_reports=True, rate_limit_anonymous="off")
    _send(app, json.dumps([_report()]))
    text = json.dumps([_report(line) for line in range(10)])

    def send(number: int) -> int:
        sender = {"REMOTE_ADDR": f"10.0.{number % 40}.1"}
        return int(_send(app, text, environ_overrides=sender).status_code)

    with ThreadPoolExecutor(16) as pool:
        statuses = list(pool.map(send, range(400)))

    assert set(statuses) == {204}
    assert [row.count for row in _store(app).list_reports()] == [4001]


# What is kept, and shown -----------------------------------------------------------------------------------


def _letters(length: int) -> str:
    """Return random letters, small ones and capitals in turn."""
    pairs = (secrets.choice(string.ascii_lowercase) + secrets.choice(string.ascii_uppercase) for _ in range(length))
    return "".join(pairs)[:length]


@pytest.mark.parametrize(
    "secret",
    [
        _letters(22),
        _letters(16),
        "X7K9Q2AB",
        "a1b2c3d4e5f6",
        "123-45-6789",
        "+491701234567",
        "alice@example.com.js",
        f"{secrets.token_urlsafe(32)}.js",
    ],
    ids=["22 letters", "16 letters", "a code", "12 of hex", "a number with dashes", "a telephone", "mail", "token.js"],
)
def test_what_identifies_a_visitor_in_the_address_of_a_page_is_not_kept(secret: str) -> None:
    """A random text need not have a digit: of those with 16 letters and digits every seventeenth has none."""
    assert secret not in _document_of(f"/reset/{secret}/form")


@pytest.mark.parametrize(
    "path",
    ["/shop/cart", "/blog/how-to-write-a-content-policy", "/v2/orders", "/de-AT/impressum", "/Produkte/Uebersicht"],
)
def test_the_address_of_a_plain_page_is_kept(path: str) -> None:
    assert _document_of(path) == path


_hostile = st.one_of(st.text(max_size=60), st.text(st.sampled_from("\x1b[31m\u202e\x00\r\n;/@%:?#a1"), max_size=60))
_url = st.builds("".join, st.tuples(st.sampled_from(["", f"{BASE}/", f"{BASE}:", "https://[", "data:"]), _hostile))


@given(_url, _url, _url, st.one_of(st.integers(), st.booleans(), st.floats(), st.text(max_size=5)))
@example(f"{BASE}/\x1b]0;x\x07", "https://a.test/\u202e", "https://[::1]:99999/", 2**40)
def test_whatever_is_kept_is_short_and_harmless_to_a_terminal(
    document: str, blocked: str, source: str, line: object
) -> None:
    body = {"document-uri": document, "blocked-uri": blocked, "source-file": source, "line-number": line}

    for violation in read_violations({"csp-report": {**body, "violated-directive": f"script-src {document}"}}):
        for text in (violation.directive, violation.blocked, violation.document, violation.source_file or ""):
            assert text.isascii()
            assert text.isprintable()
            assert " " not in text
            assert len(text) < 500
        assert violation.line is None or 0 < violation.line < 2**31


def test_a_report_shows_no_terminal_anything_but_text(make_app: AppMaker) -> None:
    app, _guard = make_app(csp_reports=True)
    hostile = f"{BASE}/\x1b[2J\x07\r\nNo reports.\u202e"
    _send(app, json.dumps([_report(documentURL=hostile, sourceFile=hostile, effectiveDirective="script-src\x1b[0m")]))
    _send(app, json.dumps([_report(documentURL=hostile, sourceFile=hostile)]))

    shown = app.test_cli_runner().invoke(args=["guard", "csp-reports"]).stdout

    assert "style-src-attr  inline" in shown
    assert shown.replace("\n", "").isprintable()
    assert "No reports.\n" not in shown
