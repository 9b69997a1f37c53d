"""Every combination of what an unsafe request may carry, against the rule written a second time.

The oracle knows what each header value means from the tables here; it parses nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flask_guard.browser.csrf import HEADER_MISSING, ORIGIN_MISSING, CsrfRule, TokenState
from flask_guard.errors import CsrfFailed
from flask_guard.values import Client

Scope = Literal["ambient", "all"]

SITE = Client(address="192.0.2.1", network="192.0.2.1", scheme="https", host="app.example.com")
# What a request meets, by name: "pass", or the code and the public text of the refusal.
MISSING = ("csrf_validation_failed", ORIGIN_MISSING)
NOT_ALLOWED = ("csrf_validation_failed", "The origin of this request is not allowed.")
NEEDS_HEADER = ("csrf_validation_failed", HEADER_MISSING)
NEEDS_TOKEN = ("csrf_token_missing", "The form lacks its CSRF token.")
WRONG_TOKEN = ("csrf_token_mismatch", "The CSRF token is not valid. Load the page again.")
Outcome = Literal["pass"] | tuple[str, str]

# (what is sent, what it means); None is not sent.
COOKIES: dict[str, tuple[str | None, bool]] = {
    "none": (None, False),
    "session": ("session=abc", True),
    "another": ("sessions=abc; my_session=abc; theme=session", False),
}
CREDENTIALS: dict[str, tuple[tuple[str, str] | None, bool]] = {
    "none": (None, False),
    "bearer": (("HTTP_AUTHORIZATION", "Bearer garbage"), True),
    "api key": (("HTTP_X_API_KEY", "garbage"), True),
    "basic": (("HTTP_AUTHORIZATION", "Basic dXNlcjpwYXNz"), False),
}
SITES: dict[str | None, bool] = {
    None: False, "same-origin": True, "none": True, "same-site": False, "cross-site": False, "Same-Origin": False,
}  # fmt: skip
ORIGINS: dict[str, tuple[str | None, Literal["absent", "ours", "foreign"]]] = {
    "absent": (None, "absent"),
    "own": ("https://app.example.com", "ours"),
    "own, default port": ("https://app.example.com:443", "ours"),
    "own, upper case": ("https://APP.example.com", "ours"),
    "trusted": ("https://admin.example.com:8443", "ours"),
    "null": ("null", "foreign"),
    "empty": ("", "foreign"),
    "http": ("http://app.example.com", "foreign"),
    "other port": ("https://app.example.com:8443", "foreign"),
    "user info": ("https://app.example.com@evil.example", "foreign"),
    "longer": ("https://app.example.com.evil.example", "foreign"),
    "subdomain": ("https://evil.app.example.com", "foreign"),
    "twice": ("https://app.example.com, https://app.example.com", "foreign"),
    "wildcard": ("https://*.example.com", "foreign"),
}
REFERER_VALUES: dict[str, tuple[str | None, Literal["absent", "malformed", "ours", "foreign"]]] = {
    "absent": (None, "absent"),
    "own": ("https://app.example.com/form?next=//evil.example", "ours"),
    "trusted": ("https://admin.example.com:8443/", "ours"),
    "user info": ("https://app.example.com@evil.example/", "malformed"),
    "about": ("about:blank", "malformed"),
    "longer": ("https://app.example.com.evil.example/", "foreign"),
    "http": ("http://app.example.com/", "foreign"),
}
BODIES: dict[str, tuple[str | None, Literal["json", "form", "other"]]] = {
    "none": (None, "other"),
    "json": ("application/json", "json"),
    "problem": ("Application/Problem+JSON; charset=utf-8", "json"),
    "form": ("application/x-www-form-urlencoded", "form"),
    "multipart": ("multipart/form-data; boundary=application/json", "form"),
    "text": ("text/plain; x=application/json", "other"),
}


def rule_of(scope: Scope) -> CsrfRule:
    return CsrfRule(
        scope=scope,
        trusted_origins=["https://admin.example.com:8443", "https://*.example.com", "null"],
        cookie_names=["session", "__Host-guard"],
        credential_keys=["HTTP_AUTHORIZATION", "HTTP_X_API_KEY"],
    )


def judged(rule: CsrfRule, environ: Mapping[str, Any], token: TokenState, client: Client = SITE) -> Outcome:
    try:
        rule.judge(environ, client, token=lambda: token)
    except CsrfFailed as refusal:
        return refusal.code, refusal.text
    return "pass"


def expected_outcome(
    scope: Scope, *, cookie: str, credential: str, site: str | None, origin: str, referer: str, body: str,
    is_script: bool, token: TokenState,
) -> Outcome:  # fmt: skip
    has_cookie = COOKIES[cookie][1]
    if scope == "ambient" and not has_cookie and (origin, referer, site) == ("absent", "absent", None):
        return "pass"
    source = REFERER_VALUES[referer][1] if origin == "absent" else ORIGINS[origin][1]
    if scope == "all" or not SITES[site]:
        if source in ("absent", "malformed"):
            return MISSING
        if source == "foreign":
            return NOT_ALLOWED
    is_by_cookie = has_cookie and not CREDENTIALS[credential][1]
    if (scope == "ambient" and not is_by_cookie) or BODIES[body][1] == "json" or is_script:
        return "pass"
    without = NEEDS_TOKEN if BODIES[body][1] == "form" else NEEDS_HEADER
    return {TokenState.VALID: "pass", TokenState.WRONG: WRONG_TOKEN, TokenState.ABSENT: without}[token]


def environs(origin: str) -> Iterator[tuple[dict[str, str], dict[str, Any]]]:
    """Yield each request with this origin: its environment and the names of what it is made of."""
    names = product(COOKIES, CREDENTIALS, SITES, REFERER_VALUES, BODIES, (False, True), ("POST", "DELETE"))
    for cookie, credential, site, referer, body, is_script, method in names:
        sent = {
            "REQUEST_METHOD": method,
            "HTTP_COOKIE": COOKIES[cookie][0],
            "HTTP_SEC_FETCH_SITE": site,
            "HTTP_ORIGIN": ORIGINS[origin][0],
            "HTTP_REFERER": REFERER_VALUES[referer][0],
            "CONTENT_TYPE": BODIES[body][0],
            "HTTP_X_REQUESTED_WITH": "fetch" if is_script else None,
            # From anybody, so it means nothing here: the client was established before.
            "HTTP_X_FORWARDED_HOST": "app.example.com.evil.example",
        } | dict([CREDENTIALS[credential][0] or ("HTTP_X_NOTHING", "x")])
        chosen = {"cookie": cookie, "credential": credential, "site": site, "referer": referer, "body": body}
        present = {key: value for key, value in sent.items() if value is not None}
        yield present, chosen | {"origin": origin, "is_script": is_script}


@pytest.mark.parametrize("scope", ["ambient", "all"])
@pytest.mark.parametrize("origin", ORIGINS)
def test_every_combination_is_judged_as_the_rule_says(scope: Scope, origin: str) -> None:
    rule = rule_of(scope)
    wrong = []

    for environ, chosen in environs(origin):
        for token in TokenState:
            outcome = judged(rule, environ, token)
            if outcome != expected_outcome(scope, token=token, **chosen):
                wrong.append((chosen, token, outcome))

    assert wrong == []


def test_the_table_holds_every_outcome() -> None:
    outcomes = {judged(rule_of("ambient"), environ, token) for token in TokenState for environ, _ in environs("absent")}

    assert outcomes == {"pass", MISSING, NOT_ALLOWED, NEEDS_HEADER, NEEDS_TOKEN, WRONG_TOKEN}


KEYS = [
    *("HTTP_ORIGIN", "HTTP_REFERER", "HTTP_SEC_FETCH_SITE", "HTTP_COOKIE", "HTTP_AUTHORIZATION", "HTTP_X_API_KEY"),
    *("CONTENT_TYPE", "HTTP_X_REQUESTED_WITH", "CONTENT_LENGTH"),
]
# WSGI hands bytes over as latin-1 (PEP 3333).
HEADER = st.text(st.characters(max_codepoint=255), max_size=60) | st.sampled_from(
    [value for table in (COOKIES, ORIGINS, REFERER_VALUES, BODIES) for value, _ in table.values() if value is not None]
)
HOSTS = st.sampled_from(["app.example.com", "[::1]:8443", None])


@given(
    environ=st.dictionaries(st.sampled_from(KEYS), HEADER),
    scope=st.sampled_from(["ambient", "all"]),
    token=st.sampled_from(TokenState),
    host=HOSTS,
)
def test_whatever_is_sent_passes_or_is_refused_in_known_words(
    environ: dict[str, str], scope: Scope, token: TokenState, host: str | None
) -> None:
    client = Client(address="", network="", scheme="https", host=host)

    outcome = judged(rule_of(scope), environ, token, client)

    assert outcome in ("pass", MISSING, NOT_ALLOWED, NEEDS_HEADER, NEEDS_TOKEN, WRONG_TOKEN)


@given(environ=st.dictionaries(st.sampled_from(KEYS), HEADER), host=HOSTS)
def test_scope_all_lets_nothing_pass_that_ambient_refuses(environ: dict[str, str], host: str | None) -> None:
    client = Client(address="", network="", scheme="https", host=host)

    outcomes = [judged(rule_of(scope), environ, TokenState.ABSENT, client) for scope in ("ambient", "all")]

    assert outcomes[0] == "pass" or outcomes[1] != "pass"
