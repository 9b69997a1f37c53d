"""Hosts and https: whose names are served, where plain http is sent, and what absolute links are made of."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask, redirect, request

from flask_guard import ConfigError, Guard

from .conftest import AppMaker, assert_problem, bearer

PUBLIC_URL = "https://api.example.com"


def _routes(app: Flask, guard: Guard) -> None:
    guard.public(reason="test")(app.get("/open", endpoint="get-open")(lambda: request.host))
    guard.public(reason="test")(app.get("/folder/", endpoint="get-folder")(lambda: "folder"))
    guard.public(reason="test")(app.post("/open", endpoint="post-open")(lambda: "written"))


def _ask(app: Flask, path: str = "/open", *, host: str = "api.example.com", method: str = "GET", **options: Any) -> Any:
    return app.test_client().open(path, method=method, headers={"Host": host, **options.pop("headers", {})}, **options)


@pytest.mark.parametrize(
    ("host", "status"),
    [
        *(("api.example.com", 200), ("API.example.com:8443", 200), ("a.shop.example", 200), ("shop.example", 200)),
        *(("evil.example", 400), ("api.example.com.evil.example", 400), ("xshop.example", 400)),
    ],
)
def test_only_allowed_hosts_are_served(make_app: AppMaker, host: str, status: int) -> None:
    app, _guard = make_app(_routes, allowed_hosts="api.example.com,.shop.example")

    answer = _ask(app, host=host)

    assert answer.status_code == status


@pytest.mark.parametrize("host", ["evil com", "a@b", "a/b", "a,b", "[::1", "a:99999", "\xe4.example", "a b:80"])
def test_what_is_no_host_is_refused_though_any_host_is_allowed(make_app: AppMaker, host: str) -> None:
    app, _guard = make_app(_routes)

    problem = assert_problem(_ask(app, host=host), 400, "bad_host")

    assert host not in str(problem)


@pytest.mark.parametrize("host", ["10.1.2.3:8080", "evil.example", "a b"])
@pytest.mark.parametrize("allowed_hosts", ["", ".shop.example", "api.example.com"])
def test_a_probe_may_ask_by_any_name(make_app: AppMaker, host: str, allowed_hosts: str) -> None:
    """An orchestrator asks by the address of a machine, which nobody can list."""
    app, _guard = make_app(_routes, allowed_hosts=allowed_hosts)

    assert _ask(app, "/healthz/ready", host=host).status_code == 200


def test_a_probe_behind_a_proxy_may_ask_by_any_name(make_app: AppMaker) -> None:
    app, _guard = make_app(_routes, allowed_hosts="api.example.com", trusted_proxies="127.0.0.1")

    assert _ask(app, "/healthz/ready", headers={"X-Forwarded-Host": "10.1.2.3"}).status_code == 200
    assert _ask(app, "/open", headers={"X-Forwarded-Host": "10.1.2.3"}).status_code == 400


def test_a_foreign_host_is_refused_before_the_credential_is_looked_at(make_app: AppMaker) -> None:
    app, guard = make_app(_routes, allowed_hosts="api.example.com")

    assert_problem(_ask(app, "/closed", host="evil.example", headers=bearer(guard)), 400, "bad_host")
    assert_problem(_ask(app, "/nowhere", host="evil.example"), 400, "bad_host")


def test_flasks_own_trusted_hosts_are_kept_and_answered_alike(make_app: AppMaker) -> None:
    def setup(app: Flask, guard: Guard) -> None:
        app.config["TRUSTED_HOSTS"] = ["api.example.com"]
        _routes(app, guard)

    app, _guard = make_app(setup)

    assert _ask(app).status_code == 200
    assert_problem(_ask(app, host="evil.example"), 400, "bad_host")


def test_two_lists_of_hosts_that_differ_are_refused(make_app: AppMaker) -> None:
    def setup(app: Flask, _guard: Guard) -> None:
        app.config["TRUSTED_HOSTS"] = ["one.example"]

    with pytest.raises(ConfigError, match="GUARD_ALLOWED_HOSTS and Flask's TRUSTED_HOSTS differ"):
        make_app(setup, allowed_hosts="two.example")


# https --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_reader_is_sent_to_the_public_address(make_app: AppMaker, method: str) -> None:
    app, _guard = make_app(_routes, require_https=True, public_url=PUBLIC_URL + "/v1")

    answer = _ask(app, "/open?a=1&b=%2F", host="evil.example", method=method)

    assert (answer.status_code, answer.headers["Location"]) == (308, PUBLIC_URL + "/v1/open?a=1&b=%2F")


def test_without_a_public_address_an_allowed_host_will_do(make_app: AppMaker) -> None:
    app, _guard = make_app(_routes, require_https=True, allowed_hosts="api.example.com")

    answer = _ask(app, environ_overrides={"PATH_INFO": "//evil.example/x"})

    assert answer.status_code == 308
    assert answer.headers["Location"] == "https://api.example.com/evil.example/x"


def test_without_either_nobody_is_sent_anywhere(make_app: AppMaker) -> None:
    app, _guard = make_app(_routes, require_https=True)

    answer = _ask(app, host="evil.example")

    assert_problem(answer, 403, "https_required")
    assert "Location" not in answer.headers


def test_a_writer_is_refused(make_app: AppMaker) -> None:
    app, _guard = make_app(_routes, require_https=True, public_url=PUBLIC_URL)

    assert_problem(_ask(app, method="POST"), 403, "https_required")


def test_over_https_nothing_is_redirected_and_a_probe_may_come_by_http(make_app: AppMaker) -> None:
    app, _guard = make_app(_routes, require_https=True, public_url=PUBLIC_URL)

    assert _ask(app, base_url="https://api.example.com").status_code == 200
    assert _ask(app, "/healthz/live").status_code == 200


def test_an_unknown_address_is_redirected_too(make_app: AppMaker) -> None:
    """Otherwise the paths that exist could be told apart over plain http."""
    app, _guard = make_app(_routes, require_https=True, public_url=PUBLIC_URL)

    assert _ask(app, "/nowhere").headers["Location"] == PUBLIC_URL + "/nowhere"


# Links --------------------------------------------------------------------------------------------------


def test_absolute_links_come_from_the_public_address_whatever_host_was_sent(make_app: AppMaker) -> None:
    def setup(app: Flask, guard: Guard) -> None:
        guard.public(reason="test")(app.get("/link", endpoint="get-link")(lambda: guard.external_url("closed", page=2)))

    app, guard = make_app(setup, public_url=PUBLIC_URL + "/v1")

    assert _ask(app, "/link", host="evil.example").text == PUBLIC_URL + "/v1/closed?page=2"
    assert guard.external_url("closed") == PUBLIC_URL + "/v1/closed"


def test_an_absolute_link_without_a_public_address_is_an_error_that_names_it(make_app: AppMaker) -> None:
    _app, guard = make_app()

    with pytest.raises(ConfigError, match="GUARD_PUBLIC_URL"):
        guard.external_url("closed")


def test_a_missing_slash_is_redirected_without_the_host(make_app: AppMaker) -> None:
    app, _guard = make_app(_routes)

    answer = _ask(app, "/folder?x=1", host="evil.example")

    assert (answer.status_code, answer.headers["Location"]) == (308, "/folder/?x=1")


def test_a_redirect_of_a_view_is_its_own(make_app: AppMaker) -> None:
    def setup(app: Flask, guard: Guard) -> None:
        guard.public(reason="test")(
            app.get("/away", endpoint="get-away")(lambda: redirect("https://elsewhere.example/"))
        )

    app, _guard = make_app(setup)

    assert _ask(app, "/away").headers["Location"] == "https://elsewhere.example/"
