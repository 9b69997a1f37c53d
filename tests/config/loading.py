"""Settings for tests: `load` them from any of the sources, or get the faults that loading tells of."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from flask_guard.config.load import load_settings
from flask_guard.config.settings import Settings
from flask_guard.errors import ConfigError

SOURCES = ("environment", "app.config", "argument")
# For each source, the arguments of `load` that put values there.
PLACES: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "environment": lambda values: {"environ": values},
    "app.config": lambda values: {"app_config": values},
    "argument": lambda values: {name.removeprefix("GUARD_").lower(): value for name, value in values.items()},
}


def load(
    environ: Mapping[str, str] | None = None,
    app_config: Mapping[str, Any] | None = None,
    dotenv: Mapping[str, str] | None = None,
    **arguments: Any,
) -> Settings:
    return load_settings(environ=environ or {}, app_config=app_config or {}, arguments=arguments, dotenv=dotenv)


def faults_of(*args: Any, **kwargs: Any) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        load(*args, **kwargs)
    return caught.value.faults


def strong() -> str:
    """Return a new secret that no rule finds weak."""
    return secrets.token_urlsafe(48)


def attempt(kind: Callable[[Any], Any], raw: Any) -> tuple[Any, str | None]:
    """Return the value and no fault, or no value and the fault."""
    try:
        return kind(raw), None
    except ValueError as exc:
        return None, str(exc)
