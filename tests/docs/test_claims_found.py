"""What the pages claim of secrets, limits, hidden routes, bodies and the lock file, and no block of theirs shows."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from flask import Flask, request, stream_with_context

from flask_guard import ConfigError, Guard
from flask_guard.api.csp_reports import MAX_REPORT_BYTES
from flask_guard.browser.csp_reports import MAX_REPORTS
from flask_guard.pipeline.access_map import LOCK_VERSION
from flask_guard.policies import limit

from .pages import DOCS

# They differ from one request to the next.
CHANGING = ("X-Request-Id", "RateLimit")


def _make_app(**options: Any) -> tuple[Flask, Guard]:
    """An application whose route / is closed, and whose route /form is open and says how many fields it got."""
    app = Flask("app")
    guard = Guard(app, jwt_secret_key=secrets.token_hex(32), **options)
    app.add_url_rule("/", view_func=lambda: "", endpoint="index")
    count = guard.public(reason="test")(lambda: str(len(request.form)))
    app.add_url_rule("/form", view_func=count, endpoint="form", methods=["POST"])
    return app, guard


def _page(name: str) -> str:
    """Return the text of a page on one line."""
    return " ".join((DOCS / name).read_text("utf-8").split())


# Secrets: serve-a-browser-app.md, adopt-in-an-existing-app.md, start.md ----------------------------------


def test_a_secret_key_of_15_bytes_stops_the_start_in_production_alone() -> None:
    app = Flask("app")
    app.secret_key = secrets.token_hex(8)[:15]

    with pytest.raises(ConfigError, match="SECRET_KEY is shorter than 16 bytes"):
        Guard(app)
    Guard(app, env="development")


def test_a_secret_key_of_16_bytes_is_taken() -> None:
    app = Flask("app")
    app.secret_key = secrets.token_bytes(16)

    Guard(app)


@pytest.mark.parametrize("env", ["production", "development"])
def test_fallbacks_that_are_a_text_stop_the_start_everywhere(env: str) -> None:
    app = Flask("app")
    app.config["SECRET_KEY_FALLBACKS"] = secrets.token_hex(32)

    with pytest.raises(ConfigError, match="SECRET_KEY_FALLBACKS must be a list"):
        Guard(app, env=env)


# Limits: limit-requests.md, limits.md --------------------------------------------------------------------


def test_exempt_are_keys_by_their_name_and_no_subjects() -> None:
    key = secrets.token_urlsafe(40)
    app, guard = _make_app(api_keys=[{"name": "report", "key": key}], rate_limit_exempt_keys="report")
    client = app.test_client()

    by_key = client.get("/", headers={"X-API-Key": key})
    by_token = client.get("/", headers={"Authorization": f"Bearer {guard.tokens.issue('report')}"})

    assert ("RateLimit" in by_key.headers, "RateLimit" in by_token.headers) == (False, True)


def test_a_client_key_that_nobody_registered_counts_as_anonymous() -> None:
    app, _ = _make_app(client_keys_registered_only=False)

    answer = app.test_client().get("/", headers={"Authorization": f"Bearer {uuid4()}"})

    assert answer.status_code == 200
    assert answer.headers["RateLimit"].startswith('"anonymous";')


def test_a_credential_that_is_guessed_counts_on_an_unlimited_route_too() -> None:
    app, guard = _make_app()
    app.add_url_rule("/free", view_func=guard.unlimited(reason="test")(lambda: ""), endpoint="free")

    answer = app.test_client().get("/free", headers={"Authorization": "Bearer guess"})

    assert answer.status_code == 401
    assert answer.headers["RateLimit"].startswith('"anonymous";r=99;')


def test_one_limit_at_two_levels_is_charged_once_and_two_are_told_apart() -> None:
    app, guard = _make_app()
    view = guard.limit("5/hour")(guard.public(reason="test")(lambda: ""))
    guard.rules({"same": limit("5/hour"), "other": limit("9/hour")})
    for name in ("same", "other"):
        app.add_url_rule(f"/{name}", view_func=view, endpoint=name)
    client = app.test_client()

    same, other = (client.get(f"/{name}").headers["RateLimit"] for name in ("same", "other"))

    assert same.count("route") == 1
    assert ";r=4;" in same
    assert '"route";r=8;' in other
    assert '"route/2";r=4;' in other


# Hidden routes: policies.md, protect-a-route.md ----------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_hidden_route_answers_as_none_does(method: str) -> None:
    app, guard = _make_app()
    hidden = guard.require_network("10.0.0.0/8", status=404)(guard.limit("1/hour")(lambda: ""))
    app.add_url_rule("/hidden/", view_func=hidden, endpoint="hidden")
    client = app.test_client()

    answers = [client.open(path, method=method) for path in ("/nowhere", "/hidden", "/hidden/", "/hidden/")]

    told = [({**answer.headers, **dict.fromkeys(CHANGING)}, answer.get_json(force=True)) for answer in answers]
    for _, body in told:
        del body["request_id"]
    assert {answer.status_code for answer in answers} == {404}
    assert told[1:] == told[:1] * 3


# Bodies and reports: limits.md, collect-csp-reports.md ---------------------------------------------------


@pytest.mark.parametrize(
    ("config", "number", "status"),
    [
        pytest.param({}, 1000, 200, id="fields"),
        pytest.param({}, 1001, 413, id="a field too many"),
        pytest.param({"MAX_FORM_MEMORY_SIZE": 10}, 4, 413, id="bytes too many"),
    ],
)
def test_urlencoded_forms_have_the_bounds_of_flask(config: dict[str, int], number: int, status: int) -> None:
    app, _ = _make_app()
    app.config.update(config)

    answer = app.test_client().post("/form", data={f"f{position}": "" for position in range(number)})

    assert answer.status_code == status


def test_the_bounds_of_reports_are_those_of_the_code() -> None:
    page = _page("guides/collect-csp-reports.md")

    assert f"{MAX_REPORT_BYTES // 1024} KB a request and {MAX_REPORTS} reports in it" in page
    assert "60 requests in a minute from a network" in page


def test_reports_have_one_limit_of_their_own() -> None:
    app, _ = _make_app(csp_reports=True)
    headers = {"Content-Type": "application/reports+json"}

    policy = app.test_client().post("/csp-reports", data="[]", headers=headers).headers["RateLimit-Policy"]

    assert policy == '"route";q=60;w=60'


def test_a_nonce_after_the_headers_is_refused() -> None:
    app, guard = _make_app()

    @app.get("/stream")
    @guard.public(reason="test")
    def stream() -> Any:
        def pieces() -> Iterator[str]:
            yield "begun"
            yield guard.csp_nonce()

        return app.response_class(stream_with_context(pieces()), mimetype="text/html")

    answer = app.test_client().get("/stream")

    with pytest.raises(RuntimeError, match="after the headers were sent"):
        answer.get_data()


# The lock file: protect-a-route.md, cli.md ---------------------------------------------------------------


def test_a_lock_file_of_another_version_is_not_compared(tmp_path: Path) -> None:
    app, _ = _make_app()
    lock = tmp_path / "access.lock"
    run = app.test_cli_runner().invoke
    run(args=["guard", "routes", "--lock", str(lock)])
    lock.write_text(lock.read_text("utf-8").replace(f'"version": {LOCK_VERSION}', '"version": 1'), "utf-8")

    result = run(args=["guard", "routes", "--check", str(lock)])

    assert f"A lock file is of one version, now {LOCK_VERSION}." in _page("reference/cli.md")
    assert result.exit_code == 2
    assert "is not a lock file that this version" in result.output
