"""Keys that the settings hold, and the tokens that we issue ourselves.

Pure: keys and a clock in, keys and tokens out. Issued tokens are access tokens as in RFC 9068, section 2.
Rule: what `TokenIssuer` issues is read by the rules of `claims` before it is signed, so a verifier with the
same settings accepts it.
"""

from __future__ import annotations

import base64
import json
import math
import uuid
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from ..config.kinds import duration_s
from ..crypto.signing import SigningKey, VerificationKey
from ..errors import CredentialRefused
from ..protocols import Clock, TokenKey
from ..values import Principal
from .claims import ClaimRules, IssuerProfile
from .envelope import MAX_TOKEN_BYTES, decode_segment, parse_object

ACCESS_TOKEN_TYPE = "at+jwt"  # noqa: S105 - RFC 9068, section 2.1; a media type
_LONGEST_S = 100 * 365.25 * 86_400  # a century; what is longer is a mistake in the unit
_REGISTERED = frozenset({"iss", "sub", "aud", "exp", "nbf", "iat", "jti"})


class LocalKeys:
    """A KeySource over keys that do not change while the process runs."""

    generation = 0

    def __init__(self, keys: Iterable[VerificationKey]) -> None:
        by_algorithm: dict[str, tuple[VerificationKey, ...]] = {}
        for key in keys:
            by_algorithm[key.algorithm] = (*by_algorithm.get(key.algorithm, ()), key)
        self._by_algorithm = by_algorithm
        self._by_name = {(key.kid, key.algorithm): (key,) for group in by_algorithm.values() for key in group}

    def candidates(self, kid: str | None, algorithm: str) -> Sequence[TokenKey]:
        """Return the key of this name, else every key of the algorithm.

        A PEM key or a secret has no name of its own: an issuer calls it as it likes, and the name is a hint
        (RFC 7515, section 4.1.4).
        """
        return self._by_name.get((kid or "", algorithm)) or self._by_algorithm.get(algorithm, ())


class TokenIssuer:
    """Issues access tokens signed by one key.

    ttl_s and max_lifetime_s in seconds: how long tokens live by default and at most (None for any time).
    *_claim: where the subject, roles, scopes and tenant go; a dotted path makes nested objects.
    """

    def __init__(
        self,
        signing_key: SigningKey,
        *,
        issuer: str | None,
        audience: str | None,
        ttl_s: float,
        max_lifetime_s: float | None,
        roles_claim: str,
        scopes_claim: str,
        tenant_claim: str,
        subject_claim: str,
        clock: Clock,
    ) -> None:
        self._key = signing_key
        self._issuer = issuer
        self._audience = audience
        self._ttl_s = ttl_s
        self._max_lifetime_s = max_lifetime_s
        self._paths = (subject_claim, roles_claim, scopes_claim, tenant_claim)
        self._clock = clock
        self._reserved = _REGISTERED.union(*({path, path.split(".")[0]} for path in self._paths))
        profile = IssuerProfile(
            LocalKeys([signing_key.verification]),
            issuer,
            frozenset({audience}) if audience is not None else None,
            subject_claim=subject_claim,
            roles_claim=roles_claim,
            scopes_claim=scopes_claim,
            tenant_claim=tenant_claim,
            excluded_roles=frozenset(),
            max_lifetime_s=max_lifetime_s,
        )
        self._rules = ClaimRules(profile)
        self._header = _segment({"typ": ACCESS_TOKEN_TYPE, "alg": signing_key.algorithm, "kid": signing_key.kid})

    def issue(
        self,
        subject: str,
        roles: Iterable[str] = (),
        *,
        scopes: Iterable[str] = (),
        tenant: str | None = None,
        ttl: str | float | timedelta | None = None,
        **claims: Any,
    ) -> str:
        """Return a signed token.

        ttl: its lifetime, as text (`"15m"`), in seconds, or as a timedelta; at least one second.
        claims: further claims, such as `sid`, `auth_time` or `amr`; values that JSON can hold.
        Raises ValueError for whatever a verifier would not accept or would read differently, and for a claim
        that has its place already.
        """
        taken = self._reserved.intersection(claims)
        if taken:
            raise ValueError(f"the claim {min(taken)} is set by the issuer")
        # Only here: settings under which foreign tokens are read well may leave no room for ours.
        _require_apart(self._paths)
        now = int(self._clock())
        asked = Principal(subject, roles=_set_of_texts(roles), scopes=_set_of_texts(scopes), tenant=tenant)
        payload = {**claims, "iat": now, "exp": now + self._lifetime_s(ttl), "jti": uuid.uuid4().hex}
        payload |= {name: value for name, value in (("iss", self._issuer), ("aud", self._audience)) if value}
        for path, value in zip(self._paths, _spell(asked), strict=True):
            if value is not None:
                _put(payload, path, value)
        return self._sign(payload, asked, now)

    def public_jwks(self) -> dict[str, list[dict[str, str]]]:
        """Return the signing key's public half as a key set (RFC 7517, section 5); empty for a secret."""
        return _key_set([self._key.public_jwk()])

    def _lifetime_s(self, ttl: str | float | timedelta | None) -> int:
        if isinstance(ttl, bool):
            raise ValueError("ttl is a duration, not a truth value")
        if isinstance(ttl, str):
            seconds = duration_s(ttl)
        elif isinstance(ttl, timedelta):
            seconds = ttl.total_seconds()
        else:
            seconds = self._ttl_s if ttl is None else ttl
        if not seconds >= 1:
            raise ValueError("ttl must be one second at least")
        if seconds > (self._max_lifetime_s or math.inf) or seconds > _LONGEST_S:
            raise ValueError("ttl is longer than tokens may live")
        return int(seconds)

    def _sign(self, payload: dict[str, Any], asked: Principal, now: int) -> str:
        """Sign what a verifier reads as it was asked for."""
        try:
            body = _segment(payload)
            read, _ = self._rules.admit(parse_object(decode_segment(body)), ACCESS_TOKEN_TYPE, now)
        except CredentialRefused as exc:
            raise ValueError(exc.detail) from exc
        except (TypeError, ValueError, RecursionError) as exc:
            raise ValueError(f"a claim cannot be written as JSON: {exc}") from exc
        if (read.id, read.roles, read.scopes, read.tenant) != (asked.id, asked.roles, asked.scopes, asked.tenant):
            raise ValueError("subject, roles, scopes or tenant would be read differently from what was given")
        signing_input = self._header + b"." + body
        token = signing_input + b"." + _base64url(self._key.sign(signing_input))
        if len(token) > MAX_TOKEN_BYTES:
            raise ValueError(f"the token would be longer than {MAX_TOKEN_BYTES} bytes")
        return token.decode()


def _require_apart(paths: Sequence[str]) -> None:
    """Refuse paths of which one would overwrite another, or a claim that every token has."""
    taken = [*paths, *(_REGISTERED if paths[0] != "sub" else _REGISTERED - {"sub"})]
    for position, path in enumerate(taken):
        for other in taken[position + 1 :]:
            if path == other or path.startswith(f"{other}.") or other.startswith(f"{path}."):
                raise ValueError(f"the claims {path} and {other} have the same place")


def _set_of_texts(names: Iterable[str]) -> frozenset[str]:
    listed = list(names)
    if isinstance(names, str) or not all(isinstance(name, str) for name in listed):
        raise ValueError("roles and scopes are lists of texts")
    return frozenset(listed)


def _spell(principal: Principal) -> tuple[Any, ...]:
    """Return subject, roles, scopes and tenant as claims; scopes between spaces (RFC 8693, section 4.2)."""
    roles, scopes = sorted(principal.roles), sorted(principal.scopes)
    return principal.id, roles or None, " ".join(scopes) or None, principal.tenant


def _put(claims: dict[str, Any], path: str, value: Any) -> None:
    *parents, name = path.split(".")
    for parent in parents:
        claims = claims.setdefault(parent, {})
    claims[name] = value


def _key_set(jwks: Iterable[dict[str, str] | None]) -> dict[str, list[dict[str, str]]]:
    return {"keys": [jwk for jwk in jwks if jwk is not None]}


def _segment(members: Mapping[str, Any]) -> bytes:
    return _base64url(json.dumps(members, separators=(",", ":"), allow_nan=False).encode())


def _base64url(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")
