"""What the claims of a token must say, and the principal that they make.

Pure: claims whose signature is right, and the time, in; a principal or a refusal out.
Source: RFC 7519, section 4.1; RFC 9068, sections 2.2 and 4; OpenID Connect Core, section 2.
Rule: a claim of the wrong form is a bad token, never an absent claim.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ..errors import (
    InvalidToken,
    TokenExpired,
    TokenFutureIssued,
    TokenMissingExpiry,
    TokenNotYetValid,
    TokenTooLongLived,
)
from ..protocols import KeySource
from ..values import Claims, Principal, PrincipalKind, PrincipalMethod
from .envelope import normalize_typ

DEFAULT_TYPES = ("at+jwt", "JWT", "none")
DEFAULT_EXCLUDED_ROLES = frozenset({"offline_access", "uma_authorization"})

# Clocks of issuer and service are allowed this difference where the issuer dates a token ahead.
CLOCK_SKEW_S = 10.0
# The end of the year 9999, the last that a datetime holds; a date in milliseconds is beyond it.
_LAST_SECOND = 253_402_300_799
# OpenID Connect Core, section 2: a subject has 255 ASCII characters at most.
MAX_TEXT = 255

# Where Cognito, Keycloak and others write what kind of token this is.
_KIND_CLAIMS = ("token_use", "typ", "type")
_OTHER_KIND = re.compile(r"(id|refresh|offline|logout)(?:[ _+-]?(?:token|jwt))?\Z", re.IGNORECASE)
# Claims of ID tokens (OpenID Connect Core, 2 and 3.3.2.11) and of logout tokens (Back-Channel Logout, 2.4).
_ID_TOKEN_CLAIMS = frozenset({"at_hash", "c_hash", "nonce", "events"})
_TELLING_CLAIMS = _ID_TOKEN_CLAIMS.union(_KIND_CLAIMS, {"token_type"})
# RFC 8176, section 2: values of `amr` that stand for a second factor.
_SECOND_FACTORS = frozenset({"mfa", "otp", "hwk"})

_MAX_NAME_LISTS = 1024
_ABSENT: Any = object()
_from_timestamp = datetime.fromtimestamp


@dataclass(frozen=True, slots=True)
class IssuerProfile:
    """Whose tokens are accepted, and what they must say.

    issuer: the exact `iss`; None accepts any, and none. audience: one of these must be in `aud`; None for any.
    types: accepted `typ` of the header, "none" for a header without one.
    *_claim: the name of a claim or a dotted path to it. required_claims: the same, for claims that must be there.
    leeway_s: tolerance for `exp`, in seconds; `nbf` and `iat` have 10 s at least.
    max_lifetime_s: the longest time from `iat` to `exp`, which both must be there then.
    """

    keys: KeySource
    issuer: str | None = None
    audience: frozenset[str] | None = None
    types: tuple[str, ...] = DEFAULT_TYPES
    subject_claim: str = "sub"
    roles_claim: str = "roles"
    scopes_claim: str = "scope"
    tenant_claim: str = "tenant"
    required_claims: tuple[str, ...] = ()
    excluded_roles: frozenset[str] = DEFAULT_EXCLUDED_ROLES
    leeway_s: float = 0.0
    max_lifetime_s: float | None = None
    require_expiry: bool = True


class _NameList:
    """Reads a claim that lists names: an array of texts, or texts between spaces (RFC 8693, section 4.2).

    Users share few combinations of roles and scopes, so each is made once: 0.15 us against 0.5, and one set
    in memory for all principals that have it.
    """

    __slots__ = ("_dropped", "_known", "_path")

    def __init__(self, path: str, dropped: frozenset[str] = frozenset()) -> None:
        self._path = path
        self._dropped = dropped | {""}
        self._known: dict[Any, frozenset[str]] = {}

    def read(self, claims: Claims) -> frozenset[str]:
        """Return the names, none when the claim is absent. Raises InvalidToken for another form."""
        value = claims.get(self._path, _ABSENT)
        if value is _ABSENT and ("." not in self._path or (value := _follow(claims, self._path)) is _ABSENT):
            return frozenset()
        try:
            names = self._known.get(value)
        except TypeError:  # an object in it, which has no hash
            names = None
        return self._learn(value) if names is None else names

    def _learn(self, value: Any) -> frozenset[str]:
        listed = value.split(" ") if type(value) is str else _require_texts(value, self._path)
        if len(self._known) >= _MAX_NAME_LISTS:
            self._known.clear()
        names = self._known[value] = frozenset(listed) - self._dropped
        return names


class ClaimRules:
    """The rules of one profile, ready to be applied to claims whose signature is right."""

    __slots__ = ("_tolerance_s", "keys", "profile", "roles", "scopes", "types")

    def __init__(self, profile: IssuerProfile) -> None:
        self.profile = profile
        self._tolerance_s = max(CLOCK_SKEW_S, profile.leeway_s)
        self.keys = profile.keys
        self.roles = _NameList(profile.roles_claim, profile.excluded_roles)
        self.scopes = _NameList(profile.scopes_claim)
        self.types = frozenset(None if typ.lower() == "none" else normalize_typ(typ) for typ in profile.types)

    def admit(self, claims: Claims, typ: str | None, now: float) -> tuple[Principal, float]:
        """Return the principal and the time, in seconds since the epoch, from which the token is no good.

        typ: the normalised type of the header. Raises a CredentialRefused for whatever is not as it must be.
        """
        profile = self.profile
        expires, not_before, issued = claims.get("exp", 0), claims.get("nbf", 0), claims.get("iat", 0)
        if not type(expires) is type(not_before) is type(issued) is int:
            _require_numbers(expires, not_before, issued)
        if not (0 <= expires <= _LAST_SECOND and 0 <= not_before <= _LAST_SECOND and 0 <= issued <= _LAST_SECOND):
            raise InvalidToken(detail="exp, nbf or iat is no date in seconds")
        deadline = expires + profile.leeway_s if "exp" in claims else _without_expiry(profile)
        latest = now + self._tolerance_s
        if now >= deadline:
            raise TokenExpired(detail=f"exp {expires}, leeway {profile.leeway_s} s, now {now}")
        if not_before > latest:
            raise TokenNotYetValid(detail=f"nbf {not_before}, tolerance {self._tolerance_s} s, now {now}")
        if issued > latest:
            raise TokenFutureIssued(detail=f"iat {issued}, tolerance {self._tolerance_s} s, now {now}")
        if profile.max_lifetime_s is not None:
            _require_lifetime(claims, profile.max_lifetime_s)
        if profile.audience is not None:
            _require_audience(claims.get("aud"), profile.audience)
        if not _TELLING_CLAIMS.isdisjoint(claims):
            refuse_other_kinds(claims, is_access_token=typ == "at+jwt")
        for path in profile.required_claims:
            if find_claim(claims, path) in (_ABSENT, None):
                raise InvalidToken(detail=f"the required claim {path} is missing")
        return _make_principal(claims, self), deadline


def _without_expiry(profile: IssuerProfile) -> float:
    """Return the deadline of a token that has no `exp`, or refuse it."""
    if profile.require_expiry or profile.max_lifetime_s is not None:
        raise TokenMissingExpiry(detail="the token has no exp")
    return math.inf


def _require_numbers(*dates: Any) -> None:
    # type() and not isinstance: True is an int, and no date.
    if not all(type(date) is int or type(date) is float for date in dates):
        raise InvalidToken(detail="exp, nbf, iat or auth_time is not a number")


def _require_lifetime(claims: Claims, longest_s: float) -> None:
    if "iat" not in claims:
        raise InvalidToken(detail="the token has no iat, so its lifetime is not known")
    lifetime_s = claims["exp"] - claims["iat"]
    if lifetime_s > longest_s:
        raise TokenTooLongLived(detail=f"the token lives {lifetime_s} s, {longest_s} s are accepted")


def _require_audience(audience: Any, accepted: frozenset[str]) -> None:
    if type(audience) is str and audience in accepted:
        return
    if type(audience) is not tuple or accepted.isdisjoint(_require_texts(audience, "aud")):
        raise InvalidToken(detail="aud names none of the accepted audiences")


def refuse_other_kinds(claims: Mapping[str, Any], *, is_access_token: bool) -> None:
    """Raise InvalidToken for ID, refresh and logout tokens, which an issuer signs with the same keys.

    is_access_token: the header says so (RFC 9068). Else claims that only those have give them away;
    Keycloak before 24 put `nonce` into access tokens too, whose payload then has `typ` "Bearer".
    """
    if claims.get("token_type", "access") != "access":
        raise InvalidToken(detail="token_type is not access")
    for name in _KIND_CLAIMS:
        kind = claims.get(name)
        if type(kind) is str and _OTHER_KIND.match(kind):
            raise InvalidToken(detail=f"{name} says that this is no access token")
    telling = _ID_TOKEN_CLAIMS.intersection(claims)
    if telling and not is_access_token and not (telling == {"nonce"} and claims.get("typ") == "Bearer"):
        raise InvalidToken(detail="the token has claims of an ID token or a logout token")


def find_claim(claims: Mapping[str, Any], path: str) -> Any:
    """Return the claim of this name, else the one at this dotted path, else a mark that is no JSON value.

    A name that holds dots itself wins: `{"a.b": 1, "a": {"b": 2}}` has 1 at "a.b".
    """
    value = claims.get(path, _ABSENT)
    return _follow(claims, path) if value is _ABSENT and "." in path else value


def _follow(claims: Mapping[str, Any], path: str) -> Any:
    value: Any = claims
    for name in path.split("."):
        if not isinstance(value, Mapping) or name not in value:
            return _ABSENT
        value = value[name]
    return value


def _make_principal(claims: Claims, rules: ClaimRules) -> Principal:
    profile = rules.profile
    subject = _text(claims, profile.subject_claim)
    if subject is None:
        raise InvalidToken(detail=f"the claim {profile.subject_claim} is missing")
    token_id = _text(claims, "jti")
    login = _login_time(claims["auth_time"]) if "auth_time" in claims else claims.get("iat")
    draft = _Draft()
    draft.id = subject
    draft.kind = "user"
    draft.roles = rules.roles.read(claims)
    draft.scopes = rules.scopes.read(claims)
    draft.tenant = _text(claims, profile.tenant_claim)
    draft.session_id = _text(claims, "sid") if "sid" in claims else token_id
    draft.method = "jwt"
    draft.claims = claims
    draft.authenticated_at = None if login is None else _from_timestamp(login, UTC)
    draft.mfa = ("amr" in claims or "mfa" in claims) and _has_second_factor(claims)
    draft.__class__ = Principal  # type: ignore[assignment]
    return draft  # type: ignore[return-value]


class _Draft:
    """A principal while its fields are set.

    A frozen dataclass sets each field through `object.__setattr__`: 4.3 us for a Principal, of 16 for a whole
    HS256 token. A class with the same slots takes 0.6, and having the same layout it can become one.
    """

    __slots__ = tuple(field.name for field in fields(Principal))

    if TYPE_CHECKING:
        id: str
        kind: PrincipalKind
        roles: frozenset[str]
        scopes: frozenset[str]
        tenant: str | None
        session_id: str | None
        method: PrincipalMethod
        claims: Mapping[str, Any]
        authenticated_at: datetime | None
        mfa: bool


def _login_time(value: Any) -> float:
    _require_numbers(value)
    if not 0 <= value <= _LAST_SECOND:
        raise InvalidToken(detail="auth_time is no date in seconds")
    return float(value)


def _text(claims: Claims, path: str) -> str | None:
    """Return a claim that names something: 1 to 255 printable characters, None when it is absent."""
    value = claims.get(path, _ABSENT)
    if value is _ABSENT and ("." not in path or (value := _follow(claims, path)) is _ABSENT):
        return None
    if type(value) is str and 0 < len(value) <= MAX_TEXT and value.isprintable():
        return value
    raise InvalidToken(detail=f"{path} is not a text of 1 to {MAX_TEXT} printable characters")


def _require_texts(value: Any, path: str) -> tuple[str, ...]:
    if type(value) is not tuple:
        raise InvalidToken(detail=f"{path} is not a list of texts")
    for name in value:
        if type(name) is not str:
            raise InvalidToken(detail=f"{path} is not a list of texts")
    return value


def _has_second_factor(claims: Claims) -> bool:
    methods = claims.get("amr")
    listed = type(methods) is tuple and any(type(m) is str and m in _SECOND_FACTORS for m in methods)
    return listed or claims.get("mfa") is True
