"""One function of a token for each library that verifies tokens, its keys imported and its rules made before.

Every one checks signature, exp, iss and aud. Rule: `require_strict` has it refuse what it must, before it is
timed: a fast verifier that lets a bad token pass is not a verifier.
"""

from __future__ import annotations

import secrets
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1
from cryptography.hazmat.primitives.asymmetric.ec import generate_private_key as generate_ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key as generate_rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from flask_guard.auth.bearer import TokenVerifier
from flask_guard.auth.claims import IssuerProfile
from flask_guard.auth.keyring import LocalKeys
from flask_guard.crypto.signing import VerificationKey

from . import handwritten
from .apps import AUDIENCE, ISSUER, make_claims

Verify = Callable[[str], Any]

ALGORITHMS = ("HS256", "RS256", "ES256", "EdDSA")
FLOOR = "hand-written, full"
GUARD = "flask_guard"
PYJWT = "PyJWT"
_KEY_TYPES = {"HS256": "oct", "RS256": "RSA", "ES256": "EC", "EdDSA": "OKP"}


@dataclass(frozen=True, slots=True)
class KeyPair:
    """private signs, public checks; one and the same secret for HS256."""

    algorithm: str
    private: Any
    public: Any

    @classmethod
    def generate(cls, algorithm: str) -> KeyPair:
        if algorithm == "HS256":
            secret = secrets.token_bytes(32)
            return cls(algorithm, secret, secret)
        private: Any = {
            "RS256": lambda: generate_rsa(public_exponent=65537, key_size=2048),
            "ES256": lambda: generate_ec(SECP256R1()),
            "EdDSA": Ed25519PrivateKey.generate,
        }[algorithm]()
        return cls(algorithm, private, private.public_key())

    def sign(self, **changes: Any) -> str:
        """Return a new token, good but for the changes to its claims."""
        return jwt.encode(make_claims() | changes, self.private, self.algorithm)

    def public_text(self) -> bytes:
        """Return the key as libraries import it: PEM, or the secret itself."""
        if isinstance(self.public, bytes):
            return self.public
        pem: bytes = self.public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        return pem


def make_guard(pair: KeyPair, *, cache_size: int) -> TokenVerifier:
    key = VerificationKey(pair.public, pair.algorithm)
    profile = IssuerProfile(keys=LocalKeys([key]), issuer=ISSUER, audience=frozenset({AUDIENCE}))
    return TokenVerifier([profile], clock=time.time, cache_size=cache_size)


def make_floor(pair: KeyPair) -> Verify:
    return handwritten.make_verifier(pair.algorithm, pair.public, pair.sign().partition(".")[0])


def make_pyjwt(pair: KeyPair) -> Verify:
    def verify(token: str) -> Any:
        return jwt.decode(token, pair.public, algorithms=[pair.algorithm], audience=AUDIENCE, issuer=ISSUER)

    return verify


def make_peers(pair: KeyPair) -> Iterator[tuple[str, Verify]]:
    yield PYJWT, make_pyjwt(pair)
    yield "joserfc", _make_joserfc(pair)
    yield "authlib.jose", _make_authlib(pair)
    if pair.algorithm != "EdDSA":  # python-jose has none
        yield "python-jose", _make_python_jose(pair)


def _make_joserfc(pair: KeyPair) -> Verify:
    from joserfc import jwk
    from joserfc import jwt as joserfc_jwt

    key = jwk.import_key(pair.public_text(), _KEY_TYPES[pair.algorithm])  # type: ignore[call-overload]
    rules = joserfc_jwt.JWTClaimsRegistry(
        iss={"essential": True, "value": ISSUER},
        aud={"essential": True, "value": AUDIENCE},
        exp={"essential": True},
    )

    def verify(token: str) -> Any:
        decoded = joserfc_jwt.decode(token, key, algorithms=[pair.algorithm])
        rules.validate(decoded.claims)
        return decoded.claims

    return verify


def _make_authlib(pair: KeyPair) -> Verify:
    with warnings.catch_warnings(record=True):  # it says that it goes away in Authlib 2
        from authlib.jose import JsonWebKey, JsonWebToken  # type: ignore[import-untyped]

    decoder = JsonWebToken([pair.algorithm])
    key = JsonWebKey.import_key(pair.public_text(), {"kty": _KEY_TYPES[pair.algorithm]})
    rules = {
        "iss": {"essential": True, "value": ISSUER},
        "aud": {"essential": True, "value": AUDIENCE},
        "exp": {"essential": True},
    }

    def verify(token: str) -> Any:
        claims = decoder.decode(token, key, claims_options=rules)
        claims.validate()
        return claims

    return verify


def _make_python_jose(pair: KeyPair) -> Verify:
    from jose import jwk  # type: ignore[import-untyped]
    from jose import jwt as jose_jwt

    key = jwk.construct(pair.public_text(), pair.algorithm)

    def verify(token: str) -> Any:
        return jose_jwt.decode(token, key, algorithms=[pair.algorithm], audience=AUDIENCE, issuer=ISSUER)

    return verify


def require_strict(name: str, verify: Verify, pair: KeyPair) -> None:
    """Stop unless a good token passes and each of four bad ones is refused."""
    other, now = KeyPair.generate(pair.algorithm), int(time.time())
    verify(pair.sign())
    bad = {
        "another's signature": other.sign(),
        "expired": pair.sign(iat=now - 7200, nbf=now - 7200, exp=now - 3600),
        "another issuer": pair.sign(iss="https://other.example"),
        "another audience": pair.sign(aud="pictures"),
    }
    for what, token in bad.items():
        try:
            verify(token)
        except Exception:  # noqa: S112  # each library has its own errors, and any of them is a refusal
            continue
        raise AssertionError(f"{name} accepts a token that is bad: {what}")
