"""What users import is what the contract says, and importing it costs nothing that was not asked for."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

import flask_guard
import flask_guard.policies

PUBLIC = {
    "ConfigError",
    "Decision",
    "Guard",
    "GuardError",
    "Policy",
    "Principal",
    "Secret",
    "Tenant",
    "current_principal",
    "current_tenant",
    "tenant_scope",
}

# What `import flask_guard` and making a Guard may load beside Flask and the standard library.
LIGHT = {"flask_guard"}
ALLOWED = {"flask_guard", "flask_cors", "jwt", "cryptography", "_cffi_backend", "_openssl"}


def _new_modules(statement: str) -> set[str]:
    """Return the top-level packages that a statement loads on top of Flask, in a fresh interpreter."""
    program = (
        "import flask, sys, json; tops = lambda: {name.split('.')[0] for name in sys.modules}; before = tops(); "
        f"{statement}; print(json.dumps(sorted(tops() - before - set(sys.stdlib_module_names))))"
    )
    output = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout
    return set(json.loads(output))


def test_the_public_names_are_those_of_the_contract() -> None:
    assert set(flask_guard.__all__) == PUBLIC
    assert flask_guard.__all__ == sorted(flask_guard.__all__)


@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_every_public_name_resolves(name: str) -> None:
    assert getattr(flask_guard, name) is not None
    assert name in dir(flask_guard)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Gaurd'"):
        _ = flask_guard.Gaurd


def test_the_words_of_rules_resolve() -> None:
    for name in flask_guard.policies.__all__:
        assert getattr(flask_guard.policies, name) is not None


def test_importing_the_package_loads_nothing_else() -> None:
    assert _new_modules("import flask_guard") == LIGHT


def test_a_guard_loads_no_extra_and_no_database() -> None:
    loaded = _new_modules(
        "import secrets; from flask_guard import Guard; app = flask.Flask('app'); "
        "guard = Guard(app, jwt_secret_key=secrets.token_hex(32)); guard.compile(app); "
        "app.test_client().get('/', headers={'Authorization': 'Bearer x'})"
    )

    assert loaded <= ALLOWED
