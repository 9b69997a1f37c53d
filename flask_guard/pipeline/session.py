"""Flask's session cookie, opened only by a request that uses the session.

Flask verifies and writes the session around every request, which is a quarter of a plain one. This
interface reads and writes the same cookies with the same keys, and does so when the session is touched.
A permanent session that is refreshed on each request is opened at the end, as Flask would.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from flask import Flask, Request, Response
from flask.sessions import SecureCookieSession, SecureCookieSessionInterface, SessionMixin


class UnopenedSession(SecureCookieSession):
    """A session nobody has looked into. The first use reads it and makes the object Flask's own class.

    Threads that share a request (`copy_current_request_context`) may use it first at the same time.
    """

    def __init__(self, open_now: Callable[[], SessionMixin | None], cookie_header: str) -> None:
        # What Flask's class sets up waits for `open`: it costs more than all else that an unused session does.
        self._opening = threading.Lock(), open_now
        self.cookie_header = cookie_header

    @property
    def accessed(self) -> bool:
        return False

    @accessed.setter
    def accessed(self, value: bool) -> None:
        # Flask notes here that the session was asked for. From then on it may be read by C code, such as that
        # of json, which looks into a dict without its methods.
        UnopenedSession.open(self)
        self.accessed = value

    def open(self) -> None:
        opening = vars(self).get("_opening")
        if opening is None:
            return  # another thread was first
        lock, open_now = opening
        with lock:
            if type(self) is UnopenedSession:
                opened = open_now()
                super().__init__()
                if opened:
                    dict.update(self, opened)
                self.__class__ = SecureCookieSession  # type: ignore[assignment]
                del self._opening, self.cookie_header


def _opening(name: str) -> Callable[..., Any]:
    def method(self: UnopenedSession, *args: Any, **kwargs: Any) -> Any:
        UnopenedSession.open(self)  # not self.open: another thread may have changed the class by now
        return getattr(self, name)(*args, **kwargs)

    return method


# Every way to look into a dict or to change it.
_LOOKS = """
    __getitem__ __setitem__ __delitem__ __contains__ __iter__ __len__ __reversed__ __eq__ __ne__ __or__
    __ror__ __ior__ __repr__ __reduce_ex__ get pop popitem clear update setdefault keys values items copy
"""
for _name in _LOOKS.split():
    setattr(UnopenedSession, _name, _opening(_name))


class LazySessionInterface(SecureCookieSessionInterface):
    """A drop-in for Flask's own interface."""

    def open_session(self, app: Flask, request: Request) -> SecureCookieSession | None:
        if not app.secret_key:
            return None
        read = super().open_session
        return UnopenedSession(lambda: read(app, request), request.environ.get("HTTP_COOKIE", ""))

    def save_session(self, app: Flask, session: SessionMixin, response: Response) -> None:
        if type(session) is UnopenedSession:
            if not self._may_need_refresh(app, session):
                return
            session.open()
        super().save_session(app, session, response)

    def _may_need_refresh(self, app: Flask, session: UnopenedSession) -> bool:
        """Say whether the request brought a cookie that a permanent session would have to renew."""
        if not app.config["SESSION_REFRESH_EACH_REQUEST"]:
            return False
        return self.get_cookie_name(app) in session.cookie_header


def use_lazy_sessions(app: Flask) -> None:
    """Install the interface in place of Flask's default; an application's own stays."""
    installed = app.session_interface
    if type(installed) is SecureCookieSessionInterface:
        lazy = app.session_interface = LazySessionInterface()
        vars(lazy).update(vars(installed))  # a salt or a serializer of its own
