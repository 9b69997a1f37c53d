"""The client that Guard believes in is the one that views, logs and limits see."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from flask import Flask, jsonify, request, url_for
from werkzeug.middleware.proxy_fix import ProxyFix

from flask_guard import ConfigError, Guard

from .conftest import AppMaker

PROXY = "10.0.0.9"
FORWARDED = {
    "X-Forwarded-For": "192.0.2.66, 203.0.113.7",
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Host": "notes.test",
    "X-Real-IP": "192.0.2.66",
    "Forwarded": "for=192.0.2.66",
}


def _routes(app: Flask, guard: Guard) -> None:
    @app.get("/seen")
    @guard.public(reason="test")
    def seen() -> Any:
        return jsonify(
            address=request.remote_addr,
            scheme=request.scheme,
            host=request.host,
            link=url_for("seen", _external=True),
            route=request.access_route,
            names=[name for name in dict(request.headers) if "forward" in name.lower() or "real" in name.lower()],
        )


def _see(app: Flask, peer: str, path: str = "/seen", **headers: str) -> Any:
    return app.test_client().get(path, headers=headers, environ_overrides={"REMOTE_ADDR": peer})


def test_a_view_sees_what_a_trusted_proxy_vouches_for(make_app: AppMaker) -> None:
    app, _guard = make_app(_routes, trusted_proxies="10.0.0.0/8")

    assert _see(app, PROXY, **FORWARDED).json == {
        "address": "203.0.113.7",
        "scheme": "https",
        "host": "notes.test",
        "link": "https://notes.test/seen",
        "route": ["203.0.113.7"],
        "names": [],
    }


@pytest.mark.parametrize("trusted", ["", "172.16.0.0/12"])
def test_a_view_sees_nothing_of_what_anybody_else_claims(make_app: AppMaker, trusted: str) -> None:
    app, _guard = make_app(_routes, trusted_proxies=trusted)

    assert _see(app, "192.0.2.66", **FORWARDED).json == {
        "address": "192.0.2.66",
        "scheme": "http",
        "host": "localhost",
        "link": "http://localhost/seen",
        "route": ["192.0.2.66"],
        "names": [],
    }


def test_the_access_line_has_the_client(make_app: AppMaker, caplog: pytest.LogCaptureFixture) -> None:
    app, _guard = make_app(_routes, trusted_proxies="10.0.0.0/8", log_level="info")

    with caplog.at_level(logging.INFO, "flask_guard.access"):
        _see(app, PROXY, **FORWARDED)

    assert caplog.records[-1].guard["client"] == "203.0.113.7"  # type: ignore[attr-defined]


def test_a_proxy_that_nobody_named_is_told_of_with_the_remedy(
    make_app: AppMaker, caplog: pytest.LogCaptureFixture
) -> None:
    app, _guard = make_app(_routes)

    with caplog.at_level(logging.WARNING, "flask_guard.net"):
        for _ in range(3):
            _see(app, PROXY, **FORWARDED)

    errors = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert len(errors) == 1
    assert "GUARD_TRUSTED_PROXIES" in errors[0]
    assert "192.0.2.66" not in errors[0]


@pytest.mark.parametrize("networks", ["10.0.0.1/8", "proxy.internal", "10.0.0.0/33", "*", "unix:/run/x"])
def test_what_is_no_network_is_refused_at_start(make_app: AppMaker, networks: str) -> None:
    with pytest.raises(ConfigError, match="GUARD_TRUSTED_PROXIES"):
        make_app(trusted_proxies=networks)


# ProxyFix -----------------------------------------------------------------------------------------------


def test_proxy_fix_inside_is_refused_at_start(make_app: AppMaker) -> None:
    def setup(app: Flask, _guard: Guard) -> None:
        app.wsgi_app = ProxyFix(app.wsgi_app)  # type: ignore[method-assign]

    with pytest.raises(ConfigError, match="GUARD_TRUSTED_PROXIES"):
        make_app(setup)


def test_proxy_fix_around_is_refused_when_the_rules_are_compiled(make_app: AppMaker) -> None:
    app, guard = make_app(_routes)
    app.wsgi_app = ProxyFix(app.wsgi_app)  # type: ignore[method-assign]

    with pytest.raises(ConfigError, match="ProxyFix"):
        guard.compile(app)


def test_behind_a_proxy_fix_that_cannot_be_found_nothing_is_served(
    make_app: AppMaker, caplog: pytest.LogCaptureFixture
) -> None:
    app, _guard = make_app(_routes)
    status: list[str] = []
    outer = ProxyFix(lambda environ, start: app.wsgi_app(environ, start))

    environ = app.test_request_context("/seen").request.environ
    list(outer(dict(environ), lambda said, _headers, _exc_info=None: status.append(said)))

    assert status == ["500 Internal Server Error"]
    assert "GUARD_TRUSTED_PROXIES" in caplog.text


# whoami -------------------------------------------------------------------------------------------------


def test_whoami_is_there_in_development_only(make_app: AppMaker) -> None:
    develops, _ = make_app(env="development", trusted_proxies="10.0.0.0/8")
    serves, _ = make_app(trusted_proxies="10.0.0.0/8")

    found = _see(develops, PROXY, "/guard/whoami", **FORWARDED).json

    assert found["client"]["address"] == "203.0.113.7"
    assert [hop["is_client"] for hop in found["hops"]] == [False, True, False]
    assert _see(serves, PROXY, "/guard/whoami").status_code == 404
