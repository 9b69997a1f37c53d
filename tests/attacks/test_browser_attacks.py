"""What a page of another origin, and whoever knocks without a page, gets past CSRF, CORS, cookies and headers."""

from __future__ import annotations

import io
import logging
import re
import secrets
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest
from flask import Flask, render_template_string, request, session, stream_template_string, stream_with_context
from flask.sessions import SecureCookieSessionInterface
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from werkzeug.datastructures import Headers
from werkzeug.formparser import FormDataParser
from werkzeug.sansio.http import parse_cookie
from werkzeug.test import EnvironBuilder, run_wsgi_app

from flask_guard import ConfigError, Guard
from flask_guard.browser.csrf import CsrfRule, TokenState
from flask_guard.errors import CsrfFailed
from flask_guard.values import Client
from tests.requests.conftest import AppMaker, assert_problem

BASE = "https://notes.test"
APP = "https://app.test"
PARTNER = "https://partner.test"
EVIL = "https://evil.test"
OWN = {"Origin": BASE}
JSON = {"Content-Type": "application/json"}
MADE_UP = {"Cookie": "__Host-session=made-up"}


def _routes(app: Flask, guard: Guard) -> None:
    """Routes that note in app.extensions["ran"] what a request got done."""
    ran: list[str] = app.extensions.setdefault("ran", [])

    @app.get("/stay")
    @guard.public(reason="test")
    def stay() -> str:
        session.permanent = True
        return guard.csrf_token()

    @app.post("/write")
    @guard.public(reason="test")
    def write() -> str:
        ran.append("write")
        return str(len(request.form))

    @app.post("/raw")
    @guard.public(reason="test")
    def raw() -> str:
        return str(len(request.get_data()))

    @app.post("/closed-write")
    def closed_write() -> str:
        ran.append("closed")
        return ""


def _ask(app: Flask, path: str, method: str = "GET", **named: Any) -> Any:
    return app.test_client(use_cookies=False).open(path, method=method, base_url=BASE, **named)


def _preflight(app: Flask, path: str, origin: str, method: str) -> Any:
    asked = {"Origin": origin, "Access-Control-Request-Method": method}
    return _ask(app, path, "OPTIONS", headers=asked)


# Refusals and cookies --------------------------------------------------------------------------------------


def test_a_refusal_of_a_token_does_not_renew_a_permanent_session(make_app: AppMaker) -> None:
    """Looking for the token opens the session; the refusal sets no cookie all the same."""
    app, _guard = make_app(_routes)
    client = app.test_client()
    client.get("/stay", base_url=BASE)

    answer = client.post("/write", base_url=BASE, headers=OWN, data={"csrf_token": "x" * 64})

    assert_problem(answer, 403, "csrf_token_mismatch")
    assert "Set-Cookie" not in answer.headers


def test_a_refusal_after_a_look_into_the_session_does_not_renew_it(make_app: AppMaker) -> None:
    """As an application does that makes a principal of its session."""

    def setup(app: Flask, guard: Guard) -> None:
        _routes(app, guard)
        guard.register("authenticate", lambda _context: session.get("user") and None)

    app, _guard = make_app(setup)
    client = app.test_client()
    client.get("/stay", base_url=BASE)

    answer = client.get("/closed", base_url=BASE)

    assert_problem(answer, 401, "unauthorized")
    assert "Set-Cookie" not in answer.headers


# What reading the form costs -------------------------------------------------------------------------------


def test_a_session_without_a_token_has_no_form_read_for_it(make_app: AppMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    """No token can fit a made-up cookie; reading 32 MB of a stranger's form first, past every limit, is for nothing."""
    app, _guard = make_app(_routes, rate_limit_anonymous="2/minute")
    read: list[str] = []
    parse = FormDataParser.parse

    def look(self: FormDataParser, stream: Any, mimetype: str, *rest: Any, **named: Any) -> Any:
        read.append(mimetype)
        return parse(self, stream, mimetype, *rest, **named)

    monkeypatch.setattr(FormDataParser, "parse", look)
    answers = [_ask(app, "/closed-write", "POST", headers={**OWN, **MADE_UP}, data={"a": "1"}) for _ in range(4)]

    assert [answer.status_code for answer in answers] == [403, 403, 429, 429]
    assert read == []


@pytest.mark.parametrize("with_session", [False, True], ids=["without a session", "with a session"])
def test_report_only_leaves_the_body_to_the_view(make_app: AppMaker, with_session: bool) -> None:
    """While nothing is enforced, nothing of a request may change: the view gets the bytes that were sent."""
    app, _guard = make_app(_routes, default_access="report-only")
    client = app.test_client()
    if with_session:
        client.get("/stay", base_url=BASE)

    answer = client.post("/raw", base_url=BASE, headers=OWN, data={"name": "ada"})

    assert answer.text == str(len("name=ada"))


@pytest.mark.parametrize("with_session", [False, True], ids=["without a session", "with a session"])
def test_report_only_shows_no_view_an_empty_form_in_the_place_of_a_large_one(
    make_app: AppMaker, with_session: bool
) -> None:
    def setup(app: Flask, guard: Guard) -> None:
        app.config["MAX_FORM_MEMORY_SIZE"] = 1000
        _routes(app, guard)

    app, _guard = make_app(setup, default_access="report-only")
    client = app.test_client()
    if with_session:
        client.get("/stay", base_url=BASE)
    form = {"large": "x" * 5000, "file": (io.BytesIO(b"x"), "a.txt")}

    answer = client.post("/write", base_url=BASE, headers=OWN, data=form)

    assert answer.status_code == 413


# CORS ------------------------------------------------------------------------------------------------------


def _one_path_two_views(app: Flask, guard: Guard) -> None:
    """The usual way to write a resource: one view reads, another one writes, at the same address."""

    @app.get("/orders")
    @guard.public(reason="test")
    def orders() -> str:
        return ""

    @app.post("/orders")
    @guard.public(reason="test")
    @guard.cors(PARTNER, allow_methods=["POST"])
    def order() -> str:
        return ""

    @app.delete("/orders")
    @guard.public(reason="test")
    @guard.cors()
    def cancel() -> str:
        return ""


@pytest.mark.parametrize(
    ("origin", "method", "status"),
    [(PARTNER, "POST", 204), (APP, "POST", 403), (APP, "GET", 204), (PARTNER, "GET", 403), (APP, "DELETE", 403)],
    ids=["listed there", "not listed there", "listed for all", "not listed for all", "nobody"],
)
def test_a_preflight_is_judged_by_the_view_that_would_serve_the_request(
    make_app: AppMaker, origin: str, method: str, status: int
) -> None:
    """Flask answers OPTIONS of a path from the first of its views, which may have other rules than the second."""
    app, _guard = make_app(_one_path_two_views, cors_origins=APP)

    assert _preflight(app, "/orders", origin, method).status_code == status


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/nowhere", 404), ("DELETE", "/stay", 405), ("POST", "/closed", 405)],
    ids=["nowhere", "not this method", "not there either"],
)
def test_only_options_is_a_preflight(make_app: AppMaker, method: str, path: str, status: int) -> None:
    app, _guard = make_app(_routes, cors_origins=APP)

    answer = _ask(app, path, method, headers={"Origin": APP, "Access-Control-Request-Method": "GET"})

    assert answer.status_code == status


def test_looking_for_routes_is_limited_whatever_headers_come_along(make_app: AppMaker) -> None:
    """An address that leads nowhere counts; taken for a preflight it would be free."""
    app, _guard = make_app(_routes, cors_origins=APP, rate_limit_anonymous="5/minute")
    headers = {"Origin": APP, "Access-Control-Request-Method": "GET"}

    statuses = [_ask(app, f"/guess-{number}", headers=headers).status_code for number in range(8)]

    assert statuses == [404] * 5 + [429] * 3


@pytest.mark.parametrize("origin", ["https://*.com", "http://*.org:8080", "https://*.com."])
def test_a_wildcard_over_a_top_level_domain_is_refused_with_credentials(make_app: AppMaker, origin: str) -> None:
    """It is `*` for most of the web, which is refused with credentials."""
    with pytest.raises(ConfigError, match="GUARD_CORS_ORIGINS"):
        make_app(cors_origins=origin, cors_credentials=True)


# Secrets of sessions and tokens ----------------------------------------------------------------------------


def _starts_with(make_app: AppMaker, caplog: pytest.LogCaptureFixture, **config: Any) -> str:
    """Return all that a start says, by refusing or in the log."""
    with caplog.at_level(logging.WARNING, "flask_guard"):
        try:
            make_app(lambda app, _guard: app.config.update(config))
        except ConfigError as exc:
            return str(exc)
    return caplog.text


def test_a_guessable_secret_of_sessions_is_not_passed_over(
    make_app: AppMaker, caplog: pytest.LogCaptureFixture
) -> None:
    """With it anybody signs a session and the CSRF tokens that belong to it."""
    assert "SECRET_KEY" in _starts_with(make_app, caplog, SECRET_KEY="dev").replace("GUARD_JWT_SECRET_KEY", "")


def test_a_text_in_the_place_of_the_list_of_older_secrets_is_not_passed_over(
    make_app: AppMaker, caplog: pytest.LogCaptureFixture
) -> None:
    """Flask takes each of its letters for a key, so a session signed with one letter is good."""
    older = secrets.token_hex(32)

    assert "SECRET_KEY_FALLBACKS" in _starts_with(make_app, caplog, SECRET_KEY_FALLBACKS=older)


def test_a_session_that_is_signed_with_one_letter_is_nobodys(make_app: AppMaker) -> None:
    older = secrets.token_hex(32)

    def setup(app: Flask, guard: Guard) -> None:
        app.config["SECRET_KEY_FALLBACKS"] = older

        @app.get("/user")
        @guard.public(reason="test")
        def user() -> str:
            return str(session.get("user"))

    forger = Flask("forger")
    forger.secret_key = older[0]
    serializer = SecureCookieSessionInterface().get_signing_serializer(forger)
    assert serializer is not None
    forged = {"Cookie": f"__Host-session={serializer.dumps({'user': 'admin'})}"}
    try:
        app, _guard = make_app(setup)
    except ConfigError:
        return  # better still

    assert _ask(app, "/user", headers=forged).text == "None"


# Headers ---------------------------------------------------------------------------------------------------

_SCRIPT = '<script nonce="{{ csp_nonce() }}"></script>'


def _late_pages() -> Iterator[str]:
    yield "<!doctype html>"
    yield render_template_string(_SCRIPT)


@pytest.mark.parametrize(
    "render",
    [lambda: stream_template_string(_SCRIPT), lambda: stream_with_context(_late_pages())],
    ids=["stream_template", "stream_with_context"],
)
def test_a_page_has_no_nonce_that_its_policy_does_not_name(make_app: AppMaker, render: Callable[[], Any]) -> None:
    """A nonce that is asked for after the headers are gone is an error: no browser would run the script."""

    def setup(app: Flask, guard: Guard) -> None:
        app.add_url_rule("/page", "page", guard.public(reason="test")(lambda: render()))

    app, _guard = make_app(setup)

    try:
        answer = _ask(app, "/page")
        page = answer.text
    except RuntimeError:
        return  # told at once, and nobody gets the page
    for nonce in re.findall(r'nonce="([^"]*)"', page):
        assert f"'nonce-{nonce}'" in answer.headers["Content-Security-Policy"]


def test_the_access_line_of_an_answer_that_middleware_hands_on_piece_by_piece_has_its_status(
    make_app: AppMaker, caplog: pytest.LogCaptureFixture
) -> None:
    """Such middleware calls the application when the first piece is asked for, after the edge has returned."""

    def setup(app: Flask, _guard: Guard) -> None:
        inner = app.wsgi_app

        def by_pieces(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
            yield from inner(environ, start_response)

        app.wsgi_app = by_pieces  # type: ignore[method-assign]

    app, _guard = make_app(setup)

    with caplog.at_level(logging.INFO, "flask_guard.access"):
        answer = _ask(app, "/closed")

    assert answer.status_code == 401
    lines = [getattr(record, "guard", {}) for record in caplog.records if record.name == "flask_guard.access"]
    assert [line["status"] for line in lines] == [401]


# What held -------------------------------------------------------------------------------------------------

_latin = st.text(st.characters(max_codepoint=255, exclude_characters="\r\n\0"), max_size=40)
_origin = st.one_of(
    _latin, st.tuples(_latin.map(lambda text: text[:2]), st.sampled_from([EVIL, APP, "null"]), _latin).map("".join)
)


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_header_of_a_browser_ends_in_a_500_or_in_an_answer_without_headers(
    make_app: AppMaker, data: st.DataObject
) -> None:
    """Origins, cookies, types and preflights of any characters, and a foreign origin never writes."""
    app = _FUZZED.get("app") or _FUZZED.setdefault("app", make_app(_routes, **_FUZZED_OPTIONS)[0])
    names = ("ORIGIN", "REFERER", "COOKIE", "ACCESS_CONTROL_REQUEST_METHOD", "ACCESS_CONTROL_REQUEST_HEADERS", "HOST")
    environ = EnvironBuilder(
        "/write", BASE, method=data.draw(st.sampled_from(["POST", "OPTIONS", "PUT"]))
    ).get_environ()
    sent = data.draw(st.dictionaries(st.sampled_from(names), _origin))
    environ |= {f"HTTP_{name}": value for name, value in sent.items()}
    environ["CONTENT_TYPE"] = data.draw(_latin)
    app.extensions["ran"].clear()

    _body, status, headers = run_wsgi_app(app.wsgi_app, environ)

    assert int(status[:3]) < 500
    assert Headers(headers)["X-Content-Type-Options"] == "nosniff"
    if app.extensions["ran"] and "ORIGIN" in sent:
        assert "evil" not in sent["ORIGIN"]


_FUZZED: dict[str, Flask] = {}
_FUZZED_OPTIONS = {"cors_origins": APP, "cors_credentials": True, "rate_limit_anonymous": "off"}


@given(st.text(st.sampled_from('sid_ \t;=",\\\x0b\xa0x'), max_size=30).map(lambda text: text.replace("_", "sid")))
def test_a_session_cookie_that_flask_would_find_is_judged(cookie: str) -> None:
    """However its name is spaced, quoted or repeated."""
    rule = CsrfRule(scope="ambient", trusted_origins=(), cookie_names=("sid",), credential_keys=())
    client = Client("10.0.0.1", "10.0.0.1", "https", "notes.test")

    if "sid" in parse_cookie(cookie):
        with pytest.raises(CsrfFailed):
            rule.judge({"HTTP_COOKIE": cookie}, client, token=lambda: TokenState.VALID)
