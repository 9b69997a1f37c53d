"""Every error of the kit: its code, its HTTP status, what the caller is told and what the operator is told.

    GuardError
    +-- ConfigError            refused at start; lists every fault found
    +-- Refusal                becomes one RFC 9457 answer; `code` is stable, see docs/reference/errors.md
        +-- CredentialRefused  401, with WWW-Authenticate (RFC 6750, section 3)
        +-- AccessRefused      403
        +-- (the rest, by status)

A leaf. Public text is the same for every caller and gives nothing away; `detail` is for the log.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar

# RFC 6750, section 3: what else an error_description must not contain.
_NOT_IN_DESCRIPTIONS = re.compile(r"[^\x20\x21\x23-\x5b\x5d-\x7e]")


class GuardError(Exception):
    """Base of every error that the kit raises on purpose. Never raised itself."""


class ConfigError(GuardError):
    """The configuration cannot be run safely. `faults` holds one sentence for each thing that is wrong."""

    def __init__(self, *faults: str) -> None:
        self.faults = faults
        super().__init__("\n".join(faults) if len(faults) == 1 else _numbered(faults))


def _numbered(faults: Sequence[str]) -> str:
    lines = (f"  {number}. {fault}" for number, fault in enumerate(faults, start=1))
    return f"{len(faults)} faults in the configuration:\n" + "\n".join(lines)


class StoreUnavailable(GuardError):
    """A store (database, cache) did not answer. The step that asked decides what that means."""


@dataclass(frozen=True, slots=True)
class FieldFault:
    """One faulty member of a request body. pointer: RFC 6901, for example "/title"."""

    pointer: str
    message: str


class Refusal(GuardError):
    """A request is not served. `public` goes to the caller, `detail` to the log under the same request id."""

    code: ClassVar[str]
    status: ClassVar[int]
    title: ClassVar[str]
    public: ClassVar[str]

    def __init__(self, public: str | None = None, *, detail: str = "", errors: Iterable[FieldFault] = ()) -> None:
        self.text = public or self.public
        self.detail = detail
        self.errors = tuple(errors)
        super().__init__(detail or self.text)

    def headers(self) -> list[tuple[str, str]]:
        """Headers that belong to this refusal, beside those of every answer."""
        return []


# 401 ---------------------------------------------------------------------------------------------------


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


# 403 ---------------------------------------------------------------------------------------------------


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


# 400, 404, 405, 409, 413, 414, 415, 422, 429 -------------------------------------------------------------


class BadRequest(Refusal):
    code = "bad_request"
    status = 400
    title = "Bad Request"
    public = "The request could not be understood."


class CredentialInQuery(BadRequest):
    code = "credential_in_query"
    public = "Send credentials in a header, never in the query string."


class InvalidClientKey(BadRequest):
    code = "invalid_client_key"
    public = "A client key is a UUID of version 4 in canonical lower case."


class BadHost(BadRequest):
    code = "bad_host"
    public = "This host name is not served here."


class InvalidQuery(BadRequest):
    code = "invalid_query"
    public = "The query string does not have the required form."


class InvalidJson(BadRequest):
    code = "invalid_json"
    public = "The body is not valid JSON."


class EmptyBody(BadRequest):
    code = "empty_body"
    public = "A JSON body is required."


class NotFound(Refusal):
    code = "not_found"
    status = 404
    title = "Not Found"
    public = "There is nothing here."


class CorsMethodDenied(Refusal):
    """methods: those that pages of the origin may use, for Allow (RFC 9110, section 15.5.6)."""

    code = "cors_method_denied"
    status = 405
    title = "Method Not Allowed"
    public = "Pages of other origins may not use this method."

    def __init__(self, methods: Iterable[str], *, detail: str = "") -> None:
        self.methods = tuple(methods)
        super().__init__(detail=detail)

    def headers(self) -> list[tuple[str, str]]:
        return [("Allow", ", ".join(self.methods))]


class Conflict(Refusal):
    code = "conflict"
    status = 409
    title = "Conflict"
    public = "This conflicts with what is already there."


class BodyTooLarge(Refusal):
    code = "body_too_large"
    status = 413
    title = "Content Too Large"
    public = "The body is larger than this route accepts."


class UriTooLong(Refusal):
    code = "uri_too_long"
    status = 414
    title = "URI Too Long"
    public = "The address is longer than this service accepts."


class UnsupportedMediaType(Refusal):
    code = "unsupported_media_type"
    status = 415
    title = "Unsupported Media Type"
    public = "This route accepts JSON in UTF-8."


class ValidationFailed(Refusal):
    code = "validation_error"
    status = 422
    title = "Unprocessable Content"
    public = "The body does not have the required form."


class RateLimited(Refusal):
    """Too many requests. retry_after_s: whole seconds until one can succeed, 1 at least (RFC 6585, section 4)."""

    code = "rate_limited"
    status = 429
    title = "Too Many Requests"
    public = "Too many requests. Try again later."

    def __init__(self, public: str | None = None, *, retry_after_s: int, detail: str = "") -> None:
        self.retry_after_s = retry_after_s
        super().__init__(public, detail=detail)

    def headers(self) -> list[tuple[str, str]]:
        return [("Retry-After", str(self.retry_after_s))]


# 500, 503 ----------------------------------------------------------------------------------------------


class Internal(Refusal):
    code = "internal"
    status = 500
    title = "Internal Server Error"
    public = "Something went wrong on our side."


class KeysUnavailable(Refusal):
    """No usable set of verification keys. Closed: nobody is let in meanwhile."""

    code = "keys_unavailable"
    status = 503
    title = "Service Unavailable"
    public = "The service cannot check credentials right now."


class CredentialStoreUnavailable(KeysUnavailable):
    """The store of API keys does not answer. Closed."""

    code = "credential_store_unavailable"


class RateLimitUnavailable(Refusal):
    """The storage of limits does not answer, and this limit refuses then."""

    code = "rate_limit_unavailable"
    status = 503
    title = "Service Unavailable"
    public = "The service cannot count requests right now."

    def headers(self) -> list[tuple[str, str]]:
        return [("Retry-After", "1")]
