"""Every extension point of the kit: what may be replaced, one small Protocol each.

`wiring` is the only place that picks a class for one of them. Where there are several implementations,
`tests/contracts/` has a suite that each of them passes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, Protocol

from .values import ApiKeyRecord, CspReportRow, CspViolation, Principal


class Clock(Protocol):
    """Seconds since the epoch, as `time.time`."""

    def __call__(self) -> float: ...


class Authenticator(Protocol):
    """Turns one presented credential into a principal."""

    def authenticate(self, credential: str) -> Principal | None:
        """Return the principal, or None when this text is not a credential of this kind.

        Raises a Refusal when it is of this kind and bad. That answer is final: no other authenticator
        is asked and the request is not treated as anonymous.
        """
        ...


class TokenKey(Protocol):
    """One key that checks signatures by exactly one algorithm (RFC 8725, section 3.1)."""

    @property
    def kid(self) -> str: ...

    @property
    def algorithm(self) -> str: ...

    def verify(self, signing_input: bytes, signature: bytes) -> bool: ...


class KeySource(Protocol):
    """Where an issuer's verification keys come from: settings, or a JWKS URL."""

    @property
    def generation(self) -> int:
        """Grows whenever a key is removed or replaced, so that whatever was verified with it is dropped."""
        ...

    def candidates(self, kid: str | None, algorithm: str) -> Sequence[TokenKey]:
        """Return the keys that may have signed a token with this header; none when there is none.

        Raises KeysUnavailable when no usable set of keys is at hand.
        """
        ...


class ApiKeyStore(Protocol):
    """Keeps API keys. Every method raises StoreUnavailable when the store does not answer."""

    def add(self, record: ApiKeyRecord) -> None:
        """Keep a new key. Raises Conflict when the tenant has a live key of this name."""
        ...

    def find_by_digest(self, digest: str) -> ApiKeyRecord | None:
        """Return the key with this SHA-256 digest (hex), whatever its state."""
        ...

    def find_by_id(self, key_id: str) -> ApiKeyRecord | None:
        """Return the key of this id, whatever its state."""
        ...

    def list_keys(
        self, *, tenant: str | None = None, kind: Literal["service", "client"] | None = None
    ) -> list[ApiKeyRecord]:
        """Return keys, newest first; of one tenant or one kind when asked."""
        ...

    def revoke(self, key_id: str, at: datetime) -> bool:
        """End a key for good and keep its record. True when there is such a key, revoked before or now."""
        ...

    def replace(self, ended: ApiKeyRecord, *, by: ApiKeyRecord) -> bool:
        """Keep a new key and the end of the one before it, both or neither.

        ended: the record as it is to be from now on. False when that key is revoked or gone by now.
        Raises Conflict when another live key has the name of the new one.
        """
        ...

    def delete(self, key_id: str) -> bool:
        """Remove the record. True when there was one."""
        ...

    def touch(self, key_id: str, at: datetime, *, not_after: datetime) -> None:
        """Note the use of a key at `at`, unless a use later than `not_after` is already noted."""
        ...


class ErrorFormatter(Protocol):
    """Gives refusals another shape than RFC 9457. Gets the problem's members, returns body and media type."""

    def __call__(self, problem: Mapping[str, Any]) -> tuple[bytes, str]: ...


class CspReportStore(Protocol):
    """Keeps a bounded number of violations with their counts. Every method raises StoreUnavailable."""

    def record(self, violations: Iterable[CspViolation], at: datetime) -> None:
        """Count each violation once more; a new one is kept while there is room and else counted as dropped.

        After StoreUnavailable some of them may have been counted.
        """
        ...

    def list_reports(self, *, since: datetime | None = None) -> list[CspReportRow]:
        """Return what was reported, most often first. since: last seen then or later."""
        ...

    def count_dropped(self) -> int:
        """Return how many reports were not kept because the store was full, since it was last cleared."""
        ...

    def clear(self) -> int:
        """Forget everything. Returns how many violations were kept."""
        ...


class UniqueLookup(Protocol):
    """Tells whether a value is taken, for `schemas.Unique`."""

    def is_taken(self, column: Any, value: Any, *, existing: Any, ignore_case: bool) -> bool:
        """Tell whether a row of the current tenant, other than `existing`, has this value in this column.

        existing: the object that is being changed; None for a new one.
        """
        ...
