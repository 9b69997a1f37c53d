"""The settings as a whole: what is promised is declared, nothing secret prints, nothing can be changed."""

from __future__ import annotations

import copy
import dataclasses
import json
import pickle
import pprint
import secrets
from typing import Any

import pytest

from flask_guard.config.options import Option, iterate_options
from flask_guard.config.secrets import Secret
from flask_guard.config.settings import SECTIONS, Settings, all_options, describe_settings

from .loading import load, strong

# Every setting that users were promised, with the default as they would write it; None for no default.
PROMISED: dict[str, str | None] = {
    "ENV": "production",
    "DEFAULT_ACCESS": "authenticated",
    "SERVICE_NAME": None,
    "PATH_PREFIX": "",
    "PUBLIC_URL": None,
    "ALLOWED_HOSTS": "",
    "REQUIRE_HTTPS": "false",
    "TRUSTED_PROXIES": "",
    "JWT_SECRET_KEY": None,
    "JWT_PRIVATE_KEY": None,
    "JWT_PUBLIC_KEY": None,
    "JWT_JWKS_URL": None,
    "JWT_JWKS_MAX_STALE": "24h",
    "JWT_ISSUER": None,
    "JWT_AUDIENCE": None,
    "JWT_ISSUERS": None,
    "JWT_ALGORITHMS": "",
    "JWT_TENANT_CLAIM": "tenant",
    "JWT_ROLES_CLAIM": "roles",
    "JWT_SCOPES_CLAIM": "scope",
    "JWT_EXCLUDED_ROLES": "offline_access,uma_authorization",
    "JWT_LEEWAY": "0s",
    "JWT_MAX_LIFETIME": None,
    "JWT_ASYMMETRIC_ONLY": "false",
    "JWT_ACCESS_TTL": "15m",
    "JWT_REFRESH_TTL": "30d",
    "REFRESH_RETRY_WINDOW": "10s",
    "API_KEY_HEADER": "X-API-Key",
    "CLIENT_KEYS_REGISTERED_ONLY": "true",
    "ADMIN_SECRET": None,
    "ADMIN_HEADER_DISABLED": "false",
    "ADMIN_NETWORKS": "",
    "SESSION_INTERFACE": "lazy",
    "CORS_ORIGINS": "",
    "CORS_CREDENTIALS": "false",
    "CORS_METHODS": "GET,HEAD,POST,PUT,PATCH,DELETE",
    "CORS_HEADERS": "Authorization,Content-Type,X-API-Key,X-CSRF-Token,X-Request-Id",
    "CORS_MAX_AGE": "10m",
    "CSRF_SCOPE": "ambient",
    "CSRF_TRUSTED_ORIGINS": "",
    "HSTS": None,
    "CSP": "auto",
    "HEADERS": "{}",
    "MAX_BODY": "4M",
    "MAX_MULTIPART": "32M",
    "MAX_JSON_DEPTH": "64",
    "RATE_LIMIT_STORAGE_URI": "memory://",
    "RATE_LIMIT_GLOBAL": "off",
    "RATE_LIMIT_ANONYMOUS": "100/minute",
    "RATE_LIMIT_AUTHENTICATED": "1000/minute",
    "RATE_LIMIT_SERVICE": "10000/minute",
    "RATE_LIMIT_CHECK": "1000/minute",
    "RATE_LIMIT_ADDRESS": "off",
    "RATE_LIMIT_STRATEGY": "sliding-window",
    "RATE_LIMIT_FAIL_CLOSED": "false",
    "DATABASE_URL": None,
    "REDIS_URL": None,
    "QUERY_TIMEOUT": "0",
    "ENCRYPTION_KEYS": None,
    "ENCRYPTION_KEY": None,
    "ENCRYPTION_ACTIVE_VERSION": None,
    "ENCRYPTION_INDEX_KEY": None,
    "ENCRYPTION_ALLOW_PLAINTEXT": "false",
    "ENCRYPTION_PROVIDER": "settings",
    "KEY_ROTATION": None,
    "AUDIT_ENABLED": None,
    "AUDIT_PEPPER": None,
    "AUDIT_RETENTION": "90d",
    "AUDIT_CHECKS": "false",
    "AUDIT_SEAL": "commit",
    "HEALTH_CHECK_DB": "false",
    "HEALTH_TIMEOUT": "3s",
    "LOG_FORMAT": "json",
    "LOG_LEVEL": None,
    "METRICS_ENABLED": "false",
    "GRAPHQL_MAX_DEPTH": "15",
    "GRAPHQL_MAX_ALIASES": "30",
    "GRAPHQL_MAX_COMPLEXITY": "300",
    "GRAPHQL_MAX_BODY": "1M",
    "ACCOUNTS": "false",
    "SIGNUP": "false",
    "AUTHZ_API": "false",
    "LOGIN_ATTEMPTS": "5/15m",
    "LOGIN_ADDRESS_ATTEMPTS": "100/15m",
    "REDIRECT_URIS": "",
    "MAIL_URL": None,
    "MAIL_FROM": None,
    "REVOCATION_MAX_STALE": "1s",
    "CHECK_DENY_STATUS": "403",
    "OIDC_ENABLED": "true",
    "RLS_ROLE": None,
    "IGNORE_VARIABLES": "",
}
SECRETS = {
    *("JWT_SECRET_KEY", "JWT_PRIVATE_KEY", "JWT_PUBLIC_KEY", "JWT_ISSUERS", "API_KEYS", "ADMIN_SECRET"),
    *("RATE_LIMIT_STORAGE_URI", "DATABASE_URL", "REDIS_URL", "MAIL_URL", "AUDIT_PEPPER", "KEY_ROTATION"),
    *("ENCRYPTION_KEYS", "ENCRYPTION_KEY", "ENCRYPTION_INDEX_KEY"),
}
# Of those with a closed set of values, every value that was promised.
CHOICES = {
    "ENV": ["production", "staging", "development"],
    "DEFAULT_ACCESS": ["authenticated", "public-read", "public", "report-only"],
    "SESSION_INTERFACE": ["lazy", "flask"],
    "CSRF_SCOPE": ["ambient", "all"],
    "CSP": ["auto", "api", "page", "off", "default-src 'self'"],
    "RATE_LIMIT_STRATEGY": ["sliding-window", "fixed-window", "moving-window", "gcra"],
    "ENCRYPTION_PROVIDER": ["settings", "vault", "aws-kms"],
    "AUDIT_SEAL": ["commit", "async"],
    "LOG_FORMAT": ["json", "text"],
    "LOG_LEVEL": ["debug", "info", "warning", "error"],
}


@pytest.mark.parametrize("name", PROMISED)
def test_promised_setting_is_declared_with_its_default(name: str) -> None:
    assert all_options()[f"GUARD_{name}"].default == PROMISED[name]


@pytest.mark.parametrize(("name", "value"), [(name, v) for name, values in CHOICES.items() for v in values])
def test_promised_value_is_accepted(name: str, value: str) -> None:
    assert load({f"GUARD_{name}": value}).is_set(f"GUARD_{name}")


def test_exactly_these_settings_are_secrets() -> None:
    declared = {option.name for option in all_options().values() if option.secret}

    assert declared == {f"GUARD_{name}" for name in SECRETS}


def test_no_setting_is_declared_twice() -> None:
    names = [declared.name for section in SECTIONS.values() for _field, declared in iterate_options(section)]

    assert len(names) == len(set(names))
    assert len({option.argument for option in all_options().values()}) == len(names)


@pytest.mark.parametrize("declared", all_options().values(), ids=all_options())
def test_setting_reads_its_own_default_and_says_what_it_means(declared: Option) -> None:
    if declared.default is not None:
        declared.kind(declared.default)
    assert declared.meaning.endswith(".")
    assert declared.meaning[0].isupper() or declared.meaning.split()[0].rstrip(":") in {"auto", "lazy"}


def test_field_that_is_no_setting_is_the_map_of_domain_keys_only() -> None:
    plain = {
        field.name
        for section in SECTIONS.values()
        for field in dataclasses.fields(section)
        if "option" not in field.metadata
    }

    assert plain == {"domain_keys"}


@pytest.mark.parametrize("section", SECTIONS)
def test_sections_cannot_be_changed(section: str) -> None:
    values = getattr(load(), section)
    field = dataclasses.fields(values)[0].name

    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(values, field, None)


# Nothing secret prints ----------------------------------------------------------------------------------


def settings_full_of(marker: str) -> Settings:
    """Return settings in which every secret is, or has in it, the marker."""
    key = secrets.token_hex(32)
    given: dict[str, Any] = {f"GUARD_{name}": f"{marker}-{name}" for name in SECRETS}
    given |= {
        "GUARD_JWT_PUBLIC_KEY": f"-----BEGIN PUBLIC KEY-----\n{marker}",
        "GUARD_JWT_ISSUERS": json.dumps([{"issuer": "a", "secret": marker}]),
        "GUARD_API_KEYS": json.dumps([{"name": "ci", "key": marker}]),
        "GUARD_KEY_ROTATION": json.dumps({"notification_webhook": f"https://hooks.test/{marker}"}),
        "GUARD_DATABASE_URL": f"postgresql://app:{marker}@db.test/app",
        "GUARD_ENCRYPTION_KEY": key,
        "GUARD_ENCRYPTION_INDEX_KEY": key[::-1],
        "GUARD_ENCRYPTION_KEYS": f"1:{secrets.token_hex(32)}",
        "GUARD_ENCRYPTION_KEYS__PII": f"1:{(marker * 3)[:64]}",
        "GUARD_RATE_LIMIT_STORAGE_URI": f"redis://:{marker}@cache.test/1",
        "GUARD_REDIS_URL": f"rediss://:{marker}@cache.test/2",
        "GUARD_MAIL_URL": f"smtps://app:{marker}@mail.test",
        "GUARD_ENV": "development",
    }
    del given["GUARD_JWT_SECRET_KEY"]  # beside a public key it is refused
    return load(given)


@pytest.mark.parametrize(
    "show",
    [repr, str, pprint.pformat, lambda s: f"{s}", lambda s: str(list(describe_settings(s)))],
    ids=["repr", "str", "pprint", "format", "describe"],
)
def test_settings_print_without_any_secret(show: Any) -> None:
    marker = secrets.token_hex(12)

    shown = show(settings_full_of(marker))

    assert "development" in shown
    assert marker not in shown


@pytest.mark.parametrize(
    "take", [copy.deepcopy, pickle.dumps, dataclasses.asdict], ids=["deepcopy", "pickle", "asdict"]
)
def test_settings_with_a_secret_cannot_be_taken_along(take: Any) -> None:
    marker = secrets.token_hex(12)

    with pytest.raises(TypeError) as caught:
        take(settings_full_of(marker))

    assert marker not in str(caught.value)


# Description --------------------------------------------------------------------------------------------


def described(settings: Settings) -> dict[str, dict[str, Any]]:
    return {row["name"]: row for row in describe_settings(settings)}


def test_description_names_value_source_and_default() -> None:
    rows = described(load({"GUARD_MAX_BODY": "32K", "GUARD_TRUSTED_PROXIES": "10.0.0.0/8"}, jwt_secret_key=strong()))

    assert rows["GUARD_MAX_BODY"] == {
        "name": "GUARD_MAX_BODY",
        "value": 32768,
        "source": "environment",
        "default": "4M",
    }
    assert rows["GUARD_TRUSTED_PROXIES"]["value"] == ["10.0.0.0/8"]
    assert rows["GUARD_JWT_SECRET_KEY"]["value"] == "***"
    assert rows["GUARD_JWT_SECRET_KEY"]["source"] == "argument"
    assert rows["GUARD_JWT_PRIVATE_KEY"]["value"] is None
    assert rows["GUARD_JWT_EXCLUDED_ROLES"]["value"] == ["offline_access", "uma_authorization"]
    assert rows["GUARD_JWT_EXCLUDED_ROLES"]["source"] == "default"


def test_description_has_every_setting_and_each_domain() -> None:
    rows = described(load(encryption_keys__pii=f"1:{secrets.token_hex(32)}"))

    assert set(rows) == {*all_options(), "GUARD_ENCRYPTION_KEYS__PII"}
    assert rows["GUARD_ENCRYPTION_KEYS__PII"]["value"] == "***"
    assert rows["GUARD_ENCRYPTION_KEYS__PII"]["source"] == "argument"


def test_description_can_be_written_as_json() -> None:
    rows = list(describe_settings(settings_full_of(secrets.token_hex(12))))

    assert [row["name"] for row in json.loads(json.dumps(rows))] == [row["name"] for row in rows]


def test_environments_are_told_apart() -> None:
    assert load().is_production
    assert not load(env="staging").is_production
    assert not load(env="development").is_production


def test_domain_keys_are_secrets() -> None:
    keys = load(encryption_keys__pii=f"1:{secrets.token_hex(32)}").encryption.domain_keys

    assert isinstance(keys["pii"][1], Secret)
