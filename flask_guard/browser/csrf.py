"""Cross-site request forgery: whether a page of ours made an unsafe request.

Pure: the WSGI environment and the client in, a refusal or nothing out. The step that uses it asks for unsafe
methods only, before a cookie is believed.
Source: the rule of Go 1.25's CrossOriginProtection; the Fetch metadata specification; OWASP's cheat sheet on
CSRF, "custom request headers".
Rule: what a page of another site can make a browser send proves nothing. That is any cookie, any form, an
empty body, and a password that the browser remembers for Basic authentication.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from typing import Any, Final, Literal

from ..errors import CsrfFailed, CsrfTokenMismatch, CsrfTokenMissing
from ..values import Client
from .origins import origin_of_url, parse_origin

# The media types of forms that have fields; a form can send text/plain too.
FORM_TYPES: Final = frozenset({"application/x-www-form-urlencoded", "multipart/form-data"})

ORIGIN_MISSING: Final = "This request must say which page it comes from: Origin and Referer are missing."
HEADER_MISSING: Final = "Send this request as JSON, with the header X-Requested-With, or with a CSRF token."

# The words of a browser for "a page of this very origin" and "the user, not a page".
_OWN_SITES: Final = frozenset({"same-origin", "none"})

_NAME: Final = r"[a-z0-9!#$%&'*+.^_`|~-]+"  # RFC 9110, section 5.6.2, in lower case
_JSON: Final = re.compile(rf"application/json|{_NAME}/{_NAME}\+json")

# Schemes of Authorization that browsers use by themselves, on requests of any page.
_AMBIENT_SCHEMES: Final = frozenset({"basic", "digest", "negotiate", "ntlm"})
_QUOTED_CHARACTERS: Final = 100


class TokenState(Enum):
    """What a request has for a CSRF token."""

    ABSENT = "absent"
    VALID = "valid"
    WRONG = "wrong"


class CsrfRule:
    """The rule of one application.

    scope: "ambient" judges requests that a browser made (they have Origin, Referer or Sec-Fetch-Site) or that
    carry a cookie of ours, and asks for JSON, a header or a token where the cookie is the credential. "all"
    asks every request for both, an own origin and one of the three, whatever Sec-Fetch-Site says.
    trusted_origins: in the form of `parse_origin`; wildcards and `null` among them trust nobody.
    cookie_names: the session cookies of Flask and of Guard. credential_keys: WSGI keys of the headers that
    carry credentials, such as HTTP_AUTHORIZATION.
    """

    __slots__ = ("_cookie", "_covers_all", "_credential_keys", "_trusted")

    def __init__(
        self,
        *,
        scope: Literal["ambient", "all"],
        trusted_origins: Iterable[str],
        cookie_names: Iterable[str],
        credential_keys: Iterable[str],
    ) -> None:
        self._covers_all = scope == "all"
        self._trusted = frozenset(trusted_origins)
        self._credential_keys = tuple(credential_keys)
        self._cookie = _find_cookies(cookie_names)

    def judge(self, environ: Mapping[str, Any], client: Client, *, token: Callable[[], TokenState]) -> None:
        """Return for a request that may go on; its method is an unsafe one.

        token: asked only when nothing else shows that a page of ours wrote the request, because it may have
        to read the form. What it raises passes through.
        Raises CsrfFailed with one of three texts; CsrfTokenMissing for a form without a token;
        CsrfTokenMismatch for a wrong token. A request that needs no token (JSON, X-Requested-With) is not
        refused for a wrong one: pages send stale ones along.
        """
        origin, referer = environ.get("HTTP_ORIGIN"), environ.get("HTTP_REFERER")
        site = environ.get("HTTP_SEC_FETCH_SITE")
        has_cookie = self._cookie.search(environ.get("HTTP_COOKIE", "")) is not None
        is_of_browser = origin is not None or referer is not None or site is not None
        if not (self._covers_all or has_cookie or is_of_browser):
            return
        if self._covers_all or site not in _OWN_SITES:
            self._require_own_page(origin, referer, client)
        if self._covers_all or (has_cookie and not self._has_header_credential(environ)):
            _require_written_by_page(environ, token)

    def _require_own_page(self, origin: str | None, referer: str | None, client: Client) -> None:
        claimed = origin_of_url(referer or "") if origin is None else parse_origin(origin)
        if origin is None and claimed is None:
            # The Referer itself is not told: its query may hold what no log should.
            found = "no Referer" if referer is None else "the Referer is not a URL of http or https"
            raise CsrfFailed(ORIGIN_MISSING, detail=f"no Origin, and {found}")
        own = client.origin
        if own is None:
            raise CsrfFailed(detail="the Host of the request is not a host")
        if claimed is None or (claimed != own and claimed not in self._trusted):
            header = "the Referer's origin" if origin is None else "Origin"
            raise CsrfFailed(detail=_explain(header, claimed or origin or "", own))

    def _has_header_credential(self, environ: Mapping[str, Any]) -> bool:
        values = (environ.get(key, "").strip() for key in self._credential_keys)
        return any(value and value.split(None, 1)[0].lower() not in _AMBIENT_SCHEMES for value in values)


def _find_cookies(names: Iterable[str]) -> re.Pattern[str]:
    """Return what finds a cookie of these names in a Cookie header.

    Programs differ on quotes, commas and spaces there; a name that one of them would see is found.
    """
    choices = "|".join(re.escape(name) for name in names) or "(?!)"
    return re.compile(rf'(?:\A|[\s;,"])(?:{choices})\s*(?:[=;,]|\Z)')


def _explain(header: str, claimed: str, own: str) -> str:
    told = f"{header} {_quote(claimed)} is neither {_quote(own)} nor trusted"
    if claimed.partition("://")[2] != own.partition("://")[2]:
        return told
    return f"{told}; only the scheme differs: is the proxy that ends TLS in GUARD_TRUSTED_PROXIES?"


def _quote(text: str) -> str:
    return ascii(text[:_QUOTED_CHARACTERS])


def _require_written_by_page(environ: Mapping[str, Any], token: Callable[[], TokenState]) -> None:
    """Refuse what a plain form could have sent: no page of another origin can do better without CORS."""
    media_type = environ.get("CONTENT_TYPE", "").partition(";")[0].strip(" \t").lower()
    if _JSON.fullmatch(media_type) or environ.get("HTTP_X_REQUESTED_WITH"):
        return
    state = token()
    if state is TokenState.VALID:
        return
    if state is TokenState.WRONG:
        raise CsrfTokenMismatch(detail="the CSRF token was not made for this session")
    if media_type in FORM_TYPES:
        raise CsrfTokenMissing(detail=f"{media_type} without a CSRF token")
    raise CsrfFailed(HEADER_MISSING, detail=f"media type {_quote(media_type)}, no X-Requested-With, no CSRF token")
