"""Profiles built from settings, as the loader reads them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from flask_guard.auth.claims import IssuerProfile
from flask_guard.auth.keyring import LocalKeys
from flask_guard.auth.profiles import build_profiles
from flask_guard.config.load import load_settings
from flask_guard.config.sections import JwtSettings
from flask_guard.crypto.signing import SigningKey
from flask_guard.errors import ConfigError
from flask_guard.protocols import KeySource
from tests.auth.forge import secret_bytes

SECRET = secret_bytes("setting").decode()
A, B = "https://a.example", "https://b.example"


class Factory:
    """Stands for the JWKS sources and notes which were asked for."""

    def __init__(self) -> None:
        self.made: list[tuple[str, tuple[str, ...]]] = []

    def __call__(self, url: str, algorithms: Sequence[str]) -> KeySource:
        self.made.append((url, tuple(algorithms)))
        return LocalKeys([])


def settings(**values: Any) -> JwtSettings:
    """Return token settings as the loader reads them, in development, so that only our own rules refuse."""
    environ = {"GUARD_ENV": "development"} | {
        f"GUARD_JWT_{name.upper()}": value if isinstance(value, str) else json.dumps(value)
        for name, value in values.items()
    }
    return load_settings(environ=environ, app_config={}, arguments={}).jwt


def build(
    *, is_production: bool = True, environ: dict[str, str] | None = None, factory: Factory | None = None, **values: Any
) -> tuple[list[IssuerProfile], SigningKey | None]:
    return build_profiles(
        settings(**values), make_jwks=factory or Factory(), is_production=is_production, environ=environ or {}
    )


def faults_of(**values: Any) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        build(**values)
    return list(caught.value.faults)


def algorithms_of(profile: IssuerProfile) -> set[str]:
    names = ("HS256", "HS384", "HS512", "RS256", "RS512", "PS256", "ES256", "ES384", "ES512", "EdDSA")
    return {name for name in names if profile.keys.candidates(None, name)}


def entry(issuer: str = A, **members: Any) -> dict[str, Any]:
    key = {} if {"jwks_url", "public_key", "secret_key"} & set(members) else {"jwks_url": f"{issuer}/keys"}
    return {"issuer": issuer, **key, **members}
