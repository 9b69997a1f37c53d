"""Requests that are wrong in themselves or too many, and a service that cannot serve."""

from __future__ import annotations

from collections.abc import Iterable

from .base import Refusal


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
