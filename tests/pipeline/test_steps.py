"""The steps that requests meet, each alone."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any, cast

import pytest

from flask_guard.auth.credentials import CredentialReader
from flask_guard.authz import policies
from flask_guard.authz.policies import Policy
from flask_guard.errors import (
    AccessRefused,
    BadRequest,
    BodyTooLarge,
    InsufficientScope,
    InvalidToken,
    Refusal,
    Unauthorized,
)
from flask_guard.limits.payload import BoundedInput
from flask_guard.pipeline.context import RequestContext
from flask_guard.pipeline.rules import Access
from flask_guard.pipeline.steps import authenticate_step, authorize_step, payload_step
from flask_guard.values import ANONYMOUS, Client, Decision, Principal

ADA = Principal(id="ada", method="jwt", roles=frozenset({"staff"}))


def context_of(principal: Principal = ANONYMOUS, *, body: bytes | None = None, **environ: str) -> RequestContext:
    environment = {"REQUEST_METHOD": "POST", **environ}
    nothing = cast("Any", None)  # no step asks the runtime
    client = Client("192.0.2.1", "192.0.2.1", "https", "notes.test")
    context = RequestContext(environment, runtime=nothing, client=client, request_id="r1", now=1000.0, started_ns=0)
    context.principal = principal
    if body is not None:
        context.body = BoundedInput(io.BytesIO(body), 5, lambda limit: BodyTooLarge(detail=str(limit)))
    return context


# payload ------------------------------------------------------------------------------------------------

JSON = "application/json"
FORM = "multipart/form-data; boundary=x"


def bounded(**limits: Any) -> Callable[[RequestContext], None]:
    return payload_step(**{"route_limit": None, "max_url": 100, "decode_gzip": False, **limits})


@pytest.mark.parametrize(
    ("route_limit", "content_type", "limit"),
    [(None, JSON, 100), (None, FORM, 1000), (7, JSON, 7), (2000, FORM, 2000)],
    ids=["the default", "multipart", "a route's own", "a larger one of its own"],
)
def test_announced_size_is_held_against_the_limit(route_limit: int | None, content_type: str, limit: int) -> None:
    step = bounded(route_limit=route_limit, max_body=100, max_multipart=1000)
    fits = context_of(body=b"", CONTENT_TYPE=content_type, CONTENT_LENGTH=str(limit))
    too_large = context_of(body=b"", CONTENT_TYPE=content_type, CONTENT_LENGTH=str(limit + 1))

    step(fits)
    with pytest.raises(BodyTooLarge) as caught:
        step(too_large)

    assert fits.body is not None
    assert fits.body.limit_bytes == limit
    assert caught.value.detail == f"{limit + 1} bytes announced, {limit} accepted"
    assert str(limit) not in caught.value.text


def test_body_that_announces_nothing_is_bounded_while_it_is_read() -> None:
    context = context_of(body=b"123456789")
    bounded(route_limit=8, max_body=100, max_multipart=1000)(context)

    assert context.body is not None
    with pytest.raises(BodyTooLarge):
        context.body.read()


def test_request_without_a_body_is_not_looked_at() -> None:
    bounded(route_limit=1, max_body=1, max_multipart=1)(context_of(CONTENT_LENGTH="x"))


@pytest.mark.parametrize("length", ["-1", "x", "1,1", "+5"])
def test_length_that_is_no_number_is_refused(length: str) -> None:
    with pytest.raises(BadRequest):
        bounded(max_body=9, max_multipart=9)(context_of(body=b"", CONTENT_LENGTH=length))


# authenticate -------------------------------------------------------------------------------------------


class Reads:
    """Stands for a reader: notes what it was given and answers as told."""

    def __init__(self, answer: Principal | Refusal | None) -> None:
        self.answer = answer
        self.given: tuple[Any, ...] = ()

    def read(self, *given: Any) -> Principal | None:
        self.given = given
        if isinstance(self.answer, Refusal):
            raise self.answer
        return self.answer


def authenticating(reader: Reads) -> Callable[[RequestContext], None]:
    return authenticate_step(
        cast("CredentialReader", reader), token_key="HTTP_AUTHORIZATION", api_key_key="HTTP_X_API_KEY"
    )


def test_credential_makes_the_principal() -> None:
    reader, context = Reads(ADA), context_of(HTTP_AUTHORIZATION="a", HTTP_X_API_KEY="b", QUERY_STRING="c")

    authenticating(reader)(context)

    assert context.principal is ADA
    assert reader.given == ("a", "b", "c")


def test_no_credential_leaves_the_anonymous_principal() -> None:
    reader, context = Reads(None), context_of()

    authenticating(reader)(context)

    assert context.principal is ANONYMOUS
    assert reader.given == (None, None, "")


def test_bad_credential_is_refused_and_makes_nobody() -> None:
    context = context_of()

    with pytest.raises(InvalidToken):
        authenticating(Reads(InvalidToken()))(context)
    assert context.principal is ANONYMOUS


# authorize ----------------------------------------------------------------------------------------------

STAFF = policies.role("staff")
BOSS = policies.role("boss")


@pytest.mark.parametrize(
    ("access", "requirement", "principal", "refusal"),
    [
        pytest.param(Access.AUTHENTICATED, None, ADA, None, id="somebody"),
        pytest.param(Access.AUTHENTICATED, None, ANONYMOUS, Unauthorized, id="nobody"),
        pytest.param(Access.AUTHENTICATED, STAFF, ADA, None, id="the role is held"),
        pytest.param(Access.AUTHENTICATED, BOSS, ADA, AccessRefused, id="the role is not held"),
        pytest.param(Access.AUTHENTICATED, BOSS, ANONYMOUS, Unauthorized, id="nobody may log in: 401"),
        pytest.param(Access.AUTHENTICATED, ~BOSS, ANONYMOUS, Unauthorized, id="nobody is not a non-boss"),
        pytest.param(Access.AUTHENTICATED, policies.scope("a"), ADA, InsufficientScope, id="the scope is lacking"),
        pytest.param(Access.OPTIONAL, None, ANONYMOUS, None, id="optional, nobody"),
        pytest.param(Access.OPTIONAL, ~BOSS, ANONYMOUS, None, id="optional, nobody is no boss"),
        pytest.param(Access.OPTIONAL, STAFF, ANONYMOUS, Unauthorized, id="optional, but a role is asked for"),
        pytest.param(Access.OPTIONAL, BOSS, ADA, AccessRefused, id="optional, the role is not held"),
    ],
)
def test_principal_is_held_against_the_rules(
    access: Access, requirement: Policy | None, principal: Principal, refusal: type[Refusal] | None
) -> None:
    context = context_of(principal)
    step = authorize_step(access, requirement)

    if refusal is None:
        step(context)
    else:
        with pytest.raises(refusal) as caught:
            step(context)
        assert caught.value.status == (401 if principal is ANONYMOUS else 403)
        assert "boss" not in caught.value.text

    assert context.decision is not None
    assert context.decision.allowed is (refusal is None)


def test_policy_is_asked_with_the_time_of_the_request() -> None:
    class Asks(Policy):
        def decide(self, principal: Principal, *, now: float) -> Decision:
            return Decision(now == 1000.0, "time")

        def describe(self) -> str:
            return "time"

    authorize_step(Access.AUTHENTICATED, Asks())(context_of(ADA))


@pytest.mark.parametrize("answer", [True, None, "yes"])
def test_policy_that_returns_no_decision_lets_nobody_in(answer: Any) -> None:
    class Forgets(Policy):
        def decide(self, principal: Principal, *, now: float) -> Decision:
            return cast("Decision", answer)

        def describe(self) -> str:
            return "forgets"

    context = context_of(ADA)
    with pytest.raises(TypeError, match=r"forgets\.decide\(\) returned .*, which is not a Decision"):
        authorize_step(Access.AUTHENTICATED, Forgets())(context)
    assert context.decision is None
