"""Keys and tokens for tests: what an issuer makes, and what only an attacker would."""

from __future__ import annotations

import base64
import functools
import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from flask_guard.auth.bearer import IssuerProfile, TokenVerifier
from flask_guard.auth.claims import ClaimRules
from flask_guard.auth.keyring import LocalKeys
from flask_guard.crypto.signing import PrivateKey, SigningKey
from flask_guard.errors import KeysUnavailable
from flask_guard.protocols import TokenKey
from flask_guard.values import Principal, freeze_claims

NOW = 1_795_000_000
ISSUER = "https://issuer.example"
AUDIENCE = "notes-api"
SIGNATURES = {
    "HS256": "secret", "RS256": "rsa", "ES256": "p256", "ES384": "p384", "ES512": "p521", "EdDSA": "ed25519",
}  # fmt: skip


@dataclass
class StillClock:
    """Stands where it is put."""

    now: float = float(NOW)

    def __call__(self) -> float:
        return self.now


@functools.cache
def private_key(kind: str) -> PrivateKey:
    """Return a private key, one for each name: the kind, and whatever follows a colon ("rsa:other")."""
    match kind.partition(":")[0]:
        case "rsa":
            return rsa.generate_private_key(65537, 2048)
        case "p256":
            return ec.generate_private_key(ec.SECP256R1())
        case "p384":
            return ec.generate_private_key(ec.SECP384R1())
        case "p521":
            return ec.generate_private_key(ec.SECP521R1())
        case "ed25519":
            return ed25519.Ed25519PrivateKey.generate()
    raise ValueError(kind)


@functools.cache
def secret_bytes(name: str = "") -> bytes:
    """Return 64 random bytes, the same for the same name."""
    return secrets.token_hex(32).encode()


def signing_key(algorithm: str = "EdDSA", name: str = "") -> SigningKey:
    if algorithm.startswith("HS"):
        return SigningKey(secret_bytes(name), algorithm)
    kind = SIGNATURES.get(algorithm, "rsa")
    return SigningKey(private_key(f"{kind}:{name}"), algorithm)


def private_pem(key: PrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def public_pem(key: PrivateKey) -> str:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def segment(content: Any) -> str:
    """Encode one segment: bytes and text as they are, anything else as JSON."""
    if isinstance(content, str):
        content = content.encode()
    if not isinstance(content, bytes):
        content = json.dumps(content, separators=(",", ":")).encode()
    return base64url(content)


def claims(**changes: Any) -> dict[str, Any]:
    """Return the claims of a good token; a change to None leaves a claim out."""
    good = {"iss": ISSUER, "aud": AUDIENCE, "sub": "user-1", "iat": NOW - 10, "exp": NOW + 300, "jti": "token-1"}
    return {name: value for name, value in {**good, **changes}.items() if value is not None}


def sign(key: SigningKey, payload: Any = None, header: Any = None, **header_changes: Any) -> str:
    """Return a token with a right signature over whatever header and payload it is given.

    header: replaces the usual one; bytes and text are taken as they are. A header change to None leaves
    that member out.
    """
    if header is None:
        usual = {"typ": "at+jwt", "alg": key.algorithm, "kid": key.kid, **header_changes}
        header = {name: value for name, value in usual.items() if value is not None}
    signing_input = f"{segment(header)}.{segment(claims() if payload is None else payload)}"
    return f"{signing_input}.{base64url(key.sign(signing_input.encode()))}"


def profile(*keys: SigningKey, **changes: Any) -> IssuerProfile:
    fields: Mapping[str, Any] = {
        "keys": LocalKeys([key.verification for key in keys]),
        "issuer": ISSUER,
        "audience": frozenset({AUDIENCE}),
        **changes,
    }
    return IssuerProfile(**fields)


def verifier(*keys: SigningKey, clock: StillClock | None = None, **changes: Any) -> TokenVerifier:
    return TokenVerifier([profile(*keys, **changes)], clock=clock or StillClock())


def public_jwk(kind: str = "rsa", **changes: Any) -> dict[str, Any]:
    """Return a JWK as an issuer publishes it; a change to None leaves a member out."""
    algorithm = next(name for name, of in SIGNATURES.items() if of == kind)
    jwk = SigningKey(private_key(kind), algorithm).public_jwk() or {}
    return {name: value for name, value in {**jwk, **changes}.items() if value is not None}


class CountingKeys:
    """A KeySource that counts questions and whose keys can change."""

    def __init__(self, *keys: TokenKey) -> None:
        self.keys: Sequence[TokenKey] = keys
        self.generation = 0
        self.asked: list[tuple[str | None, str]] = []
        self.fails = False

    def candidates(self, kid: str | None, algorithm: str) -> Sequence[TokenKey]:
        self.asked.append((kid, algorithm))
        if self.fails:
            raise KeysUnavailable(detail="gone")
        return [key for key in self.keys if key.algorithm == algorithm and kid in (None, key.kid)]


class CountingKey:
    """A TokenKey that counts the signatures that it checks."""

    def __init__(self, key: TokenKey) -> None:
        self._key = key
        self.kid = key.kid
        self.algorithm = key.algorithm
        self.checked = 0

    def verify(self, signing_input: bytes, signature: bytes) -> bool:
        self.checked += 1
        return self._key.verify(signing_input, signature)


def counting(algorithm: str = "EdDSA", **changes: Any) -> tuple[TokenVerifier, CountingKeys, CountingKey, StillClock]:
    key = CountingKey(signing_key(algorithm).verification)
    keys, clock = CountingKeys(key), StillClock()
    return verifier(clock=clock, keys=keys, **changes), keys, key, clock


def admit(
    members: dict[str, Any], *, now: float = NOW, typ: str | None = "jwt", **changes: Any
) -> tuple[Principal, float]:
    rules = ClaimRules(IssuerProfile(LocalKeys([]), **changes))
    return rules.admit(freeze_claims(members), typ, now)


def principal_of(members: dict[str, Any], **changes: Any) -> Principal:
    return admit(members, **changes)[0]
