"""What the pages claim of cookies, forms, origins and limits, and no block of theirs shows."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from io import BytesIO
from typing import Any

import pytest
from flask import Flask, request, session
from flask_cors import CORS
from flask_limiter import Limiter
from flask_limiter.util import get_remote_address
from waitress.adjustments import Adjustments
from werkzeug.middleware.proxy_fix import ProxyFix

from flask_guard import ConfigError, Guard
from flask_guard.policies import no_csrf

from .pages import DOCS, read_blocks


def _make_app(config: Mapping[str, Any] | None = None, **options: Any) -> tuple[Flask, Guard]:
    """An application with a session: GET / begins it and returns a token, POST / is for whoever has one."""
    app = Flask("app")
    app.config.update({"SECRET_KEY": secrets.token_hex(32), **(config or {})})
    guard = Guard(app, **options)

    @app.get("/")
    @guard.public(reason="test")
    def begin() -> str:
        session["user"] = "ada"
        return guard.csrf_token()

    @app.post("/")
    @guard.public(reason="test")
    def write() -> str:
        return f"{len(request.files)} files"

    return app, guard


def _code_of(answer: Any) -> str:
    return "" if answer.status_code == 200 else str(answer.get_json(force=True)["code"])


# serve-a-browser-app.md ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("env", "config", "name"),
    [
        pytest.param("production", {}, "__Host-session", id="by default"),
        pytest.param(
            "production", {"SESSION_COOKIE_NAME": "session"}, "__Host-session", id="Flask's name, written out"
        ),
        pytest.param("production", {"SESSION_COOKIE_NAME": "shop"}, "shop", id="a name of its own"),
        pytest.param("development", {}, "session", id="in development"),
    ],
)
def test_the_session_cookie_is_renamed_where_the_guide_says_so(env: str, config: dict[str, str], name: str) -> None:
    app, _ = _make_app(config, env=env)

    cookie = app.test_client().get("/").headers["Set-Cookie"]

    assert cookie.startswith(f"{name}=")
    assert ("Secure" in cookie) is (env == "production")


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        pytest.param({"json": {}}, "", id="JSON"),
        pytest.param({"headers": {"X-Requested-With": "fetch"}}, "", id="X-Requested-With"),
        pytest.param({"headers": {"X-CSRF-Token": "{token}"}}, "", id="a token in the header"),
        pytest.param({"data": {"csrf_token": "{token}"}}, "", id="a token in the form"),
        pytest.param({"data": {"csrf_token": "of-another-extension"}}, "csrf_token_mismatch", id="a token of another"),
        pytest.param({"data": {"_csrf_token": "of-another-extension"}}, "csrf_token_missing", id="another field"),
        pytest.param({}, "csrf_validation_failed", id="nothing"),
    ],
)
def test_a_session_needs_what_the_guide_lists(sent: dict[str, Any], code: str) -> None:
    app, _ = _make_app()
    client = app.test_client()
    token = client.get("/", base_url="https://localhost").get_data(as_text=True)
    given = json.loads(json.dumps(sent).replace("{token}", token))

    headers = {"Origin": "https://localhost", **given.pop("headers", {})}
    answer = client.post("/", base_url="https://localhost", headers=headers, **given)

    assert _code_of(answer) == code


def test_clients_that_are_no_browsers_need_nothing_but_under_the_scope_all() -> None:
    ambient, everybody = (_make_app(csrf_scope=scope)[0].test_client() for scope in ("ambient", "all"))

    assert _code_of(ambient.post("/")) == ""
    assert _code_of(everybody.post("/")) == "csrf_validation_failed"


def test_a_token_outlives_an_exchange_of_the_secret() -> None:
    app, _ = _make_app()
    client = app.test_client()
    token = client.get("/", base_url="https://localhost").get_data(as_text=True)

    app.config.update(SECRET_KEY_FALLBACKS=[app.secret_key], SECRET_KEY=secrets.token_hex(32))
    headers = {"Origin": "https://localhost"}
    answer = client.post("/", base_url="https://localhost", headers=headers, data={"csrf_token": token})

    assert _code_of(answer) == ""


def test_an_origin_with_a_wildcard_reads_and_does_not_write() -> None:
    app, _ = _make_app(cors_origins="https://*.example.com")
    headers = {"Origin": "https://app.example.com"}

    read, written = app.test_client().get("/", headers=headers), app.test_client().post("/", headers=headers)

    assert read.headers["Access-Control-Allow-Origin"] == "https://app.example.com"
    assert _code_of(written) == "csrf_validation_failed"


def test_a_route_with_cors_of_nobody_is_read_by_nobody() -> None:
    app, guard = _make_app(cors_origins="https://app.example.com")
    app.add_url_rule("/own", view_func=guard.cors()(guard.public(reason="test")(lambda: "")), endpoint="own")

    answer = app.test_client().get("/own", headers={"Origin": "https://app.example.com"})

    assert "Access-Control-Allow-Origin" not in answer.headers


# adopt-in-an-existing-app.md -----------------------------------------------------------------------------


def test_beside_flask_cors_preflights_are_those_of_guard() -> None:
    app, _ = _make_app()
    CORS(app, origins=["https://app.example.com"])
    headers = {"Origin": "https://app.example.com", "Access-Control-Request-Method": "GET"}

    answer = app.test_client().options("/", headers=headers)

    assert _code_of(answer) == "cors_origin_denied"
    assert "FG-CORS-001" in app.test_cli_runner().invoke(args=["guard", "check"]).output


def test_a_limiter_of_the_applications_own_counts_beside_guard() -> None:
    app, _ = _make_app(rate_limit_anonymous="2/minute")
    Limiter(get_remote_address, app=app, default_limits=["3/minute"], storage_uri="memory://")
    client = app.test_client()

    answers = [client.get("/") for _ in range(3)]

    assert [answer.status_code for answer in answers] == [200, 200, 429]


def test_routes_that_another_extension_looks_after_are_excepted_at_once() -> None:
    app, guard = _make_app()
    guard.rules({"*": no_csrf(reason="test")})

    assert _code_of(app.test_client().post("/", headers={"Origin": "https://evil.example"})) == ""


def test_proxy_fix_is_found_after_guard_too() -> None:
    app, guard = _make_app()
    app.wsgi_app = ProxyFix(app.wsgi_app)  # type: ignore[method-assign]

    with pytest.raises(ConfigError, match="Werkzeug's ProxyFix is at work beside Guard"):
        guard.compile(app)


# run-behind-a-proxy.md, limit-requests.md, limits.md, changelog ------------------------------------------


def test_waitress_takes_the_options_that_the_guide_gives_it() -> None:
    blocks = read_blocks((DOCS / "guides" / "run-behind-a-proxy.md").read_text("utf-8"))
    [line] = [block.text.strip() for block in blocks if "waitress-serve" in block.text]

    parse: Any = Adjustments.parse_args  # its stubs are wrong
    options, _program = parse(line.removeprefix("$ waitress-serve ").split())

    assert options["clear_untrusted_proxy_headers"] == "false"
    assert Adjustments().clear_untrusted_proxy_headers is True


def test_without_a_place_to_go_plain_http_is_refused() -> None:
    app, _ = _make_app(require_https=True)

    assert _code_of(app.test_client().get("/")) == "https_required"


def test_tests_can_switch_the_limits_off() -> None:
    app, _ = _make_app(rate_limit_anonymous="off", rate_limit_authenticated="off")

    assert "RateLimit" not in app.test_client().get("/").headers


def test_a_setting_of_flask_limiter_that_nobody_reads_stops_the_start() -> None:
    app, guard = _make_app({"RATELIMIT_DEFAULT": "5/minute"})

    with pytest.raises(ConfigError, match=r"RATELIMIT_DEFAULT is set, .*guard\.limit\(\)"):
        guard.compile(app)


@pytest.mark.parametrize(("number", "code"), [(20, ""), (21, "body_too_large")])
def test_a_form_has_twenty_files_at_most(number: int, code: str) -> None:
    app, _ = _make_app()
    data = {f"file{position}": (BytesIO(b"x"), "x.txt") for position in range(number)}

    assert _code_of(app.test_client().post("/", data=data)) == code
