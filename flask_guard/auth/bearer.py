"""Bearer tokens: a text in, the principal of a verified JWT out, or a refusal.

Relies on `envelope` for the form, on the profile's KeySource for keys, on `claims` for what must be said.
Source: RFC 7519, RFC 8725, RFC 9068.
Rule: whatever a text may hold, the answer is a principal, a CredentialRefused, or KeysUnavailable.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

from jwt.exceptions import PyJWTError

from ..crypto.signing import ALGORITHMS
from ..errors import InvalidToken
from ..protocols import Clock, TokenKey
from ..values import Principal
from .claims import ClaimRules, IssuerProfile
from .envelope import MAX_TOKEN_BYTES, Header, open_envelope, parse_header, parse_object
from .token_cache import TokenCache

__all__ = ["IssuerProfile", "TokenVerifier"]

# A token without a kid may be any key's. An issuer publishes two or three, so no more than this are tried.
MAX_CANDIDATES = 16
# An issuer writes few different headers, one for each key that signs.
_MAX_HEADERS = 256

# What a text can make the libraries under us raise; UnicodeError and binascii.Error are ValueErrors.
_UNREADABLE = (PyJWTError, ValueError, TypeError, RecursionError)


@dataclass(frozen=True, slots=True)
class _KnownHeader:
    """A header that came with a right signature: whose it was, and the key and its generation that proved it."""

    header: Header
    rules: ClaimRules
    key: TokenKey
    generation: int


class TokenVerifier:
    """Verifies the tokens of one or several issuers.

    profiles: one profile whose issuer may be None (any issuer), or several with an issuer each.
    clock: seconds since the epoch. cache_size: how many verified tokens are remembered; about 2 KiB each.
    """

    def __init__(self, profiles: Sequence[IssuerProfile], *, clock: Clock, cache_size: int = 10_000) -> None:
        """Raises ValueError when a token could belong to two of the profiles."""
        names = {profile.issuer for profile in profiles}
        if len(names) != len(profiles) or (len(profiles) > 1 and None in names):
            raise ValueError("several profiles need an issuer each, and none twice")
        self._issuers = {profile.issuer: ClaimRules(profile) for profile in profiles}
        self._any_issuer = self._issuers.get(None)
        self._clock = clock
        self._cache = TokenCache(cache_size)
        self._headers: dict[bytes, _KnownHeader] = {}

    def authenticate(self, token: str) -> Principal:
        """Return the principal of a valid token.

        token: the text after "Bearer ", at most 8 KiB. Raises CredentialRefused, which says no more in public
        than its code, or KeysUnavailable when the issuer's keys are not at hand.
        """
        try:
            if len(token) > MAX_TOKEN_BYTES:
                raise InvalidToken(detail=f"the token is longer than {MAX_TOKEN_BYTES} bytes")
            raw = token.encode("ascii")
            digest = sha256(raw).digest()
            known = self._cache.find(digest)
            if known is not None:
                principal, deadline, keys, generation = known
                if self._clock() < deadline and keys.generation == generation:
                    return principal
            return self._verify(raw, digest)
        except _UNREADABLE as exc:
            raise InvalidToken(detail=f"the token cannot be read: {type(exc).__name__}") from exc

    def forget(self, *, subject: str | None = None, token_id: str | None = None) -> None:
        """Verify anew what was revoked: tokens of a subject, the token of an id (`jti`), or all."""
        self._cache.forget(subject=subject, token_id=token_id)

    def after_fork(self) -> None:
        """Make the verifier usable in a forked process, whatever other threads of the parent were doing."""
        self._cache.after_fork()

    def _verify(self, raw: bytes, digest: bytes) -> Principal:
        epoch, now = self._cache.epoch, self._clock()
        header_segment, payload, signing_input, signature = open_envelope(raw)
        known = self._headers.get(header_segment)
        header = parse_header(header_segment) if known is None else known.header
        claims = parse_object(payload)
        # `iss` only selects whose rules and keys apply. That it is true is what the signature proves.
        rules = self._any_issuer or self._issuers.get(claims.get("iss"))
        if rules is None:
            raise InvalidToken(detail="iss is none of the configured issuers")
        # Read before the keys: when they change meanwhile, what is remembered is outdated already.
        generation = rules.keys.generation
        proved: _KnownHeader | None = None
        if (
            known is None
            or known.rules is not rules
            or known.generation != generation
            or not known.key.verify(signing_input, signature)
        ):
            key = _require_signature(rules, header, signing_input, signature)
            proved = _KnownHeader(header, rules, key, generation)
        principal, deadline = rules.admit(claims, header.typ, now)
        if proved is not None:
            self._remember(header_segment, proved)
        self._cache.keep(digest, (principal, deadline, rules.keys, generation), epoch)
        return principal

    def _remember(self, segment: bytes, known: _KnownHeader) -> None:
        if len(self._headers) >= _MAX_HEADERS:
            self._headers.clear()
        self._headers[segment] = known


def _require_signature(rules: ClaimRules, header: Header, signing_input: bytes, signature: bytes) -> TokenKey:
    """Return the key whose signature it is. Asks for keys last, because that may cause a fetch."""
    if header.typ not in rules.types:
        raise InvalidToken(detail=f"the header's typ {header.typ!r:.64} is not accepted")
    if header.algorithm not in ALGORITHMS:
        raise InvalidToken(detail="the header's alg is none that a key of ours checks")
    candidates = rules.keys.candidates(header.kid, header.algorithm)
    if not candidates:
        raise InvalidToken(detail=f"no key for kid {header.kid!r} and alg {header.algorithm}")
    for key in candidates[:MAX_CANDIDATES]:
        # A KeySource may be anyone's: the algorithm is compared here as well.
        if key.algorithm == header.algorithm and key.verify(signing_input, signature):
            return key
    raise InvalidToken(detail=f"the signature is wrong, kid {header.kid!r}, alg {header.algorithm}")
