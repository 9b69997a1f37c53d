"""What the CSRF rule says of single requests: other sites, hostile cookies, what is told and what is not."""

from __future__ import annotations

from collections.abc import Callable
from http.cookies import CookieError, SimpleCookie
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.sansio.http import parse_cookie

from flask_guard.browser.csrf import HEADER_MISSING, ORIGIN_MISSING, CsrfRule, TokenState
from flask_guard.errors import CsrfFailed, CsrfTokenMismatch, CsrfTokenMissing
from flask_guard.values import Client

FORM = "application/x-www-form-urlencoded"
NOT_ALLOWED = "The origin of this request is not allowed."


def client_of(host: str | None, scheme: str = "https") -> Client:
    return Client(address="192.0.2.1", network="192.0.2.1", scheme=scheme, host=host)


def rule(scope: Literal["ambient", "all"] = "ambient", **changed: Any) -> CsrfRule:
    settings: dict[str, Any] = {
        "trusted_origins": [],
        "cookie_names": ["session"],
        "credential_keys": ["HTTP_AUTHORIZATION"],
    }
    return CsrfRule(scope=scope, **(settings | changed))


def unasked() -> TokenState:
    raise AssertionError("the token was asked for")


def judge(
    environ: dict[str, str],
    *,
    client: Client | None = None,
    token: Callable[[], TokenState] = unasked,
    by: CsrfRule | None = None,
) -> None:
    (by or rule()).judge(environ, client or client_of("app.example.com"), token=token)


def refused(environ: dict[str, str], **given: Any) -> CsrfFailed:
    with pytest.raises(CsrfFailed) as caught:
        judge(environ, **given)
    return caught.value


# The origin ---------------------------------------------------------------------------------------------

# (host, scheme, the origin of its pages, that of another port)
HOSTS = {
    "name": ("app.example.com", "https", "https://app.example.com", "https://app.example.com:80"),
    "port": ("app.example.com:8443", "https", "https://app.example.com:8443", "https://app.example.com:443"),
    "plain http": ("app.example.com", "http", "http://app.example.com", "http://app.example.com:443"),
    "loopback": ("localhost:5000", "http", "http://localhost:5000", "http://localhost:5001"),
    "IPv6": ("[2001:db8::1]", "https", "https://[2001:db8::1]", "https://[2001:db8::1]:8443"),
    "IPv6, port": ("[::1]:8443", "https", "https://[::1]:8443", "https://[::1]"),
    "punycode": ("xn--bcher-kva.example", "https", "https://xn--bcher-kva.example", "https://xn--bcher-kva.example:1"),
}


@pytest.mark.parametrize(("host", "scheme", "origin", "other"), HOSTS.values(), ids=HOSTS)
def test_a_page_of_the_host_and_port_may_write_and_no_other(host: str, scheme: str, origin: str, other: str) -> None:
    client = client_of(host, scheme)

    judge({"HTTP_ORIGIN": origin}, client=client)
    judge({"HTTP_REFERER": origin + "/page"}, client=client)
    assert refused({"HTTP_ORIGIN": other}, client=client).text == NOT_ALLOWED
    assert refused({"HTTP_REFERER": other + "/page"}, client=client).text == NOT_ALLOWED


def test_a_page_that_is_trusted_may_write() -> None:
    by = rule(trusted_origins=["capacitor://localhost", "https://admin.example.com"])

    judge({"HTTP_ORIGIN": "capacitor://localhost"}, by=by)
    judge({"HTTP_REFERER": "https://admin.example.com/page"}, by=by)


@pytest.mark.parametrize("trusted", ["*", "null", "https://*.example.com"])
def test_what_stands_for_many_origins_trusts_nobody(trusted: str) -> None:
    by = rule(trusted_origins=[trusted])

    for origin in ("null", "*", "https://evil.example.com", "https://*.example.com"):
        assert refused({"HTTP_ORIGIN": origin}, by=by).text == NOT_ALLOWED


def test_without_a_host_no_origin_is_ours() -> None:
    refusal = refused({"HTTP_ORIGIN": "https://a.example"}, client=client_of(None), by=rule(trusted_origins=["x"]))

    assert (refusal.text, refusal.detail) == (NOT_ALLOWED, "the Host of the request is not a host")


def test_without_a_host_a_trusted_page_may_not_write_either() -> None:
    by = rule(trusted_origins=["https://a.example"])

    assert refused({"HTTP_ORIGIN": "https://a.example"}, client=client_of(None), by=by).text == NOT_ALLOWED


def test_a_foreign_origin_is_not_mended_by_a_good_referer() -> None:
    for origin in ("null", "", "https://evil.example"):
        refusal = refused({"HTTP_ORIGIN": origin, "HTTP_REFERER": "https://app.example.com/"})

        assert refusal.text == NOT_ALLOWED


def test_a_form_of_a_page_without_referrers_passes_by_the_browsers_word() -> None:
    """Under Referrer-Policy: no-referrer a form of our own page is sent with Origin: null."""
    judge({"HTTP_ORIGIN": "null", "HTTP_SEC_FETCH_SITE": "same-origin"})


def test_scope_all_takes_no_word_of_the_browser() -> None:
    by = rule("all")
    script = {"HTTP_SEC_FETCH_SITE": "same-origin", "CONTENT_TYPE": "application/json"}

    assert refused(script, by=by).text == ORIGIN_MISSING
    assert refused(script | {"HTTP_ORIGIN": "https://evil.example"}, by=by).text == NOT_ALLOWED
    judge(script | {"HTTP_ORIGIN": "https://app.example.com"}, by=by)


def test_scope_all_asks_a_bearer_too() -> None:
    sent = {"HTTP_AUTHORIZATION": "Bearer x", "HTTP_ORIGIN": "https://app.example.com"}

    assert refused(sent, by=rule("all"), token=lambda: TokenState.ABSENT).text == HEADER_MISSING
    assert refused({"HTTP_AUTHORIZATION": "Bearer x"}, by=rule("all")).text == ORIGIN_MISSING


def test_a_program_without_a_cookie_of_ours_passes() -> None:
    judge({})
    judge({"HTTP_AUTHORIZATION": "Bearer x", "CONTENT_TYPE": FORM, "HTTP_COOKIE": "theme=dark"})


# The page that wrote it -----------------------------------------------------------------------------------

OWN_FORM = {"HTTP_COOKIE": "session=x", "HTTP_ORIGIN": "https://app.example.com"}
JSON_TYPES = [
    *("application/json", "Application/JSON", " application/json ; charset=utf-8", "application/json;"),
    *("application/vnd.api+json", "application/problem+json; x=y", "image/svg+json", "application/x+y+json"),
]
OTHER_TYPES = [
    *("", "text/plain", "text/plain; x=application/json", 'text/plain; x="; application/json"', "application/jsonp"),
    *("text/plain, application/json", "application/json, text/plain", "application/json text/plain", "+json"),
    *("application/+json2", "application", "application/", "/json", "text/json", "application/json\x0b", "a/b/c+json"),
    *("application /json", "application/ json", "application/json\xa0", "json", "application/x-json"),
]


@pytest.mark.parametrize("content_type", JSON_TYPES)
def test_json_shows_that_no_form_wrote_it(content_type: str) -> None:
    judge(OWN_FORM | {"CONTENT_TYPE": content_type})


@pytest.mark.parametrize("content_type", OTHER_TYPES)
def test_what_is_not_exactly_json_shows_nothing(content_type: str) -> None:
    refusal = refused(OWN_FORM | {"CONTENT_TYPE": content_type}, token=lambda: TokenState.ABSENT)

    assert (type(refusal), refusal.text) == (CsrfFailed, HEADER_MISSING)


def test_an_empty_body_shows_nothing() -> None:
    for sent in ({}, {"CONTENT_LENGTH": "0"}, {"CONTENT_LENGTH": "", "CONTENT_TYPE": ""}):
        refusal = refused(OWN_FORM | {"REQUEST_METHOD": "DELETE"} | sent, token=lambda: TokenState.ABSENT)

        assert refusal.text == HEADER_MISSING


def test_a_header_that_needs_a_preflight_shows_it_unless_it_is_empty() -> None:
    judge(OWN_FORM | {"CONTENT_TYPE": FORM, "HTTP_X_REQUESTED_WITH": "XMLHttpRequest"})

    sent = OWN_FORM | {"CONTENT_TYPE": FORM, "HTTP_X_REQUESTED_WITH": ""}
    assert type(refused(sent, token=lambda: TokenState.ABSENT)) is CsrfTokenMissing


@pytest.mark.parametrize("content_type", [FORM, "multipart/form-data; boundary=x", "text/plain", ""])
def test_a_token_shows_it_and_a_wrong_one_is_told(content_type: str) -> None:
    sent = OWN_FORM | {"CONTENT_TYPE": content_type}

    judge(sent, token=lambda: TokenState.VALID)
    assert type(refused(sent, token=lambda: TokenState.WRONG)) is CsrfTokenMismatch


def test_a_token_is_not_asked_for_when_the_origin_is_wrong() -> None:
    """Or every page could make us read a form of megabytes."""
    assert refused(OWN_FORM | {"HTTP_ORIGIN": "null", "CONTENT_TYPE": FORM}, token=unasked).text == NOT_ALLOWED


def test_what_reading_the_form_raises_passes_through() -> None:
    with pytest.raises(AssertionError, match="asked for"):
        judge(OWN_FORM | {"CONTENT_TYPE": FORM})


HEADER_CREDENTIALS = ["Bearer x", "x", "Basically", "DPoP x"]
NO_HEADER_CREDENTIALS = ["", " ", "Basic dTpw", "basic", "NEGOTIATE x", "NTLM x", "Digest username=x", "\tBasic x"]


@pytest.mark.parametrize("value", HEADER_CREDENTIALS)
def test_a_header_credential_spares_the_token(value: str) -> None:
    judge(OWN_FORM | {"CONTENT_TYPE": FORM, "HTTP_AUTHORIZATION": value})


@pytest.mark.parametrize("value", NO_HEADER_CREDENTIALS, ids=repr)
def test_what_browsers_send_by_themselves_does_not(value: str) -> None:
    sent = OWN_FORM | {"CONTENT_TYPE": FORM, "HTTP_AUTHORIZATION": value}

    assert type(refused(sent, token=lambda: TokenState.ABSENT)) is CsrfTokenMissing


# Cookies --------------------------------------------------------------------------------------------------

CARRIES = [
    *("session=x", "a=b; session=x", "a=b;session=x;c=d", "session=", " session = x", "a=b;\tsession=x", "session"),
    *('a="b; session=x', 'a="b";session=x', "a=b,session=x", "a=b session=x", ";;session=x", "session=x; session=y"),
    *("a=\xff; session=x", "a=b;\xa0session=x", "a=b;\x0bsession=x", 'a="session=x'),
]
CARRIES_NOT = [
    *("", "a=b", "sessions=x", "my_session=x", "my-session=x", "__Host-session=x", "session.id=x", "Session=x"),
    *("a=session", "a=session; b=c", "session-x=y", "session[0]=x", "a=b; xsession=c", "session_id=1; ssession=2"),
]


@pytest.mark.parametrize("header", CARRIES)
def test_a_cookie_of_ours_is_found(header: str) -> None:
    assert refused({"HTTP_COOKIE": header}).text == ORIGIN_MISSING


@pytest.mark.parametrize("header", CARRIES_NOT)
def test_a_cookie_of_a_similar_name_is_not_ours(header: str) -> None:
    judge({"HTTP_COOKIE": header})


def test_names_are_texts_and_not_patterns() -> None:
    by = rule(cookie_names=["a.b", "__Host-(x)"])

    judge({"HTTP_COOKIE": "aXb=1; __Host-x=1"}, by=by)
    assert refused({"HTTP_COOKIE": "a.b=1"}, by=by)
    assert refused({"HTTP_COOKIE": "__Host-(x)=1"}, by=by)


def test_without_names_no_cookie_is_ours() -> None:
    judge({"HTTP_COOKIE": "session=x; =y; ;"}, by=rule(cookie_names=[]))


COOKIE_HEADERS = st.lists(
    st.sampled_from(["session", "sess", "ion", "a", "=", ";", '"', "\\", ",", " ", "\t", "\x0b", "\xa0", "x", "\xff"]),
    max_size=14,
).map("".join)


@given(header=COOKIE_HEADERS)
def test_no_cookie_is_missed_that_a_parser_of_cookies_would_believe(header: str) -> None:
    parsed = SimpleCookie[str]()
    try:
        parsed.load(header)
    except CookieError:
        parsed.clear()
    is_believed = "session" in parse_cookie(header) or "session" in parsed

    if is_believed:
        assert refused({"HTTP_COOKIE": header}).text == ORIGIN_MISSING


# What is told ---------------------------------------------------------------------------------------------


def test_the_operator_is_told_that_only_the_scheme_differs() -> None:
    refusal = refused({"HTTP_ORIGIN": "https://app.example.com"}, client=client_of("app.example.com", "http"))

    assert refusal.detail == (
        "Origin 'https://app.example.com' is neither 'http://app.example.com' nor trusted; "
        "only the scheme differs: is the proxy that ends TLS in GUARD_TRUSTED_PROXIES?"
    )
    assert "PROXIES" not in refusal.text


def test_proxies_are_not_blamed_for_another_host_or_port() -> None:
    for origin in ("https://evil.example", "https://app.example.com:8443", "null"):
        refusal = refused({"HTTP_ORIGIN": origin}, client=client_of("app.example.com", "http"))

        assert refusal.detail == f"Origin '{origin}' is neither 'http://app.example.com' nor trusted"


def test_the_log_names_the_origin_of_a_referer_and_not_its_path() -> None:
    refusal = refused({"HTTP_REFERER": "https://evil.example/reset?token=hidden"})

    expected = "the Referer's origin 'https://evil.example' is neither 'https://app.example.com' nor trusted"
    assert refusal.detail == expected


@pytest.mark.parametrize("referer", ["https://ada:hidden@app.example.com/", "hidden\r\nInjected: line"])
def test_nothing_of_a_malformed_referer_is_told(referer: str) -> None:
    refusal = refused({"HTTP_REFERER": referer})

    assert refusal.detail == "no Origin, and the Referer is not a URL of http or https"


def test_the_log_says_that_both_are_missing() -> None:
    assert refused({"HTTP_COOKIE": "session=hidden"}).detail == "no Origin, and no Referer"


HOSTILE = {
    "line end": "https://a\r\nlevel=INFO forged",
    "escape sequence": "\x1b[2J",
    "C1 control": "\x9b2J",
    "high": "\xff" * 5000,
    "long": "x" * 5000,
}


@pytest.mark.parametrize("raw", HOSTILE.values(), ids=HOSTILE)
def test_what_was_sent_is_told_escaped_and_cut(raw: str) -> None:
    told = [
        refused({"HTTP_ORIGIN": raw}),
        refused(OWN_FORM | {"CONTENT_TYPE": raw}, token=lambda: TokenState.ABSENT),
    ]

    for refusal in told:
        assert refusal.detail.isascii()
        assert refusal.detail.isprintable()
        assert len(refusal.detail) < 700
        assert refusal.text in (NOT_ALLOWED, HEADER_MISSING)


def test_details_name_the_reason_for_each_of_the_last_refusals() -> None:
    form = OWN_FORM | {"CONTENT_TYPE": FORM}

    details = [
        refused(form, token=lambda: TokenState.ABSENT).detail,
        refused(form, token=lambda: TokenState.WRONG).detail,
        refused(OWN_FORM, token=lambda: TokenState.ABSENT).detail,
    ]

    assert details == [
        "application/x-www-form-urlencoded without a CSRF token",
        "the CSRF token was not made for this session",
        "media type '', no X-Requested-With, no CSRF token",
    ]
