"""Which CORS headers an answer carries, and what is remembered of them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from flask_cors import core

from flask_guard.errors import CorsHeaderDenied, CorsMethodDenied, CorsOriginDenied, Refusal
from flask_guard.pipeline import cors_answers as module
from flask_guard.pipeline.cors_answers import MAX_REMEMBERED, CorsAnswers
from tests.browser.cors_policies import APP, SUBDOMAINS, make_policy

VARY = ("Vary", "Origin")
PREFLIGHT_VARY = ("Vary", "Origin, Access-Control-Request-Method, Access-Control-Request-Headers")
EXPOSED = ("Access-Control-Expose-Headers", "Retry-After, X-Request-Id")
WITH_CREDENTIALS = ("Access-Control-Allow-Credentials", "true")
GRANTED = [
    ("Access-Control-Allow-Headers", "Authorization, Content-Type, X-CSRF-Token"),
    ("Access-Control-Max-Age", "600"),
    ("Access-Control-Allow-Methods", "DELETE, GET, POST"),
    PREFLIGHT_VARY,
]
FOREIGN = ["https://evil.example", "null", "*", "", f"{APP}.evil.example", f"{APP}\r\nX-Evil: 1", f"{APP},{APP}", "é"]


def allow(origin: str) -> tuple[str, str]:
    return ("Access-Control-Allow-Origin", origin)


# Ordinary answers ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("listed", "raw", "sent"),
    [
        (APP, APP, APP),
        (APP, "HTTPS://App.Example.com:443", APP),
        (SUBDOMAINS, "https://a.b.example.org", "https://a.b.example.org"),
        ("https://[::1]:8443", "https://[::1]:8443", "https://[::1]:8443"),
        ("null", "null", "null"),
    ],
)
def test_a_listed_origin_is_named_in_the_answer(listed: str, raw: str, sent: str) -> None:
    answers = CorsAnswers(make_policy(listed))

    assert list(answers.for_answer(raw)) == [allow(sent), EXPOSED, VARY]


def test_credentials_are_allowed_where_the_policy_says_so() -> None:
    answers = CorsAnswers(make_policy(APP, SUBDOMAINS, credentials=True))

    assert list(answers.for_answer(APP)) == [allow(APP), EXPOSED, WITH_CREDENTIALS, VARY]
    assert list(answers.for_answer("https://evil.example")) == [VARY]


@pytest.mark.parametrize("listed", [(APP,), (APP, SUBDOMAINS, "http://localhost:3000")], ids=len)
@pytest.mark.parametrize("origin", [None, *FOREIGN], ids=ascii)
def test_a_foreign_origin_and_none_get_nothing_but_vary(listed: tuple[str, ...], origin: str | None) -> None:
    """Also with one exact origin, for which Flask-CORS answers without an Origin and without Vary."""
    assert CorsAnswers(make_policy(*listed)).for_answer(origin) == (VARY,)


@pytest.mark.parametrize("listed", [("*",), (APP, "*")], ids=len)
@pytest.mark.parametrize("origin", [None, APP, *FOREIGN], ids=ascii)
def test_a_policy_for_everybody_answers_the_same_literal_to_all(listed: tuple[str, ...], origin: str | None) -> None:
    assert list(CorsAnswers(make_policy(*listed)).for_answer(origin)) == [allow("*"), EXPOSED]


@pytest.mark.parametrize("origin", [None, APP, *FOREIGN], ids=ascii)
def test_an_empty_policy_adds_no_header(origin: str | None) -> None:
    assert CorsAnswers(make_policy(credentials=True)).for_answer(origin) == ()


def test_a_policy_that_exposes_nothing_sends_no_such_header() -> None:
    assert CorsAnswers(make_policy(APP, expose=())).for_answer(APP) == (allow(APP), VARY)


# Preflights ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("requested", [None, "", "content-type", "AUTHORIZATION,x-csrf-token"], ids=str)
@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_a_preflight_is_told_the_policy_whatever_it_asked_for(method: str, requested: str | None) -> None:
    answers = CorsAnswers(make_policy(APP, credentials=True))

    sent = answers.for_preflight(APP, method, requested)

    assert list(sent) == [allow(APP), EXPOSED, WITH_CREDENTIALS, *GRANTED]


def test_a_preflight_for_everybody_is_told_the_literal() -> None:
    sent = CorsAnswers(make_policy("*")).for_preflight("https://anybody.example", "GET", None)

    assert list(sent) == [allow("*"), EXPOSED, *GRANTED]


@pytest.mark.parametrize(
    ("asked", "refused"),
    [
        (("https://evil.example", "GET", None), CorsOriginDenied),
        ((APP, "PUT", None), CorsMethodDenied),
        ((APP, "GET", "x-evil"), CorsHeaderDenied),
        ((APP, "GET", "authorization,x-evil"), CorsHeaderDenied),
    ],
    ids=["origin", "method", "header", "one of two headers"],
)
def test_a_preflight_that_asks_for_too_much_has_no_answer(
    asked: tuple[str, str, str | None], refused: type[Refusal]
) -> None:
    answers = CorsAnswers(make_policy(APP))
    answers.for_answer(APP)

    with pytest.raises(refused):
        answers.for_preflight(*asked)


@pytest.mark.parametrize("origin", [APP, "null", "*", ""])
def test_an_empty_policy_refuses_every_preflight(origin: str) -> None:
    with pytest.raises(CorsOriginDenied):
        CorsAnswers(make_policy()).for_preflight(origin, "GET", None)


@pytest.mark.parametrize(("max_age_s", "sent"), [(0.0, "0"), (0.5, "0"), (90.9, "90"), (86400.0, "86400")])
def test_the_age_is_told_in_whole_seconds(max_age_s: float, sent: str) -> None:
    answers = CorsAnswers(make_policy(APP, max_age_s=max_age_s))

    assert dict(answers.for_preflight(APP, "GET", None))["Access-Control-Max-Age"] == sent


@pytest.mark.parametrize("name", ["X-$", "^X", "X.Y", "X+", "X|Y"])
def test_the_name_of_a_header_is_not_taken_for_an_expression(name: str) -> None:
    """To Flask-CORS a `$` or a `^` marks an expression, which then does not match the name that it is."""
    answers = CorsAnswers(make_policy(APP, headers=(name,)))

    sent = dict(answers.for_preflight(APP, "GET", name.lower()))

    assert sent["Access-Control-Allow-Headers"] == name
    with pytest.raises(CorsHeaderDenied):
        answers.for_preflight(APP, "GET", "x")


def test_a_policy_without_headers_allows_none() -> None:
    sent = dict(CorsAnswers(make_policy(APP, headers=())).for_preflight(APP, "GET", None))

    assert "Access-Control-Allow-Headers" not in sent


# What is remembered --------------------------------------------------------------------------------------


@pytest.fixture
def questions(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The origins that Flask-CORS is asked about, one for each set of headers it computes."""
    asked: list[str] = []
    real = core.get_cors_headers

    def ask(options: Any, headers: Any, method: str) -> Any:
        asked.append(headers["Origin"])
        return real(options, headers, method)

    monkeypatch.setattr(module, "get_cors_headers", ask)
    return asked


def test_flask_cors_is_asked_once_for_an_origin_however_it_is_spelled(questions: list[str]) -> None:
    answers = CorsAnswers(make_policy(APP))

    for raw in (APP, APP.upper(), f"{APP}:443", APP):
        answers.for_answer(raw)
        answers.for_preflight(raw, "GET", None)

    assert questions == [APP, APP]


@pytest.mark.parametrize("origin", FOREIGN, ids=ascii)
def test_flask_cors_is_never_asked_about_a_foreign_origin(questions: list[str], origin: str) -> None:
    answers = CorsAnswers(make_policy(APP, SUBDOMAINS))

    answers.for_answer(origin)
    with pytest.raises(CorsOriginDenied):
        answers.for_preflight(origin, "GET", None)

    assert questions == []


def remembered(answers: CorsAnswers) -> int:
    return len(answers._known)


def test_foreign_origins_and_other_spellings_are_not_remembered() -> None:
    answers = CorsAnswers(make_policy(APP, SUBDOMAINS))

    for number in range(2 * MAX_REMEMBERED):
        answers.for_answer(f"https://evil-{number}.example")
        answers.for_answer(f"https://app.example.com:{number}")
    answers.for_answer(APP.upper())

    assert remembered(answers) == 1


def test_no_more_than_a_bounded_number_of_subdomains_is_remembered() -> None:
    answers = CorsAnswers(make_policy(SUBDOMAINS))

    for number in range(3 * MAX_REMEMBERED):
        origin = f"https://t{number}.example.org"
        assert answers.for_answer(origin)[0] == allow(origin)
        assert remembered(answers) <= MAX_REMEMBERED

    assert MAX_REMEMBERED == 256


def test_threads_that_fill_the_memory_get_the_answers_of_their_own_origins() -> None:
    answers = CorsAnswers(make_policy(SUBDOMAINS))

    def find_wrong(thread: int) -> list[str]:
        origins = [f"https://t{thread}-{number}.example.org" for number in range(MAX_REMEMBERED)]
        return [
            origin
            for origin in origins * 2
            if answers.for_answer(origin)[0] != allow(origin)
            or answers.for_preflight(origin, "GET", None)[0] != allow(origin)
        ]

    with ThreadPoolExecutor(4) as threads:
        wrong = [origin for found in threads.map(find_wrong, range(4)) for origin in found]

    assert wrong == []
