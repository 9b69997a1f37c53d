"""What every source of verification keys promises (`protocols.KeySource`)."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from flask_guard.auth.jwks import JwksKeys
from flask_guard.auth.keyring import LocalKeys
from flask_guard.crypto.signing import SigningKey
from flask_guard.protocols import KeySource
from tests.auth.forge import base64url, signing_key

FIRST, SECOND, OTHER_KIND = signing_key("ES256", "1"), signing_key("ES256", "2"), signing_key("RS256")


def local(*keys: SigningKey) -> KeySource:
    return LocalKeys([key.verification for key in keys])


def fetched(*keys: SigningKey) -> KeySource:
    document = json.dumps({"keys": [key.public_jwk() for key in keys]}).encode()
    return JwksKeys("https://issuer.example/keys", fetch=lambda _url: document, clock=lambda: 0.0, max_stale_s=60)


@pytest.fixture(params=[local, fetched], ids=["LocalKeys", "JwksKeys"])
def make(request: pytest.FixtureRequest) -> Callable[..., KeySource]:
    source: Callable[..., KeySource] = request.param
    return source


def test_a_name_finds_its_key(make: Callable[..., KeySource]) -> None:
    source = make(FIRST, SECOND, OTHER_KIND)

    for key in (FIRST, SECOND, OTHER_KIND):
        assert [found.kid for found in source.candidates(key.kid, key.algorithm)] == [key.kid]


def test_without_a_name_every_key_of_the_algorithm_is_offered(make: Callable[..., KeySource]) -> None:
    found = make(FIRST, SECOND, OTHER_KIND).candidates(None, "ES256")

    assert {key.kid for key in found} == {FIRST.kid, SECOND.kid}


@pytest.mark.parametrize("algorithm", ["HS256", "none", "None", "", "ES384", "RS512", "es256", "EdDSA"])
@pytest.mark.parametrize(
    "kid", [None, FIRST.kid, OTHER_KIND.kid, "unknown"], ids=["no kid", "ES256", "RS256", "unknown"]
)
def test_no_key_is_offered_for_an_algorithm_that_is_not_its_own(
    make: Callable[..., KeySource], kid: str | None, algorithm: str
) -> None:
    assert list(make(FIRST, SECOND, OTHER_KIND).candidates(kid, algorithm)) == []


@pytest.mark.parametrize(
    "kid",
    [None, FIRST.kid, "unknown", "", "\ud800", "x" * 10_000, "../../etc/passwd"],
    ids=["no kid", "known", "unknown", "empty", "surrogate", "long", "path"],
)
def test_every_key_that_is_offered_checks_its_own_algorithm_only(
    make: Callable[..., KeySource], kid: str | None
) -> None:
    source = make(FIRST, OTHER_KIND)

    for algorithm in ("ES256", "RS256"):
        assert all(key.algorithm == algorithm for key in source.candidates(kid, algorithm))


def test_an_offered_key_verifies_what_its_owner_signed(make: Callable[..., KeySource]) -> None:
    (key,) = make(FIRST).candidates(FIRST.kid, "ES256")

    assert key.verify(b"input", FIRST.sign(b"input"))
    assert not key.verify(b"input", SECOND.sign(b"input"))
    assert not key.verify(b"other", FIRST.sign(b"input"))
    assert not key.verify(b"input", base64url(FIRST.sign(b"input")).encode())


def test_the_generation_stands_still_while_no_key_changes(make: Callable[..., KeySource]) -> None:
    source = make(FIRST)
    before = source.generation

    source.candidates(FIRST.kid, "ES256")
    source.candidates("unknown", "ES256")

    assert source.generation == before
