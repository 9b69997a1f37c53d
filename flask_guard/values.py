"""The frozen values that cross folders: who asks, for which tenant, and what was decided.

A leaf: imports nothing of ours. Whatever two rooms hand to each other is declared here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal, NoReturn

PrincipalKind = Literal["user", "service", "client", "admin", "anonymous"]
PrincipalMethod = Literal["jwt", "api_key", "service_key", "client_key", "session", "admin", "dev", "none"]


class Claims(dict[str, Any]):
    """The claims of a verified token: a dict that refuses to be changed.

    A hot token is verified once and its principal shared by every request that presents it; a view that
    could write into the claims would change the identity seen by the next request.
    Nested objects are Claims too and arrays are tuples (`freeze_claims`).
    """

    __slots__ = ()

    def _refuse(self, *_args: object, **_kwargs: object) -> NoReturn:
        raise TypeError("claims are read-only; make a copy with dict(claims)")

    __setitem__ = __delitem__ = __ior__ = _refuse
    clear = pop = popitem = setdefault = update = _refuse

    def __reduce__(self) -> tuple[type[Claims], tuple[dict[str, Any]]]:
        return Claims, (dict(self),)


def freeze_claims(value: Any) -> Any:
    """Return a read-only copy of parsed JSON: objects become Claims, arrays become tuples."""
    if type(value) is dict:
        return Claims({name: freeze_claims(item) for name, item in value.items()})
    if type(value) is list:
        return tuple(freeze_claims(item) for item in value)
    return value


@dataclass(frozen=True, slots=True)
class Principal:
    """Who makes a request, as far as a verified credential proves it.

    id: the subject of the token or the id of the key; "anonymous" when there is no credential.
    tenant: the id of the tenant that the credential names, None when it names none.
    method: how it was proved. `authenticated_at` is in UTC; `mfa` says whether a second factor was used.
    """

    id: str
    kind: PrincipalKind = "user"
    roles: frozenset[str] = frozenset()
    scopes: frozenset[str] = frozenset()
    tenant: str | None = None
    session_id: str | None = None
    method: PrincipalMethod = "none"
    claims: Mapping[str, Any] = field(default_factory=Claims, repr=False, hash=False)
    authenticated_at: datetime | None = None
    mfa: bool = False

    def __post_init__(self) -> None:
        given: tuple[object, ...] = (self.roles, self.scopes)
        if any(isinstance(names, str) for names in given):  # `"min" in "admin"` would grant a role
            raise TypeError('roles and scopes are sets of texts, not one text: {"editor"}')

    @property
    def is_authenticated(self) -> bool:
        return self.kind != "anonymous"


ANONYMOUS = Principal(id="anonymous", kind="anonymous")


@dataclass(frozen=True, slots=True)
class Client:
    """Who sent a request, as far as the network tells: the one answer that limits, logs, CSRF and fences use.

    address: an IP address in canonical form, IPv4-mapped IPv6 unwrapped; "" for a peer without one (a UNIX socket).
    network: what limits count by: an IPv4 address itself, an IPv6 address as its /64 ("2001:db8:0:1::/64").
    scheme: "http" or "https". host: the name that was asked for, in lower case, with its port unless that is the
    scheme's default; None when what was sent is not a host.
    """

    address: str
    network: str
    scheme: str
    host: str | None

    @property
    def origin(self) -> str | None:
        """The origin of the request's URL as a browser would write it (RFC 6454, section 6.2)."""
        return None if self.host is None else f"{self.scheme}://{self.host}"


@dataclass(frozen=True, slots=True)
class Tenant:
    """A customer whose data is kept apart. Falsy when no tenant is bound (`NO_TENANT`)."""

    id: str
    name: str = ""

    def __bool__(self) -> bool:
        return bool(self.id)


NO_TENANT = Tenant(id="")


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer of a policy, with its reason. Truthy when allowed.

    reason: lower_snake, for example "role_missing". matched_rule_id and steps are for deciders that keep
    rules of their own; the policies of this kit leave them empty.
    """

    allowed: bool
    reason: str
    matched_rule_id: str | None = None
    steps: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return self.allowed


class Level(StrEnum):
    """How serious a finding is. Only ERROR makes `flask guard check` fail."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a check found: what is wrong and what to do about it."""

    id: str
    level: Level
    message: str
    remedy: str


@dataclass(frozen=True, slots=True)
class ApiKeyRecord:
    """What is kept of an API key: everything but the key.

    digest: SHA-256 of the whole key, in hex. prefix: its first characters, for recognising it in a list.
    Times are aware datetimes in UTC; None means never.
    """

    id: str
    name: str
    kind: Literal["service", "client"]
    prefix: str
    digest: str = field(repr=False)
    roles: frozenset[str]
    scopes: frozenset[str]
    tenant: str | None
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    last_used_at: datetime | None = None
    description: str = ""


@dataclass(frozen=True, slots=True)
class CspViolation:
    """What a page did against its content security policy: as much of a browser's report as is kept.

    directive: the one that was violated, such as "script-src-elem". blocked: an origin, a scheme without its colon
    ("data"), or a word ("inline", "eval", "self"). document: the path of the page, or the scheme of one without.
    source_file, line: where in the code, when that is known; two violations that differ there alone are equal.
    """

    directive: str
    blocked: str
    document: str
    disposition: Literal["enforce", "report"]
    source_file: str | None = field(default=None, compare=False)
    line: int | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class CspReportRow:
    """How often a violation was reported. The violation's place in the code is that of the first report.

    Times are aware datetimes in UTC. count: stays at 2**31 - 1 once it is there.
    """

    violation: CspViolation
    count: int
    first_seen: datetime
    last_seen: datetime
