"""What a request costs with everything on, next to the extensions that each do a part of it.

Everything is: a bearer token that was seen before, a role, the headers with HSTS, CORS for a listed origin, CSRF,
limits with their headers, and a line in the access log. "Assembled core" is five extensions that do the same.
Rule: what is said to be on is seen to refuse, to count or to be sent before the clock runs.
"""

from __future__ import annotations

import json
import logging
import os
import secrets
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import cache, partial

from flask import Flask

from flask_guard.config.sections import LogSettings
from flask_guard.logs.format import LOGGER_NAME, configure_logging
from tests.services.valkey_server import ValkeyServer, ValkeyUnavailable

from . import apps
from .apps import HIGH_RATE, LISTED_ORIGIN, OWN_ORIGIN, PATH, POST_BODY, TokenMint
from .measure import Case, Spread, Timing, measure, scaled
from .report import Comparison, Report, Target, show
from .requests import asking, logged
from .wsgi import Environ, fetch, make_environ, serve

TITLE = "Edge"
ROUNDS = 61
FLOOR = "plain Flask"
GUARD = "Guard, everything on"
FLASK_SESSION = "Guard, everything on, Flask's session interface"
OTHER_HANDLER = "Guard, everything on, a handler of the application"
NO_LINE = "Guard, all but the access line"
NO_LIMITS = "Guard, all but the access line and limits"
CORS = "Flask-CORS"
LIMITER = "Flask-Limiter, with headers"
CORE = "assembled core"
# 1.00 is the stretch: a request that is guarded takes no longer than one that is not.
TARGETS = {GUARD: Target(1.15), FLASK_SESSION: Target(1.40)}
COMPARISONS = (Comparison(GUARD, CORS, Target(1.0)), Comparison(CORE, GUARD, Target(5, "at least")))
# What limits add to a request, as a share of what Flask-Limiter adds.
MEMORY_SHARE, REDIS_SHARE = Target(1 / 15), Target(0.4)

POST_FLOOR = "plain Flask, POST"
POST = "Guard, POST, everything on"
POST_TARGETS = {POST: Target(1.20)}

REDIS_VARIABLE = "FLASK_GUARD_TEST_REDIS_URL"
REDIS_LIMITER = "Flask-Limiter on the server, one limit"
REDIS_GUARD = "Guard, one limit on the server"
TWO_RATES = f"{HIGH_RATE}; 60000000000/hour"

_STDERR = 2  # file descriptor
_NOWHERE = os.open(os.devnull, os.O_WRONLY)
COOKIES = "csrf=abcdef0123456789; theme=dark"
_SENT = {
    "x-request-id", "content-security-policy", "strict-transport-security", "x-frame-options", "vary",
    "access-control-allow-credentials", "ratelimit", "ratelimit-policy", "cache-control",
}  # fmt: skip


def run(report: Report, *, scale: float) -> None:
    """Print the tables of requests with everything on."""
    secret, rounds = secrets.token_hex(32), scaled(ROUNDS, scale)
    report.heading("Edge: GET with everything on")
    cases = [*_plain_cases(secret), *_guard_cases(secret), *_peer_cases(secret), _core_case(secret)]
    timing = measure(cases, rounds=rounds)
    report.timing(TITLE, timing, floor=FLOOR, targets=TARGETS, comparisons=COMPARISONS)
    _compare_limits(report, timing, (NO_LINE, NO_LIMITS), (LIMITER, FLOOR), MEMORY_SHARE)
    report.heading("Edge: POST of a JSON object with everything on")
    report.timing(TITLE, measure(_post_cases(secret), rounds=rounds), floor=POST_FLOOR, targets=POST_TARGETS)
    _run_redis(report, secret, rounds=rounds)


def access_logged(case: Case) -> Case:
    """Return the case with a line for each request, as JSON and to standard error, which leads nowhere.

    It is what a program gets that sets GUARD_LOG_LEVEL=info in production and has no handlers of its own.
    """
    handler = _make_handler()
    with tempfile.TemporaryFile("w+") as file:
        with _lines_to(handler, file.fileno()):
            case.call()
        file.seek(0)
        [line] = file.read().splitlines()
        assert json.loads(line)["event"] == "request", line
    return replace(case, scene=lambda: _lines_to(handler, _NOWHERE))


@cache  # a program has one
def _make_handler() -> logging.Handler:
    with _handled_by():
        configure_logging(LogSettings(format="json", level="info", metrics=False), "bench", "production")
        [handler] = logging.getLogger(LOGGER_NAME).handlers
    return handler


@contextmanager
def _lines_to(handler: logging.Handler, file: int) -> Iterator[None]:
    """Have the handler write our records, and standard error lead elsewhere."""
    kept = os.dup(_STDERR)
    os.dup2(file, _STDERR)
    try:
        with _handled_by(handler):
            yield
        handler.flush()
    finally:
        os.dup2(kept, _STDERR)
        os.close(kept)


@contextmanager
def _handled_by(*handlers: logging.Handler) -> Iterator[None]:
    """Give our logger these handlers, and take them away with the level."""
    logger = logging.getLogger(LOGGER_NAME)
    kept, level = logger.handlers[:], logger.level
    logger.handlers[:] = handlers
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.handlers[:] = kept
        logger.setLevel(level)


def page_request(secret: str) -> Environ:
    """Return a request for the document, as a page of a listed origin has a browser send it."""
    return TokenMint(secret).request() | {"HTTP_ORIGIN": LISTED_ORIGIN, "HTTP_COOKIE": COOKIES}


def require_everything(app: Flask, environ: Environ, *, secret: str) -> None:
    """Stop unless everything is on in an application under Guard."""
    apps.require_refusal(app, secret=secret)
    assert fetch(app.wsgi_app, TokenMint(secret).request(roles=["viewer"]))[0] == 403
    headers = apps.require_document(app, environ)
    assert headers.keys() >= _SENT, headers
    apps.require_listed_origin(app, environ)
    apps.require_counting(app, environ)
    apps.require_own_pages(app, _post_request(secret, app))


def _plain_cases(secret: str) -> Iterator[Case]:
    yield asking(FLOOR, apps.make_app(), make_environ(PATH))
    yield asking("plain Flask, same request headers", apps.make_app(), page_request(secret))


def _guard_cases(secret: str) -> Iterator[Case]:
    page = page_request(secret)
    for name, options in (
        (GUARD, {}),
        (FLASK_SESSION, {"session_interface": "flask"}),
        ("Guard, everything on, and a global limit", {"rate_limit_global": HIGH_RATE}),
    ):
        app = apps.make_guarded_edge(secret, **options)
        require_everything(app, page, secret=secret)
        yield access_logged(asking(name, app, page))
    yield logged(asking(OTHER_HANDLER, apps.make_guarded_edge(secret), page))
    proxied = apps.make_guarded_edge(secret, trusted_proxies=page["REMOTE_ADDR"])
    forwarded = {"HTTP_X_FORWARDED_FOR": "203.0.113.7", "HTTP_X_FORWARDED_PROTO": "https", "wsgi.url_scheme": "http"}
    require_everything(proxied, page | forwarded, secret=secret)
    yield access_logged(asking("Guard, everything on, behind a trusted proxy", proxied, page | forwarded))
    yield asking(NO_LINE, apps.make_guarded_edge(secret), page)
    yield asking(NO_LIMITS, apps.make_guarded_edge(secret, rate_limit_authenticated="off"), page)
    without_origin = {name: value for name, value in page.items() if name != "HTTP_ORIGIN"}
    without_cors = apps.make_guarded_edge(secret, cors_origins="", cors_credentials=False)
    yield asking("Guard, all but the access line and CORS, no Origin sent", without_cors, without_origin)


def _peer_cases(secret: str) -> Iterator[Case]:
    plain = make_environ(PATH)
    cors, page = apps.make_with(apps.add_cors), plain | {"HTTP_ORIGIN": LISTED_ORIGIN}
    apps.require_listed_origin(cors, page)
    yield asking(CORS, cors, page)

    yield asking("Flask-Limiter", apps.make_with(partial(apps.add_limiter, sends_headers=False)), plain)
    limiter = apps.make_with(apps.add_limiter)
    apps.require_counting(limiter, plain)
    yield asking(LIMITER, limiter, plain)

    seasurf = apps.make_with(apps.add_seasurf)
    token = apps.visit(seasurf, plain, origin=OWN_ORIGIN)
    apps.require_own_pages(seasurf, make_environ("/documents", method="POST", body=POST_BODY) | token)
    yield asking("Flask-SeaSurf", seasurf, plain | token)

    talisman = apps.make_with(apps.add_talisman)
    assert "strict-transport-security" in apps.require_document(talisman, plain)
    yield asking("Flask-Talisman", talisman, plain)

    tokens = apps.make_jwt_extended(secret)
    apps.require_refusal(tokens, secret=secret)
    yield asking("Flask-JWT-Extended", tokens, TokenMint(secret).request())


def _core_case(secret: str) -> Case:
    app, page = apps.make_assembled(secret), page_request(secret)
    page |= apps.visit(app, page, origin=LISTED_ORIGIN)
    apps.require_refusal(app, secret=secret)
    assert apps.require_document(app, page).keys() >= {"content-security-policy", "strict-transport-security"}
    apps.require_listed_origin(app, page)
    apps.require_counting(app, page)
    token = apps.visit(app, page_request(secret), origin=OWN_ORIGIN)
    apps.require_own_pages(app, _post_request(secret, app) | token)
    return asking(CORE, app, page)


def _post_request(secret: str, app: Flask) -> Environ:
    """Return a POST of a page of our own that brings a token and a session."""
    cookies = f"{COOKIES}; {apps.make_session_cookie(app)}"
    headers = {"authorization": f"Bearer {TokenMint(secret).make()}", "origin": OWN_ORIGIN, "cookie": cookies}
    return make_environ("/documents", method="POST", body=POST_BODY, **headers)


def _post_cases(secret: str) -> Iterator[Case]:
    plain, guarded, core = apps.make_app(), apps.make_guarded_edge(secret), apps.make_assembled(secret)
    yield _posting(POST_FLOOR, plain, make_environ("/documents", method="POST", body=POST_BODY))
    yield _posting("plain Flask, POST, same request headers", plain, _post_request(secret, plain))
    by_page = _post_request(secret, guarded)
    yield access_logged(_posting(POST, guarded, by_page))
    yield _posting("Guard, POST, all but the access line", guarded, by_page)
    token = apps.visit(core, TokenMint(secret).request(), origin=OWN_ORIGIN)
    yield _posting("assembled core, POST", core, _post_request(secret, core) | token)


def _posting(name: str, app: Flask, environ: Environ) -> Case:
    status, _headers, body = fetch(app.wsgi_app, environ, POST_BODY)
    assert (status, b"A document" in body) == (200, True), (status, body)
    return Case(name, partial(serve, app.wsgi_app, environ, POST_BODY))


# Limits ------------------------------------------------------------------------------------------------


def _compare_limits(
    report: Report, timing: Timing, ours: tuple[str, str], theirs: tuple[str, str], target: Target
) -> None:
    """Print what limits add to a request, as a share of what they add with Flask-Limiter; (with, without) each."""
    columns = zip(*(timing.rounds[name] for name in (*ours, *theirs)), strict=True)
    share = Spread.of([(a - b) / (c - d) for a, b, c, d in columns])
    verdict = report.judge(f"{TITLE}, {ours[0]}, what limits add", share.median, target)
    row = (f"{timing.added_us(*ours):+.2f}", f"{timing.added_us(*theirs):+.2f}", show(share, 3), *verdict)
    report.table(("us that limits add", "with Flask-Limiter", "share (quartiles)", "target", "verdict"), [row])


def _run_redis(report: Report, secret: str, *, rounds: int) -> None:
    report.heading("Edge: limits counted on a Valkey or Redis server, wall time, no access line")
    with ExitStack() as stack:
        try:
            url = os.environ.get(REDIS_VARIABLE) or stack.enter_context(ValkeyServer()).url
        except ValkeyUnavailable as exc:
            report.note(f"Not measured: {exc}; or set {REDIS_VARIABLE}.")
            return
        timing = measure(_redis_cases(secret, url), rounds=rounds, clock_ns=time.perf_counter_ns)
    report.timing(f"{TITLE}, limits on a server", timing, floor=FLOOR, targets={})
    _compare_limits(report, timing, (REDIS_GUARD, NO_LIMITS), (REDIS_LIMITER, FLOOR), REDIS_SHARE)


def _redis_cases(secret: str, url: str) -> Iterator[Case]:
    plain, page = make_environ(PATH), page_request(secret)
    yield asking(FLOOR, apps.make_app(), plain)
    yield asking(NO_LIMITS, apps.make_guarded_edge(secret, rate_limit_authenticated="off"), page)
    for name, rate in ((REDIS_GUARD, HIGH_RATE), ("Guard, two limits on the server", TWO_RATES)):
        app = apps.make_guarded_edge(secret, rate_limit_authenticated=rate, rate_limit_storage_uri=url)
        apps.require_counting(app, page)
        yield asking(name, app, page)
    for name, rate in ((REDIS_LIMITER, HIGH_RATE), ("Flask-Limiter on the server, two limits", TWO_RATES)):
        limiter = apps.make_with(partial(apps.add_limiter, rate=rate, storage_uri=url))
        apps.require_counting(limiter, plain)
        yield asking(name, limiter, plain)
    core = apps.make_assembled(secret, storage_uri=url)
    page |= apps.visit(core, page, origin=LISTED_ORIGIN)
    apps.require_counting(core, page)
    yield asking("assembled core on the server, one limit", core, page)
