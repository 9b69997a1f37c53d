"""Attacks on who a request is taken for and where it is sent: proxies, hosts, https, fences, preflights, workers."""

from __future__ import annotations

import json
import re
import secrets
import socket
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from flask import Flask, request
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.test import create_environ, run_wsgi_app

from flask_guard import ConfigError, Guard
from flask_guard.checks import edge as _edge_checks  # noqa: F401  # registers them
from flask_guard.checks.registry import run_checks
from flask_guard.pipeline.runtime import EXTENSION_KEY
from tests.requests.conftest import AppMaker, assert_problem
from tests.requests.test_servers import _free_port, _serve
from tests.services.valkey_server import ValkeyServer

WSGIApp = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
PAGE = "https://app.test"
PREFLIGHT = {"Origin": PAGE, "Access-Control-Request-Method": "GET"}
OWN_PAGE = "https://own.test"


def _routes(app: Flask, guard: Guard) -> None:
    for path in ("/open", "/folder/", "/any/<path:rest>/"):
        guard.public(reason="test")(app.get(path, endpoint=path.split("/")[1])(lambda **_rest: request.url))
    inside = guard.require_network("10.0.0.0/8", status=404)
    inside(guard.limit("5/minute")(app.get("/hidden", endpoint="hidden")(lambda: "hidden")))
    inside(app.get("/hidden-folder/", endpoint="hidden-folder")(lambda: "hidden"))
    inside(guard.cors(OWN_PAGE)(app.get("/hidden-page", endpoint="hidden-page")(lambda: "hidden")))


def _ask(app: Flask, path: str, *, method: str = "GET", address: str = "192.0.2.1", **options: Any) -> Any:
    environ = {"REMOTE_ADDR": address, **options.pop("environ", {})}
    return app.test_client(use_cookies=False).open(path, method=method, environ_overrides=environ, **options)


# Preflights ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/nowhere", 404), ("POST", "/nowhere", 404), ("DELETE", "/open", 405), ("GET", "/folder", 308)],
    ids=["404", "404 of a writer", "405", "a missing slash"],
)
def test_only_a_request_with_options_is_answered_as_a_preflight(
    make_app: AppMaker, method: str, path: str, status: int
) -> None:
    """Otherwise two headers turn every answer without a route into 204, and nobody counts who looks for routes."""
    app, _guard = make_app(_routes, cors_origins=PAGE, rate_limit_anonymous="2/minute")

    statuses = [_ask(app, path, method=method, headers=PREFLIGHT).status_code for _ in range(3)]

    assert statuses == [status, status, 429]


# Hidden routes ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "headers"),
    [
        ("GET", "/hidden", {}),
        ("HEAD", "/hidden", {}),
        ("POST", "/hidden", {}),
        ("OPTIONS", "/hidden", PREFLIGHT),
        ("GET", "/hidden-folder", {}),
        ("GET", "/hidden-page", {"Origin": OWN_PAGE}),
        ("OPTIONS", "/hidden-page", {**PREFLIGHT, "Origin": OWN_PAGE}),
    ],
    ids=[
        *("its limits", "its limits for HEAD", "another method", "a preflight", "a missing slash"),
        *("its CORS rule", "a preflight of its CORS rule"),
    ],
)
def test_a_hidden_route_answers_as_a_missing_one_does(
    make_app: AppMaker, method: str, path: str, headers: dict[str, str]
) -> None:
    app, _guard = make_app(_routes, cors_origins=PAGE)

    hidden = _ask(app, path, method=method, headers=headers)
    missing = _ask(app, "/missing", method=method, headers=headers, address="192.0.2.2")

    assert hidden.status_code == missing.status_code
    assert _told(hidden) == _told(missing)


@pytest.mark.parametrize(
    ("address", "shown"),
    [("192.0.2.1", {"GET", "HEAD", "OPTIONS"}), ("10.0.0.1", {"GET", "HEAD", "OPTIONS", "POST"})],
    ids=["outside", "inside"],
)
@pytest.mark.parametrize("method", ["OPTIONS", "PUT"])
def test_a_method_that_is_hidden_is_not_named_among_the_others(
    make_app: AppMaker, method: str, address: str, shown: set[str]
) -> None:
    app, _guard = make_app(_half_hidden)

    answer = _ask(app, "/both", method=method, address=address)

    assert set(answer.allow) == shown


def test_where_nothing_is_enforced_no_method_is_hidden(make_app: AppMaker) -> None:
    app, _guard = make_app(_half_hidden, default_access="report-only")

    assert "POST" in _ask(app, "/both", method="OPTIONS").allow


def _half_hidden(app: Flask, guard: Guard) -> None:
    guard.public(reason="test")(app.get("/both", endpoint="read")(lambda: "read"))
    guard.require_network("10.0.0.0/8", status=404)(app.post("/both", endpoint="write")(lambda: "write"))


def _told(answer: Any) -> dict[str, str]:
    return {name: value for name, value in answer.headers.items() if name not in ("X-Request-Id", "Content-Length")}


# Hosts and redirects ------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["xn--a", "xn--a.example.com", "a" * 63 + ".xn--zca", "[::1", "a[b]", "[v1.a]", "x:0"])
@pytest.mark.parametrize("path", ["/open", "/folder", "/any/x", "/nowhere"])
def test_no_host_makes_a_view_that_reads_its_own_url_fail(make_app: AppMaker, host: str, path: str) -> None:
    app, _guard = make_app(_routes)
    # Not by the client: it reads the URL too.
    _body, status, _headers = run_wsgi_app(app.wsgi_app, {**create_environ(path), "HTTP_HOST": host})

    assert status[:3] in ("200", "308", "400", "404")


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example(path="//evil.example/x")
@example(path="/any//evil.example")
@example(path="/any/\\evil.example")
@example(path="/any/x\r\nSet-Cookie: a=b")
@given(path=st.lists(st.sampled_from(["/", "\\", "any", "folder", "evil.example", "\r\n", "\t", "@", ":", "?", "\xe4"]))
    .map(lambda parts: "/" + "".join(parts)))  # fmt: skip
def test_no_path_makes_a_redirect_leave_the_site(make_app: AppMaker, path: str) -> None:
    for options in ({}, {"require_https": True, "allowed_hosts": "api.example.com"}):
        app = _cached(make_app, **options)

        answer = _ask(app, "/", environ={"PATH_INFO": path, "HTTP_HOST": "api.example.com"})

        target = answer.headers.get("Location")
        if target is not None:
            assert re.match(r"(?:https://api\.example\.com)?/(?![/\\])", target), target
            assert urlsplit(target).netloc in ("", "api.example.com")
            assert not re.search(r"[\s\\]", target)


_made: dict[str, Flask] = {}


def _cached(make_app: AppMaker, **options: Any) -> Flask:
    """Return an application that is made once: hypothesis asks hundreds of times."""
    return _made.get(str(options)) or _made.setdefault(
        str(options), make_app(_routes, rate_limit_anonymous="off", **options)[0]
    )


def test_a_redirect_to_https_does_not_go_to_the_port_that_was_sent(make_app: AppMaker) -> None:
    """One port does not speak both, and a cache that knows hosts without ports would hand the answer to all."""
    app, _guard = make_app(_routes, require_https=True, allowed_hosts="api.example.com")

    answer = _ask(app, "/open", environ={"HTTP_HOST": "api.example.com:6666"})

    assert answer.headers.get("Location", "https://api.example.com/open") == "https://api.example.com/open"


# Fences and addresses -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "address",
    ["10.0.0.1:80", "[10.0.0.1]", "10.0.0.1, 192.0.2.1", "010.0.0.1", "10.1", "\u0661\u0660.0.0.1", "64:ff9b::a00:1"],
    ids=["a port", "brackets", "a list", "an octal", "a short form", "other digits", "NAT64"],
)
def test_what_is_no_address_of_a_network_does_not_pass_its_fence(make_app: AppMaker, address: str) -> None:
    app, _guard = make_app(_routes)

    assert_problem(_ask(app, "/hidden", address=address), 404, "not_found")


def _hide(inner: WSGIApp) -> WSGIApp:
    """Return a middleware that no look at its attributes sees through."""
    return lambda environ, start_response: inner(environ, start_response)


def test_a_proxy_fix_that_is_hidden_outside_serves_nobody(make_app: AppMaker) -> None:
    app, _guard = make_app(_routes)
    app.wsgi_app = _hide(ProxyFix(app.wsgi_app))  # type: ignore[method-assign]

    answer = _ask(app, "/open", headers={"X-Forwarded-For": "10.0.0.1"})

    assert answer.status_code == 500
    assert "10.0.0.1" not in answer.text


def test_a_proxy_fix_that_is_hidden_inside_finds_nothing_to_believe(make_app: AppMaker) -> None:
    def setup(app: Flask, guard: Guard) -> None:
        guard.public(reason="test")(app.get("/who", endpoint="who")(lambda: f"{request.remote_addr} {request.url}"))
        app.wsgi_app = _hide(ProxyFix(app.wsgi_app, x_host=1, x_prefix=1))  # type: ignore[method-assign]

    app, _guard = make_app(setup)
    forged = {f"X-Forwarded-{name}": value for name, value in {"For": "10.0.0.1", "Proto": "https"}.items()}

    answer = _ask(app, "/who", headers={**forged, "X-Forwarded-Host": "evil.example", "X-Forwarded-Prefix": "/x"})

    assert answer.text == "192.0.2.1 http://localhost/who"


@pytest.mark.parametrize(
    ("options", "variables"),
    [
        ({"trusted_proxies": "0.0.0.0/1,128.0.0.0/1"}, {}),
        ({"trusted_proxies": "::ffff:0:0/96"}, {}),
        ({}, {"FORWARDED_ALLOW_IPS": "*"}),
    ],
    ids=["two halves", "mapped", "the server"],
)
def test_the_checklist_sees_that_every_address_is_trusted(
    make_app: AppMaker, monkeypatch: pytest.MonkeyPatch, options: dict[str, str], variables: dict[str, str]
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    try:
        app, _guard = make_app(_routes, **options)
    except ConfigError:
        return

    found = run_checks(app.extensions[EXTENSION_KEY])

    assert any(finding.id.startswith("FG-PROXY") for finding in found)


# The wire -----------------------------------------------------------------------------------------------

_PROGRAM = """
import os
from flask import Flask, jsonify, request
from flask_guard import Guard

app = Flask("who", instance_path=os.environ["INSTANCE"])
guard = Guard(app)

@app.route("/who")
@guard.public(reason="test")
def who():
    left = [name for name in request.environ if name.startswith("HTTP_") and "FORWARDED" in name]
    return jsonify(address=request.remote_addr, scheme=request.scheme, host=request.host, left=left)
"""
_HEAD = "GET /who HTTP/1.1\r\nHost: good.example\r\nConnection: close\r\n"
_TRUTH = "X-Forwarded-For: 203.0.113.5\r\nX-Forwarded-Proto: http\r\n"

# What a client adds in front of what the proxy writes.
_SPELLINGS = {
    "underscores": "X_Forwarded_For: 10.9.9.9\r\nX_Forwarded_Host: evil.example\r\n",
    "one underscore": "X-Forwarded_For: 10.9.9.9\r\n",
    "a header before": "X-Forwarded-For: 10.9.9.9\r\n",
    "a quote that is never closed": 'X-Forwarded-For: "10.9.9.9\r\n',
    "the other family": "Forwarded: for=10.9.9.9;host=evil.example;proto=https\r\n",
    "names of others": "X-Real-IP: 10.9.9.9\r\nClient-IP: 10.9.9.9\r\nX-Original-Forwarded-For: 10.9.9.9\r\n",
    "the environment": "Remote-Addr: 10.9.9.9\r\nREMOTE_ADDR: 10.9.9.9\r\n",
    "a host with a user": "X-Forwarded-Host: good.example@evil.example\r\n",
    "a host with a blank": "X-Forwarded-Host: evil example\r\n",
    "a port of letters": "X-Forwarded-Port: 80@evil.example\r\n",
    "a long list": f"X-Forwarded-For: {', '.join(['10.9.9.9'] * 200)}\r\n",
}
_SERVERS = {
    "gunicorn": ["gunicorn", "--log-level", "critical", "-k", "gthread", "--threads", "4"],
    "waitress": ["waitress", "--no-clear-untrusted-proxy-headers"],
}


@pytest.mark.parametrize("server", _SERVERS)
def test_no_spelling_on_the_wire_chooses_another_client(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: str
) -> None:
    port = _free_port()
    (tmp_path / "who.py").write_text(_PROGRAM)
    monkeypatch.setenv("GUARD_TRUSTED_PROXIES", "127.0.0.1")
    monkeypatch.setenv("GUARD_JWT_SECRET_KEY", secrets.token_urlsafe(48))
    monkeypatch.setenv("GUARD_LOG_LEVEL", "error")
    option = "--listen" if server == "waitress" else "-b"

    with _serve(tmp_path, [*_SERVERS[server], option, f"127.0.0.1:{port}", "who:app"], port):
        answers = {name: _send(port, f"{_HEAD}{added}{_TRUTH}\r\n") for name, added in _SPELLINGS.items()}

    for name, answer in answers.items():
        status, _, rest = answer.partition("\r\n")
        if " 400 " in status:  # the server's own refusal is as good as ours
            continue
        told = json.loads(rest.partition("\r\n\r\n")[2])
        assert told == {"address": "203.0.113.5", "scheme": "http", "host": "good.example", "left": []}, name


def _send(port: int, sent: str) -> str:
    with socket.create_connection(("127.0.0.1", port), 20) as connection:
        connection.sendall(sent.encode("latin-1"))
        connection.settimeout(20)
        received = b""
        while piece := connection.recv(65536):
            received += piece
    return received.decode("latin-1")


_LIMITED = """
import os
from flask import Flask
from flask_guard import Guard

app = Flask("limited", instance_path=os.environ["INSTANCE"])
guard = Guard(app)

@app.get("/limited")
@guard.public(reason="test")
@guard.limit("50/hour", shared="test", on_error="deny")
def limited():
    return "ok"

guard.compile(app)
app.test_client().get("/limited", environ_overrides={"REMOTE_ADDR": "203.0.113.1"})
"""


def test_four_workers_that_were_forked_after_the_first_request_count_as_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = _free_port()
    (tmp_path / "limited.py").write_text(_LIMITED)
    monkeypatch.setenv("GUARD_JWT_SECRET_KEY", secrets.token_urlsafe(48))
    monkeypatch.setenv("GUARD_LOG_LEVEL", "error")
    command = ["gunicorn", "-w", "4", "--preload", "--log-level", "critical", "-b", f"127.0.0.1:{port}", "limited:app"]
    asked = "GET /limited HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"

    with ValkeyServer() as server:
        # A worker that waits for a processor is no server that is down.
        uri = f"{server.url}?socket_timeout=20&socket_connect_timeout=20"
        with _serve(tmp_path, command, port, GUARD_RATE_LIMIT_STORAGE_URI=uri), ThreadPoolExecutor(16) as pool:
            statuses = [answer.split(" ", 2)[1] for answer in pool.map(_send, [port] * 120, [asked] * 120)]

    assert (statuses.count("200"), statuses.count("429")) == (50, 70)
