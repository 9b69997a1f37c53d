"""Every refusal has a code, a status and a text; what is for the operator stays with the operator."""

from __future__ import annotations

import inspect
import pickle
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flask_guard import errors
from flask_guard.errors import (
    ConfigError,
    CorsMethodDenied,
    CredentialRefused,
    FieldFault,
    GuardError,
    InsufficientScope,
    InvalidToken,
    RateLimited,
    Refusal,
    StaleAuthentication,
    Unauthorized,
    ValidationFailed,
)

KINDS = {
    name: kind
    for name, kind in vars(errors).items()
    if inspect.isclass(kind) and issubclass(kind, Refusal) and hasattr(kind, "code")
}


def make(kind: type[Refusal], **told: Any) -> Refusal:
    if issubclass(kind, InsufficientScope):
        return kind(["notes:read"], **told)
    if issubclass(kind, CorsMethodDenied):
        return kind(["GET"], **told)
    return kind(retry_after_s=7, **told) if issubclass(kind, RateLimited) else kind(**told)


def test_a_refusal_of_a_method_names_those_that_are_allowed() -> None:
    assert CorsMethodDenied(["GET", "PUT"]).headers() == [("Allow", "GET, PUT")]


def test_a_refusal_for_now_says_when_to_come_back() -> None:
    assert RateLimited(retry_after_s=7).headers() == [("Retry-After", "7")]
    assert RateLimited("Slow down.", retry_after_s=7).text == "Slow down."


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_refusal_is_complete(kind: type[Refusal]) -> None:
    refusal = make(kind)

    assert re.fullmatch(r"[a-z]+(_[a-z]+)*", refusal.code)
    assert 400 <= refusal.status <= 504
    assert refusal.title
    assert refusal.text.endswith(".")
    assert refusal.text[0].isupper()


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_caller_is_not_told_the_detail(kind: type[Refusal]) -> None:
    refusal = make(kind, detail="q8-detail")

    assert refusal.detail == "q8-detail"
    assert str(refusal) == "q8-detail"
    assert "q8-detail" not in f"{refusal.text} {refusal.headers()}"


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_one_code_has_one_status(kind: type[Refusal]) -> None:
    assert {other.status for other in KINDS.values() if other.code == kind.code} == {kind.status}


@pytest.mark.parametrize(
    "kind", [kind for kind in KINDS.values() if kind.status == 401], ids=lambda kind: kind.__name__
)
def test_every_401_carries_a_challenge(kind: type[Refusal]) -> None:
    assert issubclass(kind, CredentialRefused)
    ((name, challenge),) = kind().headers()

    assert name == "WWW-Authenticate"
    assert challenge.startswith("Bearer")


@pytest.mark.parametrize(
    ("refusal", "challenge"),
    [
        (Unauthorized(), "Bearer"),
        (InvalidToken(), 'Bearer error="invalid_token", error_description="The token is not valid."'),
        (StaleAuthentication(), 'Bearer error="insufficient_user_authentication"'),
        (InsufficientScope(["b", "a"]), 'Bearer error="insufficient_scope", scope="a b"'),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Refusal) else None,
)
def test_challenge_says_what_the_standard_asks_for(refusal: Refusal, challenge: str) -> None:
    assert refusal.headers() == [("WWW-Authenticate", challenge)]


@given(text=st.text(min_size=1))
def test_description_of_a_challenge_cannot_break_out(text: str) -> None:
    ((_name, challenge),) = InvalidToken(text).headers()

    assert re.fullmatch(r'Bearer error="invalid_token", error_description="[\x20\x21\x23-\x5b\x5d-\x7e]+"', challenge)


def test_own_public_text_stands_in_the_place_of_the_usual_one() -> None:
    refusal = ValidationFailed("Two faults.", errors=(FieldFault("/a", "missing") for _ in range(2)))

    assert refusal.text == "Two faults."
    assert refusal.errors == (FieldFault("/a", "missing"),) * 2


def test_config_error_lists_every_fault() -> None:
    one, two = ConfigError("First."), ConfigError("First.", "Second.")

    assert str(one) == "First."
    assert str(two) == "2 faults in the configuration:\n  1. First.\n  2. Second."
    assert two.faults == ("First.", "Second.")


@pytest.mark.parametrize(
    "error",
    [ConfigError("a", "b"), InvalidToken(detail="d"), Unauthorized("Log in.")],
    ids=lambda error: type(error).__name__,
)
def test_error_survives_the_way_between_processes(error: GuardError) -> None:
    again = pickle.loads(pickle.dumps(error))  # noqa: S301

    assert type(again) is type(error)
    assert vars(again) == vars(error)
    assert str(again) == str(error)


def test_every_error_of_the_kit_is_a_guard_error() -> None:
    kinds = [kind for kind in vars(errors).values() if inspect.isclass(kind) and issubclass(kind, Exception)]

    assert kinds
    assert all(issubclass(kind, GuardError) for kind in kinds)
