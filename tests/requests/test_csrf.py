"""Pages of other origins cannot write, whatever cookie or credential the browser brings along."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from flask import Flask, request, session

from flask_guard import ConfigError, Guard

from .conftest import AppMaker, assert_problem, bearer

OWN = {"Origin": "https://notes.test"}
FOREIGN = {"Origin": "https://evil.test"}
JSON = {"Content-Type": "application/json"}
BASE = "https://notes.test"


def _routes(app: Flask, guard: Guard) -> None:
    written: list[str] = app.extensions.setdefault("written", [])

    @app.get("/form")
    @guard.public(reason="test")
    def form() -> str:
        return guard.csrf_token()

    @app.route("/write", methods=["POST", "PUT", "PATCH", "DELETE"])
    @guard.public(reason="test")
    def write() -> str:
        written.append(request.method)
        return str(session.get("_guard_csrf") is not None)

    @app.post("/login")
    @guard.public(reason="test")
    def login() -> str:
        guard.rotate_csrf_token()
        return guard.csrf_token()

    @app.post("/hook")
    @guard.public(reason="test")
    @guard.no_csrf(reason="signed by the sender")
    def hook() -> str:
        return "taken"

    @app.post("/closed")
    def closed_write() -> str:
        written.append("closed")
        return "written"


def _write(client: Any, path: str = "/write", *, method: str = "POST", **options: Any) -> Any:
    return client.open(path, method=method, base_url=BASE, **options)


def _with_session(app: Flask) -> tuple[Any, str]:
    client = app.test_client()
    return client, client.get("/form", base_url=BASE).text


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_a_foreign_page_writes_nothing_with_the_sessions_cookie(make_app: AppMaker, method: str) -> None:
    app, _guard = make_app(_routes)
    client, _token = _with_session(app)

    answer = _write(client, method=method, headers={**FOREIGN, **JSON}, data="{}")

    assert_problem(answer, 403, "csrf_validation_failed")
    assert app.extensions["written"] == []
    assert "Set-Cookie" not in answer.headers


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "null"},
        {"Origin": "http://notes.test"},
        {"Origin": "https://notes.test:8443"},
        {"Origin": "https://notes.test, https://evil.test"},
        {"Origin": "https://notes.test.evil.test"},
        {"Referer": "https://notes.test@evil.test/"},
        {"Referer": "not a url"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site", "Origin": "https://other.notes.test"},
        {},
    ],
    ids=lambda headers: ", ".join(f"{name} {value}" for name, value in headers.items()) or "nothing",
)
def test_a_request_with_a_cookie_must_come_from_our_own_page(make_app: AppMaker, headers: dict[str, str]) -> None:
    app, _guard = make_app(_routes)
    client, _token = _with_session(app)

    assert_problem(_write(client, headers={**headers, **JSON}, data="{}"), 403, "csrf_validation_failed")
    assert app.extensions["written"] == []


@pytest.mark.parametrize(
    "headers",
    [OWN, {"Referer": "https://notes.test/form?x"}, {"Sec-Fetch-Site": "same-origin"}, {"Sec-Fetch-Site": "none"}],
    ids=["Origin", "Referer", "same-origin", "none"],
)
def test_our_own_page_writes_by_json(make_app: AppMaker, headers: dict[str, str]) -> None:
    app, _guard = make_app(_routes)
    client, _token = _with_session(app)

    assert _write(client, headers={**headers, **JSON}, data="{}").status_code == 200


def test_a_form_needs_its_token_and_the_header_will_do(make_app: AppMaker) -> None:
    app, _guard = make_app(_routes)
    client, token = _with_session(app)
    other = _with_session(app)[1]

    assert_problem(_write(client, headers=OWN, data={"a": "1"}), 403, "csrf_token_missing")
    assert_problem(_write(client, headers=OWN, data={"csrf_token": other}), 403, "csrf_token_mismatch")
    assert_problem(_write(client, headers=OWN, data={"csrf_token": "x" * 5000}), 403, "csrf_token_mismatch")
    assert _write(client, headers=OWN, data={"csrf_token": token}).status_code == 200
    assert _write(client, headers={**OWN, "X-CSRF-Token": token}, data={"a": "1"}).status_code == 200


def test_a_token_does_not_let_a_foreign_page_in(make_app: AppMaker) -> None:
    app, _guard = make_app(_routes)
    client, token = _with_session(app)

    assert_problem(_write(client, headers=FOREIGN, data={"csrf_token": token}), 403, "csrf_validation_failed")


def test_plain_text_that_looks_like_json_is_no_json(make_app: AppMaker) -> None:
    app, _guard = make_app(_routes)
    client, _token = _with_session(app)

    for media_type in ("text/plain", "text/plain; x=application/json", "application/jsonx", ""):
        answer = _write(client, headers={**OWN, "Content-Type": media_type}, data="{}")
        assert_problem(answer, 403, "csrf_validation_failed")


def test_a_login_ends_the_tokens_before_it(make_app: AppMaker) -> None:
    app, _guard = make_app(_routes)
    client, before = _with_session(app)
    after = _write(client, "/login", headers={**OWN, **JSON}, data="{}").text

    assert_problem(_write(client, headers=OWN, data={"csrf_token": before}), 403, "csrf_token_mismatch")
    assert _write(client, headers=OWN, data={"csrf_token": after}).status_code == 200


def test_a_header_credential_does_not_exempt_a_browsers_request(make_app: AppMaker) -> None:
    app, guard = make_app(_routes)

    foreign = _write(app.test_client(), "/closed", headers={**bearer(guard), **FOREIGN, **JSON}, data="{}")
    program = _write(app.test_client(), "/closed", headers={**bearer(guard), **JSON}, data="{}")

    assert_problem(foreign, 403, "csrf_validation_failed")
    assert program.status_code == 200


def test_garbage_beside_a_cookie_is_judged_as_the_cookie(make_app: AppMaker) -> None:
    app, _guard = make_app(_routes)
    client, _token = _with_session(app)

    answer = _write(client, headers={**FOREIGN, **JSON, "Authorization": "Bearer x"}, data="{}")

    assert_problem(answer, 403, "csrf_validation_failed")


def test_no_browser_and_no_cookie_is_nobodys_page(make_app: AppMaker) -> None:
    app, _guard = make_app(_routes)

    assert _write(app.test_client(), data={"a": "1"}).status_code == 200


def test_scope_all_asks_everybody(make_app: AppMaker) -> None:
    app, guard = make_app(_routes, csrf_scope="all")

    program = _write(app.test_client(), "/closed", headers={**bearer(guard), **JSON}, data="{}")
    form = _write(app.test_client(), "/closed", headers={**bearer(guard), **OWN}, data={"a": "1"})
    page = _write(app.test_client(), "/closed", headers={**bearer(guard), **OWN, **JSON}, data="{}")

    assert_problem(program, 403, "csrf_validation_failed")
    assert form.status_code == 403
    assert page.status_code == 200


def test_an_exception_is_made_by_name_and_shown_in_the_map(make_app: AppMaker) -> None:
    app, _guard = make_app(_routes)
    client, _token = _with_session(app)

    assert _write(client, "/hook", headers=FOREIGN, data="x").text == "taken"
    assert "no_csrf: signed by the sender" in app.test_cli_runner().invoke(args=["guard", "routes"]).output


@pytest.mark.parametrize("field", ["_method", "X-HTTP-Method-Override"])
def test_a_method_override_changes_nothing(make_app: AppMaker, field: str) -> None:
    app, _guard = make_app(_routes)
    client, _token = _with_session(app)

    answer = _write(client, headers={**FOREIGN, field.replace("_", "X-"): "GET"}, data={field: "GET"})

    assert answer.status_code == 403


def test_trusted_origins_may_write_and_wildcards_only_read(make_app: AppMaker) -> None:
    app, _guard = make_app(_routes, cors_origins="https://app.test,https://*.many.test", cors_credentials=True)
    client, _token = _with_session(app)

    assert _write(client, headers={"Origin": "https://app.test", **JSON}, data="{}").status_code == 200
    assert _write(client, headers={"Origin": "https://a.many.test", **JSON}, data="{}").status_code == 403


def test_set_trusted_origins_replace_those_of_cors(make_app: AppMaker) -> None:
    app, _guard = make_app(_routes, cors_origins="https://app.test", csrf_trusted_origins="https://other.test")
    client, _token = _with_session(app)

    assert _write(client, headers={"Origin": "https://app.test", **JSON}, data="{}").status_code == 403
    assert _write(client, headers={"Origin": "https://other.test", **JSON}, data="{}").status_code == 200


@pytest.mark.parametrize("origin", ["*", "null", "https://*.example.com"])
def test_who_may_write_is_listed_one_by_one(make_app: AppMaker, origin: str) -> None:
    with pytest.raises(ConfigError, match="GUARD_CSRF_TRUSTED_ORIGINS"):
        make_app(csrf_trusted_origins=origin)


def test_a_spoofed_forwarded_host_is_not_our_own(make_app: AppMaker) -> None:
    app, _guard = make_app(_routes)
    client, _token = _with_session(app)

    answer = _write(client, headers={**FOREIGN, **JSON, "X-Forwarded-Host": "evil.test"}, data="{}")

    assert_problem(answer, 403, "csrf_validation_failed")


def test_behind_a_proxy_that_nobody_trusts_the_log_says_what_to_set(
    make_app: AppMaker, caplog: pytest.LogCaptureFixture
) -> None:
    app, _guard = make_app(_routes)
    client, _token = _with_session(app)

    with caplog.at_level(logging.INFO, "flask_guard.refused"):
        answer = client.post("/write", base_url="http://notes.test", headers={**OWN, **JSON}, data="{}")

    assert answer.status_code == 403
    assert "GUARD_TRUSTED_PROXIES" in caplog.text
    assert "GUARD_TRUSTED_PROXIES" not in answer.text


def test_a_refusal_does_not_renew_a_permanent_session(make_app: AppMaker) -> None:
    def setup(app: Flask, guard: Guard) -> None:
        _routes(app, guard)

        @app.get("/stay")
        @guard.public(reason="test")
        def stay() -> str:
            session.permanent = True
            return ""

    app, _guard = make_app(setup)
    client = app.test_client()
    client.get("/stay", base_url=BASE)

    refused = _write(client, headers={**FOREIGN, **JSON}, data="{}")
    accepted = _write(client, headers={**OWN, **JSON}, data="{}")

    assert "Set-Cookie" not in refused.headers
    assert "Set-Cookie" in accepted.headers
