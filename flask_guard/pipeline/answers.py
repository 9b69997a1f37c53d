"""How a refusal or a failure is told to the caller: RFC 9457 problem details, one shape for everything.

Rule: an answer of 500 or more carries constant text only; what happened goes to the log, once, under the
same request id.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response as WerkzeugResponse

from ..config.kinds import require_header_value
from ..errors import (
    AccessRefused,
    BadRequest,
    BodyTooLarge,
    Conflict,
    FieldFault,
    Internal,
    NotFound,
    Refusal,
    Unauthorized,
    UnsupportedMediaType,
    ValidationFailed,
)
from ..protocols import ErrorFormatter

PROBLEM_TYPE = "application/problem+json"
TYPE_PREFIX = "urn:flask-guard:error:"
logger = logging.getLogger("flask_guard")

# A status has one code, one title and one text, whoever refuses: a step of Guard or a view's `abort`.
_KINDS: dict[int, type[Refusal]] = {
    kind.status: kind
    for kind in (
        BadRequest,
        Unauthorized,
        AccessRefused,
        NotFound,
        Conflict,
        BodyTooLarge,
        UnsupportedMediaType,
        ValidationFailed,
        Internal,
    )
}
# Where another word is used than the name of the status, which also differs between versions of Python.
_WORDS = {
    414: ("uri_too_long", "URI Too Long"),
    416: ("range_not_satisfiable", "Range Not Satisfiable"),
    429: ("rate_limited", "Too Many Requests"),
    504: ("timeout", "Gateway Timeout"),
}
# Set by whoever writes the body, so never carried over from an exception's own answer.
_BODY_HEADERS = frozenset({"content-type", "content-length"})


@dataclass(frozen=True, slots=True)
class Problem:
    """One answer that says no. headers: beside those of every answer."""

    status: int
    code: str
    title: str
    detail: str
    request_id: str
    errors: tuple[FieldFault, ...] = ()
    headers: tuple[tuple[str, str], ...] = ()

    def members(self) -> dict[str, Any]:
        """Return the members of the problem object (RFC 9457, section 3)."""
        members: dict[str, Any] = {
            "type": TYPE_PREFIX + self.code,
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "code": self.code,
            "request_id": self.request_id,
        }
        if self.errors:
            members["errors"] = [{"pointer": fault.pointer, "message": fault.message} for fault in self.errors]
        return members


def from_refusal(refusal: Refusal, *, request_id: str) -> Problem:
    """Return what the caller is told of a refusal."""
    return Problem(
        status=refusal.status,
        code=refusal.code,
        title=refusal.title,
        detail=refusal.text if refusal.status < 500 else refusal.public,
        request_id=request_id,
        errors=refusal.errors,
        headers=tuple(refusal.headers()),
    )


def from_http_error(error: HTTPException, *, request_id: str) -> Problem:
    """Return what the caller is told of a Werkzeug error, such as a 404 or a view's `abort(409, "...")`."""
    status = error.code or 500
    code, title = _name(status)
    text = _KINDS[status].public if status in _KINDS else title
    # Werkzeug's own words are made for a person with a browser; those of a view are meant for the caller.
    is_own = error.description is not None and error.description != type(error).description
    return Problem(
        status=status,
        code=code,
        title=title,
        detail=str(error.description) if is_own and status < 500 else text,
        request_id=request_id,
        headers=tuple(_own_headers(error)),
    )


def _name(status: int) -> tuple[str, str]:
    """Return the code and the title of a status."""
    if status in _KINDS:
        return _KINDS[status].code, _KINDS[status].title
    if status in _WORDS:
        return _WORDS[status]
    try:
        known = HTTPStatus(status)
    except ValueError:
        return f"http_{status}", "Error"
    return known.name.lower(), known.phrase


def _own_headers(error: HTTPException) -> Iterable[tuple[str, str]]:
    headers = [(name, value) for name, value in error.get_headers() if name.lower() not in _BODY_HEADERS]
    if error.code == 401 and not any(name.lower() == "www-authenticate" for name, _ in headers):
        headers.append(("WWW-Authenticate", "Bearer"))
    return headers


def internal_error(request_id: str) -> Problem:
    """Return the answer to every failure that nobody foresaw."""
    return from_refusal(Internal(), request_id=request_id)


def render(problem: Problem, formatter: ErrorFormatter | None = None) -> tuple[bytes, list[tuple[str, str]]]:
    """Return body and headers. A formatter that fails is logged and the standard shape is sent."""
    body, media_type = b"", PROBLEM_TYPE
    if formatter is not None:
        try:
            body, media_type = formatter(problem.members())
            if not isinstance(body, bytes):
                raise TypeError(f"an error formatter returns bytes, not {type(body).__name__}")
            media_type = require_header_value(media_type)
        except Exception:
            logger.exception("the error formatter failed; the standard shape is sent")
            body = b""
    if not body:
        body, media_type = _standard_body(problem), PROBLEM_TYPE
    headers = [("Content-Type", media_type), ("Content-Length", str(len(body))), *problem.headers]
    return body, headers


def _standard_body(problem: Problem) -> bytes:
    """Return the problem as JSON. A lone surrogate, which a caller's JSON may hold, goes out escaped."""
    return json.dumps(problem.members(), ensure_ascii=False).encode("utf-8", "backslashreplace")


def make_response(problem: Problem, formatter: ErrorFormatter | None = None) -> WerkzeugResponse:
    """Return the problem as a response for Flask."""
    body, headers = render(problem, formatter)
    response = WerkzeugResponse(body, status=problem.status)
    response.headers.clear()
    response.headers.extend(headers)
    return response


class Refused(HTTPException):
    """Carries a finished refusal out of a view.

    It has no code of its own, so Flask hands it back as it is: an application's error handlers for views
    do not reshape what Guard refuses.
    """

    code = None

    def __init__(self, response: WerkzeugResponse, code: str) -> None:
        super().__init__(description=code, response=response)
