"""Loading: which source wins, which names are nobody's, and that one error tells of every fault."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from flask_guard.config.secrets import Secret
from flask_guard.config.settings import all_options

from .loading import PLACES, SOURCES, faults_of, load, strong

# Which source wins --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "given", [c for n in range(4) for c in itertools.combinations(SOURCES, n)], ids=lambda c: "+".join(c) or "none"
)
def test_environment_wins_over_app_config_over_argument_over_default(given: tuple[str, ...]) -> None:
    settings = load(
        {"GUARD_JWT_LEEWAY": "1s"} if "environment" in given else {},
        {"GUARD_JWT_LEEWAY": "2s"} if "app.config" in given else {},
        **({"jwt_leeway": "3s"} if "argument" in given else {}),
    )

    winner = given[0] if given else "default"
    assert settings.jwt.leeway_s == {"environment": 1, "app.config": 2, "argument": 3, "default": 0}[winner]
    assert settings.sources.get("GUARD_JWT_LEEWAY", "default") == winner
    assert settings.is_set("GUARD_JWT_LEEWAY") is bool(given)


def test_none_says_nothing() -> None:
    settings = load(app_config={"GUARD_JWT_LEEWAY": None, "GUARD_JWT_SECRET_KEY_FILE": None}, jwt_leeway="3s")

    assert settings.jwt.leeway_s == 3
    assert settings.jwt.secret_key is None


def test_argument_may_be_spelled_as_the_variable() -> None:
    assert load(GUARD_JWT_LEEWAY="4s").jwt.leeway_s == 4


def test_argument_spelled_both_ways_is_refused() -> None:
    (fault,) = faults_of(jwt_leeway="1s", GUARD_JWT_LEEWAY="2s")

    assert fault == "jwt_leeway and GUARD_JWT_LEEWAY are both set (argument); use one."


def test_nothing_set_gives_the_defaults_and_no_sources() -> None:
    settings = load()

    assert settings.is_production
    assert settings.service.default_access == "authenticated"
    assert dict(settings.sources) == {}


def test_typed_values_of_app_config_are_taken_as_they_are() -> None:
    settings = load(app_config={"GUARD_MAX_BODY": 1024, "GUARD_ALLOWED_HOSTS": ["a.test", "b.test"]})

    assert settings.limits.max_body_bytes == 1024
    assert settings.service.allowed_hosts == ("a.test", "b.test")


# .env ---------------------------------------------------------------------------------------------------


def test_dotenv_serves_development_and_stands_below_the_environment() -> None:
    settings = load(
        {"GUARD_ENV": "development", "GUARD_JWT_LEEWAY": "1s"},
        {"GUARD_JWT_ACCESS_TTL": "1m"},
        dotenv={"GUARD_JWT_LEEWAY": "9s", "GUARD_JWT_ACCESS_TTL": "9m", "OTHER": "x"},
    )

    assert settings.jwt.leeway_s == 1
    assert settings.jwt.access_ttl_s == 540
    assert settings.sources["GUARD_JWT_ACCESS_TTL"] == ".env"


@pytest.mark.parametrize("env", [None, "production", "staging"])
def test_dotenv_is_not_read_elsewhere(env: str | None) -> None:
    settings = load({"GUARD_ENV": env} if env else {}, dotenv={"GUARD_JWT_LEEWAY": "9s", "GUARD_TYPO": "x"})

    assert settings.jwt.leeway_s == 0


@pytest.mark.parametrize("claimed", ["development", "production"])
def test_dotenv_does_not_choose_the_environment(claimed: str) -> None:
    assert load(dotenv={"GUARD_ENV": claimed}).is_production
    assert load(env="development", dotenv={"GUARD_ENV": claimed}).service.env == "development"


def test_reference_in_dotenv_finds_its_neighbour() -> None:
    value = strong()
    dotenv = {"GUARD_JWT_SECRET_KEY": "env:APP_KEY", "APP_KEY": value}

    assert load(env="development", dotenv=dotenv).jwt.secret_key == Secret(value)


def test_typo_in_dotenv_is_refused() -> None:
    (fault,) = faults_of(env="development", dotenv={"GUARD_JWT_LEWAY": "9s"})

    assert fault == "GUARD_JWT_LEWAY (.env) is not a setting. Did you mean GUARD_JWT_LEEWAY?"


# Names that are nobody's --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        pytest.param(
            {"environ": {"GUARD_JWT_SECRET": "x"}},
            "GUARD_JWT_SECRET (environment) is not a setting. Did you mean GUARD_JWT_SECRET_KEY?",
            id="environment",
        ),
        pytest.param(
            {"app_config": {"GUARD_MAXBODY": "x"}},
            "GUARD_MAXBODY (app.config) is not a setting. Did you mean GUARD_MAX_BODY?",
            id="app.config",
        ),
        pytest.param(
            {"jwt_lee_way": "x"},
            "jwt_lee_way (argument) is not a setting. Did you mean jwt_leeway?",
            id="argument",
        ),
        pytest.param(
            {"environ": {"GUARD_QQQQQQQQQQQQ": "x"}}, "GUARD_QQQQQQQQQQQQ (environment) is not a setting.", id="no idea"
        ),
        pytest.param(
            {"environ": {"GUARD_JWT_LEEWAY_FILE": "x"}},
            "GUARD_JWT_LEEWAY_FILE (environment) is not a setting. Did you mean GUARD_JWT_LEEWAY?",
            id="file of what is no secret",
        ),
        pytest.param(
            {"environ": {"GUARD_ENCRYPTION_KEYS__": "x"}},
            "GUARD_ENCRYPTION_KEYS__ (environment) is not a setting. Did you mean GUARD_ENCRYPTION_KEYS?",
            id="domain without a name",
        ),
        pytest.param(
            {"app_config": {"GUARD_ENCRYPTION_KEYS__pii": "x"}},
            "GUARD_ENCRYPTION_KEYS__pii (app.config) is not a setting. Did you mean GUARD_ENCRYPTION_KEYS?",
            id="domain in lower case",
        ),
    ],
)
def test_unknown_name_is_refused_with_the_nearest_known(given: dict[str, Any], fault: str) -> None:
    (said,) = faults_of(**given)

    assert said == fault


@pytest.mark.parametrize(
    "name",
    [
        "GUARD_SERVICE_HOST",
        "GUARD_SERVICE_PORT",
        "GUARD_SERVICE_PORT_HTTPS",
        "GUARD_PORT",
        "GUARD_PORT_443_TCP",
        "GUARD_PORT_443_TCP_ADDR",
        "GUARD_PORT_443_TCP_PORT",
        "GUARD_PORT_443_TCP_PROTO",
        "GUARD_PORT_53_UDP",
        "GUARD_API_SERVICE_HOST",
        "GUARD_API_V2_SERVICE_PORT_GRPC",
        "GUARD_API_PORT",
        "GUARD_API_PORT_8080_TCP_ADDR",
    ],
)
def test_service_links_of_kubernetes_are_nobodys_typo(name: str) -> None:
    assert load({name: "tcp://10.0.0.1:443"}).is_production


def test_service_link_is_one_in_the_environment_only() -> None:
    (fault,) = faults_of(app_config={"GUARD_PORT": "80"})

    assert fault.startswith("GUARD_PORT (app.config) is not a setting.")


def test_no_setting_has_the_form_of_a_service_link() -> None:
    """Such a setting could be misspelt into one and be overlooked."""
    assert [name for name in all_options() if name.endswith(("_PORT", "_HOST"))] == []


@pytest.mark.parametrize("source", SOURCES)
def test_ignored_names_are_passed_over_in_every_source(source: str) -> None:
    settings = load(
        **PLACES[source]({"GUARD_IGNORE_VARIABLES": "GUARD_DOG, GUARD_RAIL,guard_rail"}),
        **({"app_config": {"GUARD_DOG": "x"}} if source == "environment" else {"environ": {"GUARD_DOG": "x"}}),
    )

    assert settings.service.ignore_variables == ("GUARD_DOG", "GUARD_RAIL", "guard_rail")


def test_ignoring_one_name_does_not_ignore_another() -> None:
    (fault,) = faults_of({"GUARD_IGNORE_VARIABLES": "GUARD_DOG", "GUARD_DOGS": "x"})

    assert fault.startswith("GUARD_DOGS (environment) is not a setting")


def test_names_without_the_prefix_are_not_ours() -> None:
    assert load({"FLASK_GUARD_TEST_X": "1", "guard_x": "1"}, {"SECRET_KEY": strong(), "DEBUG": True}).is_production


# Every fault in one error -------------------------------------------------------------------------------


def test_one_error_lists_every_fault() -> None:
    faults = faults_of(
        {"GUARD_JWT_LEEWAY": "soon", "GUARD_TYPO": "x", "GUARD_ADMIN_SECRET": "short", "GUARD_MAX_BODY": "0"},
        {"GUARD_JWT_SECRET_KEY": "env:MISSING", "GUARD_HEADERS": "{"},
        jwt_access_ttl="40d",
    )

    expected = [
        "GUARD_TYPO (environment) is not a setting.",
        "GUARD_JWT_SECRET_KEY (app.config) refers to the environment variable MISSING, which is not set.",
        "GUARD_JWT_LEEWAY (environment) must be a duration such as 30s or 15m.",
        "GUARD_HEADERS (app.config) must be JSON, with no member twice.",
        "GUARD_MAX_BODY (environment) must be a size above zero.",
        "GUARD_JWT_REFRESH_TTL must be longer than GUARD_JWT_ACCESS_TTL.",
        "GUARD_ADMIN_SECRET is shorter than 32 bytes. Make one with `flask-guard keygen admin`.",
    ]
    assert [fault.partition(" Did")[0] for fault in faults] == expected


def test_unreadable_environment_counts_as_production() -> None:
    faults = faults_of({"GUARD_ENV": "prod", "GUARD_ADMIN_SECRET": "short"})

    assert faults[0] == "GUARD_ENV (environment) must be one of production, staging, development."
    assert faults[1].startswith("GUARD_ADMIN_SECRET is shorter")
