"""CSRF tokens of Flask's session, under each kind of session interface."""

from __future__ import annotations

import io
import secrets
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask, Request, Response, request, session
from flask.sessions import SecureCookieSessionInterface, SessionInterface, SessionMixin
from flask.testing import FlaskClient

from flask_guard.browser.csrf import TokenState
from flask_guard.errors import ConfigError
from flask_guard.pipeline.csrf_session import FORM_FIELD, SESSION_KEY, CsrfTokens
from flask_guard.pipeline.session import LazySessionInterface


class StoredSession(dict[str, Any], SessionMixin):
    """A session of an application's own; as SessionMixin has it, it always counts as modified."""


class StoredSessions(SessionInterface):
    """Sessions kept in the server's memory, under the random text of a cookie."""

    def __init__(self) -> None:
        self.kept: dict[str, StoredSession] = {}
        self.saved: list[dict[str, Any]] = []

    def open_session(self, app: Flask, request: Request) -> SessionMixin:
        return StoredSession(self.kept.get(request.cookies.get("sid", ""), {}))

    def save_session(self, app: Flask, session: SessionMixin, response: Response) -> None:
        sid = request.cookies.get("sid")
        self.saved.append(dict(session))
        if session and sid not in self.kept:
            sid = secrets.token_hex(8)
            response.set_cookie("sid", sid)
        if sid is not None:
            self.kept[sid] = StoredSession(session)


INTERFACES: dict[str, Callable[[], SessionInterface]] = {
    "lazy": LazySessionInterface,
    "flask": SecureCookieSessionInterface,
    "own": StoredSessions,
}


def build(interface: SessionInterface | None = None, **config: Any) -> Flask:
    app = Flask("app")
    app.config.update({"SECRET_KEY": secrets.token_hex(16)} | config)
    app.session_interface = interface or LazySessionInterface()
    tokens = CsrfTokens(app)

    @app.get("/page")
    def page() -> str:
        return tokens.issue()

    @app.post("/login")
    def login() -> str:
        session["user"] = "ada"
        tokens.rotate()
        return tokens.issue()

    @app.post("/logout")
    def logout() -> str:
        session.clear()
        tokens.rotate()
        return ""

    @app.post("/rotate")
    def rotate() -> str:
        tokens.rotate()
        return ""

    @app.post("/put/<kind>")
    def put(kind: str) -> str:
        session[SESSION_KEY] = {"number": 1, "empty": "", "list": ["x"]}[kind]
        return ""

    @app.post("/write")
    def write() -> dict[str, Any]:
        state = tokens.state(request)
        return {"state": state.value, "form": request.form, "files": sorted(request.files)}

    return app


@pytest.fixture(params=INTERFACES.values(), ids=INTERFACES)
def client(request: pytest.FixtureRequest) -> FlaskClient:
    return build(request.param()).test_client()


def state_of(client: FlaskClient, **sent: Any) -> TokenState:
    answer = client.post("/write", **sent)
    assert answer.status_code == 200
    return TokenState(answer.json["state"])  # type: ignore[index]


def by_header(token: str) -> dict[str, str]:
    return {"X-CSRF-Token": token}


def test_a_token_of_the_session_is_valid_in_a_header_and_in_a_form(client: FlaskClient) -> None:
    token = client.get("/page").text

    assert state_of(client, headers=by_header(token)) is TokenState.VALID
    assert state_of(client, data={FORM_FIELD: token}) is TokenState.VALID
    multipart = {FORM_FIELD: token, "file": (io.BytesIO(b"x"), "x.txt")}
    assert state_of(client, data=multipart) is TokenState.VALID


def test_every_page_gets_another_token_and_all_of_them_are_valid(client: FlaskClient) -> None:
    found = [client.get("/page").text for _ in range(3)]

    assert len(set(found)) == 3
    assert {state_of(client, headers=by_header(token)) for token in found} == {TokenState.VALID}


def test_the_seed_is_kept_in_the_session_once(client: FlaskClient) -> None:
    with client:
        client.get("/page")
        first = session[SESSION_KEY]
        again = client.get("/page")

        assert session[SESSION_KEY] == first
        assert len(first) >= 22  # 16 random bytes in base64
        assert first not in again.text
    assert "Set-Cookie" not in again.headers


def test_a_token_of_another_session_is_wrong(client: FlaskClient) -> None:
    other = client.application.test_client()
    client.get("/page")

    assert state_of(client, headers=by_header(other.get("/page").text)) is TokenState.WRONG


def test_without_a_session_every_token_is_wrong(client: FlaskClient) -> None:
    token = client.get("/page").text

    assert state_of(client.application.test_client(), headers=by_header(token)) is TokenState.WRONG


def test_without_a_token_it_is_absent(client: FlaskClient) -> None:
    client.get("/page")

    assert state_of(client) is TokenState.ABSENT
    assert state_of(client, headers=by_header("")) is TokenState.ABSENT
    assert state_of(client, data={FORM_FIELD: ""}) is TokenState.ABSENT
    assert state_of(client, data={"other": "x"}) is TokenState.ABSENT


def test_the_header_goes_before_the_form_unless_it_is_empty(client: FlaskClient) -> None:
    token = client.get("/page").text

    assert state_of(client, headers=by_header("x"), data={FORM_FIELD: token}) is TokenState.WRONG
    assert state_of(client, headers=by_header(token), data={FORM_FIELD: "x"}) is TokenState.VALID
    assert state_of(client, headers=by_header(""), data={FORM_FIELD: token}) is TokenState.VALID


def test_a_token_is_looked_for_nowhere_else(client: FlaskClient) -> None:
    token = client.get("/page").text
    client.set_cookie(FORM_FIELD, token)

    elsewhere: list[dict[str, Any]] = [
        {"query_string": {FORM_FIELD: token}},
        {"json": {FORM_FIELD: token}},
        {"data": f"{FORM_FIELD}={token}", "content_type": "text/plain"},
        {"data": f"{FORM_FIELD}={token}"},
    ]

    assert [state_of(client, **sent) for sent in elsewhere] == [TokenState.ABSENT] * 4


def test_a_body_that_is_no_form_is_not_read_as_one() -> None:
    class EagerRequest(Request):
        form = property(lambda self: pytest.fail("the form was read"))  # type: ignore[assignment]

    app = build()
    environ = app.test_request_context(method="POST", data="x", content_type="text/plain").request.environ

    with app.test_request_context():
        assert CsrfTokens(app).state(EagerRequest(environ)) is TokenState.ABSENT


def test_login_and_logout_make_older_tokens_worthless(client: FlaskClient) -> None:
    before = client.get("/page").text

    after = client.post("/login").text

    assert state_of(client, headers=by_header(before)) is TokenState.WRONG
    assert state_of(client, headers=by_header(after)) is TokenState.VALID
    client.post("/logout")
    assert state_of(client, headers=by_header(after)) is TokenState.WRONG


@pytest.mark.parametrize("interface", [LazySessionInterface, SecureCookieSessionInterface], ids=["lazy", "flask"])
def test_rotating_leaves_no_session_where_there_is_none(interface: Callable[[], SessionInterface]) -> None:
    client = build(interface()).test_client()
    assert "Set-Cookie" not in client.post("/rotate").headers

    client.get("/page")
    client.post("/logout")

    assert client.get_cookie("session") is None


@pytest.mark.parametrize("kind", ["number", "empty", "list"])
def test_a_seed_that_is_none_is_replaced(client: FlaskClient, kind: str) -> None:
    token = client.get("/page").text
    client.post(f"/put/{kind}")

    assert state_of(client, headers=by_header(token)) is TokenState.WRONG
    assert state_of(client, headers=by_header(client.get("/page").text)) is TokenState.VALID


HOSTILE = {
    "short": "x",
    "zeros": "A" * 64,
    "latin-1": "\xe9" * 64,
    "long": "A" * 100_000,
    "two": "A" * 64 + ", " + "A" * 64,
}


@pytest.mark.parametrize("raw", HOSTILE.values(), ids=HOSTILE)
def test_hostile_tokens_are_wrong(client: FlaskClient, raw: str) -> None:
    client.get("/page")

    assert state_of(client, environ_overrides={"HTTP_X_CSRF_TOKEN": raw}) is TokenState.WRONG
    assert state_of(client, data={FORM_FIELD: raw}) is TokenState.WRONG


MALFORMED_FORMS = {
    "no boundary": ("multipart/form-data", b"--x\r\n"),
    "cut off": ("multipart/form-data; boundary=x", b"--x\r\nContent-Disposition: form-data; name=csrf_token\r\n\r\nA"),
    "not UTF-8": ("application/x-www-form-urlencoded", b"\xff\xfe=%zz&&=&csrf_token"),
}


@pytest.mark.parametrize(("content_type", "body"), MALFORMED_FORMS.values(), ids=MALFORMED_FORMS)
def test_a_form_that_cannot_be_read_has_no_token(client: FlaskClient, content_type: str, body: bytes) -> None:
    assert state_of(client, data=body, content_type=content_type) is TokenState.ABSENT


@pytest.mark.parametrize("cookie", ["session=\xff\xfe; sid=\xff", 'session="; sid="', "session=e30.x.y; sid=x"])
def test_hostile_cookies_make_a_token_wrong(client: FlaskClient, cookie: str) -> None:
    token = client.get("/page").text
    bare = client.application.test_client(use_cookies=False)

    assert state_of(bare, headers=by_header(token), environ_overrides={"HTTP_COOKIE": cookie}) is TokenState.WRONG


def test_the_view_finds_the_form_that_was_read(client: FlaskClient) -> None:
    client.get("/page")
    data = {FORM_FIELD: "x", "name": "ada", "file": (io.BytesIO(b"x"), "x.txt")}

    answer = client.post("/write", data=data)

    assert answer.json == {"state": "wrong", "form": {FORM_FIELD: "x", "name": "ada"}, "files": ["file"]}


def test_the_form_of_a_made_up_session_is_not_read(client: FlaskClient) -> None:
    """A cookie of the right name would else have anybody's bodies read before a limit is asked."""
    app = client.application
    cookie = f"{app.session_interface.get_cookie_name(app)}=x"

    answer = client.post("/write", data={FORM_FIELD: "x"}, headers={"Cookie": cookie})

    assert answer.json["state"] == "absent"  # type: ignore[index]


def test_a_form_that_is_too_large_is_told_by_its_own_error() -> None:
    client = build(MAX_CONTENT_LENGTH=100).test_client()
    client.get("/page")

    assert client.post("/write", data={FORM_FIELD: "A" * 200}).status_code == 413


# What looking for a token does to the answer ---------------------------------------------------------------


@pytest.mark.parametrize("interface", [LazySessionInterface, SecureCookieSessionInterface], ids=["lazy", "flask"])
@pytest.mark.parametrize("cookie", [None, "session=garbage", "own"])
@pytest.mark.parametrize("raw", ["garbage", "good", None])
def test_looking_for_a_token_sets_and_clears_no_cookie(
    interface: Callable[[], SessionInterface], cookie: str | None, raw: str | None
) -> None:
    client = build(interface()).test_client()
    token = client.get("/page").text
    sent = by_header(token if raw == "good" else raw) if raw else {}
    if cookie != "own":
        client.delete_cookie("session")
        sent |= {"Cookie": cookie} if cookie else {}

    answer = client.post("/write", headers=sent)

    assert "Set-Cookie" not in answer.headers
    assert ("Vary" in answer.headers) == (raw is not None)


def test_an_own_session_is_saved_as_it_was_opened() -> None:
    interface = StoredSessions()
    client = build(interface).test_client()
    token = client.get("/page").text

    state_of(client, headers=by_header(token))
    state_of(client, headers=by_header("x"))

    assert interface.saved[1] == interface.saved[2] == interface.saved[0]


def test_without_a_token_a_lazy_session_stays_unopened(monkeypatch: pytest.MonkeyPatch) -> None:
    client = build(SESSION_REFRESH_EACH_REQUEST=False).test_client()
    client.get("/page")
    opened = []
    read = SecureCookieSessionInterface.open_session
    monkeypatch.setattr(SecureCookieSessionInterface, "open_session", lambda *args: opened.append(1) or read(*args))

    state_of(client, data=b"{}", content_type="application/json")
    assert opened == []

    state_of(client, headers=by_header("x"))
    assert opened == [1]


# Keys -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("interface", INTERFACES.values(), ids=INTERFACES)
def test_tokens_outlive_a_new_secret_key_while_the_old_one_is_a_fallback(
    interface: Callable[[], SessionInterface],
) -> None:
    app = build(interface())
    client = app.test_client()
    token = client.get("/page").text

    old, app.secret_key = app.config["SECRET_KEY"], secrets.token_hex(16)
    app.config["SECRET_KEY_FALLBACKS"] = [old]
    assert state_of(client, headers=by_header(token)) is TokenState.VALID

    app.config["SECRET_KEY_FALLBACKS"] = None
    assert state_of(client, headers=by_header(token)) is TokenState.WRONG


@pytest.mark.parametrize("interface", INTERFACES.values(), ids=INTERFACES)
@pytest.mark.parametrize("key", [None, "", b""], ids=["None", "empty", "no bytes"])
def test_without_a_secret_key_no_token_is_made_and_none_is_valid(
    interface: Callable[[], SessionInterface], key: Any
) -> None:
    app = build(interface(), SECRET_KEY=key, PROPAGATE_EXCEPTIONS=True)
    client = app.test_client()

    with pytest.raises(ConfigError, match=r"^A CSRF token cannot be made: set SECRET_KEY, which"):
        client.get("/page")
    assert state_of(client, headers=by_header("A" * 64)) is TokenState.WRONG
    assert state_of(client) is TokenState.ABSENT
    assert client.post("/rotate").status_code == 200


def test_a_secret_key_of_bytes_serves_as_well() -> None:
    client = build(SECRET_KEY=secrets.token_bytes(32)).test_client()

    assert state_of(client, headers=by_header(client.get("/page").text)) is TokenState.VALID
