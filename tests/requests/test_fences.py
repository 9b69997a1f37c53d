"""Fences: routes that some networks alone may ask, judged on the client that Guard believes in."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from flask import Blueprint, Flask

from flask_guard import ConfigError, Guard

from .conftest import AppMaker, assert_problem, bearer


def _routes(app: Flask, guard: Guard) -> None:
    inside = Blueprint("inside", __name__, url_prefix="/inside")
    guard.require_network("10.0.0.0/8", "2001:db8::/32")(inside)
    inside.get("/notes", endpoint="notes")(lambda: "notes")
    guard.require_network("10.1.0.0/16")(inside.get("/narrow", endpoint="narrow")(lambda: "narrow"))
    app.register_blueprint(inside)
    guard.require_network("10.0.0.0/8", status=404)(app.get("/hidden", endpoint="hidden")(lambda: "hidden"))


def _ask(app: Flask, guard: Guard, path: str, address: str, **headers: str) -> Any:
    return app.test_client().get(path, headers={**bearer(guard), **headers}, environ_overrides={"REMOTE_ADDR": address})


@pytest.mark.parametrize("address", ["10.1.2.3", "2001:db8::1", "::ffff:10.0.0.1"])
def test_an_address_inside_may_ask(make_app: AppMaker, address: str) -> None:
    app, guard = make_app(_routes)

    assert _ask(app, guard, "/inside/notes", address).text == "notes"


@pytest.mark.parametrize("address", ["11.0.0.1", "192.0.2.1", "2001:db9::1", "::ffff:11.0.0.1", "", "localhost"])
def test_an_address_outside_or_none_is_refused(make_app: AppMaker, address: str) -> None:
    app, guard = make_app(_routes)

    problem = assert_problem(_ask(app, guard, "/inside/notes", address), 403, "network_denied")

    assert "10.0.0.0" not in str(problem)


def test_fences_of_the_blueprint_and_of_the_view_both_hold(make_app: AppMaker) -> None:
    app, guard = make_app(_routes)

    assert _ask(app, guard, "/inside/narrow", "10.1.0.1").status_code == 200
    assert _ask(app, guard, "/inside/narrow", "10.2.0.1").status_code == 403


def test_a_hidden_route_is_not_there_for_others(make_app: AppMaker) -> None:
    app, guard = make_app(_routes)

    hidden = assert_problem(_ask(app, guard, "/hidden", "192.0.2.1"), 404, "not_found")
    missing = assert_problem(_ask(app, guard, "/missing", "192.0.2.1"), 404, "not_found")

    assert {**hidden, "request_id": ""} == {**missing, "request_id": ""}


def test_an_address_that_a_client_claims_does_not_open_the_fence(make_app: AppMaker) -> None:
    app, guard = make_app(_routes)

    answer = _ask(app, guard, "/inside/notes", "192.0.2.1", **{"X-Forwarded-For": "10.0.0.1", "X-Real-IP": "10.0.0.1"})

    assert answer.status_code == 403


def test_behind_a_trusted_proxy_the_clients_own_address_counts(make_app: AppMaker) -> None:
    app, guard = make_app(_routes, trusted_proxies="10.0.0.0/8")

    outside = _ask(app, guard, "/inside/notes", "10.0.0.9", **{"X-Forwarded-For": "10.5.5.5, 192.0.2.1"})
    inside = _ask(app, guard, "/inside/notes", "10.0.0.9", **{"X-Forwarded-For": "2001:db8::7"})

    assert (outside.status_code, inside.status_code) == (403, 200)


def test_the_fence_stands_before_the_credential(make_app: AppMaker) -> None:
    app, _guard = make_app(_routes)

    answer = app.test_client().get("/inside/notes", environ_overrides={"REMOTE_ADDR": "192.0.2.1"})

    assert_problem(answer, 403, "network_denied")


def test_a_refusal_is_logged_with_the_address(make_app: AppMaker, caplog: pytest.LogCaptureFixture) -> None:
    app, guard = make_app(_routes)

    with caplog.at_level(logging.INFO, "flask_guard.refused"):
        _ask(app, guard, "/inside/notes", "192.0.2.77")

    assert "192.0.2.77 is outside of require_network(10.0.0.0/8, 2001:db8::/32)" in caplog.text


@pytest.mark.parametrize(
    ("networks", "options", "said"),
    [
        ((), {}, "needs one network at least"),
        (("10.0.0.1/8",), {}, "must be a list of CIDR networks"),
        (("everywhere",), {}, "must be a list of CIDR networks"),
        (("10.0.0.0/8",), {"status": 200}, "refuses with 403 or 404"),
    ],
)
def test_what_is_no_fence_is_refused_where_it_is_written(networks: Any, options: Any, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        Guard().require_network(*networks, **options)
