"""Tokens that an attacker would send: none gets in, none causes a fetch, none learns why it was refused.

Each is named after the attack; the advisories behind them are CVE-2015-9235, CVE-2016-10555, CVE-2018-0114,
CVE-2022-21449, CVE-2022-29217, CVE-2024-53861, CVE-2025-59420, CVE-2026-32597 and CVE-2026-48526.
"""

from __future__ import annotations

import functools
import time
import traceback

import pytest

from flask_guard.errors import CredentialRefused
from tests.attacks.hostile_tokens import (
    HOSTILE,
    HOSTILE_WITH_CODE,
    NAMES_OF_NOBODY,
    OURS,
    PARTNER,
    PARTNER_KEY,
    RSA_KEY,
    SECRET_KEY,
    STRANGER,
    World,
    own,
    raw_header,
    raw_payload,
)
from tests.auth.forge import AUDIENCE, ISSUER, claims, sign, signing_key


@functools.cache
def token_of(name: str) -> str:
    return HOSTILE[name]() if name in HOSTILE else HOSTILE_WITH_CODE[name][0]()


@pytest.mark.parametrize("name", [*HOSTILE, *HOSTILE_WITH_CODE])
def test_a_hostile_token_is_refused(name: str) -> None:
    """Twice, because what was remembered of the first time must not open the door the second time."""
    world, token = World(), token_of(name)
    code = HOSTILE_WITH_CODE[name][1] if name in HOSTILE_WITH_CODE else "invalid_token"

    for refusal in (world.refusal_of(token), world.refusal_of(token)):
        assert (refusal.code, refusal.status) == (code, 401)
        assert_says_nothing(refusal, token)

    assert len(world.fetches) <= (1 if name in NAMES_OF_NOBODY else 0)
    assert world.verifier.authenticate(sign(RSA_KEY)).id == "user-1"


def assert_says_nothing(refusal: CredentialRefused, token: str) -> None:
    """To the caller: the constant text of its code. To the log: the reason, and not the token."""
    said = refusal.text + repr(refusal.headers())
    assert refusal.text == type(refusal).public
    assert refusal.errors == ()
    for internal in (ISSUER, PARTNER, OURS, AUDIENCE, RSA_KEY.kid, PARTNER_KEY.kid, SECRET_KEY.kid, refusal.detail):
        assert internal not in said
    assert refusal.detail
    assert len(refusal.detail) < 400
    logged = "".join(traceback.format_exception_only(refusal))
    assert len(token) < 40 or token not in logged
    assert len(token) < 40 or token[-40:] not in logged


def test_the_table_is_long_and_its_tokens_differ() -> None:
    tokens = {token_of(name) for name in [*HOSTILE, *HOSTILE_WITH_CODE]}

    assert len(tokens) == len(HOSTILE) + len(HOSTILE_WITH_CODE) >= 60


def test_the_good_tokens_of_this_world_are_accepted() -> None:
    """Else the table above would pass for the wrong reason."""
    world = World()

    assert world.verifier.authenticate(own()).id == "user-1"
    assert world.verifier.authenticate(own(typ="JWT")).id == "user-1"
    assert world.verifier.authenticate(own(kid=None)).id == "user-1"
    assert world.verifier.authenticate(raw_payload('{GOOD,"x":1}')).id == "user-1"
    assert world.verifier.authenticate(raw_header('{"alg":"RS256","kid":"KID"}')).id == "user-1"
    assert world.verifier.authenticate(sign(PARTNER_KEY, claims(iss=PARTNER))).id == "user-1"
    assert world.verifier.authenticate(sign(SECRET_KEY, claims(iss=OURS))).id == "user-1"
    assert world.verifier.authenticate(own(claims(filler="x" * 5000))).id == "user-1"
    assert world.fetches == []


def test_a_thousand_invented_kids_cause_one_fetch() -> None:
    world = World()
    stranger = signing_key("HS256", "attacker")

    for number in range(1000):
        header = {"typ": "at+jwt", "alg": "RS256", "kid": f"invented-{number}"}
        world.refusal_of(sign(stranger, header=header))

    assert len(world.fetches) == 1


def test_what_a_token_names_is_never_fetched() -> None:
    world = World()
    address = "https://attacker.example/keys"

    for token in (
        sign(STRANGER, claims(iss=address)),
        sign(STRANGER, jku=address),
        sign(STRANGER, kid=address),
        sign(STRANGER, x5u=address, kid=None),
    ):
        world.refusal_of(token)

    assert set(world.fetches) <= {ISSUER + "/keys"}


def test_a_huge_token_is_refused_without_being_read() -> None:
    """CVE-2025-61920: fifteen megabytes, decoded before they were refused, took a fifth of a second."""
    world, token = World(), "A" * 15_000_000

    started = time.perf_counter()
    world.refusal_of(token)

    assert time.perf_counter() - started < 0.05
