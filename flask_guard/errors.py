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


# 400, 404, 409, 413, 415, 422 --------------------------------------------------------------------------


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
