"""All settings of one application: one frozen value, one frozen section per concern."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from .options import Option, iterate_options
from .sections import (
    BrowserSettings,
    HealthSettings,
    JwtSettings,
    KeySettings,
    LimitSettings,
    LogSettings,
    ServiceSettings,
)
from .sections_data import (
    AccountSettings,
    AuditSettings,
    DatabaseSettings,
    EncryptionSettings,
    GraphqlSettings,
)

# The name that stands for one variable per key domain: GUARD_ENCRYPTION_KEYS__PII.
DOMAIN_KEYS_PREFIX = "GUARD_ENCRYPTION_KEYS__"


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that was configured, typed and validated.

    sources: for each option that was set, by its name, where its value came from: "environment", ".env",
    "app.config" or "argument"; with " file" behind it for one that came as NAME_FILE.
    """

    service: ServiceSettings
    jwt: JwtSettings
    keys: KeySettings
    browser: BrowserSettings
    limits: LimitSettings
    health: HealthSettings
    logs: LogSettings
    database: DatabaseSettings
    encryption: EncryptionSettings
    audit: AuditSettings
    accounts: AccountSettings
    graphql: GraphqlSettings
    sources: Mapping[str, str]

    @property
    def is_production(self) -> bool:
        return self.service.env == "production"

    def is_set(self, name: str) -> bool:
        """Say whether a user gave this option a value."""
        return self.sources.get(name, "default") != "default"


SECTIONS: Mapping[str, type] = {
    "service": ServiceSettings,
    "jwt": JwtSettings,
    "keys": KeySettings,
    "browser": BrowserSettings,
    "limits": LimitSettings,
    "health": HealthSettings,
    "logs": LogSettings,
    "database": DatabaseSettings,
    "encryption": EncryptionSettings,
    "audit": AuditSettings,
    "accounts": AccountSettings,
    "graphql": GraphqlSettings,
}


def all_options() -> dict[str, Option]:
    """Return every option by its name, in the order of declaration."""
    return {declared.name: declared for section in SECTIONS.values() for _field, declared in iterate_options(section)}


def describe_settings(settings: Settings) -> Iterator[dict[str, Any]]:
    """Yield name, value (`***` for a secret), source and default of every option, ready to print."""
    for section_name, section in SECTIONS.items():
        values = getattr(settings, section_name)
        for field_name, declared in iterate_options(section):
            value = getattr(values, field_name)
            hidden = declared.secret and value is not None
            yield {
                "name": declared.name,
                "value": "***" if hidden else _printable(value),
                "source": settings.sources.get(declared.name, "default"),
                "default": declared.default,
            }
    for domain in sorted(settings.encryption.domain_keys):
        name = DOMAIN_KEYS_PREFIX + domain.upper()
        yield {"name": name, "value": "***", "source": settings.sources[name], "default": None}


def _printable(value: Any) -> Any:
    if isinstance(value, (tuple, list)):
        return [_printable(item) for item in value]
    if isinstance(value, frozenset):
        return sorted(value)
    if dataclasses.is_dataclass(value) or not isinstance(value, (str, int, float, bool, dict, type(None))):
        return str(value)
    return value
