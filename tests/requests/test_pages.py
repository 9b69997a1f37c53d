"""Pages: nonces, content policies of routes, HSTS, and what a browser is told to forget."""

from __future__ import annotations

import re
import secrets
from typing import Any

import pytest
from flask import Flask, Response, render_template_string

from flask_guard import ConfigError, Guard
from flask_guard.csp import NONCE, SELF, csp

from .conftest import AppMaker, bearer

PAGE = '<script nonce="{{ csp_nonce() }}">1</script><script nonce="{{ csp_nonce() }}">2</script>'


def _routes(app: Flask, guard: Guard) -> None:
    public = guard.public(reason="test")
    public(app.get("/page", endpoint="page")(lambda: render_template_string(PAGE)))
    public(app.get("/plain", endpoint="plain")(lambda: "<p>plain</p>"))
    own = csp(default_src=[SELF], script_src=[NONCE, "https://cdn.test"])
    public(guard.csp(own)(app.get("/own", endpoint="own")(lambda: render_template_string(PAGE))))
    public(guard.csp("off")(app.get("/off", endpoint="off")(lambda: "<p>off</p>")))

    @app.get("/set")
    @public
    def sets() -> Response:
        return Response("<p>set</p>", headers={"Content-Security-Policy": "default-src https:"})

    @app.post("/leave")
    @public
    def leave() -> Any:
        guard.clear_site_data()
        return "", 204


def _policy(answer: Any) -> str:
    return str(answer.headers["Content-Security-Policy"])


def test_the_nonce_of_a_page_is_that_of_its_policy_and_never_the_same(make_app: AppMaker) -> None:
    app, _guard = make_app(_routes)
    seen = set()

    for _ in range(3):
        answer = app.test_client().get("/page")
        nonces = set(re.findall(r'nonce="([^"]+)"', answer.text))
        assert len(nonces) == 1
        assert f"'nonce-{nonces.copy().pop()}'" in _policy(answer)
        assert answer.headers["Cache-Control"] == "no-store"
        seen |= nonces

    assert len(seen) == 3
    assert all(len(nonce) >= 22 for nonce in seen)


def test_a_page_that_asks_for_no_nonce_has_none(make_app: AppMaker) -> None:
    app, _guard = make_app(_routes)

    answer = app.test_client().get("/plain")

    assert "nonce" not in _policy(answer)
    assert "script-src 'self';" in _policy(answer)


def test_a_route_has_its_own_policy_and_the_views_header_wins(make_app: AppMaker) -> None:
    app, _guard = make_app(_routes)
    ask = app.test_client().get

    own = ask("/own")

    assert re.fullmatch(r"default-src 'self'; script-src 'nonce-[^']+' https://cdn.test", _policy(own))
    assert "Content-Security-Policy" not in ask("/off").headers
    assert ask("/off").headers["X-Frame-Options"] == "DENY"
    assert _policy(ask("/set")) == "default-src https:"


def test_hsts_is_sent_over_https_alone(make_app: AppMaker) -> None:
    app, _guard = make_app(_routes, hsts=True, trusted_proxies="10.0.0.0/8")
    name = "Strict-Transport-Security"
    ask = app.test_client().get

    assert ask("/plain", base_url="https://localhost").headers[name] == "max-age=31536000; includeSubDomains"
    assert name not in ask("/plain").headers
    behind = {"headers": {"X-Forwarded-Proto": "https"}, "environ_overrides": {"REMOTE_ADDR": "10.0.0.1"}}
    assert name in ask("/plain", **behind).headers
    spoofed = {"headers": {"X-Forwarded-Proto": "https"}, "environ_overrides": {"REMOTE_ADDR": "192.0.2.1"}}
    assert name not in ask("/plain", **spoofed).headers


def test_a_browser_that_leaves_forgets(make_app: AppMaker) -> None:
    app, _guard = make_app(_routes)

    answer = app.test_client().post("/leave")

    assert answer.headers["Clear-Site-Data"] == '"cookies", "storage"'
    assert "Clear-Site-Data" not in app.test_client().get("/plain").headers


def test_a_nonce_outside_of_a_request_is_an_error(make_app: AppMaker) -> None:
    _app, guard = make_app(_routes)

    with pytest.raises(RuntimeError, match=r"csp_nonce\(\) needs a request"):
        guard.csp_nonce()


@pytest.mark.parametrize("policy", ["pgae", "script-src 'self'; script-src *", "auto", 7, "default-src 'self'\nX: y"])
def test_what_is_no_policy_is_refused_where_it_is_written(policy: Any) -> None:
    with pytest.raises(ConfigError):
        Guard().csp(policy)


# The session's cookie -----------------------------------------------------------------------------------


def _session_cookie(make_app: AppMaker, setup: Any = None, **options: Any) -> str:
    def routes(app: Flask, guard: Guard) -> None:
        if setup is not None:
            setup(app)
        guard.public(reason="test")(app.get("/token", endpoint="token")(lambda: guard.csrf_token()))

    app, _guard = make_app(routes, **options)
    return str(app.test_client().get("/token", base_url="https://localhost").headers["Set-Cookie"])


def test_the_sessions_cookie_has_every_flag(make_app: AppMaker) -> None:
    name, *flags = _session_cookie(make_app).split("; ")

    assert name.startswith("__Host-session=")
    assert set(flags) == {"Secure", "HttpOnly", "Path=/", "SameSite=Lax"}


def test_an_applications_own_name_and_domain_stay(make_app: AppMaker) -> None:
    cookie = _session_cookie(
        make_app, lambda app: app.config.update(SESSION_COOKIE_NAME="own", SESSION_COOKIE_SAMESITE="Strict")
    )

    assert cookie.startswith("own=")
    assert "SameSite=Strict" in cookie
    assert "Secure" in cookie


@pytest.mark.parametrize(
    "config",
    [{"SESSION_COOKIE_HTTPONLY": False}, {"SESSION_COOKIE_SAMESITE": "Sometimes"}],
    ids=lambda config: str(config),
)
def test_a_session_that_is_open_to_scripts_does_not_start_in_production(
    make_app: AppMaker, config: dict[str, Any]
) -> None:
    with pytest.raises(ConfigError, match=next(iter(config))):
        _session_cookie(make_app, lambda app: app.config.update(config))


def test_development_has_no_secure_cookie_that_plain_http_would_lose(make_app: AppMaker) -> None:
    cookie = _session_cookie(make_app, env="development")

    assert cookie.startswith("session=")
    assert "Secure" not in cookie


def test_an_authenticated_answer_is_in_no_cache(make_app: AppMaker) -> None:
    app, guard = make_app(_routes)

    assert app.test_client().get("/closed", headers=bearer(guard)).headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("weak", ["abc", b"abc", "changeme"])
def test_a_weak_secret_that_was_replaced_does_not_go_on_signing_sessions(make_app: AppMaker, weak: Any) -> None:
    fallbacks = [secrets.token_hex(32), weak]

    with pytest.raises(ConfigError, match="SECRET_KEY_FALLBACKS, entry 2 is") as caught:
        _session_cookie(make_app, lambda app: app.config.update(SECRET_KEY_FALLBACKS=fallbacks))

    assert "abc" not in str(caught.value)
    assert "changeme" not in str(caught.value)


def test_a_strong_secret_that_was_replaced_starts(make_app: AppMaker) -> None:
    fallbacks = [secrets.token_hex(32)]

    assert _session_cookie(make_app, lambda app: app.config.update(SECRET_KEY_FALLBACKS=fallbacks))
