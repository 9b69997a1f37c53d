"""Which content policy an answer has, where its nonce goes, who is told of violations; and when HSTS is sent."""

from __future__ import annotations

import re
from typing import Any

import pytest
from http_sf import parse as parse_structured

from flask_guard.browser.csp import API_POLICY, NONCE, PAGE_POLICY, SELF, csp, make_nonce
from flask_guard.browser.headers import REPORTING_ENDPOINTS, HeaderSet
from flask_guard.errors import ConfigError
from tests.browser.header_sets import CSP, HSTS, HTML, JSON, REPORT_ONLY, browser_settings, complete, values_of

NONCE_PAGE = PAGE_POLICY.replace("script-src 'self'", "script-src 'self' 'nonce-abc'")
OWN = "default-src https:"


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
    ("choice", "for_api", "for_page"),
    [
        ("auto", [API_POLICY], [PAGE_POLICY]),
        ("api", [API_POLICY], [API_POLICY]),
        ("page", [PAGE_POLICY], [PAGE_POLICY]),
        ("off", [], []),
        ("default-src https:", ["default-src https:"], ["default-src https:"]),
    ],
)
def test_the_setting_chooses_the_policy(choice: str, for_api: list[str], for_page: list[str]) -> None:
    assert values_of(complete(JSON, csp=choice), CSP) == for_api
    assert values_of(complete(HTML, csp=choice), CSP) == for_page


@pytest.mark.parametrize(
    ("choice", "policies"),
    [
        ("auto", []),
        ("off", []),
        ("api", [API_POLICY]),
        ("default-src https:", ["default-src https:"]),
        pytest.param("page", [], id="page, which may hold a nonce"),
        pytest.param("script-src 'self' 'nonce'", [], id="one that may hold a nonce"),
    ],
)
def test_an_unchanged_answer_leaves_the_policy_of_the_cached_one_alone(choice: str, policies: list[str]) -> None:
    """A 304 has no Content-Type, and a cache replaces stored headers by those of a 304."""
    for nonce in (None, "abc"):
        given: dict[str, Any] = {"status": "304 NOT MODIFIED", "nonce": nonce, "csp_report_only": choice}

        sent = complete(("ETag", '"1"'), csp=choice, **given)
        of_route = [] if choice == "auto" else complete(csp="off", route=choice, **given)

        assert values_of(sent, CSP) == values_of(sent, REPORT_ONLY) == policies
        assert values_of(of_route, CSP) == policies
        assert values_of(sent, "X-Content-Type-Options") == ["nosniff"]


def test_an_unchanged_answer_that_names_its_type_has_the_policy_of_the_type() -> None:
    assert values_of(complete(HTML, status="304 NOT MODIFIED"), CSP) == [PAGE_POLICY]


# Nonces --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("choice", "with_nonce", "without"),
    [
        ("auto", NONCE_PAGE, PAGE_POLICY),
        ("page", NONCE_PAGE, PAGE_POLICY),
        ("api", API_POLICY, API_POLICY),
        ("default-src https:", "default-src https:", "default-src https:"),
        ("script-src 'nonce'", "script-src 'nonce-abc'", "script-src 'none'"),
        (
            "script-src 'self' 'nonce'; style-src 'nonce' https:; img-src *",
            "script-src 'self' 'nonce-abc'; style-src 'nonce-abc' https:; img-src *",
            "script-src 'self'; style-src https:; img-src *",
        ),
        (
            "script-src 'nonce' 'strict-dynamic' 'sha256-abc' https:",
            "script-src 'nonce-abc' 'strict-dynamic' 'sha256-abc' https:",
            "script-src 'strict-dynamic' 'sha256-abc' https:",
        ),
        (
            "script-src 'nonce' 'strict-dynamic' 'unsafe-inline' https:",
            "script-src 'nonce-abc' 'strict-dynamic' 'unsafe-inline' https:",
            "script-src 'none'",
        ),
    ],
)
@pytest.mark.parametrize("is_secure", [False, True], ids=["http", "https"])
def test_a_nonce_goes_to_its_place_and_the_place_goes_when_none_was_asked_for(
    choice: str, with_nonce: str, without: str, is_secure: bool
) -> None:
    given: dict[str, Any] = {"csp": choice, "csp_report_only": choice, "is_secure": is_secure, "hsts": "max-age=1"}

    asked = complete(HTML, nonce="abc", **given)
    unasked = complete(HTML, **given)

    assert values_of(asked, CSP) == values_of(asked, REPORT_ONLY) == [with_nonce]
    assert values_of(unasked, CSP) == values_of(unasked, REPORT_ONLY) == [without]
    assert [name for name, _value in asked] == [name for name, _value in unasked]


def test_an_api_answer_has_no_nonce() -> None:
    assert values_of(complete(JSON, nonce="abc"), CSP) == [API_POLICY]


def test_each_answer_has_its_own_nonce() -> None:
    headers = HeaderSet(browser_settings())
    policies = []

    for _answer in range(20):
        sent = [HTML]
        headers.complete(sent, nonce=make_nonce())
        policies += values_of(sent, CSP)
    sent = [HTML]
    headers.complete(sent)

    nonces = [re.findall(r"'nonce-([A-Za-z0-9_-]{22})'", policy) for policy in policies]
    assert all(len(found) == 1 for found in nonces)
    assert len({found[0] for found in nonces}) == 20
    assert "nonce" not in values_of(sent, CSP)[0]


# The policy of a route -----------------------------------------------------------------------------------


@pytest.mark.parametrize("given", [HTML, JSON], ids=["page", "api"])
@pytest.mark.parametrize(
    "common",
    [{}, {"csp": "off"}, {"csp": "img-src *"}, {"headers": {CSP: "img-src *"}}, {"headers": {CSP.lower(): None}}],
    ids=["auto", "off", "a text", "GUARD_HEADERS", "left out by GUARD_HEADERS"],
)
@pytest.mark.parametrize(
    ("route", "policies"),
    [
        pytest.param("api", [API_POLICY], id="api"),
        pytest.param(" Page ", [PAGE_POLICY], id="page"),
        pytest.param("off", [], id="off"),
        pytest.param("Default-Src  HTTPS: ;", ["default-src HTTPS:"], id="a text"),
        pytest.param(csp(default_src=[SELF, NONCE]), ["default-src 'self'"], id="built"),
    ],
)
def test_the_policy_of_a_route_stands_above_that_of_the_application_and_below_that_of_the_view(
    given: tuple[str, str], common: dict[str, Any], route: Any, policies: list[str]
) -> None:
    assert values_of(complete(given, route=route, **common), CSP) == policies
    assert values_of(complete(given, (CSP, "img-src x"), route=route, **common), CSP) == ["img-src x"]


def test_the_policy_of_a_route_leaves_the_other_headers_alone() -> None:
    settings: dict[str, Any] = {"csp_report_only": "api", "headers": {"X-New": "1"}, "service": "notes"}

    common, of_route = complete(HTML, **settings), complete(HTML, route=OWN, **settings)

    assert [pair for pair in of_route if pair[0] != CSP] == [pair for pair in common if pair[0] != CSP]
    assert values_of(of_route, REPORT_ONLY) == [API_POLICY]


@pytest.mark.parametrize("route", ["auto", "pgae", "", ";", "default-src x\r\ny", "default-src 'x'", None, 1, b"api"])
def test_a_faulty_policy_of_a_route_is_refused(route: Any) -> None:
    with pytest.raises(ConfigError):
        HeaderSet(browser_settings()).prepare(route)


# The policy on trial, and reports ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("choice", "for_api", "for_page"),
    [
        (None, [], []),
        ("off", [], []),
        ("auto", [API_POLICY], [PAGE_POLICY]),
        ("api", [API_POLICY], [API_POLICY]),
        ("page", [PAGE_POLICY], [PAGE_POLICY]),
        (OWN, [OWN], [OWN]),
    ],
)
@pytest.mark.parametrize("enforced", ["auto", "off"])
def test_the_policy_on_trial_stands_beside_the_one_that_is_enforced(
    choice: str | None, enforced: str, for_api: list[str], for_page: list[str]
) -> None:
    for given, policies in ((JSON, for_api), (HTML, for_page)):
        sent = complete(given, csp=enforced, csp_report_only=choice)

        assert values_of(sent, REPORT_ONLY) == policies
        assert values_of(sent, CSP) == values_of(complete(given, csp=enforced), CSP)


@pytest.mark.parametrize("choice", ["auto", OWN])
@pytest.mark.parametrize("nonce", [None, "abc"], ids=["no nonce", "nonce"])
def test_reports_go_to_the_address_that_the_answer_names(choice: str, nonce: str | None) -> None:
    sent = complete(HTML, csp=choice, csp_report_only=choice, csp_reports=True, nonce=nonce)
    without = complete(HTML, csp=choice, nonce=nonce)

    expected = [f"{values_of(without, CSP)[0]}; report-uri /csp-reports; report-to guard-csp"]
    assert values_of(sent, CSP) == values_of(sent, REPORT_ONLY) == expected
    assert values_of(sent, REPORTING_ENDPOINTS) == ['guard-csp="/csp-reports"']
    assert values_of(without, REPORTING_ENDPOINTS) == []


@pytest.mark.parametrize("own", ["report-uri /mine", "report-to mine", "report-uri /mine; report-to mine"])
def test_a_policy_that_says_where_its_reports_go_keeps_it(own: str) -> None:
    policy = f"default-src 'self'; {own}"

    alone = complete(HTML, csp=policy, csp_reports=True)
    beside = complete(HTML, csp=policy, csp_report_only="api", csp_reports=True)

    assert values_of(alone, CSP) == values_of(beside, CSP) == [policy]
    assert values_of(alone, REPORTING_ENDPOINTS) == []
    assert values_of(beside, REPORTING_ENDPOINTS) == ['guard-csp="/csp-reports"']


@pytest.mark.parametrize("route", ["page", OWN])
def test_the_policy_of_a_route_reports_too(route: str) -> None:
    sent = complete(HTML, csp="off", route=route, csp_reports=True)

    assert values_of(sent, CSP)[0].endswith("; report-uri /csp-reports; report-to guard-csp")
    assert values_of(sent, REPORTING_ENDPOINTS) == ['guard-csp="/csp-reports"']


def test_without_a_policy_there_is_nothing_to_report() -> None:
    own_group = complete(HTML, csp="img-src *; report-to guard-csp")

    assert values_of(complete(HTML, csp="off", csp_reports=True), REPORTING_ENDPOINTS) == []
    assert values_of(complete(HTML, csp_reports=True, route="off"), REPORTING_ENDPOINTS) == []
    assert values_of(own_group, REPORTING_ENDPOINTS) == []


@pytest.mark.parametrize(
    "path", ["/csp-reports", "/api/v1/csp-reports", '/a"b;c,d e\\f/r', "/k\xe4se\u4e2d", "/x\r\ny"], ids=ascii
)
def test_an_odd_path_of_reports_breaks_out_of_no_header(path: str) -> None:
    headers = HeaderSet(browser_settings(csp_reports=True, csp_report_only="api"), report_path=path)
    sent = [HTML]

    headers.complete(sent)

    address = re.findall(r"; report-uri ([!-~]+); report-to guard-csp$", values_of(sent, CSP)[0])
    endpoints = parse_structured(values_of(sent, REPORTING_ENDPOINTS)[0].encode(), tltype="dictionary")
    assert endpoints == {"guard-csp": (address[0], {})}
    assert not {'"', ";", ",", "\\"} & set(address[0])


# Warnings ------------------------------------------------------------------------------------------------


def test_what_browsers_read_otherwise_is_told_with_the_name_of_the_setting() -> None:
    headers = HeaderSet(browser_settings(csp="defualt-src 'self'", csp_report_only="script-src self"))

    assert headers.warnings == (
        "GUARD_CSP: The directive 'defualt-src' is unknown: browsers ignore it.",
        "GUARD_CSP_REPORT_ONLY: The directive 'script-src' has 'self' without quotes, which is a host.",
    )
    assert headers.prepare("img-scr *").warnings == ("The directive 'img-scr' is unknown: browsers ignore it.",)
    assert headers.prepare("page").warnings == headers.prepare("off").warnings == ()
    assert HeaderSet(browser_settings()).warnings == ()


# HSTS ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("nonce", [None, "abc"], ids=["no nonce", "nonce"])
@pytest.mark.parametrize("route", [None, OWN], ids=["common policy", "policy of the route"])
@pytest.mark.parametrize(
    ("given", "status"),
    [
        pytest.param((JSON,), "200 OK", id="api"),
        pytest.param((HTML,), "200 OK", id="page"),
        pytest.param((), "304 NOT MODIFIED", id="unchanged"),
        pytest.param((JSON, ("X-Frame-Options", "SAMEORIGIN")), "500 INTERNAL SERVER ERROR", id="own header"),
    ],
)
def test_hsts_is_sent_over_https_and_never_over_http(
    given: tuple[tuple[str, str], ...], status: str, route: str | None, nonce: str | None
) -> None:
    rest: dict[str, Any] = {"status": status, "route": route, "nonce": nonce}

    secure = complete(*given, hsts="max-age=31536000; includeSubDomains", is_secure=True, **rest)
    plain = complete(*given, hsts="max-age=31536000; includeSubDomains", **rest)
    off = complete(*given, is_secure=True, **rest)

    assert values_of(secure, HSTS) == ["max-age=31536000; includeSubDomains"]
    assert values_of(plain, HSTS) == values_of(off, HSTS) == []
    assert sorted(plain) == sorted(off) == sorted(pair for pair in secure if pair[0] != HSTS)


@pytest.mark.parametrize("is_secure", [False, True], ids=["http", "https"])
def test_hsts_among_the_configured_headers_is_sent_as_it_is_told_there(is_secure: bool) -> None:
    always = complete(JSON, hsts="max-age=1", headers={HSTS: "max-age=2"}, is_secure=is_secure)
    never = complete(JSON, hsts="max-age=1", headers={HSTS.lower(): None}, is_secure=is_secure)

    assert values_of(always, HSTS) == ["max-age=2"]
    assert values_of(never, HSTS) == []
