"""Which headers every answer carries, what a view and the settings change, and that the page says so."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from flask_guard.browser import headers as module
from flask_guard.browser.headers import (
    API_POLICY,
    DEFAULT_HEADERS,
    NO_STORE,
    NO_STORE_AUTHENTICATED,
    PAGE_POLICY,
    REMOVED_HEADERS,
    SERVICE_NAME,
    HeaderRule,
    HeaderSet,
    apply_header_rules,
)
from flask_guard.config.options import iterate_options
from flask_guard.config.sections import BrowserSettings
from flask_guard.errors import ConfigError

CSP = "Content-Security-Policy"
JSON = ("Content-Type", "application/json")
HTML = ("Content-Type", "text/html; charset=utf-8")
PAGE = Path(__file__).parents[2] / "docs" / "reference" / "headers.md"


def browser_settings(**changed: Any) -> BrowserSettings:
    defaults = {
        name: None if declared.default is None else declared.kind(declared.default)
        for name, declared in iterate_options(BrowserSettings)
    }
    return BrowserSettings(**(defaults | changed))


def complete(
    *given: tuple[str, str],
    service: str | None = None,
    extra: tuple[tuple[str, str], ...] = (),
    status: str = "200 OK",
    **changed: Any,
) -> list[tuple[str, str]]:
    sent = list(given)
    HeaderSet(browser_settings(**changed), service).complete(sent, extra, status=status)
    return sent


def values_of(sent: list[tuple[str, str]], name: str) -> list[str]:
    return [value for each, value in sent if each.lower() == name.lower()]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("X-Content-Type-Options", "nosniff"),
        ("X-Frame-Options", "DENY"),
        ("Referrer-Policy", "strict-origin-when-cross-origin"),
        ("Permissions-Policy", "geolocation=(), microphone=(), camera=(), payment=(), usb=()"),
        ("X-XSS-Protection", "0"),
        (CSP, "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"),
    ],
)
@pytest.mark.parametrize("given", [(), (JSON,), (JSON, ("Content-Length", "2"), ("Vary", "Cookie"))], ids=len)
def test_every_answer_carries_the_header_once(name: str, value: str, given: tuple[tuple[str, str], ...]) -> None:
    sent = complete(*given)

    assert values_of(sent, name) == [value]
    assert sent[: len(given)] == list(given)


@pytest.mark.parametrize("name", [*dict(DEFAULT_HEADERS), CSP, SERVICE_NAME])
@pytest.mark.parametrize("spell", [str, str.lower, str.upper])
def test_a_header_that_the_view_set_stays_alone(name: str, spell: Any) -> None:
    mine = (spell(name), "mine")

    sent = complete(JSON, mine, service="notes")

    assert values_of(sent, name) == ["mine"]
    assert len(sent) == 1 + len(DEFAULT_HEADERS) + 2


@pytest.mark.parametrize(
    ("content_type", "policy"),
    [
        (None, API_POLICY),
        ("application/json", API_POLICY),
        ("text/plain", API_POLICY),
        ("text/html", PAGE_POLICY),
        ("Text/HTML;charset=utf-8", PAGE_POLICY),
        (" text/html ; charset=utf-8", PAGE_POLICY),
        ("application/xhtml+xml", PAGE_POLICY),
        ("image/svg+xml", API_POLICY),
        ("application/xml", API_POLICY),
        ("text/htmlx", API_POLICY),
        ("text/plain; x=text/html", API_POLICY),
        ("", API_POLICY),
    ],
)
def test_auto_gives_pages_the_page_policy_and_everything_else_that_of_an_api(
    content_type: str | None, policy: str
) -> None:
    given = [] if content_type is None else [("content-type", content_type)]

    assert values_of(complete(*given), CSP) == [policy]
    assert dict(HeaderSet(browser_settings()).for_content_type(content_type))[CSP] == policy


def test_the_page_policy_has_the_nine_directives_and_lets_no_inline_script_run() -> None:
    directives = dict(part.strip().split(" ", 1) for part in PAGE_POLICY.split(";"))

    assert list(directives) == [
        "default-src",
        "script-src",
        "style-src",
        "img-src",
        "font-src",
        "connect-src",
        "frame-ancestors",
        "base-uri",
        "form-action",
    ]
    assert directives["script-src"] == directives["default-src"] == "'self'"
    assert directives["frame-ancestors"] == "'none'"


@pytest.mark.parametrize(
    ("csp", "for_api", "for_page"),
    [
        ("auto", [API_POLICY], [PAGE_POLICY]),
        ("api", [API_POLICY], [API_POLICY]),
        ("page", [PAGE_POLICY], [PAGE_POLICY]),
        ("off", [], []),
        ("default-src https:", ["default-src https:"], ["default-src https:"]),
    ],
)
def test_the_setting_chooses_the_policy(csp: str, for_api: list[str], for_page: list[str]) -> None:
    assert values_of(complete(JSON, csp=csp), CSP) == for_api
    assert values_of(complete(HTML, csp=csp), CSP) == for_page


@pytest.mark.parametrize(
    ("csp", "policies"),
    [("auto", []), ("off", []), ("api", [API_POLICY]), ("default-src https:", ["default-src https:"])],
)
def test_an_unchanged_answer_leaves_the_policy_of_the_cached_one_alone(csp: str, policies: list[str]) -> None:
    """A 304 has no Content-Type, and a cache replaces stored headers by those of a 304."""
    sent = complete(("ETag", '"1"'), status="304 NOT MODIFIED", csp=csp)

    assert values_of(sent, CSP) == policies
    assert values_of(sent, "X-Content-Type-Options") == ["nosniff"]


def test_an_unchanged_answer_that_names_its_type_has_the_policy_of_the_type() -> None:
    assert values_of(complete(HTML, status="304 NOT MODIFIED"), CSP) == [PAGE_POLICY]


def test_the_service_is_named_when_it_has_a_name() -> None:
    assert values_of(complete(JSON, service="notes"), SERVICE_NAME) == ["notes"]
    assert values_of(complete(JSON), SERVICE_NAME) == []


@pytest.mark.parametrize("name", ["Server", "server", "X-Powered-By", "x-powered-by"])
def test_what_names_our_software_is_taken_away_and_the_rest_stays_in_place(name: str) -> None:
    sent = complete(JSON, (name, "acme/1.0"), (name, "again"), ("Vary", "Cookie"))

    assert values_of(sent, name) == []
    assert sent[:2] == [JSON, ("Vary", "Cookie")]
    assert values_of(sent, "X-Frame-Options") == ["DENY"]


def test_a_configured_server_header_is_sent_and_one_of_the_view_then_stays() -> None:
    configured = {"Server": "acme"}

    assert values_of(complete(JSON, headers=configured), "Server") == ["acme"]
    assert values_of(complete(JSON, ("Server", "mine"), headers=configured), "Server") == ["mine"]
    assert values_of(complete(JSON, ("Server", "mine"), headers={"Server": None}), "Server") == []


@pytest.mark.parametrize("spell", [str, str.lower, str.upper])
@pytest.mark.parametrize("content_type", [JSON, HTML], ids=["api", "page"])
@pytest.mark.parametrize("name", [*dict(DEFAULT_HEADERS), CSP, SERVICE_NAME])
def test_the_settings_override_or_omit_any_header(name: str, content_type: tuple[str, str], spell: Any) -> None:
    overridden = complete(content_type, service="notes", headers={spell(name): "mine"})
    omitted = complete(content_type, service="notes", headers={spell(name): None})

    assert values_of(overridden, name) == ["mine"]
    assert values_of(omitted, name) == []
    assert len(omitted) == len(overridden) - 1 == len(complete(content_type, service="notes")) - 1


def test_the_settings_add_headers() -> None:
    sent = complete(JSON, headers={"X-New": "1", "X-Absent": None})

    assert values_of(sent, "X-New") == ["1"]
    assert values_of(sent, "X-Absent") == []
    assert values_of(complete(JSON, ("x-new", "mine"), headers={"X-New": "1"}), "X-New") == ["mine"]


def test_headers_of_the_request_come_after_the_views_and_before_the_set() -> None:
    extra = (("X-Request-Id", "abc"), ("Cache-Control", "no-store"), ("X-Frame-Options", "SAMEORIGIN"))

    sent = complete(JSON, ("cache-control", "max-age=60"), extra=extra)

    assert values_of(sent, "X-Request-Id") == ["abc"]
    assert values_of(sent, "Cache-Control") == ["max-age=60"]
    assert values_of(sent, "X-Frame-Options") == ["SAMEORIGIN"]


def test_completing_twice_changes_nothing() -> None:
    headers = HeaderSet(browser_settings(), "notes")
    sent = [JSON]
    headers.complete(sent)
    once = list(sent)

    headers.complete(sent)

    assert sent == once


def test_one_answer_does_not_change_the_next() -> None:
    headers = HeaderSet(browser_settings(), "notes")
    first = [JSON, ("X-Frame-Options", "SAMEORIGIN")]
    headers.complete(first)
    first.clear()
    second = [JSON]

    headers.complete(second)

    assert values_of(second, "X-Frame-Options") == ["DENY"]


BAD_VALUES = [
    "12345\r\nSet-Cookie: a=b",
    "12345\n",
    "12345\x00",
    "12345\x1b[31m",
    "12345\x7f",
    "12345\u2028",
    "\u202812345",
    " 12345",
    "\u04412345",
    "\U0001f600",
]


@pytest.mark.parametrize("value", BAD_VALUES, ids=ascii)
def test_a_value_that_could_break_out_of_its_line_is_refused_and_not_quoted(value: str) -> None:
    with pytest.raises(ConfigError, match="X-Mine") as rule:
        HeaderRule("X-Mine", value)
    with pytest.raises(ConfigError, match="GUARD_HEADERS, 'X-Mine'") as configured:
        HeaderSet(browser_settings(headers={"X-Mine": value}))
    with pytest.raises(ConfigError, match="GUARD_SERVICE_NAME") as service:
        HeaderSet(browser_settings(), value)
    with pytest.raises(ConfigError, match="GUARD_CSP") as policy:
        HeaderSet(browser_settings(csp=value))

    for caught in (rule, configured, service, policy):
        assert "2345" not in str(caught.value)


@pytest.mark.parametrize(
    "name",
    ["", " ", "X Mine", "X-Mine:", "X-Mine\r\n", " X-Mine", "X-Mine\n", "X-Möglich", "(x)", "x\x00"],
    ids=ascii,
)
def test_a_name_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(ConfigError):
        HeaderRule(name, "value")
    with pytest.raises(ConfigError):
        HeaderSet(browser_settings(headers={name: "value"}))
    with pytest.raises(ConfigError):
        HeaderSet(browser_settings(headers={name: None}))


@pytest.mark.parametrize(
    "name", ["Content-Length", "transfer-encoding", "CONNECTION", "Upgrade", "Keep-Alive", "Trailer"]
)
def test_a_header_that_frames_the_answer_is_the_servers_alone(name: str) -> None:
    with pytest.raises(ConfigError, match="may only be set by the server"):
        HeaderRule(name, "value")
    with pytest.raises(ConfigError, match="may only be set by the server"):
        HeaderSet(browser_settings(headers={name: "value"}))


def test_all_faults_are_listed_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        HeaderSet(browser_settings(headers={"X Mine": "a\n", "X-Twice": "1", "x-twice": "2"}), "no\nname")

    assert len(caught.value.faults) == 4
    assert "'x-twice': is given twice" in str(caught.value)


def test_an_unknown_mode_is_refused() -> None:
    with pytest.raises(ConfigError, match="the mode must be one of set, append, if-missing"):
        HeaderRule("X-Mine", "value", mode="replace")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("mode", "given", "sent"),
    [
        ("set", [], ["new"]),
        ("set", ["old"], ["new"]),
        ("set", ["old", "older"], ["new"]),
        ("append", [], ["new"]),
        ("append", ["old"], ["old", "new"]),
        ("if-missing", [], ["new"]),
        ("if-missing", ["old"], ["old"]),
        ("if-missing", [""], [""]),
    ],
)
def test_a_rule_sets_appends_or_fills_in(mode: Any, given: list[str], sent: list[str]) -> None:
    headers = [JSON, *(("x-MINE", value) for value in given)]

    apply_header_rules(headers, [HeaderRule("X-Mine", "new", mode=mode)])

    assert headers[0] == JSON
    assert values_of(headers, "X-Mine") == sent


def test_rules_apply_in_their_order() -> None:
    headers: list[tuple[str, str]] = []

    apply_header_rules(
        headers,
        [
            HeaderRule("Link", "<a>", mode="append"),
            HeaderRule("Link", "<b>", mode="append"),
            HeaderRule("X-Mine", "1", mode="if-missing"),
            HeaderRule("X-Mine", "2"),
        ],
    )

    assert headers == [("Link", "<a>"), ("Link", "<b>"), ("X-Mine", "2")]


def test_answers_with_a_credential_are_never_stored() -> None:
    """Row for row what RFC 6749, section 5.1 asks for, and `private` for caches that ignore no-store."""
    assert dict(NO_STORE) == {
        "Cache-Control": "no-store, no-cache, must-revalidate, private",
        "Pragma": "no-cache",
    }
    assert NO_STORE_AUTHENTICATED == ("Cache-Control", "no-store")


def test_the_page_lists_exactly_what_is_sent() -> None:
    rows = re.findall(r"^\| `([^`]+)` \| ([^|]+) \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    documented = {(name, value.strip().strip("`")) for name, value in rows}

    sent = {
        *DEFAULT_HEADERS,
        (module.CSP, API_POLICY),
        (module.CSP, PAGE_POLICY),
        (SERVICE_NAME, "the value of `GUARD_SERVICE_NAME"),
        *((name, "removed") for name in REMOVED_HEADERS),
        NO_STORE_AUTHENTICATED,
        *NO_STORE,
    }
    assert documented == sent
    assert len(rows) == len(documented)


def test_the_page_lists_every_header_that_a_bare_application_sends() -> None:
    documented = set(re.findall(r"^\| `([^`]+)`", PAGE.read_text(encoding="utf-8"), re.MULTILINE))

    sent = {name for name, _value in complete(service="notes")}

    assert sent <= documented
