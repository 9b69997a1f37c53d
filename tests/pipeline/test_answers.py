"""Every no has one shape, and an answer of 500 or more says nothing of what happened."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from werkzeug import exceptions
from werkzeug.datastructures import WWWAuthenticate

from flask_guard.errors import (
    AccessRefused,
    FieldFault,
    InsufficientScope,
    KeysUnavailable,
    NotFound,
    Unauthorized,
    ValidationFailed,
)
from flask_guard.pipeline.answers import (
    PROBLEM_TYPE,
    Problem,
    Refused,
    from_http_error,
    from_refusal,
    internal_error,
    make_response,
    render,
)

SECRET_DETAIL = "the password of db01 is wrong"


def members(problem: Problem) -> Any:
    body, headers = render(problem)
    assert dict(headers)["Content-Type"] == PROBLEM_TYPE
    assert dict(headers)["Content-Length"] == str(len(body))
    return json.loads(body)


# Refusals -----------------------------------------------------------------------------------------------


def test_refusal_becomes_a_problem_of_rfc_9457() -> None:
    assert members(from_refusal(AccessRefused(detail=SECRET_DETAIL), request_id="r1")) == {
        "type": "urn:flask-guard:error:forbidden",
        "title": "Forbidden",
        "status": 403,
        "detail": "You are not allowed to do this.",
        "code": "forbidden",
        "request_id": "r1",
    }


def test_faults_of_a_body_are_listed() -> None:
    refusal = ValidationFailed(errors=[FieldFault("/title", "Missing."), FieldFault("/tags/0", "Too long.")])

    assert members(from_refusal(refusal, request_id="r1"))["errors"] == [
        {"pointer": "/title", "message": "Missing."},
        {"pointer": "/tags/0", "message": "Too long."},
    ]


@pytest.mark.parametrize("refusal", [Unauthorized(), InsufficientScope(["a"])], ids=["401", "403"])
def test_headers_of_a_refusal_are_sent(refusal: Any) -> None:
    response = make_response(from_refusal(refusal, request_id="r1"))

    assert response.headers["WWW-Authenticate"].startswith("Bearer")
    assert response.status_code == refusal.status


def test_refusal_of_500_and_more_says_its_usual_text_only() -> None:
    refusal = KeysUnavailable(SECRET_DETAIL, detail=SECRET_DETAIL)

    shown = members(from_refusal(refusal, request_id="r1"))

    assert shown["detail"] == "The service cannot check credentials right now."
    assert SECRET_DETAIL not in str(shown)


# Errors of Werkzeug -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "status", "code", "title"),
    [
        (exceptions.BadRequest(), 400, "bad_request", "Bad Request"),
        (exceptions.Unauthorized(), 401, "unauthorized", "Unauthorized"),
        (exceptions.Forbidden(), 403, "forbidden", "Forbidden"),
        (exceptions.NotFound(), 404, "not_found", "Not Found"),
        (exceptions.MethodNotAllowed(["GET", "HEAD"]), 405, "method_not_allowed", "Method Not Allowed"),
        (exceptions.Conflict(), 409, "conflict", "Conflict"),
        (exceptions.RequestEntityTooLarge(), 413, "body_too_large", "Content Too Large"),
        (exceptions.RequestURITooLarge(), 414, "uri_too_long", "URI Too Long"),
        (exceptions.UnsupportedMediaType(), 415, "unsupported_media_type", "Unsupported Media Type"),
        (exceptions.ImATeapot(), 418, "im_a_teapot", "I'm a Teapot"),
        (exceptions.UnprocessableEntity(), 422, "validation_error", "Unprocessable Content"),
        (exceptions.TooManyRequests(), 429, "rate_limited", "Too Many Requests"),
        (exceptions.InternalServerError(), 500, "internal", "Internal Server Error"),
        (exceptions.ServiceUnavailable(), 503, "service_unavailable", "Service Unavailable"),
        (exceptions.GatewayTimeout(), 504, "timeout", "Gateway Timeout"),
    ],
)
def test_http_error_becomes_a_problem(error: exceptions.HTTPException, status: int, code: str, title: str) -> None:
    """Titles are those of RFC 9110, section 15, which not every version of Python knows."""
    problem = from_http_error(error, request_id="r1")

    assert (problem.status, problem.code) == (status, code)
    assert members(problem)["title"] == title
    assert "<" not in members(problem)["detail"]


def test_text_of_a_views_abort_is_told_below_500_and_kept_from_500_on() -> None:
    told = from_http_error(exceptions.Conflict("The name is taken."), request_id="r1")
    kept = from_http_error(exceptions.ServiceUnavailable(SECRET_DETAIL), request_id="r1")

    assert members(told)["detail"] == "The name is taken."
    assert SECRET_DETAIL not in str(members(kept))
    assert members(kept)["detail"] == "Service Unavailable"


def test_headers_of_an_http_error_are_kept_but_for_those_of_its_body() -> None:
    not_allowed = from_http_error(exceptions.MethodNotAllowed(["GET", "HEAD"]), request_id="r1")
    retry = from_http_error(exceptions.TooManyRequests(retry_after=5), request_id="r1")

    assert not_allowed.headers == (("Allow", "GET, HEAD"),)
    assert retry.headers == (("Retry-After", "5"),)


def test_401_of_a_view_gets_a_challenge_unless_it_has_one() -> None:
    own = exceptions.Unauthorized(www_authenticate=WWWAuthenticate("basic", {"realm": "x"}))

    assert from_http_error(exceptions.Unauthorized(), request_id="r").headers == (("WWW-Authenticate", "Bearer"),)
    assert from_http_error(own, request_id="r").headers == (("WWW-Authenticate", "Basic realm=x"),)


@pytest.mark.parametrize(
    ("status", "code", "title"), [(499, "http_499", "Error"), (599, "http_599", "Error"), (451, None, None)]
)
def test_status_that_nobody_knows_gets_a_code_all_the_same(status: int, code: str | None, title: str | None) -> None:
    class Odd(exceptions.HTTPException):
        description = "Odd."

    Odd.code = status
    problem = from_http_error(Odd(), request_id="r1")

    assert problem.status == status
    assert problem.code == (code or "unavailable_for_legal_reasons")
    assert problem.title == (title or "Unavailable For Legal Reasons")


def test_failure_that_nobody_foresaw_is_told_by_constant_text() -> None:
    assert members(internal_error("r1")) == {
        "type": "urn:flask-guard:error:internal",
        "title": "Internal Server Error",
        "status": 500,
        "detail": "Something went wrong on our side.",
        "code": "internal",
        "request_id": "r1",
    }


# Rendering ----------------------------------------------------------------------------------------------


@given(text=st.text(), pointer=st.text())
def test_whatever_text_came_in_goes_out_as_json(text: str, pointer: str) -> None:
    """A caller's JSON may hold a lone surrogate, which UTF-8 cannot: it must not become a 500."""
    fault = FieldFault("/" + pointer, text)

    shown = members(from_refusal(ValidationFailed(text or "x", errors=[fault]), request_id="r1"))

    assert shown["detail"] == text or not text
    assert shown["errors"] == [{"pointer": "/" + pointer, "message": text}]


def test_lone_surrogate_goes_out_escaped() -> None:
    body, _headers = render(from_refusal(NotFound("\ud800 é"), request_id="r1"))

    assert "\\ud800 é".encode() in body


def test_formatter_gives_another_shape() -> None:
    def own(problem: Mapping[str, Any]) -> tuple[bytes, str]:
        return f"<error code='{problem['code']}'/>".encode(), "application/xml"

    response = make_response(from_refusal(Unauthorized(), request_id="r1"), own)

    assert response.get_data() == b"<error code='unauthorized'/>"
    assert response.headers["Content-Type"] == "application/xml"
    assert response.headers["Content-Length"] == "28"
    assert response.headers["WWW-Authenticate"] == "Bearer"
    assert len(response.headers) == 3


def _raises(_problem: Mapping[str, Any]) -> Any:
    raise KeyError(SECRET_DETAIL)


@pytest.mark.parametrize(
    "formatter",
    [
        pytest.param(_raises, id="raises"),
        pytest.param(lambda _problem: None, id="returns None"),
        pytest.param(lambda _problem: b"body", id="returns a body alone"),
        pytest.param(lambda _problem: ("größer", "text/plain"), id="returns text"),
        pytest.param(lambda _problem: ({"a": 1}, "application/json"), id="returns a dict"),
        pytest.param(lambda _problem: (b"{}", None), id="returns no media type"),
        pytest.param(lambda _problem: (b"{}", "text/html\r\nX-A: 1"), id="returns a media type of two lines"),
    ],
)
def test_formatter_that_fails_is_logged_and_the_standard_shape_is_sent(
    formatter: Any, caplog: pytest.LogCaptureFixture
) -> None:
    problem = from_refusal(AccessRefused(), request_id="r1")

    with caplog.at_level(logging.ERROR, "flask_guard"):
        answer = render(problem, formatter)

    assert answer == render(problem)
    assert [record.getMessage() for record in caplog.records] == [
        "the error formatter failed; the standard shape is sent"
    ]


def test_formatter_that_returns_nothing_leaves_the_standard_shape(caplog: pytest.LogCaptureFixture) -> None:
    problem = from_refusal(AccessRefused(), request_id="r1")

    assert render(problem, lambda _problem: (b"", "text/plain")) == render(problem)
    assert caplog.records == []


def test_finished_refusal_carries_its_response_and_no_code_of_its_own() -> None:
    response = make_response(internal_error("r1"))
    refused = Refused(response, "internal")

    assert refused.code is None
    assert refused.get_response() is response
