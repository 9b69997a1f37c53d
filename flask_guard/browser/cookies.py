"""Flask's session cookie: what its settings must be, and what of it can be set without asking.

Pure: Flask's configuration in; changes, faults and warnings out. Flask writes the cookie after every hook,
so that its flags can be set in `app.config` only.
Source: RFC 6265bis, section 4.1.3 (prefixes) and "Storage Model" (what browsers drop).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from ..config.sections import Environment

FLASK_DEFAULT_NAME: Final = "session"
HARDENED_NAME: Final = "__Host-session"

# As Werkzeug reads them, in any case.
_SAME_SITE: Final = frozenset({"Lax", "Strict", "None"})


class CookieVerdict(NamedTuple):
    """changes: what to set in app.config. faults: why the application must not start. warnings: what to say."""

    changes: Mapping[str, object]
    faults: tuple[str, ...]
    warnings: tuple[str, ...]


def harden_session_cookie(config: Mapping[str, object], *, env: Environment, require_https: bool) -> CookieVerdict:
    """Return what becomes of Flask's session cookie.

    config: app.config. Outside of development, and where https is required, the cookie gets Secure and
    HttpOnly; SESSION_COOKIE_SECURE = False cannot be told from Flask's default and is overruled too. SameSite
    becomes Lax everywhere unless the application chose. A Secure cookie of Flask's default name gets the
    prefix `__Host-` where browsers allow it, which ends the sessions of cookies named before.
    """
    is_https = env != "development" or require_https
    is_secure = is_https or bool(config.get("SESSION_COOKIE_SECURE"))
    obstacle = _find_obstacle(config)
    wanted: dict[str, object] = {}
    if is_https:
        wanted |= {"SESSION_COOKIE_SECURE": True, "SESSION_COOKIE_HTTPONLY": True}
    if config.get("SESSION_COOKIE_SAMESITE") is None:
        wanted["SESSION_COOKIE_SAMESITE"] = "Lax"
    if _name(config) == FLASK_DEFAULT_NAME and is_secure and obstacle is None:
        wanted["SESSION_COOKIE_NAME"] = HARDENED_NAME
    faults = list(_find_same_site_faults(config, is_secure=is_secure))
    warnings = list(_find_name_warnings(config, is_https=is_https, obstacle=obstacle))
    if not config.get("SESSION_COOKIE_HTTPONLY", True):
        where = faults if env == "production" else warnings
        where.append("SESSION_COOKIE_HTTPONLY is False, so scripts of a page could read the session: remove it.")
    dropped = _find_drop(_name(config), is_secure=is_secure, obstacle=obstacle)
    if dropped is not None:
        (faults if is_https else warnings).append(dropped)
    changes = {name: value for name, value in wanted.items() if config.get(name) != value}
    return CookieVerdict(changes, tuple(faults), tuple(warnings))


def _name(config: Mapping[str, object]) -> str:
    return str(config.get("SESSION_COOKIE_NAME", FLASK_DEFAULT_NAME))


def _find_obstacle(config: Mapping[str, object]) -> str | None:
    """Return what keeps the cookie from having the prefix `__Host-`."""
    if config.get("SESSION_COOKIE_DOMAIN"):
        return "SESSION_COOKIE_DOMAIN is set"
    if config.get("SESSION_COOKIE_PATH"):
        return None if config["SESSION_COOKIE_PATH"] == "/" else "SESSION_COOKIE_PATH is not /"
    return None if config.get("APPLICATION_ROOT", "/") == "/" else "APPLICATION_ROOT is not / (set SESSION_COOKIE_PATH)"


def _find_same_site_faults(config: Mapping[str, object], *, is_secure: bool) -> Iterator[str]:
    same_site = config.get("SESSION_COOKIE_SAMESITE")
    if same_site is None:
        return
    if str(same_site).title() not in _SAME_SITE:
        yield "SESSION_COOKIE_SAMESITE must be Lax, Strict or None (the text)."
    elif str(same_site).title() == "None" and not is_secure:
        yield "SESSION_COOKIE_SAMESITE is None without SESSION_COOKIE_SECURE: browsers drop such a cookie."


def _find_name_warnings(config: Mapping[str, object], *, is_https: bool, obstacle: str | None) -> Iterator[str]:
    name = _name(config)
    if not is_https or name.lower().startswith(("__host-", "__secure-")):
        return
    if name != FLASK_DEFAULT_NAME:
        yield f"SESSION_COOKIE_NAME {name!r} has no prefix: {HARDENED_NAME} cannot be set by another host."
    elif obstacle is not None:
        yield f"The session cookie is not named {HARDENED_NAME}, so other hosts of the domain can set it: {obstacle}."


def _find_drop(name: str, *, is_secure: bool, obstacle: str | None) -> str | None:
    """Return why browsers would drop a cookie that the application gave a prefix."""
    lower = name.lower()
    if lower.startswith(("__host-", "__secure-")) and not is_secure:
        return f"Browsers drop the session cookie {name!r}: its prefix needs SESSION_COOKIE_SECURE."
    if lower.startswith("__host-") and obstacle is not None:
        return f"Browsers drop the session cookie {name!r}: {obstacle}."
    return None
