"""The page on limits says what the code counts, in the words that callers see."""

from __future__ import annotations

import inspect
import re
import secrets
from typing import Any, get_args

import http_sf
import pytest
from flask import Flask

from flask_guard import Guard
from flask_guard.config import kinds, kinds_web
from flask_guard.config.sections import RateStrategy
from flask_guard.config.settings import all_options
from flask_guard.limits import rule
from flask_guard.limits.query import MAX_OFFSET
from flask_guard.queries import parse_list_query

from .pages import DOCS, table_under, unquote

PAGE = (DOCS / "reference" / "limits.md").read_text("utf-8")
LIMITS = "Limits that every route has"


def _first_cells(heading: str) -> list[str]:
    return [unquote(row[0]) for row in table_under(PAGE, heading)]


def _parse(header: str) -> list[tuple[str, dict[str, Any]]]:
    members: Any = http_sf.parse(header.encode(), tltype="list")
    return [(str(name), facts) for name, facts in members]


def test_every_limit_of_all_routes_is_there_with_its_default() -> None:
    shown = {unquote(option): unquote(default) for _label, option, default, _counts in table_under(PAGE, LIMITS)}

    declared = all_options().items()
    assert shown == {
        name: option.default for name, option in declared if option.kind is kinds.rate and option.effective
    }


@pytest.mark.parametrize("caller", ["anonymous", "authenticated", "service"])
def test_each_limit_has_the_label_that_callers_see(caller: str) -> None:
    of_option = {unquote(option): unquote(label) for label, option, *_ in table_under(PAGE, LIMITS)}
    amounts = {option: number for number, option in enumerate(of_option, start=5)}
    key = secrets.token_urlsafe(40)
    app = Flask("app")
    app.config.update({option: f"{amount}/minute" for option, amount in amounts.items()})
    guard = Guard(app, jwt_secret_key=secrets.token_hex(32), api_keys=[{"name": "job", "key": key}])
    app.add_url_rule("/", view_func=lambda: "", endpoint="index")
    credentials = {
        "anonymous": dict[str, str](),
        "authenticated": {"Authorization": f"Bearer {guard.tokens.issue('ada')}"},
        "service": {"X-API-Key": key},
    }

    policy = app.test_client().get("/", headers=credentials[caller]).headers["RateLimit-Policy"]

    counted = {f"GUARD_RATE_LIMIT_{name}" for name in ("ADDRESS", caller.upper(), "GLOBAL")}
    assert {name: facts["q"] for name, facts in _parse(policy)} == {of_option[each]: amounts[each] for each in counted}


def test_every_option_and_every_word_of_a_limit_is_there() -> None:
    assert _first_cells("Options of guard.limit") == list(inspect.signature(Guard.limit).parameters)[1:]
    assert sorted(_first_cells("Whose requests count together")) == sorted(
        [*rule.WORDS, f"{rule.FIELD}<field>", "a function"]
    )


def test_the_headers_are_those_of_an_answer() -> None:
    rows = {unquote(name): unquote(example) for name, example, _on in table_under(PAGE, "Headers")}
    app = Flask("app")
    guard = Guard(app, rate_limit_anonymous="9/minute; 1/second", rate_limit_legacy_headers=True)
    app.add_url_rule("/", view_func=guard.public(reason="test")(lambda: ""), endpoint="index")
    client = app.test_client()

    served, refused = (client.get("/").headers for _ in range(2))

    sent = {name for name in (*served.keys(), *refused.keys()) if re.match(r"(X-)?RateLimit|Retry-After", name)}
    assert set(rows) == sent
    parameters = _first_cells("Syntax")
    for name, shown in (("RateLimit-Policy", parameters[:2]), ("RateLimit", parameters[2:])):
        assert [list(facts) for _label, facts in _parse(rows[name])] == [shown] * 2
        assert [list(facts) for _label, facts in _parse(refused[name])] == [shown] * 2
        assert [label for label, _facts in _parse(refused[name])] == ["anonymous-1", "anonymous-2"]


def test_every_strategy_and_every_storage_is_there() -> None:
    storages = [address for cell in _first_cells("Storages") for address in re.findall(r"[\w+]+(?=://)", cell)]

    assert _first_cells("Strategies") == list(get_args(RateStrategy))
    assert sorted(storages) == sorted(kinds_web.STORAGE_SCHEMES)


def test_the_bounds_of_a_request_have_their_defaults() -> None:
    shown = {unquote(option): unquote(default) for option, default, *_ in table_under(PAGE, "Bounds of a request")}

    assert shown == {name: all_options()[name].default for name in shown}
    assert {name for name in all_options() if name.startswith("GUARD_MAX_")} <= set(shown)


def test_the_query_of_a_list_has_its_arguments_with_their_defaults() -> None:
    rows = {unquote(name): meaning for name, meaning in table_under(PAGE, "Queries of lists")}

    parameters = inspect.signature(parse_list_query).parameters
    assert list(rows) == list(parameters)
    for name, parameter in parameters.items():
        if parameter.default is not inspect.Parameter.empty:
            assert rows[name].endswith(f" {parameter.default}.")
    assert f"The offset is {MAX_OFFSET} at most" in PAGE
