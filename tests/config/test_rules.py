"""What no single setting can tell: contradictions, open defaults, tokens of any audience, settings without effect."""

from __future__ import annotations

import secrets
from typing import Any

import pytest

from flask_guard.config.rules import find_findings, find_warnings
from flask_guard.config.settings import all_options
from flask_guard.errors import ConfigError
from flask_guard.values import Level

from .loading import faults_of, load, strong

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
@pytest.mark.parametrize("env", ["production", "staging", "development"])
def test_contradiction_is_refused_in_every_environment(given: dict[str, Any], said: str, env: str) -> None:
    faults = faults_of(**{"env": env, **given})

    assert len([fault for fault in faults if fault.startswith(said)]) == 1


def test_key_pair_and_own_limits_are_no_contradiction() -> None:
    assert load(jwt_private_key=strong(), jwt_public_key=PEM).jwt.private_key is not None
    assert load(jwt_access_ttl="10m", jwt_max_lifetime="10m").jwt.access_ttl_s == 600
    assert load(cors_origins="https://a.test", cors_credentials=True).browser.cors_credentials


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
@pytest.mark.parametrize("env", ["production", "staging"])
def test_open_default_is_warned_of(access: str, what: str, env: str) -> None:
    """Only one that refuses nothing in production is an error of the checklist."""
    (finding,) = find_findings(load(default_access=access, env=env))

    is_error = access == "report-only" and env == "production"
    assert finding.message == f"GUARD_DEFAULT_ACCESS is {access}: {what}."
    assert finding.level is (Level.ERROR if is_error else Level.WARNING)


@pytest.mark.parametrize("given", [{"jwt_public_key": PEM}, {"jwt_jwks_url": JWKS}], ids=["key", "key set"])
def test_tokens_of_an_issuer_without_an_audience_are_warned_of(given: dict[str, str]) -> None:
    (warning,) = find_warnings(load(**given))

    assert warning.startswith("GUARD_JWT_AUDIENCE is not set")
    assert find_warnings(load(jwt_audience="api", **given)) == []


@pytest.mark.parametrize("member", ["jwks_url", "public_key", "secret_key"])
def test_listed_issuer_without_an_audience_is_warned_of_by_its_place(member: str) -> None:
    told, listed = (
        {"issuer": f"https://{name}.test", member: {"jwks_url": JWKS, "public_key": PEM}.get(member, strong())}
        for name in "ab"
    )
    told["audience"] = "api"

    (warning,) = find_warnings(load(jwt_issuers=[told, listed]))

    assert warning.startswith("GUARD_JWT_ISSUERS[1] has no audience: tokens that its issuer made for others are")
    assert find_warnings(load(jwt_issuers=[told])) == []
    assert find_warnings(load(jwt_issuers=[listed], jwt_audience="api")) == []


def test_our_own_tokens_need_no_audience() -> None:
    assert find_warnings(load(jwt_secret_key=strong())) == []


def test_start_says_a_finding_with_its_remedy() -> None:
    settings = load(default_access="public")
    (finding,) = find_findings(settings)

    assert find_warnings(settings) == [f"{finding.message} {finding.remedy}"]


def test_every_kind_of_finding_has_its_own_id_and_a_remedy_of_its_own() -> None:
    weak = "q" + "7" * 40
    settings = load(
        {"GUARD_ENV": "staging", "GUARD_JWT_PUBLIC_KEY": PEM, "GUARD_DEFAULT_ACCESS": "public", "GUARD_HSTS": "on"},
        audit_pepper=weak,
        admin_secret=weak,
    )
    findings = [*find_findings(settings), *find_findings(load(jwt_secret_key=secrets.token_hex(16)))]

    remedies: dict[str, set[str]] = {}
    for finding in findings:
        remedies.setdefault(finding.remedy, set()).add(finding.id)
    assert {finding.id for finding in findings} == {
        *("FG-ACCESS-001", "FG-SECRET-001", "FG-SECRET-002", "FG-SECRET-003", "FG-SETTINGS-001", "FG-TOKEN-001"),
    }
    assert all(len(ids) == 1 for ids in remedies.values())


def _some_value(name: str) -> str:
    """Return a text that the option takes and that is not its default."""
    candidates = ["7", "7/1h", "7/hour", "on", "gcra", "all", "async", "vault", "{}", "[{}]", "10.0.0.0/8"]
    candidates += ["403", "https://a.test", secrets.token_hex(32), "aws-kms", "9d", "POST", "X-Key", "a@a.test"]
    candidates += ["redis://a.test", "smtp://a.test", f"1:{secrets.token_hex(32)}"]
    for candidate in candidates:
        try:
            load({name: candidate, "GUARD_ENV": "development"})
        except ConfigError:
            continue
        return candidate
    raise AssertionError(f"no value for {name}")


@pytest.mark.parametrize("name", [n for n, declared in all_options().items() if not declared.effective])
def test_setting_without_effect_is_warned_of(name: str) -> None:
    findings = find_findings(load({name: _some_value(name), "GUARD_ENV": "development"}))

    assert [f.id for f in findings if f.message == f"{name} has no effect in this version."] == ["FG-SETTINGS-001"]


def test_keys_of_a_domain_are_warned_of_while_they_have_no_effect() -> None:
    (finding,) = find_findings(load(encryption_keys__pii=f"1:{secrets.token_hex(32)}"))

    assert finding.message == "GUARD_ENCRYPTION_KEYS__PII has no effect in this version."


def test_setting_with_an_effect_is_not_warned_of() -> None:
    given = {"GUARD_JWT_LEEWAY": "1s", "GUARD_MAX_BODY": "1M", "GUARD_CSP": "page", "GUARD_SERVICE_NAME": "a"}

    assert find_warnings(load(given)) == []
