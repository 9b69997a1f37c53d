"""Every error of the kit: its code, its HTTP status, what the caller is told and what the operator is told.

    GuardError
    +-- ConfigError            refused at start; lists every fault found
    +-- Refusal                becomes one RFC 9457 answer; `code` is stable, see docs/reference/errors.md
        +-- CredentialRefused  401, with WWW-Authenticate (RFC 6750, section 3)
        +-- AccessRefused      403
        +-- (the rest, by status)

TenancyError is no Refusal: a mistake in the program, answered with 500.
A leaf. Public text is the same for every caller and gives nothing away; `detail` is for the log.
"""

from __future__ import annotations

from .access import (
    AccessRefused,
    CorsHeaderDenied,
    CorsOriginDenied,
    CredentialRefused,
    CsrfFailed,
    CsrfTokenMismatch,
    CsrfTokenMissing,
    HttpsRequired,
    InsufficientScope,
    InvalidApiKey,
    InvalidToken,
    NetworkDenied,
    StaleAuthentication,
    TenantRequired,
    TokenExpired,
    TokenFutureIssued,
    TokenMissingExpiry,
    TokenNotYetValid,
    TokenTooLongLived,
    Unauthorized,
)
from .base import (
    ConfigError,
    FieldFault,
    GuardError,
    Refusal,
    StoreUnavailable,
)
from .data import (
    CrossTenantWrite,
    DatabaseUnavailable,
    FieldForbidden,
    ForeignReference,
    HashFailed,
    InvalidInput,
    PolicyViolation,
    QueryTimeout,
    TenancyError,
    UniqueCheckFailed,
)
from .requests import (
    BadHost,
    BadRequest,
    BodyTooLarge,
    Conflict,
    CorsMethodDenied,
    CredentialInQuery,
    CredentialStoreUnavailable,
    EmptyBody,
    Internal,
    InvalidClientKey,
    InvalidJson,
    InvalidQuery,
    KeysUnavailable,
    NotFound,
    RateLimited,
    RateLimitUnavailable,
    UnsupportedMediaType,
    UriTooLong,
    ValidationFailed,
)

__all__ = [
    "AccessRefused",
    "BadHost",
    "BadRequest",
    "BodyTooLarge",
    "ConfigError",
    "Conflict",
    "CorsHeaderDenied",
    "CorsMethodDenied",
    "CorsOriginDenied",
    "CredentialInQuery",
    "CredentialRefused",
    "CredentialStoreUnavailable",
    "CrossTenantWrite",
    "CsrfFailed",
    "CsrfTokenMismatch",
    "CsrfTokenMissing",
    "DatabaseUnavailable",
    "EmptyBody",
    "FieldFault",
    "FieldForbidden",
    "ForeignReference",
    "GuardError",
    "HashFailed",
    "HttpsRequired",
    "InsufficientScope",
    "Internal",
    "InvalidApiKey",
    "InvalidClientKey",
    "InvalidInput",
    "InvalidJson",
    "InvalidQuery",
    "InvalidToken",
    "KeysUnavailable",
    "NetworkDenied",
    "NotFound",
    "PolicyViolation",
    "QueryTimeout",
    "RateLimitUnavailable",
    "RateLimited",
    "Refusal",
    "StaleAuthentication",
    "StoreUnavailable",
    "TenancyError",
    "TenantRequired",
    "TokenExpired",
    "TokenFutureIssued",
    "TokenMissingExpiry",
    "TokenNotYetValid",
    "TokenTooLongLived",
    "Unauthorized",
    "UniqueCheckFailed",
    "UnsupportedMediaType",
    "UriTooLong",
    "ValidationFailed",
]
