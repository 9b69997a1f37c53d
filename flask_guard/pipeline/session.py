"""Flask's session cookie, opened only by a request that uses the session.

Flask verifies and writes the session around every request, which is a quarter of a plain one. This
interface reads and writes the same cookies with the same keys, and does so when the session is touched.
A permanent session that is refreshed on each request is opened at the end, as Flask would.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import Flask, Request, Response
from flask.sessions import SecureCookieSession, SecureCookieSessionInterface, SessionMixin


class UnopenedSession(SecureCookieSession):
    """A session nobody has looked into. The first use reads it and makes the object Flask's own class."""

    def __init__(self, open_now: Callable[[], SessionMixin | None], cookie_header: str) -> None:
        super().__init__()
        self._open_now = open_now
        self.cookie_header = cookie_header

    def open(self) -> None:
        opened = self._open_now()
        del self._open_now, self.cookie_header
        self.__class__ = SecureCookieSession  # type: ignore[assignment]
        if opened:
            dict.update(self, opened)


def _opening(name: str) -> Callable[..., Any]:
    def method(self: UnopenedSession, *args: Any, **kwargs: Any) -> Any:
        self.open()
        return getattr(self, name)(*args, **kwargs)

    return method


# Every way to look into a dict or to change it.
_LOOKS = """
    __getitem__ __setitem__ __delitem__ __contains__ __iter__ __len__ __reversed__ __eq__ __ne__ __or__
    __ror__ __ior__ __repr__ get pop popitem clear update setdefault keys values items copy
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
        if type(session) is UnopenedSession and not session.accessed:
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
    if type(app.session_interface) is SecureCookieSessionInterface:
        app.session_interface = LazySessionInterface()
