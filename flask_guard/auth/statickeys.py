"""Keys that stand in the configuration (GUARD_API_KEYS) and need no store.

Pure. Rule: the keys themselves are not kept, only their digests; no fault quotes any part of a key.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..config.secrets import Secret, SecretFault, resolve_reference
from ..config.strength import name_key_entry
from ..config.suggest import tell_unknown_member
from ..errors import ConfigError
from ..values import Claims, Principal
from .keyformat import SERVICE_PREFIX, digest_of, require_roles, require_scopes, require_word

MEMBERS = ("name", "key", "roles", "scopes", "tenant")

# What a header carries without being changed on the way: visible ASCII.
_VISIBLE = re.compile(r"[\x21-\x7e]+")


class StaticKeys:
    """The keys of the configuration. principals: by the SHA-256 of their key, in hex."""

    def __init__(self, principals: Mapping[str, Principal]) -> None:
        self._principals = dict(principals)

    def __len__(self) -> int:
        return len(self._principals)

    def authenticate(self, credential: str) -> Principal | None:
        """Return the key's principal, None for a text that is no key of the configuration.

        The look-up is by digest, so its time tells about the digest of a guess and nothing about a key.
        """
        return self._principals.get(digest_of(credential))


def build_static_keys(entries: Sequence[Mapping[str, Any]], *, environ: Mapping[str, str]) -> StaticKeys:
    """Return the keys of a list of `{"name", "key", "roles", "scopes", "tenant"}`; name and key are required.

    key: the text, or a reference to it (`env:NAME`, `file:/path`), looked up in `environ`.
    Raises one ConfigError that lists everything that is wrong. How strong a key is, `config.strength` judges.
    """
    read = [_read_entry(entry, position, environ=environ) for position, entry in enumerate(entries, start=1)]
    faults = [f"{entry.label}: {fault}" for entry in read for fault in _find_faults(entry)]
    faults += _find_repeated(read)
    if faults:
        raise ConfigError(*faults)
    return StaticKeys({digest_of(entry.key.reveal()): _make_principal(entry.members) for entry in read})


@dataclass(frozen=True, slots=True)
class _Entry:
    """One entry as it was read. key: empty when `key_fault` says why there is none."""

    label: str
    members: Mapping[str, Any]
    key: Secret
    key_fault: str | None


def _read_entry(members: Mapping[str, Any], position: int, *, environ: Mapping[str, str]) -> _Entry:
    label = name_key_entry(position, members)
    raw = members.get("key")
    if isinstance(raw, Secret) and raw.reveal():  # the loader has followed its reference
        return _Entry(label, members, raw, None)
    if not isinstance(raw, str) or not raw:
        return _Entry(label, members, Secret(""), "key is missing")
    try:
        return _Entry(label, members, Secret(resolve_reference(raw, environ)), None)
    except SecretFault as exc:
        return _Entry(label, members, Secret(""), f"key {exc}")


def _find_faults(entry: _Entry) -> Iterator[str]:
    yield from _find_unknown_members(entry.members)
    try:
        require_word(entry.members.get("name"), what="name")
    except ValueError as exc:
        yield f"{exc}."
    else:
        yield from _find_faulty_grants(entry.members)
    key_fault = entry.key_fault or _find_key_fault(entry.key)
    if key_fault is not None:
        yield f"{key_fault}."


def _find_unknown_members(members: Mapping[Any, Any]) -> Iterator[str]:
    yield from (tell_unknown_member(member, MEMBERS) for member in members if member not in MEMBERS)


def _find_faulty_grants(members: Mapping[str, Any]) -> Iterator[str]:
    try:
        _make_principal(members)
    except ValueError as exc:
        yield f"{exc}."


def _find_key_fault(key: Secret) -> str | None:
    text = key.reveal()
    if not _VISIBLE.fullmatch(text):
        return "key must be visible ASCII without blanks, or a header cannot carry it"
    if text.startswith(SERVICE_PREFIX):
        return f"key begins with {SERVICE_PREFIX}, which marks the keys of `flask guard keys create`"
    return None


def _find_repeated(entries: Sequence[_Entry]) -> Iterator[str]:
    for number, entry in enumerate(entries):
        for earlier in entries[:number]:
            if entry.key_fault is None and entry.key == earlier.key:
                yield f"{entry.label}: key is the same as that of {earlier.label}."
            if entry.members.get("name") == earlier.members.get("name") is not None:
                yield f"{entry.label}: name is taken by {earlier.label}."


def _make_principal(members: Mapping[str, Any]) -> Principal:
    """Return what a key stands for. Raises ValueError for roles, scopes or a tenant of the wrong form."""
    name = require_word(members.get("name"), what="name")
    tenant = members.get("tenant")
    return Principal(
        id=name,
        kind="service",
        method="api_key",
        roles=require_roles(members.get("roles") or ()),
        scopes=require_scopes(members.get("scopes") or ()),
        tenant=None if tenant is None else require_word(tenant, what="tenant"),
        claims=Claims({"name": name}),
    )
