"""What becomes of the settings of Flask's session cookie."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask, session

from flask_guard.browser.cookies import CookieVerdict, harden_session_cookie
from flask_guard.config.sections import Environment

FLASK_DEFAULTS = {name: value for name, value in Flask.default_config.items() if "COOKIE" in name} | {
    "APPLICATION_ROOT": "/"
}
HARDENED = {
    "SESSION_COOKIE_SECURE": True,
    "SESSION_COOKIE_SAMESITE": "Lax",
    "SESSION_COOKIE_NAME": "__Host-session",
}


def harden(env: Environment = "production", *, require_https: bool = False, **config: Any) -> CookieVerdict:
    given = FLASK_DEFAULTS | {f"SESSION_COOKIE_{name.upper()}": value for name, value in config.items()}
    if "root" in config:
        given["APPLICATION_ROOT"] = config["root"]
    return harden_session_cookie(given, env=env, require_https=require_https)


WHERE: dict[str, tuple[Environment, bool]] = {
    "production": ("production", False),
    "staging": ("staging", False),
    "development, https required": ("development", True),
}


@pytest.mark.parametrize(("env", "require_https"), WHERE.values(), ids=WHERE)
def test_flasks_defaults_become_secure_lax_and_prefixed(env: Environment, require_https: bool) -> None:
    verdict = harden(env, require_https=require_https)

    assert verdict == (HARDENED, (), ())


def test_development_on_plain_http_gets_same_site_alone() -> None:
    assert harden("development") == ({"SESSION_COOKIE_SAMESITE": "Lax"}, (), ())


def test_development_with_secure_set_gets_the_prefix_too() -> None:
    verdict = harden("development", secure=True)

    assert verdict.changes == {"SESSION_COOKIE_SAMESITE": "Lax", "SESSION_COOKIE_NAME": "__Host-session"}


def test_an_empty_configuration_is_flasks() -> None:
    verdict = harden_session_cookie({}, env="production", require_https=False)

    assert verdict == (HARDENED | {"SESSION_COOKIE_HTTPONLY": True}, (), ())


def test_what_was_hardened_needs_no_change() -> None:
    config = FLASK_DEFAULTS | harden().changes

    assert harden_session_cookie(config, env="production", require_https=False) == ({}, (), ())


@pytest.mark.parametrize("chosen", ["Lax", "Strict", "None", "strict"])
def test_a_same_site_that_the_application_chose_stays(chosen: str) -> None:
    verdict = harden(samesite=chosen)

    assert "SESSION_COOKIE_SAMESITE" not in verdict.changes
    assert verdict.faults == ()


def test_same_site_none_without_secure_is_a_fault() -> None:
    assert harden("development", samesite="None").faults == (
        "SESSION_COOKIE_SAMESITE is None without SESSION_COOKIE_SECURE: browsers drop such a cookie.",
    )
    assert harden("development", samesite="None", secure=True).faults == ()


@pytest.mark.parametrize("chosen", ["Loose", "", False, 1], ids=["unknown", "empty", "False", "number"])
def test_a_same_site_that_werkzeug_could_not_write_is_a_fault(chosen: Any) -> None:
    assert harden(samesite=chosen).faults == ("SESSION_COOKIE_SAMESITE must be Lax, Strict or None (the text).",)


NO_PREFIX = {
    "domain": ({"domain": "example.com"}, "SESSION_COOKIE_DOMAIN is set"),
    "path": ({"path": "/app"}, "SESSION_COOKIE_PATH is not /"),
    "root": ({"root": "/app"}, "APPLICATION_ROOT is not / (set SESSION_COOKIE_PATH)"),
}


@pytest.mark.parametrize(("config", "obstacle"), NO_PREFIX.values(), ids=NO_PREFIX)
def test_a_cookie_that_cannot_have_the_prefix_keeps_its_name_with_a_warning(
    config: dict[str, str], obstacle: str
) -> None:
    verdict = harden(**config)

    assert "SESSION_COOKIE_NAME" not in verdict.changes
    assert verdict.changes["SESSION_COOKIE_SECURE"] is True
    assert verdict.faults == ()
    assert [warning.rpartition(": ")[2] for warning in verdict.warnings] == [f"{obstacle}."]


def test_a_path_of_its_own_stands_above_the_root() -> None:
    assert harden(path="/", root="/app").changes["SESSION_COOKIE_NAME"] == "__Host-session"


@pytest.mark.parametrize("name", ["sid", "notes_session", "session2"])
def test_a_name_without_prefix_stays_with_a_warning(name: str) -> None:
    verdict = harden(name=name)

    assert "SESSION_COOKIE_NAME" not in verdict.changes
    assert [warning.startswith(f"SESSION_COOKIE_NAME '{name}' has no prefix") for warning in verdict.warnings] == [True]


@pytest.mark.parametrize("name", ["__Host-sid", "__Secure-sid", "__host-sid"])
def test_a_name_with_a_prefix_stays_in_silence(name: str) -> None:
    verdict = harden(name=name)

    assert "SESSION_COOKIE_NAME" not in verdict.changes
    assert (verdict.faults, verdict.warnings) == ((), ())


def test_development_says_nothing_of_names() -> None:
    assert harden("development", name="sid").warnings == ()
    assert harden("development", domain="example.com").warnings == ()


@pytest.mark.parametrize(("config", "obstacle"), NO_PREFIX.values(), ids=NO_PREFIX)
def test_a_prefixed_cookie_that_browsers_would_drop_is_a_fault(config: dict[str, str], obstacle: str) -> None:
    assert harden(name="__Host-sid", **config).faults == (
        f"Browsers drop the session cookie '__Host-sid': {obstacle}.",
    )
    assert harden(name="__Secure-sid", **config).faults == ()


@pytest.mark.parametrize("name", ["__Host-sid", "__Secure-sid"])
def test_a_prefix_without_secure_is_a_warning_in_development(name: str) -> None:
    verdict = harden("development", name=name)

    expected = f"Browsers drop the session cookie '{name}': its prefix needs SESSION_COOKIE_SECURE."
    assert (verdict.faults, verdict.warnings) == ((), (expected,))


def test_a_session_for_scripts_is_a_fault_in_production() -> None:
    assert harden(httponly=False).faults == (
        "SESSION_COOKIE_HTTPONLY is False, so scripts of a page could read the session: remove it.",
    )


def test_a_session_for_scripts_is_a_warning_elsewhere_and_ended_on_https() -> None:
    staging, development = harden("staging", httponly=False), harden("development", httponly=False)

    assert staging.changes["SESSION_COOKIE_HTTPONLY"] is True
    assert "SESSION_COOKIE_HTTPONLY" not in development.changes
    assert staging.faults == development.faults == ()
    assert len(staging.warnings) == len(development.warnings) == 1


def test_flask_writes_the_cookie_as_it_was_hardened() -> None:
    app = Flask("app")
    app.secret_key = "only for this test"
    app.config.update(harden().changes)

    @app.get("/")
    def view() -> str:
        session["value"] = 1
        return ""

    answer = app.test_client().get("/", base_url="https://app.example.com")

    name, *attributes = answer.headers["Set-Cookie"].split("; ")
    assert name.startswith("__Host-session=")
    assert attributes == ["Secure", "HttpOnly", "Path=/", "SameSite=Lax"]
