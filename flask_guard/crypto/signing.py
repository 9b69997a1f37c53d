"""Keys that sign tokens and keys that check them: one algorithm per key, fixed before any token is seen.

Relies on cryptography for keys and on PyJWT's algorithm objects for signatures (RFC 7518, RFC 8037).
Rule: the key says how it is used, never the token (RFC 8725, section 3.1); faults name no part of a key.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePrivateKey, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256, SHA384, SHA512, HashAlgorithm
from cryptography.hazmat.primitives.hmac import HMAC
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key
from jwt.algorithms import Algorithm, HMACAlgorithm, get_default_algorithms
from jwt.exceptions import PyJWTError

from ..config.secrets import Secret

PublicKey = RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey
PrivateKey = RSAPrivateKey | EllipticCurvePrivateKey | Ed25519PrivateKey

# What each kind of key may do, its default first (RFC 7518, section 3.1; RFC 8037, section 3.1).
_FITTING: Mapping[str, tuple[str, ...]] = {
    "secret": ("HS256", "HS384", "HS512"),
    "RSA": ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    "P-256": ("ES256",),
    "P-384": ("ES384",),
    "P-521": ("ES512",),
    "Ed25519": ("EdDSA",),
}
_CURVES = {"secp256r1": "P-256", "secp384r1": "P-384", "secp521r1": "P-521"}
_JWK_KINDS = {"RSA": (None,), "EC": ("P-256", "P-384", "P-521"), "OKP": ("Ed25519",)}

HMAC_ALGORITHMS = frozenset(_FITTING["secret"])
ASYMMETRIC_ALGORITHMS = frozenset(name for kind in _FITTING for name in _FITTING[kind]) - HMAC_ALGORITHMS
ALGORITHMS = HMAC_ALGORITHMS | ASYMMETRIC_ALGORITHMS

# RFC 7518, section 3.2: the key is at least as long as the hash. For HS256 the settings' own rules decide,
# because development may use a short secret.
_LEAST_SECRET_BYTES = {"HS384": 48, "HS512": 64}
MIN_RSA_BITS = 2048  # RFC 7518, section 3.3

# RFC 7638, section 3.2, and RFC 8037, section 2: the members that make a key's thumbprint.
_THUMBPRINT_MEMBERS = {"RSA": ("e", "kty", "n"), "EC": ("crv", "kty", "x", "y"), "OKP": ("crv", "kty", "x")}
# RFC 7518, sections 6.2.2, 6.3.2 and 6.4: whoever publishes one of these has published a secret.
_PRIVATE_MEMBERS = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})

_PEM_BLOCK = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----.*?-----END \1-----", re.DOTALL)
_PUBLIC_LABELS = frozenset({"PUBLIC KEY", "RSA PUBLIC KEY"})
_SSH_KEY = re.compile(r"(ssh-|ecdsa-sha2-|sk-(ssh|ecdsa))")
_ENGINES: Mapping[str, Algorithm] = get_default_algorithms()
_HASHES: Mapping[str, HashAlgorithm] = {
    name: {"256": SHA256(), "384": SHA384(), "512": SHA512()}[name[2:]] for name in ALGORITHMS - {"EdDSA"}
}
_NOT_A_SIGNATURE = (InvalidSignature, PyJWTError, ValueError, TypeError)
_REFUSED_BY_LIBRARY = (PyJWTError, UnsupportedAlgorithm, ValueError, TypeError)


class VerificationKey:
    """Checks signatures by one algorithm. Equal keys have equal thumbprints.

    kid: given by the issuer, else the thumbprint. thumbprint: RFC 7638, SHA-256 in base64url; of a secret,
    a value that is derived from it and does not lead back.
    """

    __slots__ = ("_check", "_key", "algorithm", "kid", "thumbprint")

    def __init__(self, key: PublicKey | bytes, algorithm: str, *, kid: str | None = None) -> None:
        """Raises ValueError when the key is too weak, or cannot be used by this algorithm."""
        if algorithm not in _FITTING[_kind_of(key)]:
            raise ValueError(f"holds a key that does not fit {algorithm}")
        self._key = key
        self._check = _make_check(key, algorithm)
        self.algorithm = algorithm
        self.thumbprint = _derive_name(key) if isinstance(key, bytes) else _thumbprint(_to_jwk(key, algorithm))
        self.kid = kid or self.thumbprint

    def verify(self, signing_input: bytes, signature: bytes) -> bool:
        """Say whether the signature is this key's; a malformed one is not."""
        try:
            return self._check(signing_input, signature)
        except _NOT_A_SIGNATURE:
            return False

    def public_jwk(self) -> dict[str, str] | None:
        """Return the key as others may read it (RFC 7517), or None for a secret."""
        if isinstance(self._key, bytes):
            return None
        return {**_to_jwk(self._key, self.algorithm), "use": "sig", "alg": self.algorithm, "kid": self.kid}

    def __repr__(self) -> str:
        return f"VerificationKey(kid={self.kid!r}, algorithm={self.algorithm!r})"


class SigningKey:
    """Signs by one algorithm. `verification` is the key that checks what it signed."""

    __slots__ = ("_key", "algorithm", "kid", "verification")

    def __init__(self, key: PrivateKey | bytes, algorithm: str) -> None:
        self._key = key
        self.algorithm = algorithm
        self.verification = VerificationKey(key if isinstance(key, bytes) else key.public_key(), algorithm)
        self.kid = self.verification.kid

    def sign(self, signing_input: bytes) -> bytes:
        return _ENGINES[self.algorithm].sign(signing_input, self._key)

    def public_jwk(self) -> dict[str, str] | None:
        """Return the public half (RFC 7517), or None when there is none."""
        return self.verification.public_jwk()

    def __repr__(self) -> str:
        return f"SigningKey(kid={self.kid!r}, algorithm={self.algorithm!r})"


def _make_check(key: PublicKey | bytes, algorithm: str) -> Callable[[bytes, bytes], bool]:
    """Return a function of signing input and signature: True, or False or one of `_NOT_A_SIGNATURE`.

    For PS* it is PyJWT's object. For the others it is what that object does, with everything that is
    constant made once: HS256 takes 1.2 us and not 2.5, RS256 saves 0.7 of 40, ES256 5 of 133, EdDSA 0.5 of 130.
    """
    if isinstance(key, bytes):
        return _hmac_check(key, _HASHES[algorithm])
    if isinstance(key, EllipticCurvePublicKey):
        return _ecdsa_check(key, ECDSA(_HASHES[algorithm]))
    if isinstance(key, RSAPublicKey) and algorithm.startswith("RS"):
        return _pkcs1_check(key, _HASHES[algorithm])
    if isinstance(key, Ed25519PublicKey):
        return _ed25519_check(key)
    engine = _ENGINES[algorithm]
    return lambda signing_input, signature: engine.verify(signing_input, key, signature)


def _ecdsa_check(key: EllipticCurvePublicKey, scheme: ECDSA) -> Callable[[bytes, bytes], bool]:
    size = (key.curve.key_size + 7) // 8

    def check(signing_input: bytes, signature: bytes) -> bool:
        if len(signature) != 2 * size:  # RFC 7518, section 3.4: R and S, each as long as the curve's order
            return False
        r, s = int.from_bytes(signature[:size], "big"), int.from_bytes(signature[size:], "big")
        key.verify(encode_dss_signature(r, s), signing_input, scheme)
        return True

    return check


def _hmac_check(key: bytes, hash_algorithm: HashAlgorithm) -> Callable[[bytes, bytes], bool]:
    keyed = HMAC(key, hash_algorithm)

    def check(signing_input: bytes, signature: bytes) -> bool:
        mac = keyed.copy()
        mac.update(signing_input)
        mac.verify(signature)
        return True

    return check


def _pkcs1_check(key: RSAPublicKey, hash_algorithm: HashAlgorithm) -> Callable[[bytes, bytes], bool]:
    scheme = PKCS1v15()

    def check(signing_input: bytes, signature: bytes) -> bool:
        key.verify(signature, signing_input, scheme, hash_algorithm)
        return True

    return check


def _ed25519_check(key: Ed25519PublicKey) -> Callable[[bytes, bytes], bool]:
    def check(signing_input: bytes, signature: bytes) -> bool:
        key.verify(signature, signing_input)
        return True

    return check


def load_hmac_key(secret: Secret, algorithms: Sequence[str] = ()) -> SigningKey:
    """Return the key made of a secret: HS256, or the first of `algorithms` that is HS384 or HS512.

    Raises ValueError, in words that fit after a setting's name, for a secret that is too short for the
    algorithm, and for one that is a key of another kind: its public half would let everybody sign.
    """
    text = secret.reveal().strip()
    key = secret.reveal_bytes()
    try:
        cast(HMACAlgorithm, _ENGINES["HS256"]).prepare_key(text.encode("utf-8", "surrogatepass"))
        is_other_kind = "-----BEGIN " in text or _SSH_KEY.match(text) is not None
    except PyJWTError:
        is_other_kind = True
    if is_other_kind:
        raise ValueError("is empty, or holds a PEM key, an SSH key or a JWK where an HMAC secret is expected")
    algorithm = _choose("secret", algorithms)
    least = _LEAST_SECRET_BYTES.get(algorithm, 0)
    if len(key) < least:
        raise ValueError(f"is shorter than the {least} bytes that {algorithm} needs")
    return SigningKey(key, algorithm)


def load_private_key(pem: Secret, algorithms: Sequence[str] = ()) -> SigningKey:
    """Return the key in a PEM text; `\\n` stands for a line end where a variable holds only one line.

    Raises ValueError, in words that fit after a setting's name.
    """
    text = pem.reveal().replace("\\n", "\n")
    blocks = [block[0] for block in _PEM_BLOCK.finditer(text) if "PRIVATE KEY" in block[1]]
    if not blocks and any(block[1] in _PUBLIC_LABELS for block in _PEM_BLOCK.finditer(text)):
        raise ValueError("holds a public key where a private key is expected")
    if len(blocks) > 1:
        raise ValueError(f"holds {len(blocks)} private keys; tokens are signed by one")
    try:
        key = load_pem_private_key("".join(blocks).encode(), password=None)
    except TypeError:
        raise ValueError("holds an encrypted private key; decrypt it first") from None  # no text of the key
    except (UnsupportedAlgorithm, ValueError):
        raise ValueError("is not a private key in PEM form") from None  # the cause may quote the key
    if not isinstance(key, PrivateKey):
        raise ValueError("holds a private key of a kind that signs no tokens")
    return SigningKey(key, _choose(_kind_of(key.public_key()), algorithms))


def load_public_keys(pem: str, algorithms: Sequence[str] = ()) -> tuple[VerificationKey, ...]:
    """Return the keys of one or several PEM blocks, each once. Raises ValueError as `load_private_key`."""
    if "PRIVATE KEY" in pem:
        raise ValueError("holds a private key where only public keys belong")
    blocks = list(_PEM_BLOCK.finditer(pem.replace("\\n", "\n")))
    if not blocks:
        raise ValueError("is not a public key in PEM form")
    keys = [_load_public_block(block[0], block[1], algorithms) for block in blocks]
    return tuple({key.thumbprint: key for key in keys}.values())


def _load_public_block(block: str, label: str, algorithms: Sequence[str]) -> VerificationKey:
    if "CERTIFICATE" in label:
        raise ValueError("holds a certificate; give its public key (`openssl x509 -pubkey -noout`)")
    if label not in _PUBLIC_LABELS:
        raise ValueError("is not a public key in PEM form")
    try:
        key = load_pem_public_key(block.encode())
    except (UnsupportedAlgorithm, ValueError) as exc:
        raise ValueError("is not a public key in PEM form") from exc
    if not isinstance(key, PublicKey):
        raise ValueError("holds a public key of a kind that checks no tokens")
    return VerificationKey(key, _choose(_kind_of(key), algorithms))


def parse_jwk(jwk: Any, algorithms: Sequence[str] = ()) -> VerificationKey | None:
    """Return the key of one member of a JWK set (RFC 7517), or None for what must be skipped.

    Skipped are keys for another use, of an unknown kind, malformed or too short, whose `alg` does not fit,
    and keys that hold a secret: a set that anyone can read must not be able to bring one in.
    """
    if not isinstance(jwk, dict) or not _is_for_checking(jwk) or not _PRIVATE_MEMBERS.isdisjoint(jwk):
        return None
    kid, kty, declared = jwk.get("kid"), jwk.get("kty"), jwk.get("alg")
    if not isinstance(kid, (str, type(None))) or jwk.get("crv") not in _JWK_KINDS.get(str(kty), ()):
        return None
    try:
        engine = _ENGINES[{"RSA": "RS256", "EC": "ES256", "OKP": "EdDSA"}[str(kty)]]
        key = engine.from_jwk(jwk)
        kind = _kind_of(key)
        if declared is not None and declared not in _FITTING[kind]:
            return None
        return VerificationKey(key, declared or _choose(kind, algorithms), kid=kid)
    except _REFUSED_BY_LIBRARY:
        return None


def _is_for_checking(jwk: Mapping[str, Any]) -> bool:
    operations = jwk.get("key_ops", ["verify"])
    return jwk.get("use", "sig") == "sig" and isinstance(operations, list) and "verify" in operations


def fits_some_key(algorithm: str, keys: Sequence[VerificationKey]) -> bool:
    """Say whether one of the keys could have been given this algorithm."""
    return any(algorithm in fitting for fitting in _FITTING.values() for key in keys if key.algorithm in fitting)


def _choose(kind: str, algorithms: Sequence[str]) -> str:
    fitting = _FITTING[kind]
    return next((name for name in algorithms if name in fitting), fitting[0])


def _kind_of(key: PublicKey | bytes) -> str:
    """Return the kind of a key as `_FITTING` names it. Raises ValueError for one that is too weak."""
    if isinstance(key, bytes):
        return "secret"
    if isinstance(key, RSAPublicKey):
        if key.key_size < MIN_RSA_BITS:
            raise ValueError(f"holds an RSA key of {key.key_size} bits; at least {MIN_RSA_BITS} are needed")
        return "RSA"
    if isinstance(key, Ed25519PublicKey):
        return "Ed25519"
    if key.curve.name not in _CURVES:
        raise ValueError(f"holds a key on the curve {key.curve.name}; use P-256, P-384 or P-521")
    return _CURVES[key.curve.name]


def _to_jwk(key: PublicKey, algorithm: str) -> dict[str, str]:
    """Return the members of a public key that make its thumbprint."""
    jwk = _ENGINES[algorithm].to_jwk(key, as_dict=True)
    return {name: jwk[name] for name in _THUMBPRINT_MEMBERS[jwk["kty"]]}


def _thumbprint(jwk: Mapping[str, str]) -> str:
    """RFC 7638, section 3: the members in lexical order, without white space."""
    return _base64url(hashlib.sha256(json.dumps(jwk, sort_keys=True, separators=(",", ":")).encode()).digest())


def _derive_name(secret: bytes) -> str:
    """Name a secret by a keyed hash of a constant, 96 bits: different secrets differ, none can be read back."""
    return _base64url(hmac.digest(secret, b"flask_guard key id", "sha256")[:12])


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
