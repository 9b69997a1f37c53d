"""Which CSRF tokens are good, and that nothing can be read from them."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flask_guard.browser.csrf_tokens import check_token, derive_key, make_token

KEY = derive_key(secrets.token_hex(32))
OTHER = derive_key(secrets.token_hex(32))
SEED = secrets.token_urlsafe(16)


def test_a_token_is_good_for_its_key_and_seed() -> None:
    assert check_token([KEY], SEED, make_token(KEY, SEED))


def test_a_token_is_a_nonce_and_the_hmac_of_nonce_and_seed() -> None:
    secret = secrets.token_hex(16)

    raw = base64.urlsafe_b64decode(make_token(derive_key(secret), "seed"))

    key = hmac.new(secret.encode(), b"flask_guard csrf token 1", hashlib.sha256).digest()
    assert raw[16:] == hmac.new(key, raw[:16] + b"seed", hashlib.sha256).digest()


def test_tokens_of_one_session_share_no_text() -> None:
    tokens = [make_token(KEY, SEED) for _ in range(200)]

    assert len({token[start : start + 8] for token in tokens for start in range(0, 64, 8)}) == 200 * 8
    assert all(SEED[:8] not in token for token in tokens)


def test_a_token_needs_no_escaping_in_html_headers_and_forms() -> None:
    assert all(make_token(KEY, SEED).replace("-", "").replace("_", "").isalnum() for _ in range(50))
    assert len(make_token(KEY, SEED)) == 64


def test_tokens_of_every_key_are_taken_until_it_is_removed() -> None:
    token = make_token(OTHER, SEED)

    assert check_token([KEY, OTHER], SEED, token)
    assert not check_token([KEY], SEED, token)
    assert not check_token([], SEED, token)


def test_a_token_of_another_session_is_refused() -> None:
    assert not check_token([KEY], SEED, make_token(KEY, secrets.token_urlsafe(16)))


def test_a_part_of_the_seed_does_not_move_into_the_nonce() -> None:
    """The nonce has a fixed length, so nonce and seed cannot be divided otherwise."""
    raw = base64.urlsafe_b64decode(make_token(KEY, "seed"))

    shifted = base64.urlsafe_b64encode(raw[:15] + raw[16:] + b"\x00").decode()

    assert not check_token([KEY], "seed", shifted)


def test_a_key_serves_this_purpose_alone() -> None:
    secret = secrets.token_hex(16)

    assert derive_key(secret) == derive_key(secret.encode())
    assert derive_key(secret) not in (secret.encode(), hashlib.sha256(secret.encode()).digest())
    assert derive_key(secret) != derive_key(secret + "x")


@pytest.mark.parametrize("position", [0, 21, 22, 40, 63])
def test_a_token_changed_in_one_character_is_refused(position: int) -> None:
    token = make_token(KEY, SEED)

    changed = token[:position] + ("A" if token[position] != "A" else "B") + token[position + 1 :]

    assert not check_token([KEY], SEED, changed)


NO_TOKENS = {
    "empty": "",
    "short": "A" * 63,
    "long": "A" * 65,
    "zeros": "A" * 64,
    "standard base64": "+/" * 32,
    "padding": "A" * 63 + "=",
    "other letters": "\xe9" * 64,
    "other digits": "\u0661" * 64,
    "NUL": "\x00" * 64,
    "half of a surrogate pair": "\ud800" * 64,
    "huge": "A" * 1_000_000,
}


@pytest.mark.parametrize("raw", NO_TOKENS.values(), ids=NO_TOKENS)
def test_what_is_no_token_is_refused(raw: str) -> None:
    assert not check_token([KEY], SEED, raw)


@pytest.mark.parametrize("added", ["\n", " ", "=", "\x00"], ids=["line end", "space", "padding", "NUL"])
def test_nothing_may_stand_around_a_token(added: str) -> None:
    token = make_token(KEY, SEED)

    assert not check_token([KEY], SEED, token + added)
    assert not check_token([KEY], SEED, added + token)


@given(raw=st.text(max_size=70) | st.text("ABCabc019-_=+/", min_size=60, max_size=68))
def test_hostile_text_is_refused_without_an_exception(raw: str) -> None:
    assert not check_token([KEY, OTHER], SEED, raw)
