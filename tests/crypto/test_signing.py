"""One algorithm per key, whatever a token says; and JWKs that must be skipped."""

from __future__ import annotations

import base64
import json
import secrets
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flask_guard.config.secrets import Secret
from flask_guard.crypto.signing import (
    ALGORITHMS,
    SigningKey,
    VerificationKey,
    fits_some_key,
    load_hmac_key,
    load_private_key,
    load_public_keys,
    parse_jwk,
)
from tests.auth.forge import (
    SIGNATURES,
    base64url,
    private_key,
    private_pem,
    public_jwk,
    public_pem,
    secret_bytes,
    signing_key,
)

VECTORS = Path(__file__).parents[1] / "vectors"
ASYMMETRIC = {algorithm: kind for algorithm, kind in SIGNATURES.items() if kind != "secret"}


# One algorithm per key ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("algorithm", "kind"), ASYMMETRIC.items(), ids=ASYMMETRIC)
def test_a_key_pair_has_the_default_algorithm_of_its_kind(algorithm: str, kind: str) -> None:
    private = load_private_key(Secret(private_pem(private_key(kind))))
    (public,) = load_public_keys(public_pem(private_key(kind)))

    assert (private.algorithm, private.verification.algorithm, public.algorithm) == (algorithm,) * 3
    assert private.kid == public.kid == public.thumbprint


def test_a_secret_has_hs256() -> None:
    assert load_hmac_key(Secret("x" * 32)).algorithm == "HS256"


@pytest.mark.parametrize(
    ("kind", "algorithms", "chosen"),
    [
        ("rsa", ("RS512",), "RS512"),
        ("rsa", ("PS384", "RS512"), "PS384"),
        ("rsa", ("ES256", "PS256", "RS256"), "PS256"),
        ("rsa", ("ES256", "HS256"), "RS256"),
        ("p256", ("ES384", "RS256"), "ES256"),
        ("ed25519", ("ES256",), "EdDSA"),
    ],
)
def test_the_first_listed_algorithm_that_fits_is_the_only_one(
    kind: str, algorithms: tuple[str, ...], chosen: str
) -> None:
    assert load_private_key(Secret(private_pem(private_key(kind))), algorithms).algorithm == chosen
    assert load_public_keys(public_pem(private_key(kind)), algorithms)[0].algorithm == chosen


@pytest.mark.parametrize("algorithm", sorted(ALGORITHMS))
def test_what_a_key_signs_only_its_own_verification_accepts(algorithm: str) -> None:
    key, stranger = signing_key(algorithm), signing_key(algorithm, "other")
    signature = key.sign(b"header.payload")

    assert key.verification.verify(b"header.payload", signature)
    assert not stranger.verification.verify(b"header.payload", signature)
    assert not key.verification.verify(b"header.payloae", signature)
    assert not key.verification.verify(b"header.payload", signature[:-1])
    assert not key.verification.verify(b"header.payload", signature + b"\0")
    assert not key.verification.verify(b"header.payload", b"")


@pytest.mark.parametrize("algorithm", sorted(ALGORITHMS))
def test_any_bytes_as_a_signature_are_just_wrong(algorithm: str) -> None:
    key = signing_key(algorithm).verification

    @given(st.binary(max_size=300))
    def check(signature: bytes) -> None:
        assert key.verify(b"header.payload", signature) is False

    check()


def test_an_ecdsa_signature_keeps_its_leading_zeros() -> None:
    """Else each signature with such a zero would have a second, shorter spelling."""
    key = signing_key("ES256")
    inputs = (str(number).encode() for number in range(100_000))
    data, signature = next((i, s) for i, s in ((i, key.sign(i)) for i in inputs) if s[32] == 0)

    assert key.verification.verify(data, signature)
    assert not key.verification.verify(data, signature[:32] + signature[33:])
    assert not key.verification.verify(data, signature[:32] + b"\0" + signature[32:])


@pytest.mark.parametrize(
    ("kind", "algorithm"),
    [("rsa", "ES256"), ("rsa", "HS256"), ("p256", "ES384"), ("p384", "ES256"), ("ed25519", "RS256")],
)
def test_a_key_cannot_be_given_an_algorithm_of_another_kind(kind: str, algorithm: str) -> None:
    with pytest.raises(ValueError, match=f"does not fit {algorithm}"):
        VerificationKey(private_key(kind).public_key(), algorithm)


def test_a_public_key_cannot_become_an_hmac_secret() -> None:
    with pytest.raises(ValueError, match="does not fit RS256"):
        VerificationKey(public_pem(private_key("rsa")).encode(), "RS256")


def test_fitting_looks_at_the_family_of_each_key() -> None:
    keys = [signing_key("RS256").verification, signing_key("ES256").verification]

    assert fits_some_key("PS512", keys)
    assert fits_some_key("ES256", keys)
    assert not fits_some_key("ES384", keys)
    assert not fits_some_key("HS256", keys)
    assert not fits_some_key("RS256", [])


# Published vectors -------------------------------------------------------------------------------------


def test_the_thumbprint_is_that_of_rfc_7638() -> None:
    vector = json.loads((VECTORS / "rfc_jose.json").read_text())["jwk_thumbprint"]

    key = parse_jwk({name: value for name, value in vector["jwk"].items() if name != "kid"})

    assert key is not None
    assert key.kid == key.thumbprint == vector["sha256"]


@pytest.mark.parametrize(
    "name",
    ["4_1.rsa_v15_signature", "4_2.rsa-pss_signature", "4_3.ecdsa_signature", "ed25519_signature"],
)
def test_signatures_of_the_jose_cookbook_are_right(name: str) -> None:
    vector = json.loads((VECTORS / "jose-cookbook" / f"{name}.json").read_text())
    public = {"kty", "crv", "n", "e", "x", "y"}.intersection(vector["input"]["key"])
    key = parse_jwk({member: vector["input"]["key"][member] for member in public}, [vector["input"]["alg"]])
    signing_input, _, signature = vector["output"]["compact"].rpartition(".")

    assert key is not None
    assert key.algorithm == vector["input"]["alg"]
    assert key.verify(signing_input.encode(), _unbase64url(signature))


@pytest.mark.parametrize("source", ["cookbook", "rfc"])
def test_published_hmacs_are_right(source: str) -> None:
    if source == "cookbook":
        vector = json.loads((VECTORS / "jose-cookbook/4_4.hmac-sha2_integrity_protection.json").read_text())
        jwk, token = vector["input"]["key"], vector["output"]["compact"]
    else:
        vector = json.loads((VECTORS / "rfc_jose.json").read_text())["jws_rfc7515_a1"]
        jwk, token = vector["jwk"], vector["token"]
    signing_input, _, signature = token.rpartition(".")

    assert VerificationKey(_unbase64url(jwk["k"]), "HS256").verify(signing_input.encode(), _unbase64url(signature))


def _unbase64url(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


# Names and public forms --------------------------------------------------------------------------------


@pytest.mark.parametrize(("algorithm", "kind"), ASYMMETRIC.items(), ids=ASYMMETRIC)
def test_the_public_form_holds_no_secret_and_reads_back_as_the_same_key(algorithm: str, kind: str) -> None:
    key = SigningKey(private_key(kind), algorithm)

    jwk = key.public_jwk()
    read = parse_jwk(jwk)

    assert jwk is not None
    assert read is not None
    assert set(jwk) == {"use", "alg", "kid", "kty"} | set(jwk) & {"n", "e", "crv", "x", "y"}
    assert (jwk["use"], jwk["alg"], jwk["kid"]) == ("sig", algorithm, key.kid)
    assert (read.kid, read.algorithm, read.thumbprint) == (key.kid, algorithm, key.verification.thumbprint)


def test_a_secret_has_no_public_form() -> None:
    assert load_hmac_key(Secret(secrets.token_hex(32))).public_jwk() is None


def test_the_name_of_a_secret_tells_nothing_but_that_it_is_another() -> None:
    text = secrets.token_hex(32)

    name = load_hmac_key(Secret(text)).kid

    assert name == load_hmac_key(Secret(text)).kid
    assert name != load_hmac_key(Secret(text + "x")).kid
    assert len(name) == 16
    assert name not in text
    assert text not in name


def test_printing_a_key_shows_its_name_only() -> None:
    key = load_hmac_key(Secret(secret_bytes().decode()))

    for printed in (repr(key), str(key), repr(key.verification), f"{key.verification}"):
        assert key.kid in printed
        assert secret_bytes().decode() not in printed


# JWKs --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("jwk", "algorithms", "chosen"),
    [
        (public_jwk("rsa"), (), "RS256"),
        (public_jwk("rsa", alg=None), (), "RS256"),
        (public_jwk("rsa", alg=None), ("PS256",), "PS256"),
        (public_jwk("rsa", alg="PS512"), ("RS256",), "PS512"),
        (public_jwk("p384", alg=None, use=None), (), "ES384"),
        (public_jwk("p521"), (), "ES512"),
        (public_jwk("ed25519", key_ops=["verify"]), (), "EdDSA"),
        (public_jwk("rsa", x5c=["MII"], x5t="abc", **{"x-vendor": 1}), (), "RS256"),
    ],
    ids=["alg", "no alg", "no alg, one listed", "alg wins", "bare EC", "P-521", "key_ops", "other members"],
)
def test_a_published_key_is_read(jwk: dict[str, Any], algorithms: tuple[str, ...], chosen: str) -> None:
    key = parse_jwk(jwk, algorithms)

    assert key is not None
    assert (key.algorithm, key.kid) == (chosen, jwk["kid"])


def test_a_key_without_a_name_is_called_by_its_thumbprint() -> None:
    named, nameless = parse_jwk(public_jwk("p256", kid="name")), parse_jwk(public_jwk("p256", kid=None))

    assert named is not None
    assert nameless is not None
    assert (named.kid, nameless.kid) == ("name", named.thumbprint)


SKIPPED: dict[str, Any] = {
    "encryption": public_jwk(use="enc"),
    "use not text": public_jwk(use=["sig"]),
    "key_ops without verify": public_jwk(key_ops=["sign", "encrypt"]),
    "key_ops not a list": public_jwk(key_ops="verify"),
    "secret": {"kty": "oct", "k": base64url(b"x" * 32), "kid": "1", "alg": "HS256"},
    "private RSA": public_jwk(d="AQAB"),
    "private EC": public_jwk("p256", d="AQAB"),
    "hidden secret": public_jwk(k="AQAB"),
    "unknown kty": {"kty": "AKP", "kid": "1"},
    "no kty": public_jwk(kty=None),
    "kty not text": public_jwk(kty=["RSA"]),
    "RSA with a curve": public_jwk(crv="P-256"),
    "curve secp256k1": public_jwk("p256", crv="secp256k1"),
    "curve of another size": public_jwk("p256", crv="P-384", alg=None),
    "Ed448": {"kty": "OKP", "crv": "Ed448", "x": base64url(b"x" * 57), "kid": "1"},
    "X25519": {"kty": "OKP", "crv": "X25519", "x": base64url(b"x" * 32), "kid": "1"},
    "RSA-1024": {"kty": "RSA", "n": base64url(b"\xf1" * 128), "e": "AQAB", "kid": "1"},
    "exponent 1": public_jwk(e="AQ"),
    "exponent 2": public_jwk(e="Ag"),
    "no modulus": public_jwk(n=None),
    "modulus not text": public_jwk(n=5),
    "modulus not base64url": public_jwk(n="%%%"),
    "modulus not ASCII": public_jwk(n="é" * 400),
    "point not on the curve": public_jwk("p256", x=base64url(b"\1" * 32)),
    "alg of another kind": public_jwk(alg="ES256"),
    "alg of a secret": public_jwk(alg="HS256"),
    "alg none": public_jwk(alg="none"),
    "alg for encryption": public_jwk(alg="RSA-OAEP"),
    "alg not text": public_jwk(alg=["RS256"]),
    "alg an object": public_jwk(alg={}),
    "P-256 with ES512": public_jwk("p256", alg="ES512"),
    "kid not text": public_jwk(kid=7),
    "not an object": "RSA",
    "null": None,
    "list": [public_jwk()],
}


@pytest.mark.parametrize("case", SKIPPED)
def test_a_key_that_must_not_be_used_is_skipped(case: str) -> None:
    assert parse_jwk(SKIPPED[case]) is None


@given(
    st.dictionaries(
        st.sampled_from(["kty", "crv", "n", "e", "x", "y", "alg", "kid", "use", "key_ops", "d"]),
        st.none()
        | st.booleans()
        | st.integers()
        | st.sampled_from(["RSA", "EC", "OKP", "P-256", "Ed25519", "sig", "AQAB"])
        | st.text(max_size=90)
        | st.lists(st.text(max_size=6), max_size=2),
    )
)
def test_no_published_object_raises(jwk: dict[str, Any]) -> None:
    key = parse_jwk(jwk)

    assert key is None or key.algorithm in ALGORITHMS
