"""Attacks on limits: choosing a bucket, not being charged, using up what is somebody else's, exhausting the service."""

from __future__ import annotations

import contextlib
import json
import secrets
import socketserver
import struct
import threading
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import redis
from flask import Blueprint, Flask, Response, abort, request
from flask.views import MethodView
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flask_guard import ConfigError, Guard
from flask_guard.extras.redis import RedisRates
from flask_guard.limits.rates import Window
from flask_guard.pipeline import json_request
from flask_guard.pipeline.rates import subject_of
from flask_guard.values import Claims, Principal
from tests.requests.conftest import AppMaker, bearer
from tests.services.valkey_server import ValkeyServer

Setup = Callable[[Flask, Guard], None]


def _ask(app: Flask, path: str = "/closed", *, method: str = "GET", address: str = "192.0.2.1", **options: Any) -> Any:
    client = app.test_client(use_cookies=False)
    return client.open(path, method=method, environ_overrides={"REMOTE_ADDR": address}, **options)


def _statuses(app: Flask, path: str = "/closed", *, times: int = 3, **options: Any) -> list[int]:
    return [_ask(app, path, **options).status_code for _ in range(times)]


def _open(guard: Guard, view: Any) -> Any:
    return guard.public(reason="test")(view)


def _limited(text: str, **options: Any) -> Setup:
    def setup(app: Flask, guard: Guard) -> None:
        guard.limit(text, **options)(_open(guard, app.get("/limited", endpoint="limited")(lambda: "")))

    return setup


# Choosing a bucket --------------------------------------------------------------------------------------


@pytest.mark.parametrize("by", ["principal", "tenant"])
def test_a_key_that_anybody_may_make_up_has_no_bucket_of_its_own(make_app: AppMaker, by: str) -> None:
    """Where GUARD_CLIENT_KEYS_REGISTERED_ONLY is false, any UUID is a client key: a new one is no new limit."""

    def setup(app: Flask, guard: Guard) -> None:
        guard.limit("2/minute", by=by)(app.get("/limited", endpoint="limited")(lambda: ""))

    app, _guard = make_app(setup, client_keys_registered_only=False)

    keys = [str(uuid.uuid4()) for _ in range(3)]

    assert [_ask(app, "/limited", headers={"X-API-Key": key}).status_code for key in keys] == [200, 200, 429]


def test_principals_of_two_issuers_never_share_a_bucket() -> None:
    one = Principal(id="8443:ada", method="jwt", claims=Claims(iss="https://id.example"))
    other = Principal(id="ada", method="jwt", claims=Claims(iss="https://id.example:8443"))

    assert subject_of(one) != subject_of(other)


def test_a_user_who_has_the_name_of_an_exempt_key_is_not_exempt(make_app: AppMaker) -> None:
    keys = json.dumps([{"name": "monitoring", "key": secrets.token_urlsafe(32)}])
    app, guard = make_app(api_keys=keys, rate_limit_exempt_keys="monitoring", rate_limit_authenticated="2/minute")

    assert _statuses(app, headers=bearer(guard, "monitoring")) == [200, 200, 429]


def _log_in(view: Callable[[], Any]) -> Setup:
    def setup(app: Flask, guard: Guard) -> None:
        guard.limit("2/minute", by="body:email")(_open(guard, app.post("/login", endpoint="login")(view)))

    return setup


def _addresses(app: Flask, **options: Any) -> list[tuple[int, str]]:
    """Return status and text of four attempts, each from another address."""
    answers = [_ask(app, "/login", method="POST", address=f"198.51.100.{n}", **options) for n in range(4)]
    return [(answer.status_code, answer.text) for answer in answers]


@pytest.mark.parametrize(
    "media_type", ["text/plain", "application/octet-stream", "", "application/json; charset=utf-16"]
)
def test_a_field_of_a_body_that_the_view_reads_is_counted_whatever_type_it_is_said_to_be(
    make_app: AppMaker, media_type: str
) -> None:
    app, _guard = make_app(_log_in(lambda: request.get_json(force=True)["email"]))

    attempts = _addresses(app, data=json.dumps({"email": "ada@example.com"}), content_type=media_type)

    assert [status for status, _text in attempts] == [200, 200, 429, 429]


@pytest.mark.parametrize("parts", [1001, 1300, 1500, 2000])
def test_a_form_that_the_limit_could_not_read_is_not_read_by_the_view_either(make_app: AppMaker, parts: int) -> None:
    app, _guard = make_app(_log_in(lambda: request.form.get("email", "none")))
    part = '--B\r\nContent-Disposition: form-data; name="{}"\r\n\r\n{}\r\n'
    body = part.format("x", "") * parts + part.format("email", "ada@example.com") + "--B--\r\n"

    attempts = _addresses(app, data=body, content_type="multipart/form-data; boundary=B")

    assert {status for status, _text in attempts} == {413}


_TYPES = ["application/json", "application/x-www-form-urlencoded", "multipart/form-data; boundary=B", "text/plain", ""]


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    media_type=st.sampled_from(_TYPES),
    body=st.one_of(
        st.binary(max_size=64),
        st.sampled_from(['{"email":[]}', '{"email":1e400}', '{"email":{"a":1}}', "[" * 2000, '{"email":"\\ud800"}'])
        .map(str.encode),
        st.text(max_size=20).map(lambda text: json.dumps({"email": text}).encode()),
        st.integers().map(lambda number: json.dumps({"email": number}).encode()),
        st.sampled_from([b"email=%00", b"email=%ff", b"email", b"&" * 2000, b'--B\r\nContent-Disposition: form-data']),
    ),
)  # fmt: skip
def test_no_body_escapes_the_limit_of_its_own_address(make_app: AppMaker, media_type: str, body: bytes) -> None:
    app, _guard = make_app(_log_in(lambda: ""))

    assert _statuses(app, "/login", method="POST", data=body, content_type=media_type) == [200, 200, 429]


# Not being charged --------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/static/x.css", "/unlimited"])
@pytest.mark.parametrize(
    "headers", [{"Authorization": "Bearer a.b.c"}, {"X-API-Key": "fgk_" + "x" * 43}], ids=["token", "key"]
)
@pytest.mark.parametrize("limit", ["rate_limit_anonymous", "rate_limit_address"])
def test_guessing_credentials_is_counted_where_other_requests_are_not(
    make_app: AppMaker, path: str, headers: dict[str, str], limit: str
) -> None:
    """Every application has a route for files, and a closed one tells good credentials from bad ones."""

    def setup(app: Flask, guard: Guard) -> None:
        guard.unlimited(reason="test")(app.get("/unlimited", endpoint="unlimited")(lambda: ""))

    app, _guard = make_app(setup, **{limit: "2/minute"})

    assert _statuses(app, path, headers=headers) == [401, 401, 429]


@pytest.mark.parametrize(
    ("media_type", "body", "status"),
    [
        ("multipart/form-data; boundary=", b"x", 400),
        ("multipart/form-data; boundary=B", b"--B\r\nContent-Disposition: form-data; name=a\r\n\r\n\r\n" * 1100, 413),
        ("application/x-www-form-urlencoded", b"a&" * 2000, 413),
    ],
    ids=["unreadable", "too many parts", "too many fields"],
)
def test_a_form_that_is_refused_while_a_csrf_token_is_looked_for_is_counted(
    make_app: AppMaker, media_type: str, body: bytes, status: int
) -> None:
    def setup(app: Flask, guard: Guard) -> None:
        _open(guard, app.post("/write", endpoint="write")(lambda: ""))
        _open(guard, app.get("/page", endpoint="page")(lambda: guard.csrf_token()))

    app, _guard = make_app(setup, rate_limit_anonymous="2/minute")
    page = app.test_client().get("/page", environ_overrides={"REMOTE_ADDR": "198.51.100.99"})

    headers = {"Cookie": page.headers["Set-Cookie"].partition(";")[0], "Origin": "http://localhost"}
    statuses = _statuses(app, "/write", method="POST", data=body, content_type=media_type, headers=headers)

    assert statuses == [status, status, 429]


@pytest.mark.parametrize("position", ["before", "replace"])
@pytest.mark.parametrize("refuse", [lambda: abort(401), lambda: Response("no", 401)], ids=["abort", "answer"])
def test_a_request_that_a_step_of_the_application_refuses_is_counted(
    make_app: AppMaker, position: Any, refuse: Callable[[], Any]
) -> None:
    app, _guard = make_app(
        lambda _app, guard: guard.register("authenticate", lambda _context: refuse(), position),
        rate_limit_anonymous="2/minute",
    )

    assert _statuses(app) == [401, 401, 429]


# Using up what is somebody else's, and too little for oneself ---------------------------------------------


def test_methods_of_a_view_class_that_have_a_limit_each_count_apart(make_app: AppMaker) -> None:
    def setup(app: Flask, guard: Guard) -> None:
        class Notes(MethodView):
            @guard.limit("2/minute")
            def get(self) -> str:
                return ""

            @guard.limit("2/minute")
            def post(self) -> str:
                return ""

        app.add_url_rule("/notes", view_func=_open(guard, Notes.as_view("notes")))

    app, _guard = make_app(setup)

    assert _statuses(app, "/notes") == [200, 200, 429]
    assert _statuses(app, "/notes", method="POST") == [200, 200, 429]


@pytest.mark.parametrize(
    ("outer", "inner"),
    [
        ({"text": "4/minute"}, {"text": "4/minute; 100/hour"}),
        ({"text": "4/minute", "label": "all"}, {"text": "4/minute", "label": "own"}),
        ({"text": "4/minute"}, {"text": "4/minute", "exempt_when": lambda: False}),
        ({"text": "4/minute"}, {"text": "4/minute", "on_error": "deny"}),
    ],
    ids=["a further window", "another label", "an exemption", "a strict one"],
)
def test_a_request_is_charged_once_for_one_window_that_two_levels_name(
    make_app: AppMaker, outer: dict[str, Any], inner: dict[str, Any]
) -> None:
    def setup(app: Flask, guard: Guard) -> None:
        blueprint = Blueprint("inside", __name__)
        view = blueprint.get("/limited", endpoint="limited")(lambda: "")
        guard.limit(inner.pop("text"), **inner)(_open(guard, view))
        guard.limit(outer.pop("text"), **outer)(blueprint)
        app.register_blueprint(blueprint)

    inner, outer = dict(inner), dict(outer)
    app, _guard = make_app(setup)

    assert _statuses(app, "/limited", times=5) == [200, 200, 200, 200, 429]


def test_two_functions_that_give_keys_do_not_share_buckets(make_app: AppMaker) -> None:
    """Otherwise whoever asks for the item "ada" uses up the requests of the user ada."""

    def setup(app: Flask, guard: Guard) -> None:
        view = _open(guard, app.get("/limited", endpoint="limited")(lambda: ""))
        guard.limit("2/minute", by=lambda: request.args["user"])(view)
        guard.limit("2/minute", by=lambda: request.args["item"])(view)

    app, _guard = make_app(setup)

    assert _statuses(app, "/limited?user=eve&item=ada", times=2) == [200, 200]
    assert _ask(app, "/limited?user=ada&item=other").status_code == 200


def test_routes_that_share_a_limit_have_one_limit_or_do_not_start(make_app: AppMaker) -> None:
    def setup(app: Flask, guard: Guard) -> None:
        for path, text in (("one", "2/minute"), ("other", "3/minute")):
            guard.limit(text, shared="login")(_open(guard, app.get(f"/{path}", endpoint=path)(lambda: "")))

    app, guard = make_app(setup)
    try:
        guard.compile(app)
    except ConfigError:
        return

    assert _statuses(app, "/one", times=2) + _statuses(app, "/other", times=2) == [200, 200, 200, 429]


def test_the_highest_cost_that_a_stranger_made_up_is_not_everybodys(make_app: AppMaker) -> None:
    app, _guard = make_app(_limited("10/minute", cost=lambda: int(request.args["pages"])))
    _ask(app, "/limited?pages=1000000", address="198.51.100.9")

    assert _ask(app, "/limited").status_code == 200


# Exhausting the service -----------------------------------------------------------------------------------


def test_the_body_of_a_client_over_its_limit_is_not_parsed(make_app: AppMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    """4 MB of JSON take half a second, which a limit by a field would spend on each request that it refuses."""
    parsed: list[int] = []
    parse = json_request.parse_json
    monkeypatch.setattr(
        json_request, "parse_json", lambda data, **options: parsed.append(len(data)) or parse(data, **options)
    )
    app, _guard = make_app(_log_in(lambda: ""), rate_limit_anonymous="2/minute")

    bodies = ({"email": f"{number}@example.com"} for number in range(6))
    statuses = [_ask(app, "/login", method="POST", json=body).status_code for body in bodies]

    assert statuses == [200, 200, 429, 429, 429, 429]
    assert len(parsed) <= 2


# The storage ----------------------------------------------------------------------------------------------


class _Impostor(socketserver.BaseRequestHandler):
    """Answers every command in the same way."""

    answer = b""

    def handle(self) -> None:
        with contextlib.suppress(OSError):
            while self.request.recv(65536):
                self.request.sendall(self.answer)


_ANSWERS = {
    "a number": b":1\r\n",
    "nothing": b"$-1\r\n",
    "an empty text": b"$0\r\n\r\n",
    "a list": b"*2\r\n:1\r\n:2\r\n",
    "no numbers": b"$24\r\n" + b"\xff" * 24 + b"\r\n",
    "an endless wait": b"$24\r\n" + struct.pack(">ddd", 0, 0, float("inf")) + b"\r\n",
    "an error": b"-ERR x\r\n",
    "a text that never ends": b"$9999999999\r\nx",
}


@pytest.mark.parametrize("answer", _ANSWERS.values(), ids=_ANSWERS)
def test_whatever_a_storage_answers_a_request_is_served_or_refused(make_app: AppMaker, answer: bytes) -> None:
    handler = type("Impostor", (_Impostor,), {"answer": answer})
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        uri = f"redis://127.0.0.1:{server.server_address[1]}/0"
        app, guard = make_app(_limited("5/minute", on_error="deny"), rate_limit_storage_uri=uri)

        lenient, strict = _ask(app, headers=bearer(guard)), _ask(app, "/limited")
        server.shutdown()

    assert lenient.status_code == 200
    assert strict.status_code == 503


def test_two_services_on_one_server_do_not_use_up_each_others_requests(make_app: AppMaker, valkey_url: str) -> None:
    name = secrets.token_hex(8)
    options = {"rate_limit_storage_uri": valkey_url, "rate_limit_authenticated": "2/hour"}
    (one, key), (other, its_key) = (make_app(service_name=f"{name}-{n}", **options) for n in range(2))

    assert _statuses(one, headers=bearer(key, name)) == [200, 200, 429]
    assert _statuses(other, headers=bearer(its_key, name)) == [200, 200, 429]


def test_forgetting_many_requests_does_not_stop_the_server() -> None:
    """10 000 calls inside of one script are 50 ms in which no other request of any service is counted."""
    with ValkeyServer() as server, redis.Redis.from_url(server.url) as client:
        rates = RedisRates(server.url, "moving-window", timeout_s=10.0)
        window = Window(scope="test", amount=10_000, seconds=3600, label="test")
        rates.charge([(window, "ada", 1)])
        (name,) = client.keys()
        long_ago = (time.time() - 3601) * 1_000_000
        client.delete(name)
        client.rpush(name, *(struct.pack(">ddd", long_ago + n, n, 1) for n in range(10_000)))
        before = sum(told["calls"] for told in client.info("commandstats").values())

        [verdict] = rates.charge([(window, "ada", 1)])

        assert verdict[:2] == (True, 9_999)
        assert sum(told["calls"] for told in client.info("commandstats").values()) - before < 1000


def test_a_server_that_is_killed_or_stands_still_under_load_never_fails_a_request(make_app: AppMaker) -> None:
    took_s: list[float] = []
    statuses: list[int] = []
    is_over = threading.Event()

    with ValkeyServer() as server:
        setup = _limited("1000000/hour", on_error="deny")
        app, _guard = make_app(setup, rate_limit_storage_uri=server.url, rate_limit_anonymous="off")

        def ask() -> None:
            while not is_over.is_set():
                began = time.monotonic()
                statuses.append(_ask(app, "/limited").status_code)
                took_s.append(time.monotonic() - began)

        with ThreadPoolExecutor(8) as pool:
            futures = [pool.submit(ask) for _ in range(8)]
            for happen in (lambda: None, server.kill, server.start, server.pause, server.resume):
                happen()
                time.sleep(0.6)
            is_over.set()
            for future in futures:
                future.result()

    assert set(statuses) == {200, 503}
    assert sorted(took_s)[len(took_s) * 95 // 100] < 0.5
