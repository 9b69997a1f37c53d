"""Limits as a client meets them: who is charged where, what is told, and what happens without the storage."""

from __future__ import annotations

import secrets
from typing import Any

import http_sf
import pytest
from flask import Flask, request

from flask_guard import ConfigError, Guard
from flask_guard.pipeline.runtime import EXTENSION_KEY

from .conftest import AppMaker, assert_problem, bearer
from .rating import ask, limited, open_public, statuses

# Who is charged where -----------------------------------------------------------------------------------


def test_the_anonymous_are_charged_to_their_address(make_app: AppMaker) -> None:
    app, _guard = make_app(open_public, rate_limit_anonymous="2/minute")

    assert statuses(3, lambda: ask(app, "/open")) == [200, 200, 429]
    assert ask(app, "/open", address="192.0.2.2").status_code == 200


def test_addresses_of_one_ipv6_network_are_one(make_app: AppMaker) -> None:
    app, _guard = make_app(open_public, rate_limit_anonymous="2/minute")

    addresses = iter(["2001:db8:0:1::1", "2001:db8:0:1:ffff::2", "2001:db8:0:1::3"])

    assert statuses(3, lambda: ask(app, "/open", address=next(addresses))) == [200, 200, 429]
    assert ask(app, "/open", address="2001:db8:0:2::1").status_code == 200


def test_a_principal_is_charged_to_its_own_bucket_wherever_it_comes_from(make_app: AppMaker) -> None:
    app, guard = make_app(rate_limit_authenticated="2/minute", rate_limit_anonymous="1/minute")
    ada, ben = bearer(guard, "ada"), bearer(guard, "ben")
    addresses = iter(["192.0.2.1", "192.0.2.2", "192.0.2.3"])

    assert statuses(3, lambda: ask(app, headers=ada, address=next(addresses))) == [200, 200, 429]
    assert ask(app, headers=ben).status_code == 200


def test_a_verified_role_or_a_service_key_has_the_services_limit(make_app: AppMaker) -> None:
    app, guard = make_app(rate_limit_authenticated="1/minute", rate_limit_service="3/minute")
    role = bearer(guard, "job", roles=["service_role"])
    with app.app_context():
        key = {"X-API-Key": guard.api_keys.create(name="ci")[1]}

    assert statuses(4, lambda: ask(app, headers=role)) == [200, 200, 200, 429]
    assert statuses(4, lambda: ask(app, headers=key)) == [200, 200, 200, 429]


def test_a_role_that_a_forged_token_claims_counts_for_nothing(make_app: AppMaker) -> None:
    app, _guard = make_app(rate_limit_anonymous="1/minute", rate_limit_service="100/minute")
    forged = bearer(make_app()[1], roles=["service_role"])

    assert statuses(2, lambda: ask(app, headers=forged)) == [401, 429]


@pytest.mark.parametrize(
    ("path", "method", "headers", "status"),
    [
        ("/nowhere", "GET", {}, 404),
        ("/closed", "DELETE", {}, 405),
        ("/closed", "GET", {"Authorization": "Bearer x"}, 401),
        ("/closed", "GET", {"X-API-Key": "fgk_x"}, 401),
        ("/closed", "GET", {}, 401),
        ("/closed", "GET", {"Host": "evil com"}, 400),
        ("/write", "POST", {"Origin": "https://evil.test"}, 403),
        ("/closed?" + "x" * 9000, "GET", {}, 414),
    ],
    ids=["404", "405", "a bad token", "a bad key", "no credential", "a bad host", "a foreign origin", "a long address"],
)
def test_a_request_that_is_refused_is_charged_to_its_address(
    make_app: AppMaker, path: str, method: str, headers: dict[str, str], status: int
) -> None:
    def setup(app: Flask, guard: Guard) -> None:
        open_public(app, guard)
        guard.public(reason="test")(app.post("/write", endpoint="write")(lambda: ""))

    app, _guard = make_app(setup, rate_limit_anonymous="2/minute")

    assert statuses(3, lambda: ask(app, path, method=method, headers=headers)) == [status, status, 429]
    assert ask(app, "/open").status_code == 429


def test_a_refused_credential_does_not_use_up_the_principals_own_requests(make_app: AppMaker) -> None:
    app, guard = make_app(rate_limit_authenticated="1/minute")
    good = bearer(guard)

    ask(app, headers={"Authorization": good["Authorization"] + "x"})

    assert ask(app, headers=good).status_code == 200


@pytest.mark.parametrize("path", ["/healthz/live", "/healthz/ready", "/static/missing.css"])
def test_probes_and_files_are_not_counted(make_app: AppMaker, path: str) -> None:
    app, _guard = make_app(
        lambda _app, guard: guard.rules({"static": _words().public(reason="files")}), rate_limit_anonymous="1/minute"
    )

    assert 429 not in statuses(3, lambda: ask(app, path))


def _words() -> Any:
    from flask_guard import policies

    return policies


def test_a_preflight_is_not_counted(make_app: AppMaker) -> None:
    app, _guard = make_app(rate_limit_anonymous="1/minute", cors_origins="https://app.test")
    headers = {"Origin": "https://app.test", "Access-Control-Request-Method": "GET"}

    assert statuses(3, lambda: ask(app, method="OPTIONS", headers=headers)) == [204, 204, 204]


def test_exempt_networks_and_keys_count_only_where_a_route_says_so(make_app: AppMaker) -> None:
    key = secrets.token_urlsafe(32)

    def setup(app: Flask, guard: Guard) -> None:
        open_public(app, guard)
        guard.public(reason="test")(guard.limit("1/minute")(app.get("/own", endpoint="own")(lambda: "")))

    app, guard = make_app(
        setup,
        rate_limit_anonymous="1/minute",
        rate_limit_authenticated="1/minute",
        rate_limit_exempt_networks="10.0.0.0/8",
        rate_limit_exempt_keys="monitoring",
        api_keys=[{"name": "monitoring", "key": key}],
        rate_limit_service="1/minute",
    )

    assert statuses(3, lambda: ask(app, "/open", address="10.0.0.1")) == [200, 200, 200]
    assert statuses(3, lambda: ask(app, headers={"X-API-Key": key})) == [200, 200, 200]
    assert statuses(2, lambda: ask(app, headers=bearer(guard, "monitoring"))) == [200, 429]
    assert statuses(2, lambda: ask(app, "/own", address="10.0.0.1")) == [200, 429]


def test_the_global_limit_counts_everybody_together(make_app: AppMaker) -> None:
    app, guard = make_app(open_public, rate_limit_global="3/minute")

    ask(app, "/open"), ask(app, headers=bearer(guard)), ask(app, "/open", address="192.0.2.2")

    assert ask(app, headers=bearer(guard, "ben")).status_code == 429


def test_the_address_limit_stands_before_the_credential(make_app: AppMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    app, guard = make_app(rate_limit_address="2/minute")
    read: list[Any] = []
    reader = app.extensions[EXTENSION_KEY].reader
    original = type(reader).read
    monkeypatch.setattr(type(reader), "read", lambda self, *given: read.append(given) or original(self, *given))

    assert statuses(4, lambda: ask(app, headers=bearer(guard))) == [200, 200, 429, 429]
    assert len(read) == 2


# Routes -------------------------------------------------------------------------------------------------


def test_a_route_has_its_own_limit_beside_the_common_one(make_app: AppMaker) -> None:
    app, _guard = make_app(limited("2/minute"))

    assert statuses(3, lambda: ask(app, "/limited")) == [200, 200, 429]
    assert ask(app, "/closed").status_code == 401


def test_of_several_windows_the_narrowest_refuses_and_a_refusal_uses_up_nothing(make_app: AppMaker) -> None:
    app, _guard = make_app(limited("3/hour; 2/minute"))

    seen = statuses(4, lambda: ask(app, "/limited"))

    last = ask(app, "/limited")
    assert seen == [200, 200, 429, 429]
    assert http_sf.parse(last.headers["RateLimit"].encode(), tltype="list")[1][1]["r"] == 1


def test_a_field_of_the_body_is_counted_however_it_is_spelt(make_app: AppMaker) -> None:
    app, _guard = make_app(limited("2/minute", by="body:email"))
    spellings = iter(["Ada@Example.com", " ada@example.com", "ADA@EXAMPLE.COM"])
    addresses = iter(["192.0.2.1", "192.0.2.2", "192.0.2.3"])

    def log_in() -> Any:
        return ask(app, "/limited", method="POST", json={"email": next(spellings)}, address=next(addresses))

    assert statuses(3, log_in) == [200, 200, 429]
    assert ask(app, "/limited", method="POST", json={"email": "ben@example.com"}).status_code == 200


@pytest.mark.parametrize("body", [{}, {"email": None}, {"email": []}, {"email": ""}, [1], "x"])
def test_a_field_that_is_not_there_is_counted_by_address(make_app: AppMaker, body: Any) -> None:
    app, _guard = make_app(limited("2/minute", by="body:email"))

    assert statuses(3, lambda: ask(app, "/limited", method="POST", json=body)) == [200, 200, 429]


@pytest.mark.parametrize("answer", [None, "", 0.5, "x" * 300, ValueError("no")])
def test_a_key_function_that_finds_nothing_never_means_no_limit(make_app: AppMaker, answer: Any) -> None:
    def find_key() -> Any:
        if isinstance(answer, Exception):
            raise answer
        return answer

    app, _guard = make_app(limited("2/minute", by=find_key))

    assert statuses(3, lambda: ask(app, "/limited")) == [200, 200, 429]


@pytest.mark.parametrize("text", ["", None, "off", "never", "0/minute", RuntimeError("no")])
def test_a_limit_function_that_finds_nothing_never_means_no_limit(make_app: AppMaker, text: Any) -> None:
    texts: list[Any] = ["2/minute", text]

    def find_text() -> Any:
        said = texts[0] if len(texts) == 1 else texts.pop(0)
        if isinstance(said, Exception):
            raise said
        return said

    app, _guard = make_app(limited(find_text))

    assert statuses(3, lambda: ask(app, "/limited"))[-1] == 429


def test_routes_that_share_a_limit_count_together(make_app: AppMaker) -> None:
    def setup(app: Flask, guard: Guard) -> None:
        for path in ("/one", "/other"):
            limited("2/minute", path=path, shared="login")(app, guard)

    app, _guard = make_app(setup)

    assert [ask(app, path).status_code for path in ("/one", "/other", "/one", "/other")] == [200, 200, 429, 429]


def test_a_limit_about_some_methods_counts_those_alone(make_app: AppMaker) -> None:
    app, _guard = make_app(limited("1/minute", methods=["POST"]))

    assert statuses(3, lambda: ask(app, "/limited")) == [200, 200, 200]
    assert statuses(2, lambda: ask(app, "/limited", method="POST")) == [200, 429]


def test_cost_and_exemption_are_those_of_the_request(make_app: AppMaker) -> None:
    app, _guard = make_app(
        limited(
            "10/minute",
            cost=lambda: int(request.args.get("cost", 1)),
            exempt_when=lambda: "free" in request.args,
        )
    )

    assert ask(app, "/limited?cost=9").status_code == 200
    assert ask(app, "/limited?cost=2").status_code == 429
    assert ask(app, "/limited?free&cost=2").status_code == 200


def test_an_unlimited_route_keeps_its_own_limit(make_app: AppMaker) -> None:
    def setup(app: Flask, guard: Guard) -> None:
        limited("3/minute")(app, guard)
        guard.unlimited(reason="test")(app.view_functions["limited"])

    app, _guard = make_app(setup, rate_limit_anonymous="1/minute")

    assert statuses(4, lambda: ask(app, "/limited")) == [200, 200, 200, 429]


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("5", {}),
        ("0/minute", {}),
        ("off", {}),
        ("5/fortnight", {}),
        ("5/minute", {"by": "adress"}),
        ("5/minute", {"by": "body:"}),
        ("5/minute", {"cost": 0}),
        ("5/minute", {"on_error": "ignore"}),
        ("5/minute", {"shared": "a\nb"}),
    ],
)
def test_what_is_no_limit_is_refused_where_it_is_written(text: str, options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        Guard().limit(text, **options)


# What a client is told ----------------------------------------------------------------------------------


def test_the_headers_are_those_of_the_draft(make_app: AppMaker) -> None:
    app, guard = make_app(rate_limit_authenticated="5/minute; 100/hour")

    answer = ask(app, headers=bearer(guard))

    policy = http_sf.parse(answer.headers["RateLimit-Policy"].encode(), tltype="list")
    state = http_sf.parse(answer.headers["RateLimit"].encode(), tltype="list")
    assert policy == [("authenticated-1", {"q": 5, "w": 60}), ("authenticated-2", {"q": 100, "w": 3600})]
    assert [(name, facts["r"]) for name, facts in state] == [("authenticated-1", 4), ("authenticated-2", 99)]
    assert all(isinstance(facts["t"], int) and facts["t"] >= 0 for _name, facts in state)
    assert "X-RateLimit-Limit" not in answer.headers


def test_a_refusal_says_when_to_come_back_and_not_which_limit_it_was(make_app: AppMaker) -> None:
    app, _guard = make_app(open_public, rate_limit_anonymous="1/minute", rate_limit_strategy="fixed-window")
    ask(app, "/open")

    answer = ask(app, "/open")

    problem = assert_problem(answer, 429, "rate_limited")
    assert problem["detail"] == "Too many requests. Try again later."
    assert 1 <= int(answer.headers["Retry-After"]) <= 60
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_the_message_and_the_old_headers_are_to_be_had(make_app: AppMaker) -> None:
    app, _guard = make_app(
        open_public, rate_limit_anonymous="1/minute", rate_limit_message="Slow down.", rate_limit_legacy_headers=True
    )
    ask(app, "/open")

    answer = ask(app, "/open")

    assert answer.get_json(force=True)["detail"] == "Slow down."
    assert answer.headers["X-RateLimit-Limit"] == "1"
    assert answer.headers["X-RateLimit-Remaining"] == "0"
    assert int(answer.headers["X-RateLimit-Reset"]) > 1_700_000_000


def test_both_limits_are_told_where_the_address_is_counted_too(make_app: AppMaker) -> None:
    app, guard = make_app(rate_limit_address="9/minute")

    answer = ask(app, headers=bearer(guard))

    names = [name for name, _facts in http_sf.parse(answer.headers["RateLimit"].encode(), tltype="list")]
    assert names == ["address", "authenticated"]
