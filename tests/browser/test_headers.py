"""Which headers every answer carries, what a view and the settings change, and that the page says so."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from flask_guard.browser.csp import API_POLICY, PAGE_POLICY
from flask_guard.browser.headers import (
    CLEAR_SITE_DATA,
    DEFAULT_HEADERS,
    NO_STORE,
    NO_STORE_AUTHENTICATED,
    PAGE_HEADERS,
    REMOVED_HEADERS,
    REPORTING_ENDPOINTS,
    SERVICE_NAME,
    HeaderRule,
    HeaderSet,
    apply_header_rules,
)
from flask_guard.errors import ConfigError
from tests.browser.header_sets import CSP, HSTS, HTML, JSON, REPORT_ONLY, browser_settings, complete, values_of

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "headers.md"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("X-Content-Type-Options", "nosniff"),
        ("X-Frame-Options", "DENY"),
        ("Referrer-Policy", "strict-origin-when-cross-origin"),
        ("Permissions-Policy", "geolocation=(), microphone=(), camera=(), payment=(), usb=()"),
        ("X-XSS-Protection", "0"),
        ("Cross-Origin-Resource-Policy", "same-origin"),
        (CSP, "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"),
    ],
)
@pytest.mark.parametrize("given", [(), (JSON,), (JSON, ("Content-Length", "2"), ("Vary", "Cookie"))], ids=len)
def test_every_answer_carries_the_header_once(name: str, value: str, given: tuple[tuple[str, str], ...]) -> None:
    sent = complete(*given)

    assert values_of(sent, name) == [value]
    assert sent[: len(given)] == list(given)


@pytest.mark.parametrize("name", ["Cross-Origin-Opener-Policy", "Origin-Agent-Cluster"])
def test_pages_alone_are_kept_apart_from_other_origins(name: str) -> None:
    assert values_of(complete(HTML), name) == [dict(PAGE_HEADERS)[name]]
    assert values_of(complete(JSON), name) == []
    assert values_of(complete(status="304 NOT MODIFIED"), name) == []


# Everything on: a page over https, under a policy on trial, with reports.
EVERYTHING = {
    "service": "notes",
    "is_secure": True,
    "hsts": "max-age=1",
    "csp_report_only": "page",
    "csp_reports": True,
}
NAMES = [*dict(DEFAULT_HEADERS + PAGE_HEADERS), SERVICE_NAME, CSP, REPORT_ONLY, REPORTING_ENDPOINTS, HSTS]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("spell", [str, str.lower, str.upper])
@pytest.mark.parametrize("route", [None, "page"], ids=["common policy", "policy of the route"])
@pytest.mark.parametrize("nonce", [None, "abc"], ids=["no nonce", "nonce"])
def test_a_header_that_the_view_set_stays_alone(name: str, spell: Any, route: str | None, nonce: str | None) -> None:
    mine = (spell(name), "mine")

    sent = complete(HTML, mine, route=route, nonce=nonce, **EVERYTHING)

    assert values_of(sent, name) == ["mine"]
    assert sorted(each.lower() for each, _value in sent) == sorted(each.lower() for each in ["Content-Type", *NAMES])


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
@pytest.mark.parametrize("nonce", [None, "abc"], ids=["no nonce", "nonce"])
@pytest.mark.parametrize("name", NAMES)
def test_the_settings_override_or_omit_any_header(name: str, nonce: str | None, spell: Any) -> None:
    overridden = complete(HTML, nonce=nonce, headers={spell(name): "mine"}, **EVERYTHING)
    omitted = complete(HTML, nonce=nonce, headers={spell(name): None}, **EVERYTHING)

    assert values_of(overridden, name) == ["mine"]
    assert values_of(omitted, name) == []
    assert len(omitted) == len(overridden) - 1 == len(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_what_the_settings_name_is_on_every_answer(name: str) -> None:
    for given in ((HTML,), (JSON,), ()):
        assert values_of(complete(*given, headers={name: "mine"}), name) == ["mine"]


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


def test_a_view_that_makes_up_names_is_served_right_and_remembered_within_bounds() -> None:
    headers = HeaderSet(browser_settings())

    for number in range(600):
        sent = [JSON, (f"X-{number}", "1"), *([("X-Frame-Options", "SAMEORIGIN")] if number % 2 else [])]
        headers.complete(sent, [("X-Request-Id", "abc"), (f"x-{number}", "2"), ("X-Request-Id", "def")])

        assert values_of(sent, f"X-{number}") == ["1"]
        assert values_of(sent, "X-Request-Id") == ["abc"]
        assert values_of(sent, "X-Frame-Options") == ["SAMEORIGIN" if number % 2 else "DENY"]
        assert values_of(sent, CSP) == [API_POLICY]
    assert len(headers._shapes) <= 256


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
    with pytest.raises(ConfigError, match="GUARD_CSP:") as policy:
        HeaderSet(browser_settings(csp=value))
    with pytest.raises(ConfigError, match="GUARD_CSP_REPORT_ONLY:") as trial:
        HeaderSet(browser_settings(csp_report_only=value))
    with pytest.raises(ConfigError, match="GUARD_HSTS") as hsts:
        HeaderSet(browser_settings(hsts=value))

    for caught in (rule, configured, service, policy, trial, hsts):
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
        HeaderSet(
            browser_settings(
                headers={"X Mine": "a\n", "X-Twice": "1", "x-twice": "2"},
                csp="default-src 'mine'; default-src 'self'",
                csp_report_only="pgae",
                hsts="max-age=1\n",
            ),
            "no\nname",
        )

    assert len(caught.value.faults) == 8
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
        *PAGE_HEADERS,
        (CSP, API_POLICY),
        (CSP, PAGE_POLICY),
        (REPORT_ONLY, "the policy of `GUARD_CSP_REPORT_ONLY"),
        (REPORTING_ENDPOINTS, 'guard-csp="/csp-reports"'),
        (HSTS, "the value of `GUARD_HSTS"),
        (SERVICE_NAME, "the value of `GUARD_SERVICE_NAME"),
        *((name, "removed") for name in REMOVED_HEADERS),
        NO_STORE_AUTHENTICATED,
        *NO_STORE,
        CLEAR_SITE_DATA,
    }
    assert documented == sent
    assert len(rows) == len(documented)


def test_the_page_lists_every_header_that_is_sent() -> None:
    documented = set(re.findall(r"^\| `([^`]+)`", PAGE.read_text(encoding="utf-8"), re.MULTILINE))

    sent = {name for name, _value in complete(HTML, **EVERYTHING)[1:]}

    assert sent <= documented
