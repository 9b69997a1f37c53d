"""How strong every configured secret must be, and that none serves two purposes: told by name, never quoted."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Callable
from typing import Any

import pytest

from flask_guard.config.rules import find_faults, find_warnings
from flask_guard.config.secrets import Secret
from flask_guard.config.strength import find_weak_secrets

from .loading import faults_of, load, strong

ELSEWHERE = ("staging", "development")


def key_of(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode()


# Weak secrets -------------------------------------------------------------------------------------------

ONE_LETTER_KEY = key_of(b"A" * 32)
REPEATED = secrets.token_hex(4) * 16
SHORT = secrets.token_hex(15)
JWT, ADMIN, KEY = (f"Make one with `flask-guard keygen {purpose}`." for purpose in ("jwt", "admin", "encryption"))


def issuer(secret: str) -> list[dict[str, str]]:
    return [{"issuer": "https://a.test", "audience": "api", "secret_key": secret}]


def api_key(key: str) -> list[dict[str, str]]:
    return [{"name": "first", "key": strong()}, {"name": "ci", "key": key}]


def weak(name: str, value: str, weakness: str, remedy: str, id: str, *, given: Any = None, said: str = "") -> Any:
    """given: what the setting holds, where that is more than the secret; said: how a fault calls the secret."""
    return pytest.param(name, given or value, value, f"GUARD_{said or name} {weakness}. {remedy}", id=id)


WEAK = [
    weak("JWT_SECRET_KEY", SHORT, "is shorter than 32 bytes", JWT, "a short JWT secret"),
    weak("JWT_SECRET_KEY", "dev-secret-key", "is a well-known example", JWT, "an example"),
    weak("JWT_SECRET_KEY", "Change-" + "Me!", "is a well-known example", JWT, "an example, decorated"),
    weak("JWT_SECRET_KEY", "please-replace-me-" * 3, "looks like a placeholder", JWT, "a placeholder"),
    weak("JWT_SECRET_KEY", REPEATED, "repeats one piece", JWT, "one piece"),
    weak("ADMIN_SECRET", SHORT, "is shorter than 32 bytes", ADMIN, "a short admin secret"),
    weak("AUDIT_PEPPER", SHORT[:14], "is shorter than 16 bytes", "Take 16 random bytes or more.", "a short pepper"),
    weak("ENCRYPTION_KEY", "00" * 32, "repeats too few characters", KEY, "a key of zeros"),
    weak("ENCRYPTION_KEY", ONE_LETTER_KEY, "repeats too few characters", KEY, "a key of one letter"),
    weak("ENCRYPTION_KEY", key_of(bytes(range(32))), "is a sequence", KEY, "a key that counts"),
    weak("ENCRYPTION_INDEX_KEY", "0123456789abcdef" * 4, "repeats one piece", KEY, "an index key in a row"),
    weak(
        *("ENCRYPTION_KEYS", "00" * 32, "repeats too few characters", KEY, "a version of zeros"),
        given={"1": secrets.token_hex(32), "2": "00" * 32}, said="ENCRYPTION_KEYS, version 2",
    ),
    weak(
        *("ENCRYPTION_KEYS__PII", ONE_LETTER_KEY, "repeats too few characters", KEY, "a key of a domain"),
        given=f"7:{ONE_LETTER_KEY}", said="ENCRYPTION_KEYS__PII, version 7",
    ),
    weak(
        *("JWT_ISSUERS", SHORT, "is shorter than 32 bytes", JWT, "a short secret of an issuer"),
        given=issuer(SHORT), said="JWT_ISSUERS[0].secret_key",
    ),
    weak(
        *("JWT_ISSUERS", "changeme", "is a well-known example", JWT, "an example as secret of an issuer"),
        given=issuer("env:WEAK"), said="JWT_ISSUERS[0].secret_key",
    ),
    weak(
        *("API_KEYS", SHORT, "key is shorter than 32 bytes", "Take 32 random bytes or more.", "a short API key"),
        given=api_key(SHORT), said="API_KEYS, entry 2 (ci):",
    ),
    weak(
        *("API_KEYS", "changeme", "key is a well-known example", "Take 32 random bytes or more.", "an example of one"),
        given=api_key("env:WEAK"), said="API_KEYS, entry 2 (ci):",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("name", "given", "value", "said"), WEAK)
def test_weak_secret_is_refused_in_production(name: str, given: Any, value: str, said: str) -> None:
    (fault,) = faults_of({"WEAK": "changeme"}, {f"GUARD_{name}": given})

    assert fault == said
    assert value not in fault


@pytest.mark.parametrize("env", ELSEWHERE)
@pytest.mark.parametrize(("name", "given", "value", "said"), WEAK)
def test_weak_secret_is_warned_of_elsewhere_once(name: str, given: Any, value: str, said: str, env: str) -> None:
    warnings = find_warnings(load({"WEAK": "changeme"}, {f"GUARD_{name}": given, "GUARD_ENV": env}))

    assert warnings.count(said) == 1
    assert value not in " ".join(warnings)


@pytest.mark.parametrize(
    ("name", "make"),
    [
        pytest.param("JWT_SECRET_KEY", lambda: secrets.token_urlsafe(48), id="JWT secret"),
        pytest.param("JWT_SECRET_KEY", lambda: secrets.token_hex(32), id="JWT secret in hex"),
        pytest.param("ADMIN_SECRET", lambda: secrets.token_urlsafe(32), id="admin secret"),
        pytest.param("AUDIT_PEPPER", lambda: secrets.token_hex(8), id="pepper"),
        pytest.param("ENCRYPTION_KEY", lambda: key_of(secrets.token_bytes(32)), id="encryption key"),
        pytest.param("ENCRYPTION_INDEX_KEY", lambda: secrets.token_hex(32), id="index key in hex"),
        pytest.param("ENCRYPTION_KEYS", lambda: f"1:{secrets.token_hex(32)},2:{secrets.token_hex(32)}", id="versions"),
        pytest.param("ENCRYPTION_KEYS__PII", lambda: f"1:{key_of(secrets.token_bytes(32))}", id="key of a domain"),
        pytest.param("JWT_ISSUERS", lambda: issuer(secrets.token_urlsafe(32)), id="secret of an issuer"),
        pytest.param("API_KEYS", lambda: api_key(secrets.token_urlsafe(32)), id="API keys"),
    ],
)
def test_strong_secret_is_neither_refused_nor_warned_of(name: str, make: Callable[[], Any]) -> None:
    for _ in range(20):
        assert list(find_weak_secrets(load({}, {f"GUARD_{name}": make()}))) == []


def test_jwt_secret_of_less_than_64_characters_is_advised_against() -> None:
    short, long = secrets.token_hex(31) + "q", secrets.token_hex(32)

    assert find_warnings(load(jwt_secret_key=short)) == [
        "GUARD_JWT_SECRET_KEY has fewer than 64 characters. Make one with `flask-guard keygen jwt`.",
    ]
    assert find_warnings(load(jwt_secret_key=long)) == []


@pytest.mark.parametrize("unread", ["env:NOT_THERE", "", 5, None], ids=repr)
def test_secret_of_an_entry_that_cannot_be_read_is_left_to_who_reads_the_entry(unread: Any) -> None:
    settings = load(jwt_issuers=[{"issuer": "a", "secret_key": unread}], api_keys=[{"name": "ci", "key": unread}])

    assert settings.jwt.issuers is not None
    assert settings.keys.static is not None


def test_key_that_stands_where_its_name_should_is_not_quoted() -> None:
    key = strong()

    (fault,) = faults_of(api_keys=[{"name": key, "key": "short"}])

    assert fault.startswith("GUARD_API_KEYS, entry 1: key is shorter")
    assert key not in fault


# One secret for two purposes ----------------------------------------------------------------------------

ONE = strong()
BYTES = secrets.token_bytes(32)
HEX = BYTES.hex()


def doubled(first: str, second: str, given: dict[str, Any], id: str, flask_secret: Any = None) -> Any:
    """first, second: how the two are called."""
    return pytest.param(given, flask_secret, f"{first} and {second} are the same secret.", id=id)


DOUBLED = [
    doubled("GUARD_JWT_SECRET_KEY", "GUARD_ADMIN_SECRET", {"JWT_SECRET_KEY": ONE, "ADMIN_SECRET": ONE}, "two"),
    doubled("GUARD_JWT_SECRET_KEY", "GUARD_AUDIT_PEPPER", {"JWT_SECRET_KEY": ONE, "AUDIT_PEPPER": ONE}, "a pepper"),
    doubled("GUARD_ADMIN_SECRET", "SECRET_KEY", {"ADMIN_SECRET": ONE}, "Flask's own", ONE),
    doubled("GUARD_ADMIN_SECRET", "SECRET_KEY", {"ADMIN_SECRET": ONE}, "Flask's own in bytes", ONE.encode()),
    doubled(
        "GUARD_ENCRYPTION_KEY", "GUARD_ENCRYPTION_INDEX_KEY",
        {"ENCRYPTION_KEY": HEX, "ENCRYPTION_INDEX_KEY": key_of(BYTES)}, "one key in two encodings",
    ),
    doubled(
        "GUARD_ENCRYPTION_KEYS, version 2", "GUARD_ENCRYPTION_KEYS__PII, version 1",
        {"ENCRYPTION_KEYS": f"1:{secrets.token_hex(32)},2:{HEX}", "ENCRYPTION_KEYS__PII": f"1:{key_of(BYTES)}"},
        "a domain with everybody's key",
    ),
    doubled(
        "GUARD_JWT_SECRET_KEY", "GUARD_ENCRYPTION_KEY", {"JWT_SECRET_KEY": HEX, "ENCRYPTION_KEY": HEX},
        "tokens and columns",
    ),
    doubled(
        "GUARD_JWT_SECRET_KEY", "GUARD_JWT_ISSUERS[0].secret_key",
        {"JWT_SECRET_KEY": ONE, "JWT_ISSUERS": issuer("env:ONE")}, "ours and an issuer's",
    ),
    doubled(
        "GUARD_ADMIN_SECRET", "GUARD_API_KEYS, entry 2 (ci): key",
        {"ADMIN_SECRET": ONE, "API_KEYS": api_key("env:ONE")}, "administration and an API key",
    ),
    doubled("GUARD_API_KEYS, entry 2 (ci): key", "SECRET_KEY", {"API_KEYS": api_key(ONE)}, "an API key", ONE),
]  # fmt: skip


@pytest.mark.parametrize(("given", "flask_secret", "said"), DOUBLED)
def test_one_secret_for_two_purposes_is_refused_in_production_and_warned_of_elsewhere(
    given: dict[str, Any], flask_secret: Any, said: str
) -> None:
    config = {f"GUARD_{name}": value for name, value in given.items()}
    expected = f"{said} Give each purpose its own."

    faults = faults_of({"ONE": ONE}, {**config, "SECRET_KEY": flask_secret})
    warnings = find_warnings(load({"ONE": ONE}, {**config, "GUARD_ENV": "staging"}), flask_secret=flask_secret)

    assert faults == (expected,)
    assert warnings.count(expected) == 1
    assert not any(value in " ".join([*faults, *warnings]) for value in (ONE, HEX, key_of(BYTES)))


def test_secret_for_three_purposes_is_told_with_each_of_the_others() -> None:
    faults = faults_of(jwt_secret_key=ONE, admin_secret=ONE, audit_pepper=ONE)

    assert [fault.partition(" are")[0] for fault in faults] == [
        "GUARD_JWT_SECRET_KEY and GUARD_ADMIN_SECRET",
        "GUARD_JWT_SECRET_KEY and GUARD_AUDIT_PEPPER",
    ]


@pytest.mark.parametrize("flask_secret", [None, "", b"", 5], ids=["None", "empty", "no bytes", "a number"])
def test_application_without_a_secret_key_of_its_own_is_fine(flask_secret: Any) -> None:
    assert find_faults(load(jwt_secret_key=strong()), flask_secret=flask_secret) == []


def test_a_short_secret_of_flask_is_told_because_it_signs_sessions_and_csrf_tokens() -> None:
    settings = load(jwt_secret_key=Secret(strong()))

    found = list(find_weak_secrets(settings, flask_secret="dev"))

    assert [finding.id for finding in found] == ["FG-SECRET-001"]
    assert "SECRET_KEY" in found[0].message
    assert list(find_weak_secrets(settings, flask_secret=secrets.token_hex(16))) == []
