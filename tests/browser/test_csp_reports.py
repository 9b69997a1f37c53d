"""What is kept of a browser's report: enough to mend the policy, and nothing about the visitor."""

from __future__ import annotations

import re
import secrets
from dataclasses import astuple
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from flask_guard.browser.csp_reports import MAX_REPORTS, read_violations
from flask_guard.errors import BadRequest
from flask_guard.values import CspViolation

SENT = {
    "document-uri": "https://app.example/notes",
    "referrer": "https://app.example/",
    "violated-directive": "script-src-elem",
    "effective-directive": "script-src-elem",
    "original-policy": "default-src 'self'; report-uri /csp-reports",
    "disposition": "enforce",
    "blocked-uri": "https://cdn.example/lib.js",
    "status-code": 200,
    "script-sample": "",
    "source-file": "https://app.example/notes",
    "line-number": 12,
    "column-number": 3,
}
BODY = {
    "documentURL": "https://app.example/notes",
    "referrer": "https://app.example/",
    "blockedURL": "https://cdn.example/lib.js",
    "effectiveDirective": "script-src-elem",
    "originalPolicy": "default-src 'self'; report-to guard",
    "sourceFile": "https://app.example/notes",
    "sample": "",
    "disposition": "enforce",
    "statusCode": 200,
    "lineNumber": 12,
    "columnNumber": 3,
}
REPORT = {"type": "csp-violation", "age": 10, "url": BODY["documentURL"], "user_agent": "Browser", "body": BODY}
VIOLATION = CspViolation("script-src-elem", "https://cdn.example", "/notes", "enforce", "/notes", 12)


def read(**members: Any) -> list[CspViolation]:
    """Read the older form with some members changed; `document_uri` stands for `document-uri`."""
    changed = {name.replace("_", "-"): value for name, value in members.items()}
    return read_violations({"csp-report": {**SENT, **changed}})


def read_one(**members: Any) -> CspViolation:
    (violation,) = read(**members)
    return violation


@pytest.mark.parametrize("document", [{"csp-report": SENT}, [REPORT]], ids=["csp-report", "Reporting API"])
def test_both_forms_give_the_same_violation(document: object) -> None:
    (violation,) = read_violations(document)

    assert astuple(violation) == astuple(VIOLATION)


def test_the_place_in_the_code_does_not_tell_two_violations_apart() -> None:
    assert read_one(line_number=99, source_file="https://app.example/x.js") == VIOLATION
    assert read_one(disposition="report") != VIOLATION


@pytest.mark.parametrize(
    ("raw", "blocked"),
    [
        ("https://cdn.example/lib.js?key=1#part", "https://cdn.example"),
        ("https://CDN.Example:443/", "https://cdn.example"),
        ("HTTP://cdn.example:80", "http://cdn.example"),
        ("http://cdn.example:443", "http://cdn.example:443"),
        ("https://cdn.example:8443?x", "https://cdn.example:8443"),
        ("wss://live.example/socket", "wss://live.example"),
        ("https://[2001:DB8::1]:8443/", "https://[2001:db8::1]:8443"),
        ("https://user:word@cdn.example/", "https://cdn.example"),
        ("https://app.example/other", "self"),
        ("https://app.example.evil.example/", "https://app.example.evil.example"),
        ("inline", "inline"),
        ("self", "inline"),
        ("", "inline"),
        ("eval", "eval"),
        ("wasm-eval", "wasm-eval"),
        ("trusted-types-sink", "trusted-types-sink"),
        ("data", "data"),
        ("DATA:text/html,<b>", "data"),
        ("blob:https://app.example/6f9619ff", "blob"),
        ("about:blank", "about"),
    ],
)
def test_what_was_blocked_is_an_origin_or_a_word(raw: str, blocked: str) -> None:
    assert read_one(blocked_uri=raw).blocked == blocked


def test_what_was_blocked_is_unknown_where_a_browser_says_nothing_of_a_resource() -> None:
    assert read_one(blocked_uri="", effective_directive="frame-ancestors").blocked == "unknown"


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param("https://", id="no host"),
        pytest.param("https:", id="scheme of the web alone"),
        pytest.param("https", id="scheme of the web as a word"),
        pytest.param("https:///path", id="empty host"),
        pytest.param("https://a b/", id="space in the host"),
        pytest.param("https://ex\u00e4mple/", id="host that is not ASCII"),
        pytest.param("https://\u212aelvin.example/", id="letter that folds to ASCII"),
        pytest.param("https://good.example\\@evil.example/", id="backslash"),
        pytest.param("https://cdn.example:port/", id="port that is no number"),
        pytest.param("//cdn.example/", id="no scheme"),
        pytest.param("\x1b[31m", id="escape sequence"),
        pytest.param("in line", id="two words"),
        pytest.param("a" * 33, id="long word"),
    ],
)
@pytest.mark.parametrize("member", ["blocked_uri", "document_uri"])
def test_an_address_that_no_browser_sends_drops_the_report(member: str, raw: str) -> None:
    assert read(**{member: raw}) == []


@pytest.mark.parametrize(
    ("raw", "document"),
    [
        ("https://app.example", "/"),
        ("https://app.example?q=1", "/"),
        ("https://app.example/notes?user=ada@example.org#section", "/notes"),
        ("https://app.example/notes/12/edit", "/notes/*/edit"),
        ("https://app.example/notes/2024-plan", "/notes/2024-plan"),
        ("https://app.example/users/ada@example.org", "/users/*"),
        ("https://app.example/users/ada%40example.org/x", "/users/*/x"),
        ("https://app.example/o/123e4567-e89b-42d3-a456-426614174000", "/o/*"),
        ("https://app.example/reset/dGhpcyBpcyBhIHRva2Vu4", "/reset/*"),
        ("https://app.example/" + "x" * 41 + "/end", "/*/end"),
        ("https://app.example/login;jsessionid=0815/next", "/login/next"),
        ("https://app.example/a\x1b[2J\nb\u202e", "/a_[2J_b_"),
        ("https://app.example" + "/name" * 100, "/name" * 40),
        ("about:srcdoc", "about"),
        ("data:text/html,<p>x", "data"),
    ],
)
def test_a_document_is_its_path_without_what_names_a_visitor(raw: str, document: str) -> None:
    assert read_one(document_uri=raw).document == document


@pytest.mark.parametrize(
    ("raw", "source_file"),
    [
        ("https://app.example/static/app.3f9c2b7a81d2e4b6.js?v=1", "/static/app.3f9c2b7a81d2e4b6.js"),
        ("https://cdn.example/lib.js#x", "https://cdn.example/lib.js"),
        ("https://app.example/reset/dGhpcyBpcyBhIHRva2Vu4", "/reset/*"),
        ("eval", "eval"),
        ("", None),
        ("not an address", None),
        (None, None),
    ],
)
def test_a_source_file_is_told_without_its_query(raw: str | None, source_file: str | None) -> None:
    assert read_one(source_file=raw).source_file == source_file


@pytest.mark.parametrize("raw", [0, -1, 2**31, 1.5, True, "12", None, [12]], ids=repr)
def test_a_line_that_is_none_is_left_out(raw: object) -> None:
    assert read_one(line_number=raw).line is None


@pytest.mark.parametrize(
    ("members", "directive"),
    [
        pytest.param({"effective-directive": "IMG-SRC"}, "img-src", id="capitals"),
        pytest.param({"effective-directive": "img-src 'self' https:"}, "img-src", id="with its sources"),
        pytest.param({"effective-directive": None, "violated-directive": "font-src x"}, "font-src", id="older member"),
        pytest.param({"effective-directive": "no-src"}, None, id="unknown"),
        pytest.param({"effective-directive": "", "violated-directive": ""}, None, id="empty"),
        pytest.param({"effective-directive": {}, "violated-directive": 7}, None, id="no text"),
    ],
)
def test_a_directive_is_one_that_there_is(members: dict[str, Any], directive: str | None) -> None:
    found = read_violations({"csp-report": {**SENT, **members}})

    assert [violation.directive for violation in found] == ([] if directive is None else [directive])


@pytest.mark.parametrize(
    ("raw", "disposition"), [("report", "report"), ("enforce", "enforce"), (None, "enforce"), ("x", "enforce")]
)
def test_a_report_without_a_disposition_is_of_an_enforced_policy(raw: str | None, disposition: str) -> None:
    assert read_one(disposition=raw).disposition == disposition


@pytest.mark.parametrize("member", ["blocked_uri", "source_file", "document_uri"])
@pytest.mark.parametrize(
    "raw",
    [
        "chrome-extension://abcdefghijklmnop/content.js",
        "moz-extension",
        "Moz-Extension://3b0e/x.js",
        "safari-extension://com.example/x.js",
        "safari-web-extension://x",
        "webkit-masked-url://hidden/",
        "chrome://global/content.js",
        "resource://gre/x.js",
    ],
)
def test_what_extensions_do_in_a_page_is_no_report(member: str, raw: str) -> None:
    assert read(**{member: raw}) == []


@pytest.mark.parametrize(
    "document",
    [
        pytest.param({}, id="empty object"),
        pytest.param({"csp-report": None}, id="null report"),
        pytest.param({"csp-report": [SENT]}, id="list of reports"),
        pytest.param(SENT, id="report without its wrapper"),
        pytest.param(REPORT, id="one report that is in no list"),
        pytest.param("csp-report", id="text"),
        pytest.param(None, id="null"),
    ],
)
def test_a_document_that_is_no_report_is_refused_without_being_quoted(document: object) -> None:
    with pytest.raises(BadRequest) as caught:
        read_violations(document)

    assert caught.value.text == "The request could not be understood."
    assert caught.value.detail == "neither an object with a csp-report nor a list of reports"


def test_members_of_other_kinds_are_passed_over() -> None:
    others = [None, 7, "x", [], {}, {"type": "deprecation", "body": BODY}, {"type": "csp-violation"}]
    bodies = [{**REPORT, "body": body} for body in (None, [], "x", {}, {"documentURL": []})]

    assert read_violations([*others, *bodies, REPORT]) == [VIOLATION]


def test_a_request_counts_for_a_bounded_number_of_reports() -> None:
    junk = [{"type": "network-error", "body": {}}] * 30

    assert len(read_violations([*junk, *[REPORT] * 100])) == MAX_REPORTS == 20


def test_nothing_of_a_query_a_fragment_or_a_password_is_kept() -> None:
    secret = secrets.token_hex(16)
    address = f"https://ada:{secret}@app.example/notes?token={secret}&mail=ada@example.org#{secret}"

    violation = read_one(
        document_uri=address,
        blocked_uri=address.replace("app", "cdn"),
        source_file=address,
        referrer=address,
        script_sample=secret,
        original_policy=secret,
    )

    assert secret not in repr(violation)
    assert "ada" not in repr(violation)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)
addresses = st.text() | st.from_regex(r"(https?|wss?|data|x-extension):(//)?[^\s]{0,80}", fullmatch=True)
reports = st.fixed_dictionaries(
    {},
    optional={name: json_values | addresses for name in (*SENT, *BODY)}
    | {"effective-directive": st.just("img-src"), "effectiveDirective": st.just("img-src")},
)
documents = (
    json_values
    | st.fixed_dictionaries({"csp-report": reports | json_values})
    | st.lists(st.fixed_dictionaries({"type": st.just("csp-violation"), "body": reports | json_values}))
)

ORIGIN = r"(?:https?|wss?)://[a-z0-9._:\[\]-]{1,300}"
WORD = r"[a-z][a-z0-9+.-]{0,31}"


@given(documents)
@example([{"type": ["unhashable"], "body": {}}])
@example({"csp-report": {**SENT, "document-uri": "https://app.example/" + "1" * 5000}})
def test_whatever_is_sent_what_is_kept_is_short_printable_and_without_queries(document: object) -> None:
    try:
        found = read_violations(document)
    except BadRequest:
        return

    assert len(found) <= MAX_REPORTS
    for violation in found:
        assert re.fullmatch(rf"{ORIGIN}|{WORD}", violation.blocked)
        assert re.fullmatch(rf"(?:/[!\"$->@-~]*|{WORD})", violation.document)
        assert len(violation.document) <= 200
        assert re.fullmatch(rf"(?:{ORIGIN})?/[!\"$->@-~]{{0,199}}|{WORD}", violation.source_file or "none")
        assert violation.line is None or 0 < violation.line < 2**31
