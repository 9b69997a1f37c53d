"""The kinds of value that say which keys encrypt columns, and how they are replaced.

Pure; see `kinds`. Rule: no error here holds any part of a key.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from . import kinds
from .kinds import Kind, decode_key, encryption_key, json_object
from .secrets import Secret
from .suggest import did_you_mean

# From 1 up: version 0 is what a column without a version would be read as.
_VERSION = re.compile(r"[1-9][0-9]{0,8}\Z")
_FORM = "must be keys by version, 1:<key>,2:<key> or a JSON map"


def encryption_keys(value: Any) -> dict[int, Secret]:
    """Keys by version, `1:<key>,2:<key>` or a JSON map; each 32 bytes, in hex, base64 or url-safe base64."""
    keys: dict[int, Secret] = {}
    for version, encoded in _pairs(value):
        if not _VERSION.match(version):
            raise ValueError(f"{_FORM}, with versions from 1 up")
        number = int(version)
        if number in keys:
            raise ValueError(f"must not have the version {number} twice")
        try:
            keys[number] = encryption_key(encoded)
        except ValueError as exc:
            raise ValueError(f"has a faulty key: version {number} {exc}") from None
    _refuse_repeated(keys)
    return keys


def _pairs(value: Any) -> Iterable[tuple[str, Any]]:
    raw = value.reveal() if isinstance(value, Secret) else value
    if isinstance(raw, str) and not raw.strip():
        raise ValueError("must not be empty")
    if isinstance(raw, Mapping) or (isinstance(raw, str) and raw.lstrip().startswith("{")):
        pairs = [(str(version), encoded) for version, encoded in json_object(raw).items()]
    elif isinstance(raw, str):
        split = [item.strip().partition(":") for item in raw.split(",")]
        pairs = [(version.strip(), encoded.strip()) for version, _separator, encoded in split]
    else:
        raise ValueError(_FORM)
    if not pairs:
        raise ValueError("must not be empty")
    return pairs


def _refuse_repeated(keys: Mapping[int, Secret]) -> None:
    by_bytes: dict[bytes, int] = {}
    for version, key in keys.items():
        earlier = by_bytes.setdefault(decode_key(key), version)
        if earlier != version:
            raise ValueError(f"must not have one key as version {earlier} and as version {version}")


@dataclass(frozen=True, slots=True)
class KeyRotation:
    """When keys are replaced and what happens then.

    schedule: as in cron. retain_old_keys: how many of them. notification_webhook: who is told; its address
    often holds a token.
    """

    enabled: bool = False
    schedule: str | None = None
    auto_reencrypt: bool = False
    retain_old_keys: int | None = None
    notification_webhook: Secret | None = None


def _webhook(value: Any) -> Secret:
    return Secret(kinds.url("https", "http")(value.reveal() if isinstance(value, Secret) else value))


_ROTATION: Mapping[str, Kind] = {
    "enabled": kinds.boolean,
    "schedule": kinds.text,
    "auto_reencrypt": kinds.boolean,
    "retain_old_keys": kinds.integer(),
    "notification_webhook": _webhook,
}


def key_rotation(value: Any) -> KeyRotation:
    """A JSON object of the members of KeyRotation; null stands for one that is absent."""
    members = {}
    for name, raw in json_object(value).items():
        kind = _ROTATION.get(name)
        if kind is None:
            hint = did_you_mean(name, _ROTATION)
            known = f".{hint}" if hint else f"; the members are {', '.join(_ROTATION)}"
            raise ValueError(f"must not have the member {name!s:.40}{known}")
        if raw is not None:
            try:
                members[name] = kind(raw)
            except ValueError as exc:
                raise ValueError(f"has a faulty member: {name} {exc}") from None
    return KeyRotation(**members)
