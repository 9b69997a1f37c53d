"""401 and 403: who asks is not known, or may not do this."""

from __future__ import annotations

import re
from collections.abc import Iterable

from .base import Refusal

# RFC 6750, section 3: what else an error_description must not contain.
_NOT_IN_DESCRIPTIONS = re.compile(r"[^\x20\x21\x23-\x5b\x5d-\x7e]")


class CredentialRefused(Refusal):
    """A credential is missing or bad. The caller may try again with another one."""

    status = 401
    title = "Unauthorized"

    def headers(self) -> list[tuple[str, str]]:
        description = _NOT_IN_DESCRIPTIONS.sub("'", self.text)
        challenge = f'Bearer error="invalid_token", error_description="{description}"'
        return [("WWW-Authenticate", challenge)]


class Unauthorized(CredentialRefused):
    """No credential was presented, or it could not be read as one (RFC 6750: no error code then)."""

    code = "unauthorized"
    public = "Authentication is required."

    def headers(self) -> list[tuple[str, str]]:
        return [("WWW-Authenticate", "Bearer")]


class InvalidToken(CredentialRefused):
    """Malformed, wrongly signed, wrong issuer, audience or type, or a claim of the wrong form."""

    code = "invalid_token"
    public = "The token is not valid."


class TokenMissingExpiry(CredentialRefused):
    code = "token_missing_expiry"
    public = "The token has no expiry."


class TokenExpired(CredentialRefused):
    code = "token_expired"
    public = "The token has expired."


class TokenNotYetValid(CredentialRefused):
    code = "token_not_yet_valid"
    public = "The token is not valid yet."


class TokenFutureIssued(CredentialRefused):
    code = "token_future_issued"
    public = "The token was issued in the future."


class TokenTooLongLived(CredentialRefused):
    code = "token_too_long_lived"
    public = "The token lives longer than this service accepts."


class InvalidApiKey(CredentialRefused):
    """Unknown, revoked, expired or malformed: one text, the reason is in the log."""

    code = "invalid_api_key"
    public = "The API key is not valid."


class StaleAuthentication(CredentialRefused):
    """The login is too old, or lacks a second factor, for this route (RFC 9470, section 3)."""

    code = "insufficient_user_authentication"
    public = "A more recent or stronger login is required."

    def headers(self) -> list[tuple[str, str]]:
        return [("WWW-Authenticate", 'Bearer error="insufficient_user_authentication"')]


class AccessRefused(Refusal):
    """The principal is known and may not do this."""

    code = "forbidden"
    status = 403
    title = "Forbidden"
    public = "You are not allowed to do this."


class TenantRequired(AccessRefused):
    public = "Tenant identity could not be determined."


class InsufficientScope(AccessRefused):
    """RFC 6750, section 3.1: names the scopes that the route asks for."""

    code = "insufficient_scope"
    public = "The credential lacks a required scope."

    def __init__(self, scopes: Iterable[str], *, detail: str = "") -> None:
        self.scopes = tuple(sorted(scopes))
        super().__init__(f"This needs the scope {' '.join(self.scopes)}.", detail=detail)

    def headers(self) -> list[tuple[str, str]]:
        return [("WWW-Authenticate", f'Bearer error="insufficient_scope", scope="{" ".join(self.scopes)}"')]


class HttpsRequired(AccessRefused):
    code = "https_required"
    public = "Use https."


class NetworkDenied(AccessRefused):
    """The client's address is outside of the networks that the route is for."""

    code = "network_denied"


class CsrfFailed(AccessRefused):
    """A browser sent this from a page that may not write here. One code, three public texts."""

    code = "csrf_validation_failed"
    public = "The origin of this request is not allowed."


class CsrfTokenMissing(CsrfFailed):
    code = "csrf_token_missing"
    public = "The form lacks its CSRF token."


class CsrfTokenMismatch(CsrfFailed):
    code = "csrf_token_mismatch"
    public = "The CSRF token is not valid. Load the page again."


class CorsOriginDenied(AccessRefused):
    code = "cors_origin_denied"
    public = "This origin may not read answers."


class CorsHeaderDenied(AccessRefused):
    code = "cors_header_denied"
    public = "Pages of other origins may not send this header."
