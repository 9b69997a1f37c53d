"""Keys by version, and what replaces them: each key is whole, none is there twice, and none is quoted."""

from __future__ import annotations

import base64
import json
import secrets
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flask_guard.config.kinds_keys import KeyRotation, encryption_keys, key_rotation
from flask_guard.config.secrets import Secret

from .loading import attempt, faults_of, load

ONE, TWO = secrets.token_bytes(32), secrets.token_bytes(32)
BASE64 = base64.urlsafe_b64encode(ONE).decode()


@pytest.mark.parametrize(
    ("raw", "keys"),
    [
        pytest.param(f"1:{ONE.hex()}", {1: ONE.hex()}, id="one"),
        pytest.param(f" 1 : {BASE64} , 12:{TWO.hex()} ", {1: BASE64, 12: TWO.hex()}, id="two with blanks"),
        pytest.param(json.dumps({"1": ONE.hex(), "3": TWO.hex()}), {1: ONE.hex(), 3: TWO.hex()}, id="JSON"),
        pytest.param({"2": Secret(BASE64)}, {2: BASE64}, id="a map of Secrets"),
        pytest.param({2: BASE64}, {2: BASE64}, id="numbers for versions"),
        pytest.param(Secret(f"1:{BASE64}"), {1: BASE64}, id="a Secret"),
    ],
)
def test_keys_are_read_by_version(raw: Any, keys: dict[int, str]) -> None:
    assert encryption_keys(raw) == {version: Secret(key) for version, key in keys.items()}


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        pytest.param("", "must not be empty", id="empty"),
        pytest.param("{}", "must not be empty", id="an empty map"),
        pytest.param(ONE.hex(), "must be keys by version, 1:<key>,2:<key>", id="a key alone"),
        pytest.param(f"0:{ONE.hex()}", "versions from 1 up", id="version 0"),
        pytest.param(f"-1:{ONE.hex()}", "versions from 1 up", id="a negative version"),
        pytest.param(f"01:{ONE.hex()}", "versions from 1 up", id="a version with a zero in front"),
        pytest.param(f"\u0661:{ONE.hex()}", "versions from 1 up", id="a digit of another script"),
        pytest.param(f"v1:{ONE.hex()}", "versions from 1 up", id="a version with a letter"),
        pytest.param(f"1:{ONE.hex()},", "versions from 1 up", id="a comma at the end"),
        pytest.param(f"1:{ONE.hex()},1:{TWO.hex()}", "must not have the version 1 twice", id="a version twice"),
        pytest.param(f'{{"1": "{ONE.hex()}", "1": "{TWO.hex()}"}}', "no member twice", id="a JSON version twice"),
        pytest.param({1: ONE.hex(), "1": TWO.hex()}, "must not have the version 1 twice", id="1 and '1'"),
        pytest.param(f"1:{ONE.hex()},2:{BASE64}", "one key as version 1 and as version 2", id="a key twice"),
        pytest.param(f"1:{ONE.hex()},2:{TWO.hex()[2:]}", "version 2 must be exactly 32 bytes", id="31 bytes"),
        pytest.param("1:", "version 1 must not be empty", id="an empty key"),
        pytest.param({"1": 5}, "version 1 must be text", id="a number for a key"),
        pytest.param(5, "must be keys by version", id="a number"),
        pytest.param([ONE.hex()], "must be keys by version", id="a list"),
        pytest.param("{", "must be JSON", id="half an object"),
    ],
)
@pytest.mark.parametrize("env", ["production", "staging", "development"])
def test_faulty_keys_are_refused_in_every_environment_and_not_quoted(raw: Any, said: str, env: str) -> None:
    faults = faults_of({"GUARD_ENV": env}, {"GUARD_ENCRYPTION_KEYS": raw})

    assert len(faults) == 1
    assert faults[0].startswith("GUARD_ENCRYPTION_KEYS (app.config) ")
    assert said in faults[0]
    assert not any(key[2:30] in faults[0] for key in (ONE.hex(), TWO.hex(), BASE64))


@given(raw=st.one_of(st.text(alphabet="0123:,{}\"' af", max_size=80), st.dictionaries(st.integers(), st.text())))
def test_whatever_comes_in_is_read_or_refused(raw: Any) -> None:
    keys, fault = attempt(encryption_keys, raw)

    if fault is None:
        assert all(version > 0 for version in keys)
    else:
        assert fault.startswith(("must", "has a faulty key"))


# Rotation -----------------------------------------------------------------------------------------------


def test_rotation_has_its_members_typed() -> None:
    given = {
        "enabled": "yes",
        "schedule": "0 3 1 * *",
        "auto_reencrypt": True,
        "retain_old_keys": "2",
        "notification_webhook": "https://hooks.test/x",
    }

    typed = KeyRotation(
        enabled=True,
        schedule="0 3 1 * *",
        auto_reencrypt=True,
        retain_old_keys=2,
        notification_webhook=Secret("https://hooks.test/x"),
    )
    assert key_rotation(json.dumps(given)) == typed
    assert load(key_rotation=given).encryption.key_rotation == typed
    assert key_rotation({"schedule": None}) == KeyRotation()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        pytest.param({"enable": True}, "must not have the member enable. Did you mean enabled?", id="a typo"),
        pytest.param({"zzz": 1}, "must not have the member zzz; the members are enabled, schedule", id="unknown"),
        pytest.param({"enabled": "perhaps"}, "has a faulty member: enabled must be true or false.", id="enabled"),
        pytest.param({"retain_old_keys": -1}, "retain_old_keys must be a whole number, at least 0.", id="keys"),
        pytest.param({"schedule": ""}, "schedule must not be empty.", id="schedule"),
        pytest.param({"notification_webhook": "ftp://h"}, "notification_webhook must be a URL beginning", id="webhook"),
        pytest.param([], "must be a JSON object.", id="a list"),
    ],
)
def test_faulty_rotation_is_refused(given: Any, said: str) -> None:
    (fault,) = faults_of({}, {"GUARD_KEY_ROTATION": given})

    assert fault.startswith("GUARD_KEY_ROTATION (app.config) ")
    assert said in fault


def test_webhook_is_not_quoted_and_does_not_print() -> None:
    token = secrets.token_hex(8)

    with pytest.raises(ValueError, match="notification_webhook") as caught:
        key_rotation({"notification_webhook": f"https://u:{token}@[h/"})

    assert token not in str(caught.value)
    assert token not in repr(key_rotation({"notification_webhook": f"https://hooks.test/{token}"}))
