"""Whatever text comes: a refusal, or the principal of exactly this token; never another exception."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from flask_guard.auth.bearer import TokenVerifier
from flask_guard.errors import CredentialRefused
from flask_guard.values import Principal
from tests.auth.forge import StillClock, claims, profile, sign, signing_key

HMAC_KEY = signing_key("HS256", "fuzz")
FUZZED = TokenVerifier([profile(HMAC_KEY, issuer=None, audience=None)], clock=StillClock())
GOOD = sign(HMAC_KEY, claims(roles=["reader"]))
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def outcome(token: str) -> Principal | None:
    """Return the principal, None for a refusal; any other exception ends the test."""
    try:
        return FUZZED.authenticate(token)
    except CredentialRefused:
        return None


@given(st.text() | st.binary().map(lambda data: data.decode("latin-1")) | st.text(ALPHABET + "."))
def test_any_text_is_refused(token: str) -> None:
    assert outcome(token) is None


@given(st.lists(st.text(ALPHABET, max_size=40), min_size=3, max_size=3).map(".".join))
def test_any_three_segments_are_refused(token: str) -> None:
    assert outcome(token) is None


@given(
    position=st.integers(0, len(GOOD) - 1),
    length=st.integers(0, 3),
    inserted=st.text(ALPHABET + ".=+/ ", max_size=3) | st.characters(),
)
def test_a_token_has_no_second_spelling(position: int, length: int, inserted: str) -> None:
    """Change any few characters of a good token: it is the same text, or it is refused."""
    changed = GOOD[:position] + inserted + GOOD[position + length :]

    principal = outcome(changed)

    assert (principal is not None) is (changed == GOOD)


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
_claims = st.dictionaries(
    st.sampled_from(
        ["sub", "exp", "nbf", "iat", "aud", "iss", "jti", "sid", "roles", "scope", "tenant", "amr", "mfa", "auth_time",
         "typ", "type", "token_type", "token_use", "nonce", "events"]
    ),
    _json,
    max_size=4,
)  # fmt: skip
_header = st.dictionaries(st.sampled_from(["alg", "kid", "typ", "cty", "crit", "zip", "x5t", "enc"]), _json, max_size=3)


@given(payload=_claims, header=_header)
def test_whatever_a_trusted_issuer_signs_is_a_principal_or_a_refusal(payload: Any, header: Any) -> None:
    base = {"typ": "at+jwt", "alg": "HS256", "kid": HMAC_KEY.kid}

    principal = outcome(sign(HMAC_KEY, {**claims(), **payload}, {**base, **header}))

    if principal is not None:
        assert isinstance(principal, Principal)
        assert principal.id == principal.claims["sub"]
        assert all(isinstance(role, str) for role in principal.roles | principal.scopes)
        assert hash(principal) is not None
        assert repr(principal).encode()
        assert json.dumps(principal.claims).encode()


@given(st.binary(max_size=80), st.binary(max_size=80))
def test_whatever_bytes_are_signed_are_a_principal_or_a_refusal(header: bytes, payload: bytes) -> None:
    assert outcome(sign(HMAC_KEY, payload, header)) is None


def test_the_fuzzed_verifier_accepts_its_good_token() -> None:
    assert outcome(GOOD) == FUZZED.authenticate(GOOD)
    assert hashlib.sha256(GOOD.encode()).digest() in FUZZED._cache._tokens
