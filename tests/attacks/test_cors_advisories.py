"""Flask-CORS's published advisories: what it was wrong about is never asked of it.

https://github.com/corydolphin/flask-cors/security/advisories
"""

from __future__ import annotations

import ast
import logging
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask_cors import core

import flask_guard
from flask_guard.errors import Refusal
from flask_guard.pipeline import cors_answers
from flask_guard.pipeline.cors_answers import CorsAnswers
from tests.browser.cors_policies import APP, SUBDOMAINS, make_policy

FORGED = "\r\n2030-01-01 00:00:00 INFO login succeeded for admin"
PRIVATE_NETWORK = "Access-Control-Allow-Private-Network"
OPEN_CONFIG = {
    "CORS_ORIGINS": "*",
    "CORS_RESOURCES": {r"/*": {"origins": "*"}},
    "CORS_SUPPORTS_CREDENTIALS": True,
    "CORS_ALLOW_HEADERS": "*",
    "CORS_ALLOW_PRIVATE_NETWORK": True,
    "CORS_ALWAYS_SEND": True,
    "CORS_SEND_WILDCARD": True,
}


def answer_everything(origin: str) -> list[tuple[str, str]]:
    """Return the headers of all that an origin can ask for, of policies that are not for everybody."""
    sent: list[tuple[str, str]] = []
    for listed in ((APP,), (APP, SUBDOMAINS), ("null",), ()):
        answers = CorsAnswers(make_policy(*listed))
        sent += answers.for_answer(origin)
        try:
            sent += answers.for_preflight(origin, "GET", f"authorization{FORGED if origin != APP else ''}")
        except Refusal as refusal:
            sent += [("detail", refusal.detail)]
    return sent


# CVE-2024-6221: a private network is open by default -----------------------------------------------------


def test_access_to_a_private_network_is_never_granted() -> None:
    asked = {"Access-Control-Request-Private-Network": "true", "Origin": APP}

    with Flask("app").test_request_context("/", method="OPTIONS", headers=asked):
        sent = answer_everything(APP)

    assert ("Access-Control-Allow-Origin", APP) in sent
    assert PRIVATE_NETWORK not in dict(sent)


def test_the_request_for_a_private_network_does_not_reach_flask_cors(monkeypatch: pytest.MonkeyPatch) -> None:
    """It knows only the headers that it is handed; with this one it would answer."""
    seen: set[str] = set()
    real = core.get_cors_headers

    def look(options: Any, headers: Any, method: str) -> Any:
        seen.update(headers.keys())
        return real(options, headers, method)

    monkeypatch.setattr(cors_answers, "get_cors_headers", look)

    answer_everything(APP)

    assert seen == {"Origin", "Access-Control-Request-Method", "Access-Control-Request-Headers"}


# CVE-2024-1681: a request writes lines of its own into the log -------------------------------------------


@pytest.mark.parametrize("origin", [FORGED, APP + FORGED, "null" + FORGED, f"https://a{FORGED}.example.org"], ids=ascii)
def test_a_hostile_origin_writes_no_line_into_the_log(origin: str, caplog: pytest.LogCaptureFixture) -> None:
    with (
        caplog.at_level(logging.DEBUG, "flask_cors"),
        Flask("app").test_request_context(f"/{FORGED}", headers={"X-A": "b"}),
    ):
        sent = answer_everything(origin)
        answer_everything(APP)

    assert any(record.name.startswith("flask_cors") for record in caplog.records)
    assert not any("login succeeded" in record.getMessage() for record in caplog.records)
    assert not any(character in value for _name, value in sent for character in "\r\n")


# CVE-2024-6839, CVE-2024-6844, CVE-2024-6866: the rule of another path -----------------------------------


def names_from_flask_cors(file: Path) -> set[str]:
    nodes = list(ast.walk(ast.parse(file.read_text(encoding="utf-8"))))
    whole = {
        name.name for node in nodes if isinstance(node, ast.Import) for name in node.names if "flask_cors" in name.name
    }
    parts = [
        node for node in nodes if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("flask_cors")
    ]
    return whole | {name.name for node in parts for name in node.names}


def test_of_flask_cors_only_the_headers_and_their_options_are_used() -> None:
    """Neither its extension, its decorator nor its hooks, so that no path is ever matched by it."""
    package = Path(flask_guard.__file__).parent
    used = {file.name: names for file in package.rglob("*.py") if (names := names_from_flask_cors(file))}

    assert used == {"cors_answers.py": {"get_cors_headers", "serialize_options"}}


@pytest.mark.parametrize(
    ("number", "path"),
    [
        ("CVE-2024-6839", "/api/admin/secret"),
        ("CVE-2024-6844", "/api+admin/a%2Bb+c"),
        ("CVE-2024-6866", "/API/Admin"),
    ],
)
def test_the_path_has_no_say_in_the_answer(number: str, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_given: Any, **_named: Any) -> None:
        raise AssertionError(f"{number}: Flask-CORS was asked about a path")

    matched: list[str] = []
    real = core.try_match_pattern

    def look(value: Any, pattern: Any, caseSensitive: bool = True) -> bool:
        matched.append(value)
        return real(value, pattern, caseSensitive)

    expected = answer_everything(APP)
    monkeypatch.setattr(core, "parse_resources", refuse)
    monkeypatch.setattr(core, "try_match_pattern", look)
    with Flask("app").test_request_context(path, headers={"Origin": "https://evil.example"}):
        sent = answer_everything(APP)

    assert sent == expected
    assert set(matched) == {APP, "Authorization", "Content-Type", "X-CSRF-Token"}


# The settings of Flask-CORS itself -----------------------------------------------------------------------


@pytest.mark.parametrize("origin", [APP, "https://evil.example", "null", "https://a.example.org"])
def test_settings_meant_for_flask_cors_open_nothing(origin: str) -> None:
    app = Flask("app")
    app.config.update(OPEN_CONFIG)
    expected = answer_everything(origin)

    with app.test_request_context("/", headers={"Origin": origin}):
        sent = answer_everything(origin)

    assert sent == expected
    assert "Access-Control-Allow-Credentials" not in dict(sent)


# What its wildcards do, so that ours are known to be something else --------------------------------------


@pytest.mark.parametrize(
    ("listed", "origin"),
    [
        (r"https://.*\.example\.org", "https://a.example.org.evil.com"),
        (r"https://.*\.example\.org", "https://evil.com/.example.org"),
        ("https://*.example.org", "https://xexample.org"),
    ],
)
def test_flask_cors_takes_a_wildcard_for_an_expression_without_end(listed: str, origin: str) -> None:
    options = core.serialize_options({**core.DEFAULT_OPTIONS, "origins": listed, "supports_credentials": True})

    assert core.get_cors_origins(options, origin) == [origin]
    assert CorsAnswers(make_policy(SUBDOMAINS, credentials=True)).for_answer(origin) == (("Vary", "Origin"),)
