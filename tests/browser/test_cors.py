"""Which origins are allowed, what a preflight may ask for, which policies are refused, how Vary grows."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import pytest

from flask_guard.browser.cors import PREFLIGHT_VARY, merge_vary
from flask_guard.browser.origins import parse_origin
from flask_guard.errors import ConfigError, CorsHeaderDenied, CorsMethodDenied, CorsOriginDenied, Refusal
from tests.browser.cors_policies import APP, SUBDOMAINS, make_policy

# Origins -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("listed", "origin"),
    [
        ("https://app.example.com", "https://app.example.com"),
        ("https://app.example.com", "https://app.example.com:443"),
        ("https://app.example.com", "HTTPS://App.Example.COM"),
        ("http://localhost:3000", "http://localhost:3000"),
        ("http://localhost", "http://localhost:80"),
        ("https://app.example.com:80", "https://app.example.com:80"),
        ("https://app.example.com.", "https://app.example.com."),
        ("https://[::1]:8443", "https://[::1]:8443"),
        ("http://127.0.0.1:5173", "http://127.0.0.1:5173"),
        ("chrome-extension://abcdefghijklmnopabcdefghijklmnop", "chrome-extension://abcdefghijklmnopabcdefghijklmnop"),
        ("capacitor://localhost", "capacitor://localhost"),
        ("https://xn--bcher-kva.example", "https://xn--bcher-kva.example"),
        ("https://*.example.com", "https://a.example.com"),
        ("https://*.example.com", "https://a.b-c.d_e.example.com"),
        ("https://*.example.com", "https://A.Example.com:443"),
        ("https://*.example.com:8443", "https://a.example.com:8443"),
        ("null", "null"),
        ("*", "https://anybody.example"),
        ("*", "null"),
        ("*", "no origin at all"),
    ],
)
def test_a_listed_origin_is_allowed(listed: str, origin: str) -> None:
    assert make_policy(listed).allows(origin)


@pytest.mark.parametrize(
    ("listed", "origin"),
    [
        ("https://app.example.com", "http://app.example.com"),
        ("https://app.example.com", "https://app.example.com:8443"),
        ("https://app.example.com", "https://app.example.com:80"),
        ("https://app.example.com", "https://app.example.com."),
        ("https://app.example.com", "https://app.example.com.evil.com"),
        ("https://app.example.com", "https://evil.com/app.example.com"),
        ("https://app.example.com", "https://evil.com#https://app.example.com"),
        ("https://app.example.com", "https://appXexample.com"),
        ("https://app.example.com", "https://xapp.example.com"),
        ("https://app.example.com", "https://x.app.example.com"),
        ("https://app.example.com", "https://app.example.co"),
        ("https://app.example.com", "https://app.example.com/"),
        ("https://app.example.com", "https://app.example.com:"),
        ("https://app.example.com", "https://app.example.com:0443"),
        ("https://app.example.com", "https://app.example.com:443:443"),
        ("https://app.example.com", "https://app.example.com\n"),
        ("https://app.example.com", "https://app.example.com\r\nX-Evil: 1"),
        ("https://app.example.com", " https://app.example.com"),
        ("https://app.example.com", "https://app.example.com "),
        ("https://app.example.com", "https://app.example.com\0"),
        ("https://app.example.com", "https://user@app.example.com"),
        ("https://app.example.com", "https://app.example.com@evil.com"),
        ("https://app.example.com", "https://app.example.com,https://app.example.com"),
        ("https://app.example.com", "https://app.example.com https://evil.com"),
        ("https://app.example.com", "//app.example.com"),
        ("https://app.example.com", "app.example.com"),
        ("https://app.example.com", ""),
        ("https://app.example.com", "*"),
        ("https://app.example.com", "null"),
        ("https://app.example.com", "https://*"),
        ("https://kiosk.example", "https://\N{KELVIN SIGN}iosk.example"),
        ("https://kiosk.example", "https://kio\N{LATIN SMALL LETTER LONG S}k.example"),
        ("https://example.com", "https://example\N{FULLWIDTH FULL STOP}com"),
        ("https://*.example.com", "https://example.com"),
        ("https://*.example.com", "https://.example.com"),
        ("https://*.example.com", "https://a..example.com"),
        ("https://*.example.com", "https://*.example.com"),
        ("https://*.example.com", "https://a.example.com.evil.com"),
        ("https://*.example.com", "https://evil.com/.example.com"),
        ("https://*.example.com", "https://evil.com?.example.com"),
        ("https://*.example.com", "https://evil.com#.example.com"),
        ("https://*.example.com", "https://evil.com\\.example.com"),
        ("https://*.example.com", "https://evil.com@a.example.com"),
        ("https://*.example.com", "https://evil.com:443.example.com"),
        ("https://*.example.com", "https://xexample.com"),
        ("https://*.example.com", "https://a.exampleXcom"),
        ("https://*.example.com", "https://a.example.com:8443"),
        ("https://*.example.com", "https://a.example.com."),
        ("https://*.example.com", "https://a.example.com\n"),
        ("https://*.example.com", "http://a.example.com"),
        ("https://*.example.com", "xhttps://a.example.com"),
        ("https://*.example.com:8443", "https://a.example.com"),
        ("https://*.example.com", "null"),
        ("null", "NULL"),
        ("null", "null\n"),
        ("null", "https://null"),
        ("null", ""),
    ],
    ids=ascii,
)
def test_any_other_origin_is_not(listed: str, origin: str) -> None:
    assert not make_policy(listed).allows(origin)


@pytest.mark.parametrize("origin", [APP, "null", "*", ""])
def test_an_empty_list_allows_nobody(origin: str) -> None:
    assert not make_policy().allows(origin)


def test_of_several_each_is_allowed_and_no_mixture_of_them() -> None:
    policy = make_policy("https://a.example", "http://b.example:8080", SUBDOMAINS)

    assert policy.allows("https://a.example")
    assert policy.allows("http://b.example:8080")
    assert policy.allows("https://x.example.org")
    assert not policy.allows("https://a.example:8080")
    assert not policy.allows("http://a.example")
    assert not policy.allows("http://x.example.org")


def test_a_long_origin_is_refused_without_effort() -> None:
    """In one step for each character: were the labels ambiguous, this would never end."""
    policy = make_policy("https://*.example.com")

    assert not policy.allows("https://" + "a." * 50_000 + "evil.com")
    assert not policy.allows("https://" + "a" * 100_000)


def test_an_origin_is_brought_to_the_form_that_it_is_listed_in() -> None:
    assert make_policy(APP).find_allowed("HTTPS://APP.example.com:443") == APP
    assert make_policy("*").find_allowed(APP) == "*"
    assert make_policy("null").find_allowed("null") == "null"
    assert parse_origin("null") is None


def test_exact_origins_stand_for_one_site_each() -> None:
    policy = make_policy("https://b.example", "*", SUBDOMAINS, "null", "http://[::1]:3000")

    assert policy.exact_origins == ("https://b.example", "http://[::1]:3000")


# Preflights ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "headers"),
    [
        ("GET", None),
        ("DELETE", ""),
        ("POST", "content-type"),
        ("POST", "authorization,content-type"),
        ("POST", "Authorization, \tX-CSRF-TOKEN "),
    ],
)
def test_a_preflight_within_the_policy_passes(method: str, headers: str | None) -> None:
    make_policy(APP).require_preflight(APP, method, headers)


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "", "https://app.example.com\r\nSet-Cookie: a=b"])
@pytest.mark.parametrize("listed", [(APP, SUBDOMAINS), ()], ids=["listed", "empty"])
def test_a_preflight_of_a_foreign_origin_is_refused(origin: str, listed: tuple[str, ...]) -> None:
    with pytest.raises(CorsOriginDenied) as caught:
        make_policy(*listed).require_preflight(origin, "GET", None)

    assert caught.value.status == 403
    assert caught.value.text == "This origin may not read answers."


@pytest.mark.parametrize("method", ["PUT", "patch", "delete", "Delete", "", "GET,POST", "ET", "HEAD", "OPTIONS", "*"])
def test_a_method_that_is_not_listed_is_refused_with_those_that_are(method: str) -> None:
    """Also HEAD, which needs no preflight in a browser, and a PATCH or DELETE that is not in capitals."""
    with pytest.raises(CorsMethodDenied) as caught:
        make_policy(APP).require_preflight(APP, method, None)

    assert caught.value.status == 405
    assert caught.value.headers() == [("Allow", "GET, POST, DELETE")]
    assert caught.value.text == "Pages of other origins may not use this method."


@pytest.mark.parametrize(
    "headers",
    [
        "x-evil",
        "authorization,x-evil",
        "authorization;x-evil",
        "authorization x-csrf-token",
        "authorization,,content-type",
        "authorization,",
        ",",
        " ",
        "*",
        "authorization\n",
        "authorization\r\nset-cookie: a=b",
        "authorization\0",
        "\N{LATIN SMALL LETTER LONG S}",
        "accept",
        "accept-language",
        "content-language",
        "range",
    ],
    ids=ascii,
)
def test_a_header_that_is_not_listed_and_what_is_no_list_are_refused(headers: str) -> None:
    """Also one that is safe by its name: a browser asks for it only when its value is not."""
    with pytest.raises(CorsHeaderDenied) as caught:
        make_policy(APP).require_preflight(APP, "GET", headers)

    assert caught.value.status == 403
    assert caught.value.text == "Pages of other origins may not send this header."


def test_with_no_headers_listed_a_json_body_is_refused() -> None:
    with pytest.raises(CorsHeaderDenied):
        make_policy(APP, headers=()).require_preflight(APP, "POST", "content-type")


@pytest.mark.parametrize(
    ("origin", "method", "headers", "refused"),
    [
        ("https://evil.example", "PUT", "x-evil", CorsOriginDenied),
        (APP, "PUT", "x-evil", CorsMethodDenied),
        (APP, "GET", "x-evil", CorsHeaderDenied),
    ],
    ids=["origin", "method", "header"],
)
def test_the_origin_is_judged_first_then_the_method_then_the_headers(
    origin: str, method: str, headers: str, refused: type[Refusal]
) -> None:
    with pytest.raises(refused):
        make_policy(APP).require_preflight(origin, method, headers)


@pytest.mark.parametrize(
    ("asked", "detail"),
    [
        (("https://evil.example", "GET", None), "origin https://evil.example is not listed"),
        (("a\r\nforged", "GET", None), "origin that cannot be read is not listed"),
        ((APP, "a\r\nforged", None), r"method 'a\r\nforged' asked for by a preflight"),
        ((APP, "GET", "a\x1b[2Jé\r\n"), r"header 'a\x1b[2J\xe9\r\n' asked for by a preflight"),
    ],
    ids=["an origin", "no origin", "a method", "a header"],
)
def test_the_log_is_told_what_was_asked_for_on_one_line(asked: tuple[str, str, str | None], detail: str) -> None:
    with pytest.raises(Refusal) as caught:
        make_policy(APP).require_preflight(*asked)

    assert caught.value.detail == detail


@pytest.mark.parametrize(
    "asked",
    [
        ("x" * 9000, "GET", None),
        ("https://" + "a" * 250, "GET", None),
        (APP, "X" * 9000, None),
        (APP, "GET", "x" * 9000),
    ],
    ids=["no origin", "an origin", "a method", "a header"],
)
def test_what_is_long_does_not_fill_the_log(asked: tuple[str, str, str | None]) -> None:
    with pytest.raises(Refusal) as caught:
        make_policy(APP).require_preflight(*asked)

    assert len(caught.value.detail) < 300


# Policies that are refused -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "fault"),
    [
        ({"origins": ("*",), "credentials": True}, "must list origins one by one with credentials: * stands"),
        ({"origins": (APP, "*"), "credentials": True}, "must list origins one by one with credentials: * stands"),
        ({"origins": ("null",), "credentials": True}, "must list origins one by one with credentials: null stands"),
        ({"methods": ()}, "must name a method"),
        ({"methods": ("get",)}, "must be in its normal form"),
        ({"methods": ("TRACE",)}, "must be a list of HTTP methods"),
        ({"methods": ("GET\r\nSet-Cookie: a=b",)}, "must not contain control characters"),
        ({"headers": ("*",)}, "must name headers one by one"),
        ({"headers": ("Content Type",)}, "must be the name of an HTTP header"),
        ({"expose": ("X-Request-Id", "*")}, "must name headers one by one"),
        ({"expose": ("X\r\nSet-Cookie: a=b",)}, "must not contain control characters"),
        ({"max_age_s": -1.0}, "must be a duration"),
        ({"max_age_s": float("inf")}, "must be a duration"),
        ({"max_age_s": float("nan")}, "must be a duration"),
        ({"origins": ("https://APP.example.com",)}, "must be in its normal form"),
        ({"origins": ("https://app.example.com:443",)}, "must be in its normal form"),
        ({"origins": ("https://a.example,https://b.example",)}, "must be a list of origins"),
        ({"origins": "https://a.example,https://b.example"}, "must be in its normal form"),
        ({"origins": ("https://app.example.com/",)}, "must be a list of origins"),
        ({"origins": ("app.example.com",)}, "must be a list of origins"),
        ({"origins": ("https://app*.example.com",)}, "must be a list of origins"),
        ({"origins": ("https://*",)}, "must be a list of origins"),
        ({"origins": ("https://*.*.example.com",)}, "must be a list of origins"),
        ({"origins": (r"https://.*\.example\.com",)}, "must be a list of origins"),
        ({"origins": (r"https://[a-z]+\.example\.com\Z",)}, "must be a list of origins"),
        ({"origins": (re.compile(r"https://.*\.example\.com"),)}, "must be a comma-separated list"),
    ],
    ids=str,
)
def test_a_policy_that_is_malformed_or_opens_too_much_is_refused(changed: dict[str, Any], fault: str) -> None:
    with pytest.raises(ConfigError) as caught:
        dataclasses.replace(make_policy(APP), **changed)

    assert len(caught.value.faults) == 1
    assert re.match(r"GUARD_CORS_[A-Z_]+, or what cors\(\) says instead, must ", caught.value.faults[0])
    assert fault in caught.value.faults[0]


def test_every_fault_is_told_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        make_policy("*", "null", credentials=True, methods=(), headers=("*",), expose=("*",))

    assert [fault.split(",")[0] for fault in caught.value.faults] == [
        "GUARD_CORS_ORIGINS",
        "GUARD_CORS_ORIGINS",
        "GUARD_CORS_METHODS",
        "GUARD_CORS_HEADERS",
        "GUARD_CORS_EXPOSE",
    ]


@pytest.mark.parametrize("origins", [("*",), ("null",), ("*", APP)], ids=str)
def test_without_credentials_every_site_may_be_let_in(origins: tuple[str, ...]) -> None:
    assert make_policy(*origins).allows("null")


def test_equal_policies_are_equal() -> None:
    assert make_policy(APP) == make_policy(APP)
    assert hash(make_policy(APP)) == hash(make_policy(APP))
    assert make_policy(APP) != make_policy(SUBDOMAINS)


# Vary ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "value", "expected"),
    [
        ([], "Origin", [("Vary", "Origin")]),
        ([("Vary", "Cookie")], "Origin", [("Vary", "Cookie, Origin")]),
        ([("vary", "Cookie")], "Origin", [("vary", "Cookie, Origin")]),
        ([("Vary", "origin")], "Origin", [("Vary", "origin")]),
        ([("VARY", "Cookie,ORIGIN ,Accept")], "Origin", [("VARY", "Cookie,ORIGIN ,Accept")]),
        ([("Vary", "X-Origin")], "Origin", [("Vary", "X-Origin, Origin")]),
        ([("Vary", "*")], "Origin", [("Vary", "*")]),
        ([("Vary", "Cookie, *")], "Origin", [("Vary", "Cookie, *")]),
        ([("Vary", "Cookie"), ("Vary", "Origin")], "Origin", [("Vary", "Cookie"), ("Vary", "Origin")]),
        ([("Vary", "Cookie"), ("Vary", "*")], "Origin", [("Vary", "Cookie"), ("Vary", "*")]),
        ([("Vary", "Cookie"), ("Vary", "Accept")], "Origin", [("Vary", "Cookie, Origin"), ("Vary", "Accept")]),
        ([("Vary", "")], "Origin", [("Vary", "Origin")]),
        ([("Vary", "Origin")], PREFLIGHT_VARY, [("Vary", PREFLIGHT_VARY)]),
        ([("Vary", "Cookie")], PREFLIGHT_VARY, [("Vary", f"Cookie, {PREFLIGHT_VARY}")]),
        ([("Date", "Vary"), ("X-Vary", "a")], "Origin", [("Date", "Vary"), ("X-Vary", "a"), ("Vary", "Origin")]),
    ],
    ids=str,
)
def test_vary_takes_what_it_lacks(given: list[tuple[str, str]], value: str, expected: list[tuple[str, str]]) -> None:
    sent = list(given)

    merge_vary(sent, value)

    assert sent == expected


def test_merging_twice_changes_nothing_more() -> None:
    sent = [("Vary", "Cookie")]

    merge_vary(sent, PREFLIGHT_VARY)
    merge_vary(sent, "Origin")
    merge_vary(sent, PREFLIGHT_VARY)

    assert sent == [("Vary", f"Cookie, {PREFLIGHT_VARY}")]
