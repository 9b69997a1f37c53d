"""Cross-origin requests: which pages may read answers, and that a preflight is answered before all else."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from flask import Blueprint, Flask, abort, make_response

from flask_guard import ConfigError, Guard

from .conftest import AppMaker, assert_problem, bearer

APP = "https://app.test"
EVIL = "https://evil.test"


def _routes(app: Flask, guard: Guard) -> None:
    public = guard.public(reason="test")
    public(app.get("/open", endpoint="open")(lambda: "open"))
    public(app.get("/fails", endpoint="fails")(lambda: 1 / 0))
    public(app.get("/aborts", endpoint="aborts")(lambda: abort(409)))
    app.put("/closed", endpoint="write")(lambda: "written")
    partners = Blueprint("partners", __name__, url_prefix="/partners")
    guard.cors("https://partner.test", credentials=True, headers="X-Partner", max_age="1h")(partners)
    public(partners.get("/feed", endpoint="feed")(lambda: "feed"))
    guard.cors()(public(partners.get("/own", endpoint="own")(lambda: "own")))
    app.register_blueprint(partners)

    @app.get("/varies")
    @public
    def varies() -> Any:
        return make_response("varies", {"Vary": "Accept-Language"})


def _preflight(app: Flask, path: str = "/closed", *, origin: str = APP, method: str = "GET", **headers: str) -> Any:
    asked = {"Origin": origin, "Access-Control-Request-Method": method, **headers}
    return app.test_client().options(path, headers=asked)


def _ask(app: Flask, path: str, origin: str | None = APP, **headers: str) -> Any:
    return app.test_client().get(path, headers={**({"Origin": origin} if origin else {}), **headers})


def _cors_headers(answer: Any) -> dict[str, str]:
    return {name: value for name, value in answer.headers.items() if name.startswith("Access-Control-")}


def test_a_preflight_is_answered_without_a_credential(make_app: AppMaker) -> None:
    app, _guard = make_app(_routes, cors_origins=APP)

    answer = _preflight(app, method="PUT", **{"Access-Control-Request-Headers": "authorization, content-type"})

    assert (answer.status_code, answer.data) == (204, b"")
    assert answer.headers["Access-Control-Allow-Origin"] == APP
    assert "PUT" in answer.headers["Access-Control-Allow-Methods"]
    assert answer.headers["Access-Control-Max-Age"] == "600"
    assert "Access-Control-Allow-Credentials" not in answer.headers
    assert answer.headers["Vary"] == "Origin, Access-Control-Request-Method, Access-Control-Request-Headers"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    ("asked", "status", "code"),
    [
        ({"origin": EVIL}, 403, "cors_origin_denied"),
        ({"origin": "null"}, 403, "cors_origin_denied"),
        ({"origin": "https://app.test.evil.test"}, 403, "cors_origin_denied"),
        ({"origin": "http://app.test"}, 403, "cors_origin_denied"),
        ({"origin": APP, "method": "TRACE"}, 405, "cors_method_denied"),
        ({"origin": APP, "method": "put"}, 405, "cors_method_denied"),
        ({"origin": APP, "Access-Control-Request-Headers": "X-Admin"}, 403, "cors_header_denied"),
    ],
    ids=["foreign", "null", "suffix", "scheme", "method", "method in small letters", "header"],
)
def test_a_preflight_that_asks_for_too_much_is_refused(
    make_app: AppMaker, asked: dict[str, str], status: int, code: str
) -> None:
    app, _guard = make_app(_routes, cors_origins=APP)

    answer = _preflight(app, **asked)

    assert_problem(answer, status, code)
    assert ("Allow" in answer.headers) is (status == 405)
    assert asked["origin"] == APP or _cors_headers(answer) == {}


@pytest.mark.parametrize("path", ["/closed", "/nowhere", "/partners/own"])
def test_without_a_list_nobody_may(make_app: AppMaker, path: str) -> None:
    app, _guard = make_app(_routes)

    assert_problem(_preflight(app, path), 403, "cors_origin_denied")
    assert _cors_headers(_ask(app, "/open")) == {}
    assert "Vary" not in _ask(app, "/open").headers


@pytest.mark.parametrize("path", ["/open", "/fails", "/aborts", "/closed", "/nowhere"])
def test_a_listed_page_may_read_whatever_the_answer_is(make_app: AppMaker, path: str) -> None:
    app, _guard = make_app(_routes, cors_origins=APP, rate_limit_anonymous="1/minute")
    app.config["PROPAGATE_EXCEPTIONS"] = False

    for answer in (_ask(app, path), _ask(app, path)):
        assert answer.headers["Access-Control-Allow-Origin"] == APP
        assert answer.headers["Vary"] == "Origin"
        assert "RateLimit" in answer.headers["Access-Control-Expose-Headers"]
    assert answer.status_code == 429


def test_a_foreign_page_may_ask_and_not_read(make_app: AppMaker) -> None:
    app, guard = make_app(_routes, cors_origins=APP, cors_credentials=True)

    answer = _ask(app, "/closed", EVIL, **bearer(guard))

    assert answer.status_code == 200
    assert _cors_headers(answer) == {}
    assert answer.headers["Vary"] == "Origin"


def test_an_answer_without_an_origin_varies_by_it_too(make_app: AppMaker) -> None:
    """A cache would else hand it, without the headers, to a page that may read it."""
    app, _guard = make_app(_routes, cors_origins=APP)

    assert _ask(app, "/open", None).headers["Vary"] == "Origin"


def test_the_views_own_vary_is_added_to(make_app: AppMaker) -> None:
    app, _guard = make_app(_routes, cors_origins=APP)

    assert _ask(app, "/varies").headers.getlist("Vary") == ["Accept-Language, Origin"]


def test_a_route_has_its_own_origins_in_place_of_the_common_ones(make_app: AppMaker) -> None:
    app, _guard = make_app(_routes, cors_origins=APP)

    answer = _preflight(
        app, "/partners/feed", origin="https://partner.test", **{"Access-Control-Request-Headers": "x-partner"}
    )

    assert answer.status_code == 204
    assert answer.headers["Access-Control-Allow-Credentials"] == "true"
    assert answer.headers["Access-Control-Max-Age"] == "3600"
    assert_problem(_preflight(app, "/partners/feed"), 403, "cors_origin_denied")
    assert _cors_headers(_ask(app, "/partners/feed")) == {}
    assert_problem(_preflight(app, "/partners/own", origin="https://partner.test"), 403, "cors_origin_denied")


@pytest.mark.parametrize("options", [{"cors_origins": "*"}, {"cors_origins": "*", "cors_credentials": True}])
def test_everybody_is_not_for_production(make_app: AppMaker, options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="GUARD_CORS_ORIGINS"):
        make_app(_routes, **options)


def test_everybody_with_credentials_is_for_nobody(make_app: AppMaker) -> None:
    with pytest.raises(ConfigError, match="GUARD_CORS_CREDENTIALS"):
        make_app(_routes, env="development", cors_origins="*", cors_credentials=True)


def test_a_route_open_to_every_origin_is_refused_in_production(make_app: AppMaker) -> None:
    app, guard = make_app(lambda app, guard: guard.cors("*")(app.get("/any")(lambda: "")) and None)

    with pytest.raises(ConfigError, match=r"cors\('\*'\) is not for production"):
        guard.compile(app)


@pytest.mark.parametrize("path", ["/partners+evil", "/PARTNERS/feed", "/partners/feed/../../closed"])
def test_a_path_that_only_looks_like_the_routes_has_the_common_origins(make_app: AppMaker, path: str) -> None:
    app, _guard = make_app(_routes, cors_origins=APP)

    assert_problem(_preflight(app, path, origin="https://partner.test"), 403, "cors_origin_denied")


def test_a_hostile_origin_reaches_no_log_as_it_is(make_app: AppMaker, caplog: pytest.LogCaptureFixture) -> None:
    app, _guard = make_app(_routes, cors_origins=APP)

    with caplog.at_level(logging.DEBUG):
        app.test_client().options(
            "/closed",
            environ_overrides={"HTTP_ORIGIN": "https://a\x1b[2J", "HTTP_ACCESS_CONTROL_REQUEST_METHOD": "GET"},
        )

    assert "\x1b" not in caplog.text


def test_a_private_network_is_never_granted(make_app: AppMaker) -> None:
    app, _guard = make_app(_routes, cors_origins=APP)

    answer = _preflight(app, **{"Access-Control-Request-Private-Network": "true"})

    assert answer.headers.get("Access-Control-Allow-Private-Network", "false") == "false"
