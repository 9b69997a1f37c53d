"""Loading of secrets: files, references and functions, and that no fault contains one."""

from __future__ import annotations

import json
import secrets
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flask_guard.config.secrets import Secret
from flask_guard.config.settings import all_options
from flask_guard.errors import ConfigError

from .loading import PLACES, SOURCES, faults_of, load, strong

# NAME_FILE ----------------------------------------------------------------------------------------------


@pytest.fixture
def secret_file(tmp_path: Path) -> tuple[str, str]:
    """A file with a new secret in it, as (path, secret)."""
    value = strong()
    (tmp_path / "jwt").write_text(f"{value}\n")
    return str(tmp_path / "jwt"), value


@pytest.mark.parametrize("source", SOURCES)
def test_secret_comes_from_a_file_named_in_each_source(source: str, secret_file: tuple[str, str]) -> None:
    path, value = secret_file

    settings = load(**PLACES[source]({"GUARD_JWT_SECRET_KEY_FILE": path}))

    assert settings.jwt.secret_key == Secret(value)
    assert settings.sources["GUARD_JWT_SECRET_KEY"] == f"{source} file"


@pytest.mark.parametrize("source", SOURCES)
def test_name_and_its_file_from_one_source_are_refused(source: str, secret_file: tuple[str, str]) -> None:
    path, value = secret_file

    (fault,) = faults_of(**PLACES[source]({"GUARD_JWT_SECRET_KEY": strong(), "GUARD_JWT_SECRET_KEY_FILE": path}))

    assert fault.endswith(f"are both set ({source}); use one.")
    assert value not in fault


def test_name_and_its_file_from_a_weaker_source_are_refused_as_well(secret_file: tuple[str, str]) -> None:
    path, _value = secret_file
    both = {"GUARD_JWT_SECRET_KEY": strong(), "GUARD_JWT_SECRET_KEY_FILE": path}

    (fault,) = faults_of({"GUARD_JWT_SECRET_KEY": strong()}, both)

    assert "(app.config)" in fault


def test_name_and_its_file_in_two_spellings_are_refused(secret_file: tuple[str, str]) -> None:
    path, _value = secret_file

    (fault,) = faults_of(jwt_secret_key=strong(), GUARD_JWT_SECRET_KEY_FILE=path)

    assert "jwt_secret_key and GUARD_JWT_SECRET_KEY_FILE are both set (argument)" in fault


@pytest.mark.parametrize(
    ("upper", "lower"), [("environment", "app.config"), ("environment", "argument"), ("app.config", "argument")]
)
def test_file_of_a_stronger_source_beats_the_name_of_a_weaker(
    upper: str, lower: str, secret_file: tuple[str, str]
) -> None:
    path, value = secret_file

    by_file = load(
        **PLACES[upper]({"GUARD_JWT_SECRET_KEY_FILE": path}), **PLACES[lower]({"GUARD_JWT_SECRET_KEY": strong()})
    )
    plain = strong()
    by_name = load(
        **PLACES[upper]({"GUARD_JWT_SECRET_KEY": plain}), **PLACES[lower]({"GUARD_JWT_SECRET_KEY_FILE": path})
    )

    assert by_file.jwt.secret_key == Secret(value)
    assert by_name.jwt.secret_key == Secret(plain)


def test_what_a_file_holds_is_the_secret_and_no_reference(tmp_path: Path) -> None:
    text = f"env:{strong()}"
    (tmp_path / "jwt").write_text(text)

    assert load(jwt_secret_key_file=str(tmp_path / "jwt")).jwt.secret_key == Secret(text)


def test_every_secret_may_come_as_a_file_and_nothing_else_may() -> None:
    for name, declared in all_options().items():
        (fault,) = faults_of({f"{name}_FILE": "/nowhere/at/all"})

        assert fault.startswith(f"{name} (environment file)" if declared.secret else f"{name}_FILE (environment) is")


# References and functions -------------------------------------------------------------------------------


@pytest.mark.parametrize("source", SOURCES)
def test_reference_to_the_environment_is_followed_from_each_source(source: str) -> None:
    value = strong()
    given = PLACES[source]({"GUARD_JWT_SECRET_KEY": "env:APP_KEY"})
    given["environ"] = {**given.get("environ", {}), "APP_KEY": value}

    assert load(**given).jwt.secret_key == Secret(value)


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        ("env:APP_KEY", "refers to the environment variable APP_KEY, which is not set"),
        ("file:/nowhere/at/all", "refers to the file /nowhere/at/all, which cannot be read"),
        ("vault:kv/app#key", "refers to a vault: source, which this version cannot read"),
        ("aws-sm:app#key", "refers to a aws-sm: source, which this version cannot read"),
    ],
)
def test_reference_that_leads_nowhere_is_a_fault(reference: str, said: str) -> None:
    (fault,) = faults_of({"GUARD_JWT_SECRET_KEY": reference})

    assert fault.startswith(f"GUARD_JWT_SECRET_KEY (environment) {said}")


def test_reference_to_an_empty_variable_is_a_fault() -> None:
    (fault,) = faults_of({"GUARD_JWT_SECRET_KEY": "env:APP_KEY", "APP_KEY": ""})

    assert fault == "GUARD_JWT_SECRET_KEY (environment) must not be empty."


def test_setting_that_is_no_secret_follows_no_reference() -> None:
    assert load({"GUARD_JWT_ISSUER": "env:APP"}).jwt.issuer == "env:APP"


@pytest.mark.parametrize("wrap", [str, Secret], ids=["text", "Secret"])
def test_secret_may_be_a_function(wrap: Callable[[str], Any]) -> None:
    value = strong()

    settings = load(jwt_secret_key=lambda: wrap(value))

    assert settings.jwt.secret_key == Secret(value)


def test_function_is_asked_once_and_not_at_all_when_a_stronger_source_speaks() -> None:
    asked: list[str] = []

    def fetch() -> str:
        asked.append("asked")
        return strong()

    load({"GUARD_JWT_SECRET_KEY": strong()}, jwt_secret_key=fetch)
    assert asked == []
    load(jwt_secret_key=fetch)
    assert asked == ["asked"]


def test_function_that_fails_is_a_fault_that_does_not_quote_its_error() -> None:
    marker = secrets.token_hex(16)

    def fetch() -> str:
        raise ConnectionError(f"vault answered {marker}")

    (fault,) = faults_of(jwt_secret_key=fetch)

    assert fault == "GUARD_JWT_SECRET_KEY (argument) comes from a function that raised ConnectionError."


@pytest.mark.parametrize("value", [None, 5, b"bytes"])
def test_function_that_gives_no_text_is_a_fault(value: Any) -> None:
    assert faults_of(jwt_secret_key=lambda: value) == ("GUARD_JWT_SECRET_KEY (argument) must be text.",)


@pytest.mark.parametrize("env", ["production", "staging", "development"])
@pytest.mark.parametrize("name", [name for name, declared in all_options().items() if declared.secret])
def test_empty_secret_is_refused_in_every_environment(env: str, name: str) -> None:
    (fault,) = faults_of({"GUARD_ENV": env, name: ""})

    assert fault.startswith(f"{name} (environment) must ")


# Secrets inside of lists ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "member", "read"),
    [
        pytest.param("GUARD_JWT_ISSUERS", "secret_key", lambda s: s.jwt.issuers[0], id="issuers"),
        pytest.param("GUARD_API_KEYS", "key", lambda s: s.keys.static[0], id="API keys"),
    ],
)
def test_secret_of_an_entry_is_a_secret_and_its_reference_is_followed(
    name: str, member: str, read: Any, tmp_path: Path
) -> None:
    """Also one that leads into the .env file, which is no part of the environment."""
    plain, referred = strong(), strong()
    (tmp_path / "key").write_text(f"{plain}\n")

    def entry(given: Any) -> Any:
        return read(load({"APP_KEY": referred}, {name: [{member: given, "name": "ci"}]}))[member]

    assert entry(plain) == entry(Secret(plain)) == entry(f"file:{tmp_path / 'key'}") == Secret(plain)
    assert entry("env:APP_KEY") == Secret(referred)
    assert entry("env:NOT_THERE") == "env:NOT_THERE"
    assert entry(5) == 5
    by_dotenv = load(env="development", dotenv={name: json.dumps([{member: "env:HERE"}]), "HERE": plain})
    assert read(by_dotenv)[member] == Secret(plain)


# Keys of domains ----------------------------------------------------------------------------------------


def new_key() -> str:
    return secrets.token_hex(32)


@pytest.mark.parametrize("source", SOURCES)
def test_keys_of_a_domain_come_from_each_source(source: str) -> None:
    first, second = new_key(), new_key()

    settings = load(**PLACES[source]({"GUARD_ENCRYPTION_KEYS__PII": f"1:{first},2:{second}"}))

    assert settings.encryption.domain_keys == {"pii": {1: Secret(first), 2: Secret(second)}}
    assert settings.sources["GUARD_ENCRYPTION_KEYS__PII"] == source


def test_keys_of_a_domain_follow_the_rules_of_every_secret(tmp_path: Path) -> None:
    pii, card, from_app, from_code = (new_key() for _ in range(4))
    (tmp_path / "pii").write_text(f"1:{pii}\n")

    settings = load(
        {
            "GUARD_ENCRYPTION_KEYS__PII_FILE": str(tmp_path / "pii"),
            "GUARD_ENCRYPTION_KEYS__CARD_DATA": "env:APP",
            "APP": f"1:{card}",
        },
        {"GUARD_ENCRYPTION_KEYS__PII": f"1:{new_key()}", "GUARD_ENCRYPTION_KEYS__A": Secret(f"3:{from_app}")},
        encryption_keys__b=lambda: {"7": from_code},
    )

    assert settings.encryption.domain_keys == {
        "pii": {1: Secret(pii)},
        "card_data": {1: Secret(card)},
        "a": {3: Secret(from_app)},
        "b": {7: Secret(from_code)},
    }


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"environ": {"GUARD_ENCRYPTION_KEYS__PII": ""}}, "(environment) must not be empty."),
        ({"environ": {"GUARD_ENCRYPTION_KEYS__PII": "env:NO"}}, "variable NO, which is not set."),
        ({"app_config": {"GUARD_ENCRYPTION_KEYS__PII": 5}}, "(app.config) must be keys by version"),
        ({"environ": {"GUARD_ENCRYPTION_KEYS__PII": new_key()}}, "must be keys by version, 1:<key>,2:<key>"),
        (
            {
                "environ": {
                    "GUARD_ENCRYPTION_KEYS__PII": f"1:{new_key()}",
                    "GUARD_ENCRYPTION_KEYS__PII_FILE": "/dev/null",
                }
            },
            "are both set (environment); use one.",
        ),
    ],
    ids=["empty", "no variable", "no text", "no version", "name and file"],
)
def test_faulty_keys_of_a_domain_are_refused(given: dict[str, Any], said: str) -> None:
    (fault,) = faults_of(**given)

    assert fault.startswith("GUARD_ENCRYPTION_KEYS__PII")
    assert said in fault


# What a fault does not say ------------------------------------------------------------------------------

HIDDEN_IN: dict[str, str] = {
    "GUARD_JWT_SECRET_KEY": "{0}",
    "GUARD_JWT_SECRET_KEY_FILE": "{0}",
    "GUARD_JWT_PUBLIC_KEY": "{0}",
    "GUARD_JWT_ISSUERS": '[{{"issuer": "a", "secret": "{0}"',
    "GUARD_API_KEYS": '{{"key": "{0}"}}',
    "GUARD_KEY_ROTATION": '["https://hooks.test/{0}"]',
    "GUARD_ADMIN_SECRET": "{0}",
    "GUARD_AUDIT_PEPPER": "{0:.15}",
    "GUARD_DATABASE_URL_FILE": "postgresql://app:{0}@db/app",
    "GUARD_ENCRYPTION_KEY": "{0}",
    "GUARD_ENCRYPTION_INDEX_KEY": "{0}{0}=",
    "GUARD_ENCRYPTION_KEYS__PII": "vault:{0}",
    "GUARD_JWT_JWKS_URL": "https://app:{0}@[id/",
    "GUARD_PUBLIC_URL": "https://app:{0}@api.test/",
    "GUARD_HEADERS": '{{"X-Token": "{0}\\n"}}',
}


@pytest.mark.parametrize("name", HIDDEN_IN)
@pytest.mark.parametrize("source", SOURCES)
def test_no_fault_contains_the_value_of_a_secret(name: str, source: str) -> None:
    marker = secrets.token_hex(8)

    with pytest.raises(ConfigError) as caught:
        load(**PLACES[source]({name: HIDDEN_IN[name].format(marker)}))

    shown = "".join(traceback.format_exception(caught.value)) + json.dumps(caught.value.faults)
    assert name.removesuffix("_FILE") in shown
    assert marker not in shown
    assert marker[:15] not in shown
