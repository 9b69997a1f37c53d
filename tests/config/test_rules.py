"""What no single setting can tell: weak and doubled secrets, contradictions, and settings without effect."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Callable
from typing import Any

import pytest

from flask_guard.config.rules import find_faults, find_warnings
from flask_guard.config.secrets import Secret
from flask_guard.config.settings import all_options
from flask_guard.errors import ConfigError

from .loading import faults_of, load, strong

ELSEWHERE = ("staging", "development")


def key_of(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode()


# Weak secrets -------------------------------------------------------------------------------------------

ONE_LETTER_KEY = key_of(b"A" * 32)
REPEATED = secrets.token_hex(4) * 16
SHORT = secrets.token_hex(4)

WEAK = [
    pytest.param("JWT_SECRET_KEY", secrets.token_hex(15), "is shorter than 32 bytes", id="a short JWT secret"),
    pytest.param("JWT_SECRET_KEY", "dev-secret-key", "is a well-known example", id="an example"),
    pytest.param("JWT_SECRET_KEY", "Change-" + "Me!", "is a well-known example", id="an example, decorated"),
    pytest.param("JWT_SECRET_KEY", "please-replace-me-" * 3, "looks like a placeholder", id="a placeholder"),
    pytest.param("JWT_SECRET_KEY", REPEATED, "repeats one piece", id="one piece"),
    pytest.param("ADMIN_SECRET", secrets.token_hex(15), "is shorter than 32 bytes", id="a short admin secret"),
    pytest.param("AUDIT_PEPPER", secrets.token_hex(7), "is shorter than 16 bytes", id="a short pepper"),
    pytest.param("ENCRYPTION_KEY", "00" * 32, "repeats too few characters", id="a key of zeros"),
    pytest.param("ENCRYPTION_KEY", ONE_LETTER_KEY, "repeats too few characters", id="a key of one letter"),
    pytest.param("ENCRYPTION_KEY", key_of(bytes(range(32))), "is a sequence", id="a key that counts"),
    pytest.param("ENCRYPTION_INDEX_KEY", "0123456789abcdef" * 4, "repeats one piece", id="an index key in a row"),
]


@pytest.mark.parametrize(("name", "value", "weakness"), WEAK)
def test_weak_secret_is_refused_in_production(name: str, value: str, weakness: str) -> None:
    (fault,) = faults_of({f"GUARD_{name}": value})

    assert fault == f"GUARD_{name} {weakness}. Make one with `flask guard keygen`."
    assert value not in fault


@pytest.mark.parametrize("env", ELSEWHERE)
@pytest.mark.parametrize(("name", "value", "weakness"), WEAK)
def test_weak_secret_is_warned_of_elsewhere_once(name: str, value: str, weakness: str, env: str) -> None:
    warnings = find_warnings(load({f"GUARD_{name}": value, "GUARD_ENV": env}))

    assert warnings.count(f"GUARD_{name} {weakness}. Make one with `flask guard keygen`.") == 1
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
    ],
)
def test_strong_secret_is_neither_refused_nor_warned_of(name: str, make: Callable[[], str]) -> None:
    for _ in range(20):
        value = make()
        assert not [w for w in find_warnings(load({f"GUARD_{name}": value})) if "no effect" not in w]


def test_jwt_secret_of_less_than_64_characters_is_advised_against() -> None:
    short, long = secrets.token_hex(31) + "q", secrets.token_hex(32)

    assert find_warnings(load(jwt_secret_key=short)) == ["GUARD_JWT_SECRET_KEY has fewer than 64 characters."]
    assert find_warnings(load(jwt_secret_key=long)) == []


# One secret for two purposes ----------------------------------------------------------------------------

ONE = strong()
ONE_KEY = secrets.token_bytes(32)
DOUBLED: list[Any] = [
    pytest.param({"JWT_SECRET_KEY": ONE, "ADMIN_SECRET": ONE}, None, "JWT_SECRET_KEY", "ADMIN_SECRET", id="two"),
    pytest.param({"JWT_SECRET_KEY": ONE, "AUDIT_PEPPER": ONE}, None, "JWT_SECRET_KEY", "AUDIT_PEPPER", id="pepper"),
    pytest.param({"ADMIN_SECRET": ONE}, ONE, "ADMIN_SECRET", "SECRET_KEY", id="Flask's own"),
    pytest.param({"ADMIN_SECRET": ONE}, ONE.encode(), "ADMIN_SECRET", "SECRET_KEY", id="Flask's own in bytes"),
    pytest.param(
        {"ENCRYPTION_KEY": ONE_KEY.hex(), "ENCRYPTION_INDEX_KEY": key_of(ONE_KEY)},
        None, "ENCRYPTION_KEY", "ENCRYPTION_INDEX_KEY", id="one key in two encodings",
    ),
    pytest.param(
        {"ENCRYPTION_KEYS": ONE, "ENCRYPTION_KEYS__PII": ONE},
        None, "ENCRYPTION_KEYS", "ENCRYPTION_KEYS__PII", id="a domain with everybody's key",
    ),
    pytest.param(
        {"JWT_SECRET_KEY": ONE_KEY.hex(), "ENCRYPTION_KEY": ONE_KEY.hex()},
        None, "JWT_SECRET_KEY", "ENCRYPTION_KEY", id="tokens and columns",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("given", "flask_secret", "first", "second"), DOUBLED)
def test_one_secret_for_two_purposes_is_refused_in_production_and_warned_of_elsewhere(
    given: dict[str, str], flask_secret: Any, first: str, second: str
) -> None:
    environ = {f"GUARD_{name}": value for name, value in given.items()}
    prefixed = second if second == "SECRET_KEY" else f"GUARD_{second}"
    said = f"GUARD_{first} and {prefixed} are the same secret; give each purpose its own."

    faults = faults_of(environ, {"SECRET_KEY": flask_secret})
    warnings = find_warnings(load({**environ, "GUARD_ENV": "staging"}), flask_secret=flask_secret)

    assert faults == (said,)
    assert warnings.count(said) == 1
    assert not any(value in " ".join([*faults, *warnings]) for value in given.values())


@pytest.mark.parametrize("flask_secret", [None, "", b"", 5], ids=["None", "empty", "no bytes", "a number"])
def test_application_without_a_secret_key_of_its_own_is_fine(flask_secret: Any) -> None:
    assert find_faults(load(jwt_secret_key=strong()), flask_secret=flask_secret) == []


# Contradictions -----------------------------------------------------------------------------------------

PEM = "-----BEGIN PUBLIC KEY-----"
JWKS = "https://id.test/jwks"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        pytest.param(
            {"jwt_secret_key": strong(), "jwt_public_key": PEM},
            "GUARD_JWT_SECRET_KEY and GUARD_JWT_PUBLIC_KEY are both set",
            id="two families of algorithms",
        ),
        pytest.param(
            {"jwt_secret_key": strong(), "jwt_jwks_url": JWKS},
            "GUARD_JWT_SECRET_KEY and GUARD_JWT_JWKS_URL are both set",
            id="a secret and a key set",
        ),
        pytest.param(
            {"jwt_public_key": PEM, "jwt_jwks_url": JWKS},
            "GUARD_JWT_JWKS_URL and GUARD_JWT_PUBLIC_KEY are both set",
            id="a key and a key set",
        ),
        pytest.param(
            {"jwt_secret_key": strong(), "jwt_asymmetric_only": True},
            "GUARD_JWT_ASYMMETRIC_ONLY refuses GUARD_JWT_SECRET_KEY",
            id="asymmetric only, with a secret",
        ),
        pytest.param(
            {"jwt_secret_key": f"{PEM}\n{strong()}"},
            "GUARD_JWT_SECRET_KEY holds a PEM key",
            id="a public key as secret: anybody could sign",
        ),
        pytest.param(
            {"jwt_access_ttl": "1h", "jwt_refresh_ttl": "1h"},
            "GUARD_JWT_REFRESH_TTL must be longer",
            id="a refresh token that dies with the access token",
        ),
        pytest.param(
            {"jwt_access_ttl": "1h", "jwt_max_lifetime": "10m"},
            "GUARD_JWT_ACCESS_TTL is longer than GUARD_JWT_MAX_LIFETIME",
            id="own tokens refused",
        ),
        pytest.param(
            {"cors_origins": "*", "cors_credentials": True, "env": "development"},
            "GUARD_CORS_ORIGINS must list origins one by one",
            id="every origin with cookies",
        ),
        pytest.param(
            {"jwt_header": "X_Api_Key"},
            "GUARD_JWT_HEADER and GUARD_API_KEY_HEADER name the same header",
            id="one header for both credentials",
        ),
    ],
)
@pytest.mark.parametrize("env", ["production", *ELSEWHERE])
def test_contradiction_is_refused_in_every_environment(given: dict[str, Any], said: str, env: str) -> None:
    faults = faults_of(**{"env": env, **given})

    assert len([fault for fault in faults if fault.startswith(said)]) == 1


def test_key_pair_and_own_limits_are_no_contradiction() -> None:
    load(jwt_private_key=strong(), jwt_public_key=PEM)
    load(jwt_access_ttl="10m", jwt_max_lifetime="10m")
    load(cors_origins="https://a.test", cors_credentials=True)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"jwt_jwks_url": "http://id.test/jwks"}, "GUARD_JWT_JWKS_URL must be https in production."),
        ({"jwt_jwks_url": "HTTP://id.test/jwks"}, "GUARD_JWT_JWKS_URL must be https in production."),
        ({"cors_origins": "https://a.test,*"}, "GUARD_CORS_ORIGINS must not be * in production."),
        ({"oidc_enabled": False}, "GUARD_OIDC_ENABLED must not be false in production."),
    ],
    ids=["plain http", "HTTP in capitals", "every origin", "no identity provider"],
)
def test_what_is_for_development_is_refused_in_production(given: dict[str, Any], said: str) -> None:
    assert faults_of(**given) == (said,)
    load(env="development", **given)


# Warnings -----------------------------------------------------------------------------------------------


def test_nothing_set_warns_of_nothing() -> None:
    assert find_warnings(load()) == []


@pytest.mark.parametrize(
    ("access", "what"),
    [
        ("public", "routes without a rule are not closed"),
        ("public-read", "routes without a rule are not closed"),
        ("report-only", "nothing is refused"),
    ],
)
def test_open_default_is_warned_of(access: str, what: str) -> None:
    assert find_warnings(load(default_access=access)) == [f"GUARD_DEFAULT_ACCESS is {access}: {what}."]


@pytest.mark.parametrize("given", [{"jwt_public_key": PEM}, {"jwt_jwks_url": JWKS}], ids=["key", "key set"])
def test_tokens_of_an_issuer_without_an_audience_are_warned_of(given: dict[str, str]) -> None:
    (warning,) = find_warnings(load(**given))

    assert warning.startswith("GUARD_JWT_AUDIENCE is not set")
    assert find_warnings(load(jwt_audience="api", **given)) == []


def _some_value(name: str) -> str:
    """Return a text that the option takes and that is not its default."""
    candidates = ["7", "7/1h", "7/hour", "on", "gcra", "all", "async", "vault", "{}", "[{}]", "10.0.0.0/8"]
    candidates += ["403", "https://a.test", secrets.token_hex(32), "aws-kms", "9d"]
    for candidate in candidates:
        try:
            load({name: candidate, "GUARD_ENV": "development"})
        except ConfigError:
            continue
        return candidate
    raise AssertionError(f"no value for {name}")


@pytest.mark.parametrize("name", [n for n, declared in all_options().items() if not declared.effective])
def test_setting_without_effect_is_warned_of(name: str) -> None:
    warnings = find_warnings(load({name: _some_value(name), "GUARD_ENV": "development"}))

    assert warnings.count(f"{name} has no effect in this version.") == 1


def test_keys_of_a_domain_are_warned_of_while_they_have_no_effect() -> None:
    warnings = find_warnings(load(encryption_keys__pii=Secret(strong())))

    assert warnings == ["GUARD_ENCRYPTION_KEYS__PII has no effect in this version."]


def test_setting_with_an_effect_is_not_warned_of() -> None:
    given = {"GUARD_JWT_LEEWAY": "1s", "GUARD_MAX_BODY": "1M", "GUARD_CSP": "page", "GUARD_SERVICE_NAME": "a"}

    assert find_warnings(load(given)) == []
