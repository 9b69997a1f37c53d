"""The settings of what is kept: database, encryption, audit, accounts, and the bundled services.

See `sections` and `options`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from . import kinds, kinds_keys, kinds_web
from .kinds_keys import KeyRotation
from .options import option
from .secrets import Secret


@dataclass(frozen=True, slots=True)
class DatabaseSettings:
    """Where Guard keeps its own tables."""

    url: Secret | None = option(
        "DATABASE_URL", kinds.secret_text, None,
        "SQLAlchemy URL of Guard's tables; by default the application's engine, else SQLite in the instance "
        "folder.", secret=True,
    )  # fmt: skip
    redis_url: Secret | None = option(
        "REDIS_URL",
        kinds_web.secret_url("redis", "rediss", "unix"),
        None,
        "Redis or Valkey for shared state.",
        secret=True,
        effective=False,
    )
    query_timeout_s: float = option(
        "QUERY_TIMEOUT", kinds.duration_s, "0", "Longest time of one statement in a request; 0 for no limit."
    )
    rls_role: str | None = option("RLS_ROLE", kinds.text, None, "PostgreSQL role that requests take.")
    rls_system_role: str | None = option(
        "RLS_SYSTEM_ROLE", kinds.text, None, "PostgreSQL role that `unscoped` takes, to see all tenants."
    )


@dataclass(frozen=True, slots=True)
class EncryptionSettings:
    """Keys of encrypted columns."""

    keys: Mapping[int, Secret] | None = option(
        "ENCRYPTION_KEYS", kinds_keys.encryption_keys, None, "Keys by version: `1:<key>,2:<key>` or a JSON map.",
        secret=True, effective=False,
    )  # fmt: skip
    key: Secret | None = option(
        "ENCRYPTION_KEY", kinds.encryption_key, None, "The key of version 1, 32 bytes in hex or base64.",
        secret=True, effective=False,
    )  # fmt: skip
    active_version: int | None = option(
        "ENCRYPTION_ACTIVE_VERSION", kinds.integer(least=1), None, "Version that encrypts.", effective=False
    )
    index_key: Secret | None = option(
        "ENCRYPTION_INDEX_KEY",
        kinds.encryption_key,
        None,
        "Key of blind indexes.",
        secret=True,
        effective=False,
    )
    allow_plaintext: bool = option(
        "ENCRYPTION_ALLOW_PLAINTEXT",
        kinds.boolean,
        "false",
        "Read values not encrypted yet.",
        effective=False,
    )
    provider: Literal["settings", "vault", "aws-kms"] = option(
        "ENCRYPTION_PROVIDER",
        kinds.choice("settings", "vault", "aws-kms"),
        "settings",
        "Who holds the keys.",
        effective=False,
    )
    key_rotation: KeyRotation | None = option(
        "KEY_ROTATION", kinds_keys.key_rotation, None,
        "JSON: enabled, schedule, auto_reencrypt, retain_old_keys, notification_webhook.",
        secret=True, effective=False,  # secret: the address of a webhook often holds a token
    )  # fmt: skip
    domain_keys: Mapping[str, Mapping[int, Secret]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AuditSettings:
    """The audit trail."""

    enabled: bool | None = option(
        "AUDIT_ENABLED", kinds.boolean, None, "By default on when a pepper is set.", effective=False
    )
    pepper: Secret | None = option(
        "AUDIT_PEPPER", kinds.secret_text, None, "Key of client fingerprints.", secret=True, effective=False
    )
    retention_s: float = option(
        "AUDIT_RETENTION",
        kinds.positive_duration_s,
        "90d",
        "Age at which records are purged.",
        effective=False,
    )
    checks: bool = option("AUDIT_CHECKS", kinds.boolean, "false", "Record policy checks.", effective=False)
    seal: Literal["commit", "async"] = option(
        "AUDIT_SEAL", kinds.choice("commit", "async"), "commit", "When the chain is sealed.", effective=False
    )


@dataclass(frozen=True, slots=True)
class AccountSettings:
    """Bundled accounts, mail, and the services that are mounted on request."""

    accounts: bool = option("ACCOUNTS", kinds.boolean, "false", "Mount /auth.", effective=False)
    signup: bool = option("SIGNUP", kinds.boolean, "false", "Let anyone sign up.", effective=False)
    authz_api: bool = option("AUTHZ_API", kinds.boolean, "false", "Mount /api/v1.", effective=False)
    login_attempts: tuple[int, float] = option(
        "LOGIN_ATTEMPTS", kinds.attempts, "5/15m", "Failed logins by account and network.", effective=False
    )
    login_address_attempts: tuple[int, float] = option(
        "LOGIN_ADDRESS_ATTEMPTS", kinds.attempts, "100/15m", "Failed logins by network.", effective=False
    )
    redirect_uris: tuple[str, ...] = option(
        "REDIRECT_URIS", kinds_web.redirect_uris, "", "Where mails may lead back to.", effective=False
    )
    mail_url: Secret | None = option(
        "MAIL_URL", kinds_web.secret_url("smtp", "smtps"), None, "Mail server.", secret=True, effective=False
    )
    mail_from: str | None = option("MAIL_FROM", kinds_web.mail_address, None, "Sender of mails.", effective=False)
    check_deny_status: int = option(
        "CHECK_DENY_STATUS", kinds.status_of_denial, "403", "Status of a denied check: 403 or 200.",
        effective=False,
    )  # fmt: skip
    oidc_enabled: bool = option(
        "OIDC_ENABLED", kinds.boolean, "true", "False gives a development identity.", effective=False
    )


@dataclass(frozen=True, slots=True)
class GraphqlSettings:
    """Limits of GraphQL documents."""

    max_depth: int = option("GRAPHQL_MAX_DEPTH", kinds.integer(), "15", "Deepest selection.", effective=False)
    max_aliases: int = option("GRAPHQL_MAX_ALIASES", kinds.integer(), "30", "Most aliases.", effective=False)
    max_complexity: int = option("GRAPHQL_MAX_COMPLEXITY", kinds.integer(), "300", "Most fields.", effective=False)
    max_body_bytes: int = option("GRAPHQL_MAX_BODY", kinds.size_bytes, "1M", "Largest document.", effective=False)
