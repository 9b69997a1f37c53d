"""Two judges of response headers: what they say of bad ones, so that their praise of ours means something."""

from __future__ import annotations

from typing import Any

import pytest

from flask_guard.browser.csp import NONCE, SELF, STRICT_DYNAMIC, csp, make_nonce
from flask_guard.browser.headers import HeaderSet
from flask_guard.config.kinds_web import HSTS_DEFAULT
from tests.browser.csp_evaluator import Finding, Severity, evaluate
from tests.browser.header_sets import CSP, HSTS, HTML, JSON, browser_settings, values_of
from tests.browser.observatory import Pair, judge

GOOD: dict[str, str] = {
    CSP: "default-src 'none'; frame-ancestors 'none'",
    HSTS: "max-age=31536000",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}
NONCE_VALUE = "'nonce-Ab3dEf6hIj9kLm2nOp5qRs'"

# The observatory ------------------------------------------------------------------------------------------


def test_an_answer_without_any_header_has_a_d() -> None:
    report = judge([])

    assert (report.score, report.grade) == (30, "D")  # CSP -25, HSTS -20, framing -20, sniffing -5


def test_a_spotless_answer_has_every_bonus() -> None:
    report = judge([*GOOD.items(), ("Set-Cookie", "session=1; Secure; HttpOnly; SameSite=Lax")])

    # Of the 145 there are, 5 are for the preload list and 5 for the integrity of scripts.
    assert (report.score, report.grade) == (135, "A+")


@pytest.mark.parametrize(
    ("name", "value", "result", "score"),
    [
        pytest.param(CSP, None, "csp-not-implemented", 55, id="no policy, so nothing against framing either"),
        pytest.param(CSP, "x", "csp-header-invalid", 55, id="short policy"),
        pytest.param(CSP, "img-src a; img-src b", "csp-header-invalid", 55, id="directive twice"),
        pytest.param(CSP, "script-src 'strict-dynamic'", "csp-header-invalid", 55, id="strict-dynamic alone"),
        pytest.param(CSP, "default-src 'self' 'unsafe-inline'", "csp-implemented-with-unsafe-inline", 60, id="inline"),
        pytest.param(CSP, "default-src https:", "csp-implemented-with-unsafe-inline", 60, id="broad scripts"),
        pytest.param(
            CSP, "script-src data:; object-src a", "csp-implemented-with-unsafe-inline", 60, id="data scripts"
        ),
        pytest.param(CSP, "script-src 'self'", "csp-implemented-with-unsafe-inline", 60, id="no object-src"),
        pytest.param(CSP, "default-src http://x.org", "csp-implemented-with-insecure-scheme", 60, id="http"),
        pytest.param(CSP, "default-src 'self' 'unsafe-eval'", "csp-implemented-with-unsafe-eval", 70, id="eval"),
        pytest.param(
            CSP,
            "default-src 'self'; img-src http:",
            "csp-implemented-with-insecure-scheme-in-passive-content-only",
            70,
            id="http images",
        ),
        pytest.param(
            CSP,
            "default-src 'self'; style-src 'unsafe-inline'; frame-ancestors 'none'",
            "csp-implemented-with-unsafe-inline-in-style-src-only",
            120,
            id="inline styles",
        ),
        pytest.param(
            CSP, "default-src 'self'; frame-ancestors 'none'", "csp-implemented-with-no-unsafe", 125, id="self"
        ),
        pytest.param(HSTS, None, "hsts-not-implemented", 80, id="no HSTS"),
        pytest.param(HSTS, "max-age=300", "hsts-implemented-max-age-less-than-six-months", 120, id="short HSTS"),
        pytest.param(HSTS, "includeSubDomains", "hsts-header-invalid", 80, id="HSTS without an age"),
        pytest.param("X-Content-Type-Options", None, "x-content-type-options-not-implemented", 125, id="sniffing"),
        pytest.param("X-Content-Type-Options", "x", "x-content-type-options-header-invalid", 125, id="odd sniffing"),
        pytest.param("Referrer-Policy", None, "referrer-policy-not-implemented", 125, id="no referrer policy"),
        pytest.param("Referrer-Policy", "unsafe-url", "referrer-policy-unsafe", 120, id="referrer to everybody"),
        pytest.param("Referrer-Policy", "x", "referrer-policy-header-invalid", 120, id="odd referrer policy"),
        pytest.param("Cross-Origin-Resource-Policy", None, "corp-not-implemented", 120, id="no CORP"),
        pytest.param("Cross-Origin-Resource-Policy", "x", "corp-header-invalid", 115, id="odd CORP"),
        pytest.param("Set-Cookie", "a=1", "cookies-without-secure-flag-but-protected-by-hsts", 125, id="bare cookie"),
        pytest.param(
            "Set-Cookie", "session=1; Secure", "cookies-session-without-httponly-flag", 70, id="readable session"
        ),
        pytest.param(
            "Set-Cookie", "csrf=1; Secure", "cookies-anticsrf-without-samesite-flag", 80, id="token without SameSite"
        ),
        pytest.param("Set-Cookie", "a=1; Secure; SameSite=x", "cookies-samesite-flag-invalid", 80, id="odd SameSite"),
    ],
)
def test_one_thing_less_costs_what_the_observatory_says(name: str, value: str | None, result: str, score: int) -> None:
    changed = {**GOOD, name: value}

    report = judge([(key, text) for key, text in changed.items() if text is not None])

    assert result in report.results
    assert report.score == score


def test_a_session_cookie_without_secure_and_hsts_is_the_worst_cookie() -> None:
    headers = [*({**GOOD, HSTS: "x"}).items(), ("Set-Cookie", "login=1; HttpOnly"), ("Set-Cookie", "a=1; Secure")]

    report = judge(headers)

    assert "cookies-session-without-secure-flag" in report.results
    assert (report.score, report.grade) == (40, "D+")


def test_an_origin_that_is_echoed_with_credentials_costs_fifty() -> None:
    allowed = [("Access-Control-Allow-Origin", "https://x.org"), ("Access-Control-Allow-Credentials", "true")]

    echoed = judge([*GOOD.items(), *allowed], origin="https://x.org")

    assert (echoed.score, echoed.grade) == (50, "C")
    assert judge([*GOOD.items(), *allowed], origin="https://y.org").grade == "A+"
    assert judge([*GOOD.items(), ("Access-Control-Allow-Origin", "*")], origin="https://y.org").grade == "A+"


def test_bonuses_do_not_make_up_for_a_fault() -> None:
    assert judge([pair for pair in GOOD.items() if pair[0] != HSTS]).grade == "B+"


# The evaluator -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("policy", "kind", "directive"),
    [
        ("default-src 'self'; script-src 'unsafe-inline'", "inline scripts", "script-src"),
        ("default-src 'unsafe-inline'", "inline scripts", "default-src"),
        ("default-src 'self' 'unsafe-inline'; script-src 'self'", "inline scripts", "default-src"),
        ("default-src 'none'; script-src https:", "plain scheme", "script-src"),
        ("default-src 'none'; script-src-elem data:", "plain scheme", "script-src-elem"),
        ("default-src 'none'; object-src http:", "plain scheme", "object-src"),
        ("default-src 'none'; base-uri https:", "plain scheme", "base-uri"),
        ("default-src *", "wildcard", "default-src"),
        ("default-src 'none'; script-src https://*", "wildcard", "script-src"),
        ("default-src 'none'; object-src //*", "wildcard", "object-src"),
        ("script-src 'none'", "missing", "object-src"),
        ("object-src 'none'", "missing", "script-src"),
        (f"default-src 'none'; script-src {NONCE_VALUE}", "missing", "base-uri"),
        ("default-src 'none'; script-src 'sha256-abc' 'strict-dynamic'", "missing", "base-uri"),
        ("default-src 'none'; script-src *.google.com", "allowed host", "script-src"),
        ("default-src 'none'; script-src https://cdnjs.cloudflare.com/ajax/", "allowed host", "script-src"),
        ("default-src 'none'; script-src www.googletagmanager.com 'unsafe-eval'", "allowed host", "script-src"),
    ],
)
def test_the_evaluator_finds_what_lets_scripts_in(policy: str, kind: str, directive: str) -> None:
    assert (kind, directive) in [(found.kind, found.directive) for found in find_high(policy)]


@pytest.mark.parametrize(
    ("policy", "found"),
    [
        ("default-src 'self' 'unsafe-eval'", Finding(Severity.MEDIUM_MAYBE, "'unsafe-eval'", "default-src")),
        ("default-src 'self'", Finding(Severity.MEDIUM_MAYBE, "allowed host", "default-src", "'self'")),
        ("default-src x.org", Finding(Severity.MEDIUM_MAYBE, "allowed host", "default-src", "x.org")),
        ("default-src 'nonce-ab'", Finding(Severity.MEDIUM, "short nonce", "default-src", "'nonce-ab'")),
        ("img-src http://x.org", Finding(Severity.MEDIUM, "http source", "img-src", "http://x.org")),
        ("img-src https://[::1]:80", Finding(Severity.INFO, "address", "img-src", "https://[::1]:80")),
        ("referrer x", Finding(Severity.INFO, "deprecated", "referrer")),
        ("img-src x script-src y", Finding(Severity.SYNTAX, "missing semicolon", "img-src", "script-src")),
    ],
)
def test_the_evaluator_weighs_lesser_things_less(policy: str, found: Finding) -> None:
    assert found in evaluate(policy)


@pytest.mark.parametrize(
    "policy",
    [
        pytest.param("default-src 'none'; script-src www.googletagmanager.com", id="a bypass that needs eval"),
        pytest.param("default-src 'none'; script-src 'sha256-abc'", id="a hash without base-uri"),
        pytest.param(
            f"default-src 'none'; base-uri 'none'; script-src {NONCE_VALUE} 'strict-dynamic' https: 'unsafe-inline'; "
            "script-src-attr 'none'; script-src-elem 'none'",
            id="what CSP 3 ignores",
        ),
        pytest.param("default-src 'none'; script-src https://cdnjs.cloudflare.com/mine.js", id="another file"),
    ],
)
def test_the_evaluator_lets_pass_what_is_safe(policy: str) -> None:
    assert find_high(policy) == []


def find_high(policy: str) -> list[Finding]:
    return [found for found in evaluate(policy) if found.severity is Severity.HIGH]


# Ours ----------------------------------------------------------------------------------------------------


def sent_for(given: Pair, *, nonce: str | None = None, **changed: Any) -> list[Pair]:
    sent = [given]
    HeaderSet(browser_settings(hsts=HSTS_DEFAULT, **changed)).complete(sent, is_secure=True, nonce=nonce)
    return sent


@pytest.mark.parametrize("changed", [{}, {"csp_reports": True, "csp_report_only": "api"}], ids=["defaults", "reports"])
@pytest.mark.parametrize(
    ("given", "nonce", "score"),
    [
        pytest.param(HTML, None, 120, id="page"),
        pytest.param(HTML, make_nonce(), 120, id="page with a nonce"),
        pytest.param(JSON, None, 130, id="api"),
    ],
)
def test_our_answers_have_the_best_grade_and_raise_nothing_high(
    given: Pair, nonce: str | None, score: int, changed: dict[str, Any]
) -> None:
    sent = sent_for(given, nonce=nonce, **changed)

    report = judge(sent)
    assert (report.score, report.grade) == (score, "A+")
    assert find_high(values_of(sent, CSP)[0]) == []


def test_without_hsts_the_grade_is_worse() -> None:
    sent = [pair for pair in sent_for(HTML) if pair[0] != HSTS]

    assert judge(sent).grade == "B+"


@pytest.mark.parametrize("nonce", [None, make_nonce()], ids=["no nonce", "nonce"])
def test_a_strict_policy_with_a_nonce_is_built_and_judged_as_good(nonce: str | None) -> None:
    policy = csp(
        default_src=[SELF],
        script_src=[NONCE, STRICT_DYNAMIC, "https:", "'unsafe-inline'"],
        object_src=["'none'"],
        base_uri=["'none'"],
        frame_ancestors=["'none'"],
        form_action=[SELF],
        script_src_attr=["'none'"],
        script_src_elem=[NONCE, STRICT_DYNAMIC],
    )

    sent = sent_for(HTML, csp=str(policy), nonce=nonce)

    assert find_high(values_of(sent, CSP)[0]) == []
    assert judge(sent).grade == "A+"
