"""The entries of GUARD_JWT_ISSUERS: which members one may have, and how each is read.

Pure: a parsed JSON object in, typed values and faults out.
Rule: a member is read as the setting of the same name is, and one that nobody knows is a fault.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..config import kinds
from ..config.kinds import Kind
from ..config.secrets import resolve_reference
from ..config.suggest import tell_unknown_member


def _audience(value: Any) -> tuple[str, ...]:
    """One audience as text, which may hold commas, or a list of them."""
    return (kinds.text(value),) if isinstance(value, str) else kinds.some_words(value)


_MEMBERS: Mapping[str, Kind] = {
    "issuer": kinds.text,
    "audience": _audience,
    "jwks_url": kinds.url("https", "http"),
    "public_key": kinds.pem_text,
    "secret_key": kinds.secret_text,
    "algorithms": kinds.words,
    "types": kinds.some_words,
    "subject_claim": kinds.text,
    "roles_claim": kinds.text,
    "scopes_claim": kinds.text,
    "tenant_claim": kinds.text,
    "required_claims": kinds.words,
    "leeway": kinds.duration_s,
    "max_lifetime": kinds.positive_duration_s,
    "require_expiry": kinds.boolean,
}
# These may be `env:NAME` or `file:/path`.
_REFERENCES = frozenset({"public_key", "secret_key"})


def read_entry(name: str, entry: Mapping[str, Any], environ: Mapping[str, str]) -> tuple[dict[str, Any], list[str]]:
    """Return the typed values of an entry and what is wrong with it; null stands for a member that is absent.

    name: how faults call the entry, for example "GUARD_JWT_ISSUERS[0]". environ: what `env:NAME` refers to.
    """
    values: dict[str, Any] = {}
    faults: list[str] = []
    for member, raw in entry.items():
        kind = _MEMBERS.get(member)
        if kind is None:
            faults.append(f"{name}: {tell_unknown_member(member, _MEMBERS)}")
        elif raw is not None:
            try:
                values[member] = kind(_resolve(member, raw, environ))
            except ValueError as exc:
                faults.append(f"{name}.{member} {exc}.")
    return values, faults


def _resolve(member: str, raw: Any, environ: Mapping[str, str]) -> Any:
    return resolve_reference(raw, environ) if member in _REFERENCES and isinstance(raw, str) else raw
