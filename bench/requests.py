"""What a guarded request costs next to a plain one: Flask's JSON route is the floor.

Rule: a token that is called new was never seen before, neither by the application nor by its cache.
"""

from __future__ import annotations

import logging
import os
import secrets
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

from flask import Flask

from flask_guard.logs.format import JsonFormatter
from flask_guard.pipeline.session import use_lazy_sessions

from . import apps
from .apps import PATH, POST_BODY, TokenMint
from .caches import DEFAULT_SIZE, fill, is_remembered, verifier_of
from .measure import Case, measure, scaled
from .report import Report, Target
from .wsgi import Environ, fetch, make_environ, serve

TITLE = "Requests"
ROUNDS = 61
FLOOR = "plain Flask"
HOT = "Guard, token seen before"
FLASK_SESSION = "Guard, Flask's session interface"
NEW = "Guard, token not seen before"
TARGETS = {HOT: Target(1.05), FLASK_SESSION: Target(1.30), NEW: Target(1.30)}

POST_FLOOR = "plain Flask, POST"
POST = "Guard, POST"
POST_TARGETS = {POST: Target(1.20)}

# Enough to see that the route map, the cache and the log behave before they are timed.
_PROBES = 3


def run(report: Report, *, scale: float) -> None:
    """Print the tables of requests."""
    secret = secrets.token_hex(32)
    rounds = scaled(ROUNDS, scale)
    report.heading("Requests: GET of a JSON document, called as a WSGI server would")
    cases = [*_plain_cases(TokenMint(secret).request()), *_guard_cases(secret), *_peer_cases(secret)]
    report.timing(TITLE, measure(cases, rounds=rounds), floor=FLOOR, targets=TARGETS)
    report.heading("Requests: POST of a JSON object")
    report.timing(TITLE, measure(_post_cases(secret), rounds=rounds), floor=POST_FLOOR, targets=POST_TARGETS)


def asking(name: str, app: Flask, environ: Environ) -> Case:
    """Return the case of one request for the document, again and again."""
    apps.require_document(app, environ)
    return Case(name, partial(serve, app.wsgi_app, environ))


def logged(case: Case) -> Case:
    """Return the case with a line in the access log for each request.

    The line of a request that went well is written from level info on; production logs warnings.
    """
    written = LineCounter()
    with access_lines(written):
        case.call()
    assert written.lines == 1, written.lines
    return replace(case, scene=lambda: access_lines(LineCounter()))


def _plain_cases(with_token: Environ) -> Iterator[Case]:
    plain, app = make_environ(PATH), apps.make_app()
    yield asking(FLOOR, app, plain)
    yield asking("plain Flask, with the token's header", app, with_token)
    lazy = apps.make_app()
    use_lazy_sessions(lazy)
    yield asking("plain Flask, Guard's session interface", lazy, plain)


def _guard_cases(secret: str) -> Iterator[Case]:
    mint = TokenMint(secret)
    for name, session_interface in ((HOT, "lazy"), (FLASK_SESSION, "flask")):
        app = apps.make_guarded(secret, session_interface=session_interface)
        environ = mint.request()
        _require_guarded(app, environ, secret=secret)
        yield asking(name, app, environ)
    yield _new_token_case(secret)
    name = "Guard, token seen before, an access line to a handler of the application"
    yield logged(asking(name, apps.make_guarded(secret), mint.request()))
    public = apps.make_guarded(secret, is_public=True)
    yield asking("Guard, public route, no token", public, make_environ(PATH))


def _require_guarded(app: Flask, environ: Environ, *, secret: str) -> None:
    """Stop unless the route asks for the role, the answer has its headers, and the token is remembered."""
    apps.require_refusal(app, secret=secret)
    assert fetch(app.wsgi_app, TokenMint(secret).request(roles=["viewer"]))[0] == 403
    headers = apps.require_document(app, environ)
    wanted = {"x-request-id", "content-security-policy", "x-frame-options", "x-content-type-options"}
    assert wanted <= headers.keys(), headers
    assert headers["cache-control"] == "no-store", headers
    assert is_remembered(verifier_of(app), environ["HTTP_AUTHORIZATION"].removeprefix("Bearer "))


def _new_token_case(secret: str) -> Case:
    app, mint = apps.make_guarded(secret), TokenMint(secret)
    waiting: deque[Environ] = deque()
    verifier = verifier_of(app)
    fill(verifier, (mint.make() for _ in range(DEFAULT_SIZE)))
    for environ in (mint.request() for _ in range(_PROBES)):
        token = environ["HTTP_AUTHORIZATION"].removeprefix("Bearer ")
        assert not is_remembered(verifier, token)
        _require_guarded(app, environ, secret=secret)

    def stock(calls: int) -> None:
        waiting.extend(mint.request() for _ in range(calls))

    def call() -> object:
        return serve(app.wsgi_app, waiting.popleft())  # an empty deque raises: no token is used twice

    return Case(NEW, call, stock)


class LineCounter(logging.Handler):
    """Writes JSON lines to nowhere, and counts them."""

    def __init__(self) -> None:
        super().__init__()
        self.lines = 0
        self._to = open(os.devnull, "w")  # noqa: SIM115  # closed by close()
        self.setFormatter(JsonFormatter("bench", "production"))

    def emit(self, record: logging.LogRecord) -> None:
        self.lines += 1
        self._to.write(self.format(record) + "\n")

    def close(self) -> None:
        self._to.close()
        super().close()


@contextmanager
def access_lines(handler: logging.Handler) -> Iterator[None]:
    logger = logging.getLogger("flask_guard.access")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    try:
        yield
    finally:
        logger.propagate = True
        logger.setLevel(logging.NOTSET)
        logger.removeHandler(handler)
        handler.close()


def _peer_cases(secret: str) -> Iterator[Case]:
    environ = TokenMint(secret).request()
    closing: dict[str, Callable[[str], Flask]] = {
        "Flask-JWT-Extended": apps.make_jwt_extended,
        "Authlib, resource protector (RFC 9068)": apps.make_authlib,
    }
    for name, make in closing.items():
        app = make(secret)
        apps.require_refusal(app, secret=secret)
        yield asking(name, app, environ)
    talisman = apps.make_with(apps.add_talisman)
    assert "content-security-policy" in apps.require_document(talisman, make_environ(PATH))
    yield asking("Flask-Talisman, headers only", talisman, make_environ(PATH))


def _post_cases(secret: str) -> Iterator[Case]:
    token = TokenMint(secret).make()
    environ = make_environ("/documents", method="POST", body=POST_BODY, authorization=f"Bearer {token}")
    for name, app in ((POST_FLOOR, apps.make_app()), (POST, apps.make_guarded(secret))):
        status, _headers, body = fetch(app.wsgi_app, environ, POST_BODY)
        assert (status, b"A document" in body) == (200, True), (status, body)
        yield Case(name, partial(serve, app.wsgi_app, environ, POST_BODY))
