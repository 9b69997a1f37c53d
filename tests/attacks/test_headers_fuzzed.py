"""Hostile header text, read by everything that reads headers: Guard, Flask, and what a view asks of its request."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask, jsonify, redirect, request, send_file, session, url_for
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from werkzeug.wrappers import Response as WerkzeugResponse

from flask_guard import Guard, current_principal, current_tenant
from tests.attacks.hostile_headers import BODIES, HOSTILE
from tests.requests.conftest import AppMaker

# What a view may ask of its request. Each is a view of its own, so that no refusal of one spares another.
READERS: dict[str, Callable[[], Any]] = {
    "access-control": lambda: [str(request.access_control_request_headers), request.access_control_request_method],
    "accept": lambda: request.accept_mimetypes.best_match(["text/html", "application/json"]),
    "accept-others": lambda: [
        request.accept_languages.best_match(["en", "de"]),
        request.accept_charsets.best_match(["utf-8"]),
        request.accept_encodings.best_match(["gzip"]),
    ],
    "addresses": lambda: [request.access_route, request.remote_addr],
    "authorization": lambda: str(request.authorization),
    "cache": lambda: [str(request.cache_control), str(request.pragma)],
    "conditions": lambda: [str(request.if_match), str(request.if_none_match), str(request.if_range)],
    "cookies": lambda: request.cookies,
    "data": lambda: request.get_data(as_text=True),
    "dates": lambda: [str(request.if_modified_since), str(request.if_unmodified_since), str(request.date)],
    "file": lambda: send_file(io.BytesIO(b"0123456789"), download_name="a.txt", etag="x", last_modified=1e9),
    "files": lambda: sorted(request.files),
    "form": lambda: request.form,
    "headers": lambda: dict(request.headers),
    "host": lambda: [request.host, request.host_url],
    "json": lambda: request.json,
    "links": lambda: url_for("host", _external=True),
    "method": lambda: [request.content_length, request.mimetype, request.mimetype_params, request.content_encoding],
    "origin": lambda: [request.origin, request.referrer, str(request.user_agent)],
    "principal": lambda: [current_principal.id, current_tenant.id],
    "range": lambda: str(request.range),
    "redirect": lambda: redirect(url_for("host")),
    "session": lambda: [session.get("user"), session.setdefault("seen", 1)],
    "url": lambda: [request.url, request.base_url, request.root_url, request.full_path],
    "values": lambda: request.values,
}

# WSGI hands bytes over as latin-1; servers differ in which control characters they let through.
latin = st.text(st.characters(codec="latin-1"), max_size=60)
words = ["bytes", "gzip", "q=", "for=", *',;="\\/:.-_[]%@* \t\x00\xe9\xa0\xb29a']
pieces = st.lists(st.sampled_from(words), max_size=12)
values = st.one_of(latin, pieces.map("".join))
environs = st.fixed_dictionaries(
    {},
    optional={name: st.one_of(st.sampled_from(texts), values) for name, texts in HOSTILE.items()},
)


def add_readers(app: Flask, guard: Guard) -> None:
    for name, read in READERS.items():

        def view(read: Callable[[], Any] = read) -> Any:
            answer = read()
            return answer if isinstance(answer, WerkzeugResponse) else jsonify(answer)

        app.add_url_rule(f"/{name}", name, guard.public(reason="test")(view), methods=["GET", "POST"])


@pytest.fixture
def app(make_app: AppMaker) -> Flask:
    app, _ = make_app(add_readers, rate_limit_anonymous="off", decode_gzip=True)
    app.logger.disabled = True
    return app


def ask(app: Flask, method: str, path: str, body: bytes, headers: dict[str, str]) -> tuple[str, list[tuple[str, str]]]:
    """Return status and headers of the answer, given the environment as it is: a test client would mend it."""
    begun: list[Any] = []
    environ: dict[str, Any] = {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "QUERY_STRING": "",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "HTTP_HOST": "localhost",
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(body),
        "wsgi.input_terminated": True,
        "wsgi.errors": io.StringIO(),
        "wsgi.multithread": False,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        **headers,
    }
    answer = app.wsgi_app(environ, lambda *status: begun.append(status) or io.BytesIO().write)
    list(answer)
    getattr(answer, "close", lambda: None)()
    return begun[-1][0], begun[-1][1]


def assert_answered(app: Flask, method: str, path: str, body: bytes, headers: dict[str, str]) -> None:
    status, sent = ask(app, method, path, body, headers)
    assert int(status[:3]) < 500, (status, method, path, headers)
    assert not [pair for pair in sent if set("\r\n\0") & set("".join(pair))], (method, path, headers, sent)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_header_alone_is_no_failure_of_ours(app: Flask, name: str) -> None:
    for reader in READERS:
        for text in HOSTILE[name]:
            assert_answered(app, "POST", f"/{reader}", b"", {name: text})
            assert_answered(app, "GET", f"/{reader}", b"", {name: text})


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    environ=environs,
    path=st.sampled_from([*(f"/{name}" for name in READERS), "/closed", "/nowhere", "/host/"]),
    method=st.sampled_from(["GET", "HEAD", "POST", "OPTIONS", "DELETE", "get", "\xe9"]),
    body=st.sampled_from(BODIES),
)
def test_no_set_of_headers_is_a_failure_of_ours(
    app: Flask, environ: dict[str, str], path: str, method: str, body: bytes
) -> None:
    assert_answered(app, method, path, body, environ)
