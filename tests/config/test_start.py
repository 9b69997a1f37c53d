"""A whole application that is set up wrongly says so without the secrets it was given."""

from __future__ import annotations

import json
import logging
import secrets
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from flask_guard import ConfigError, Guard

PEM = "-----BEGIN {0} KEY-----\n{1}\n-----END {0} KEY-----"


# For each faulty start, its options with the marker where a secret would stand.
FAULTY: dict[str, Callable[[str], dict[str, Any]]] = {
    "a private key that is none": lambda marker: {"jwt_private_key": PEM.format("PRIVATE", marker)},
    "a private key that is no PEM": lambda marker: {"jwt_private_key": marker},
    "a public key that is none": lambda marker: {"jwt_public_key": PEM.format("PUBLIC", marker)},
    "a private key as public key": lambda marker: {"jwt_public_key": PEM.format("PRIVATE", marker)},
    "a secret that is a JWK": lambda marker: {"jwt_secret_key": json.dumps({"kty": "oct", "k": marker})},
    "a weak secret of an issuer": lambda marker: {"jwt_issuers": [{"issuer": "a", "secret_key": marker}]},
    "a secret under no known name": lambda marker: {"jwt_issuers": [{"issuer": "a", "secret": marker}]},
    "a password in an issuer's URL": lambda marker: {
        "jwt_issuers": [{"issuer": "a", "jwks_url": f"ftp://u:{marker}@[h/"}]
    },
    "a weak API key": lambda marker: {"api_keys": [{"name": "ci", "key": marker}]},
    "an API key with faulty roles": lambda marker: {"api_keys": [{"name": "ci", "key": marker * 3, "roles": 5}]},
    "a header of two lines": lambda marker: {"headers": {"X-Token": f"{marker}\n"}},
}


@pytest.mark.parametrize("make", FAULTY.values(), ids=FAULTY)
def test_faulty_start_says_what_is_wrong_and_not_what_was_given(
    make: Callable[[str], dict[str, Any]], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    marker = f"q{secrets.token_hex(8)}q"
    app = Flask("app", instance_path=str(tmp_path))

    with caplog.at_level(logging.DEBUG), pytest.raises(ConfigError) as caught:
        Guard(app, **make(marker))

    shown = "".join(traceback.format_exception(caught.value)) + caplog.text
    assert "GUARD_" in shown
    assert marker not in shown
    assert "guard" not in app.extensions


def test_start_that_warns_says_nothing_of_the_secret(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    marker = f"q{secrets.token_hex(4)}q"
    app = Flask("app", instance_path=str(tmp_path))

    with caplog.at_level(logging.DEBUG):
        Guard(app, env="development", jwt_secret_key=marker, admin_secret=marker)

    said = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert any("GUARD_JWT_SECRET_KEY is shorter than 32 bytes" in line for line in said)
    assert any("GUARD_JWT_SECRET_KEY and GUARD_ADMIN_SECRET are the same secret" in line for line in said)
    assert any("GUARD_ADMIN_SECRET has no effect" in line for line in said)
    assert marker not in caplog.text
