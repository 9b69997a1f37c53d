"""What `guard.cors(...)` says of one route: the settings GUARD_CORS_… with some of them replaced."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from flask import Flask

from ..browser.cors import CorsPolicy
from ..config.kinds import boolean, duration_s
from ..config.kinds_web import header_names, http_methods, origins
from ..config.sections import BrowserSettings
from ..errors import ConfigError

_OPTIONS: dict[str, Callable[[Any], Any]] = {
    "credentials": boolean,
    "allow_methods": http_methods,
    "headers": header_names,
    "expose": header_names,
    "max_age": duration_s,
}


@dataclass(frozen=True, slots=True)
class CorsRule:
    """origins: those of the route, in normal form. options: what replaces a setting, by the names of `_OPTIONS`."""

    origins: tuple[str, ...]
    options: tuple[tuple[str, Any], ...]

    def policy(self, settings: BrowserSettings, *, is_production: bool) -> CorsPolicy:
        """Return the policy of the route. Raises ConfigError for what contradicts itself, or `*` in production."""
        said = dict(self.options)
        if is_production and "*" in self.origins:
            raise ConfigError("cors('*') is not for production: list the origins.")
        return CorsPolicy(
            origins=self.origins,
            credentials=said.get("credentials", settings.cors_credentials),
            methods=said.get("allow_methods", settings.cors_methods),
            headers=said.get("headers", settings.cors_headers),
            expose=said.get("expose", settings.cors_expose),
            max_age_s=said.get("max_age", settings.cors_max_age_s),
        )


def make_cors_rule(raw_origins: Iterable[str], options: dict[str, Any]) -> CorsRule:
    """Return the rule. Raises ConfigError for an unknown option and for one that cannot be read."""
    parsed: dict[str, Any] = {}
    for name, value in options.items():
        if name not in _OPTIONS:
            raise ConfigError(f"cors() has no option {name!r}; it has {', '.join(_OPTIONS)}.")
        parsed[name] = _parse(name, _OPTIONS[name], value)
    return CorsRule(_parse("origins", origins, list(raw_origins)), tuple(parsed.items()))


def _parse(name: str, kind: Callable[[Any], Any], value: Any) -> Any:
    try:
        return kind(value)
    except ValueError as exc:
        raise ConfigError(f"cors(), {name}: {exc}.") from exc


def finds_flask_cors(app: Flask) -> bool:
    """Say whether the application has Flask-CORS answer by hooks of its own."""
    hooks = [hook for functions in app.after_request_funcs.values() for hook in functions]
    return any(str(getattr(hook, "__module__", "")).startswith("flask_cors") for hook in hooks)
