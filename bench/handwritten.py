"""The floor of token verification: the least code that checks everything that a verifier must.

Signature, exp, nbf, iss, aud; the header is one that was read before. It is right for one issuer with one key
and hardened against nothing: no strict base64, no doubled members, no claim of a wrong type.
"""

from __future__ import annotations

import hmac
import json
import time
from base64 import urlsafe_b64decode
from collections.abc import Callable
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from .apps import AUDIENCE, ISSUER

Claims = dict[str, Any]


def make_verifier(algorithm: str, key: Any, header: str) -> Callable[[str], Claims]:
    """Return a function of a token. header: the first segment of every token that will come."""
    check = _CHECKS[algorithm](key)
    known = {header.encode(): check}

    def verify(token: str) -> Claims:
        signing_input, _, signature = token.encode("ascii").rpartition(b".")
        head, _, payload = signing_input.partition(b".")
        known[head](signing_input, _decode(signature))
        claims: Claims = json.loads(_decode(payload))
        if not claims["nbf"] <= time.time() < claims["exp"]:
            raise ValueError("not now")
        if claims["iss"] != ISSUER or claims["aud"] != AUDIENCE:
            raise ValueError("not for us")
        return claims

    return verify


def _decode(segment: bytes) -> bytes:
    return urlsafe_b64decode(segment + b"=" * (-len(segment) % 4))


def _hs256(key: bytes) -> Callable[[bytes, bytes], None]:
    def check(signing_input: bytes, signature: bytes) -> None:
        if not hmac.compare_digest(hmac.digest(key, signing_input, "sha256"), signature):
            raise ValueError("not signed by us")

    return check


def _rs256(key: Any) -> Callable[[bytes, bytes], None]:
    padding, digest = PKCS1v15(), SHA256()
    return lambda signing_input, signature: key.verify(signature, signing_input, padding, digest)


def _es256(key: Any) -> Callable[[bytes, bytes], None]:
    scheme = ECDSA(SHA256())

    def check(signing_input: bytes, signature: bytes) -> None:
        r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
        key.verify(encode_dss_signature(r, s), signing_input, scheme)

    return check


def _eddsa(key: Any) -> Callable[[bytes, bytes], None]:
    return lambda signing_input, signature: key.verify(signature, signing_input)


_CHECKS: dict[str, Callable[[Any], Callable[[bytes, bytes], None]]] = {
    "HS256": _hs256,
    "RS256": _rs256,
    "ES256": _es256,
    "EdDSA": _eddsa,
}
