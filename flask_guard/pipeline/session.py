"""Flask's session cookie, opened only by a request that uses the session.

Flask verifies and writes the session around every request, which is a quarter of a plain one. This
interface reads and writes the same cookies with the same keys, and does so when the session is touched.
A permanent session that is refreshed on each request is opened at the end, as Flask would, unless the request
was refused: a refusal sets no cookie.
"""

from __future__ import annotations

import re
import threading
from base64 import urlsafe_b64encode
from collections.abc import Callable
from typing import Any, Final

from flask import Flask, Request, Response
from flask.sessions import SecureCookieSession, SecureCookieSessionInterface, SessionMixin

from .context import find_request_context

# What Flask's cookie begins with unless it is compressed: base64url of JSON, and a dot.
_PAYLOAD: Final = re.compile(r"([A-Za-z0-9_-]+)\.")


def _encode_at(offset: int, text: bytes) -> str:
    """Return what base64url makes of a text wherever so many bytes stand before it, without what these change."""
    encoded = urlsafe_b64encode(b"?" * offset + text).rstrip(b"=").decode()
    return encoded[offset + 1 if offset else 0 : (offset + len(text)) * 8 // 6]


# The member of a permanent session, as it stands in base64url after a multiple of three bytes, one more, or two more.
_PERMANENT: Final = tuple(_encode_at(offset, b'"_permanent"') for offset in range(3))


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
            if not self._may_need_refresh(app, session) or _is_refused():
                return
            session.open()
        super().save_session(app, session, response)

    def should_set_cookie(self, app: Flask, session: SessionMixin) -> bool:
        # A step or the look for a CSRF token may have opened the session of a request that was refused then.
        return session.modified or (not _is_refused() and super().should_set_cookie(app, session))

    def _may_need_refresh(self, app: Flask, session: UnopenedSession) -> bool:
        """Say whether the request brought a cookie that a permanent session would have to renew."""
        if not app.config["SESSION_REFRESH_EACH_REQUEST"]:
            return False
        name = self.get_cookie_name(app)
        if name not in session.cookie_header:
            return False
        is_flasks_own = self.serializer is SecureCookieSessionInterface.serializer
        return not is_flasks_own or _may_be_permanent(session.cookie_header, name)


def _may_be_permanent(cookie_header: str, name: str) -> bool:
    """Say whether the cookie may hold a permanent session; False only where a look at it, signed or not, rules it out.

    Verifying the signature takes nearly as long as a plain request, and few sessions are permanent.
    """
    _, _, rest = cookie_header.partition(f"{name}=")
    payload = _PAYLOAD.match(rest)
    if payload is None or name in rest:  # compressed, quoted, or perhaps given twice
        return True
    text = payload[1]
    return _PERMANENT[0] in text or _PERMANENT[1] in text or _PERMANENT[2] in text


def _is_refused() -> bool:
    context = find_request_context()
    return context is not None and context.refusal_code is not None


def use_lazy_sessions(app: Flask) -> None:
    """Install the interface in place of Flask's default; an application's own stays."""
    installed = app.session_interface
    if type(installed) is SecureCookieSessionInterface:
        lazy = app.session_interface = LazySessionInterface()
        vars(lazy).update(vars(installed))  # a salt or a serializer of its own
