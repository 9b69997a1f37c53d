"""The lazy session against Flask's own: what an application can tell apart is a defect."""

from __future__ import annotations

import copy
import json
import re
import secrets
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import (
    Flask,
    abort,
    after_this_request,
    copy_current_request_context,
    flash,
    get_flashed_messages,
    render_template_string,
    session,
    stream_with_context,
)
from flask.sessions import SecureCookieSession, SecureCookieSessionInterface

from flask_guard import Guard
from flask_guard.browser.cookies import harden_session_cookie

SECRET = secrets.token_hex(32)


def _real() -> Any:
    return session._get_current_object()  # type: ignore[attr-defined]


def _after(change: Callable[[], None]) -> str:
    @after_this_request
    def late(response: Any) -> Any:
        change()
        return response

    return "later"


def _does(action: Callable[[], None]) -> Callable[[], str]:
    def view() -> str:
        action()
        return ""

    return view


def _make_permanent() -> None:
    session.permanent = True
    session["a"] = 1


def _mark_modified() -> None:
    session.modified = True


def _in_thread() -> str:
    seen = []
    thread = threading.Thread(target=copy_current_request_context(lambda: seen.append(session.get("a"))))
    thread.start()
    thread.join()
    return str(seen)


def _streamed() -> Any:
    def generate() -> Iterator[str]:
        yield str(session.get("a"))
        session["too late"] = 1

    return stream_with_context(generate())


WAYS: dict[str, Callable[[], Any]] = {
    "set": _does(lambda: session.update(a=1)),
    "permanent": _does(_make_permanent),
    "is-permanent": lambda: str(session.permanent),
    "facts": lambda: str((session.new, session.modified, session.accessed)),
    "modified": _does(_mark_modified),
    "untouched": lambda: "",
    "only-the-object": lambda: _real() and "",
    "clear": _does(lambda: session.clear()),
    "pop": lambda: str(session.pop("a", None)),
    "bool": lambda: str(bool(session)),
    "dict": lambda: dict(_real()),
    "stars": lambda: {**_real()},
    "dict-update": lambda: {} | _real(),
    "json": lambda: json.dumps(_real()),
    "copy": lambda: dict(copy.copy(_real()), z=1),
    "deepcopy": lambda: dict(copy.deepcopy(_real())),
    "fromkeys": lambda: dict(type(_real()).fromkeys(["k"])),
    "equal": lambda: str(_real() == {"a": 1}),
    "repr": lambda: repr(_real()),
    "type": lambda: str(isinstance(_real(), SecureCookieSession)),
    "nested": lambda: str(session.setdefault("l", []).append(1)),
    "flash": _does(lambda: flash("hello")),
    "flashed": lambda: str(get_flashed_messages()),
    "template": lambda: render_template_string("{{ session.a }}{{ get_flashed_messages() }}"),
    "plain-template": lambda: render_template_string("hello"),
    "after-read": lambda: _after(lambda: session.get("a")),
    "after-set": lambda: _after(lambda: session.update(late=1)),
    "thread": _in_thread,
    "stream": _streamed,
    "error": lambda: str({"known": 1}["missing"]),
    "abort": lambda: abort(418),
}
CONFIGS: dict[str, dict[str, Any]] = {
    "default": {},
    "no-refresh": {"SESSION_REFRESH_EACH_REQUEST": False},
    "other-name": {"SESSION_COOKIE_NAME": "other"},
    "expired": {"PERMANENT_SESSION_LIFETIME": -1},
}


def _make(folder: Path, *, is_lazy: bool, **config: Any) -> tuple[Flask, list[Any]]:
    app = Flask("session", instance_path=str(folder))
    app.config.update(SECRET_KEY=SECRET, **config)
    torn_down: list[Any] = []
    for name, view in WAYS.items():
        app.add_url_rule(f"/{name}", name, view)

    @app.errorhandler(KeyError)
    def on_error(_error: KeyError) -> Any:
        session["failed"] = True
        return "error", 500

    @app.errorhandler(418)
    def on_abort(_error: Exception) -> Any:
        return str(session.get("a")), 418

    @app.teardown_request
    def on_teardown(_error: BaseException | None) -> None:
        torn_down.append(session.get("a"))

    if is_lazy:
        Guard(app, jwt_secret_key=secrets.token_urlsafe(48), default_access="public")
    return app, torn_down


def _cookie_of(app: Flask, path: str | None) -> str:
    if path is None:
        return ""
    if not path.startswith("/"):
        return path.format(name=app.config["SESSION_COOKIE_NAME"])
    return app.test_client().get(path).headers["Set-Cookie"].partition(";")[0]


def _visit(app: Flask, torn_down: list[Any], way: str, cookie: str) -> tuple[Any, ...]:
    torn_down.clear()
    headers = {"Cookie": cookie} if cookie else {}
    answer = app.test_client(use_cookies=False).get(f"/{way}", headers=headers)
    # Time stamps and signatures differ from one second to the next.
    cookies = [re.sub(r"(=[^.;]*)\.[^;]*|Expires=[^;]*", r"\1", c) for c in answer.headers.getlist("Set-Cookie")]
    return answer.status_code, answer.get_data(), cookies, answer.headers.get("Vary"), list(torn_down)


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
@pytest.mark.parametrize(
    "brought",
    [None, "/set", "/permanent", "/flash", "{name}=eyJhIjoxfQ.forged.forged", "{name}=", "x; ={name}; {name}"],
    ids=["none", "set", "permanent", "flash", "forged", "empty", "garbage"],
)
def test_nobody_can_tell_it_from_flasks_own(tmp_path: Path, config: dict[str, Any], brought: str | None) -> None:
    own, own_torn_down = _make(tmp_path, is_lazy=False, **config)
    own.config.update(harden_session_cookie(own.config, env="production", require_https=False).changes)
    lazy, lazy_torn_down = _make(tmp_path, is_lazy=True, **config)
    cookie = _cookie_of(own, brought)

    for way in WAYS:
        assert _visit(lazy, lazy_torn_down, way, cookie) == _visit(own, own_torn_down, way, cookie), way


def test_threads_of_one_request_may_use_it_first_at_the_same_time(tmp_path: Path) -> None:
    app, _ = _make(tmp_path, is_lazy=True)
    cookie = _cookie_of(app, "/set")
    seen: list[Any] = []

    def look(barrier: threading.Barrier) -> None:
        barrier.wait()
        try:
            seen.append(session.get("a"))
        except Exception as exc:
            seen.append(exc)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for _ in range(100):
            with app.test_request_context("/untouched", headers={"Cookie": cookie}):
                barrier = threading.Barrier(6)
                threads = [
                    threading.Thread(target=copy_current_request_context(look), args=[barrier]) for _ in range(6)
                ]
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join()
    finally:
        sys.setswitchinterval(interval)

    assert seen == [1] * 600


def test_a_salt_of_the_applications_own_stays(tmp_path: Path) -> None:
    """Without it, every cookie that the application has handed out would be void, and new ones foreign."""
    app = Flask("salted", instance_path=str(tmp_path))
    app.secret_key = SECRET
    interface = app.session_interface = SecureCookieSessionInterface()
    interface.salt = "of our own"
    own = interface.get_signing_serializer(app)

    Guard(app, jwt_secret_key=secrets.token_urlsafe(48))
    lazy = app.session_interface.get_signing_serializer(app)

    assert app.session_interface is not interface
    assert lazy.loads(own.dumps({"a": 1})) == {"a": 1}  # type: ignore[union-attr]
