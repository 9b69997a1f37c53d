"""Reads every setting once, from the environment, `app.config` and arguments, into one frozen value.

Precedence: environment, then `app.config`, then `Guard(app, **options)`, then the default, because the
operator answers for the deployment. Rule: every fault is gathered, so that one start shows them all, and
no fault contains the value of a secret.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import ConfigError
from .kinds_keys import encryption_keys
from .options import PREFIX, Option, iterate_options
from .rules import find_faults
from .secrets import Secret, SecretFault, read_secret_file, resolve_reference
from .settings import DOMAIN_KEYS_PREFIX, SECTIONS, Settings, all_options
from .suggest import did_you_mean

# What Kubernetes puts into every container beside a service named "guard" or "guard-...".
_SERVICE_LINK = re.compile(
    r"GUARD_(\w+_)?SERVICE_(HOST|PORT(_\w+)?)\Z|GUARD_(\w+_)?PORT(_\d+_(TCP|UDP|SCTP)(_(ADDR|PORT|PROTO))?)?\Z"
)
_DOMAIN_KEYS = re.compile(DOMAIN_KEYS_PREFIX + r"([A-Z][A-Z0-9_]*?)(?:_FILE)?\Z")


@dataclass(frozen=True, slots=True)
class _Layer:
    """One place where settings come from, with the names it uses."""

    source: str
    values: Mapping[str, Any]
    spell: Callable[[Option], tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class _Found:
    """What a layer says about an option, under the name it used. is_file: raw is the path of a file."""

    name: str
    raw: Any
    source: str
    is_file: bool = False


def load_settings(
    *,
    environ: Mapping[str, str],
    app_config: Mapping[str, Any],
    arguments: Mapping[str, Any],
    dotenv: Mapping[str, str] | None = None,
) -> Settings:
    """Return the settings, or raise one ConfigError that lists everything wrong with them.

    dotenv: the variables of a `.env` file; they are used in development only, yield to the environment, and
    cannot themselves say that this is development.
    """
    layers = [
        _Layer("environment", environ, lambda declared: (declared.name,)),
        _Layer("app.config", app_config, lambda declared: (declared.name,)),
        _Layer("argument", arguments, lambda declared: (declared.argument, declared.name)),
    ]
    if dotenv and _is_development(layers):
        layers.insert(1, _Layer(".env", _guard_names(dotenv), layers[0].spell))
        environ = {**dotenv, **environ}
    loader = _Loader(layers, environ)
    settings = loader.load()
    faults = [
        *loader.unknown_names(settings.service.ignore_variables),
        *loader.faults,
        *find_faults(settings, flask_secret=app_config.get("SECRET_KEY")),
    ]
    if faults:
        raise ConfigError(*dict.fromkeys(faults))
    return settings


def _guard_names(variables: Mapping[str, str]) -> dict[str, str]:
    env = f"{PREFIX}ENV"
    return {name: value for name, value in variables.items() if name.startswith(PREFIX) and name != env}


def _is_development(layers: list[_Layer]) -> bool:
    declared = all_options()[f"{PREFIX}ENV"]
    given = (found for layer in layers for found in _given(declared, layer))
    first = next(given, None)
    return first is not None and str(first.raw).strip().casefold() == "development"


def _given(declared: Option, layer: _Layer) -> Iterator[_Found]:
    """Yield what a layer says about an option; more than once is a fault. None says nothing."""
    for name in layer.spell(declared):
        if layer.values.get(name) is not None:
            yield _Found(name, layer.values[name], layer.source)
        file_name = _file_name(name)
        if declared.secret and layer.values.get(file_name) is not None:
            yield _Found(file_name, layer.values[file_name], f"{layer.source} file", is_file=True)


class _Loader:
    """Walks the options over the layers and remembers what went wrong. environ: where references look."""

    def __init__(self, layers: list[_Layer], environ: Mapping[str, str]) -> None:
        self.layers = layers
        self.environ = environ
        self.faults: list[str] = []
        self.sources: dict[str, str] = {}

    def load(self) -> Settings:
        """Return the settings; where there was a fault, the default stands in, so that the rest is judged."""
        sections = {name: self._load_section(section) for name, section in SECTIONS.items()}
        return Settings(**sections, sources=self.sources)

    def _load_section(self, section: type) -> Any:
        values = {field: self._read(declared) for field, declared in iterate_options(section)}
        if section is SECTIONS["encryption"]:
            values["domain_keys"] = self._read_domain_keys()
        return section(**values)

    def _read(self, declared: Option) -> Any:
        found = self._find(declared)
        if found is not None:
            self.sources[declared.name] = found.source
            try:
                value = declared.kind(self._follow(found.raw, found.is_file) if declared.secret else found.raw)
                return self._follow_members(value, declared.hidden_member) if declared.hidden_member else value
            except ValueError as exc:  # a SecretFault is one
                said = f"{declared.name} ({found.source}) {exc}"
                self.faults.append(said if said.endswith("?") else f"{said}.")
        return None if declared.default is None else declared.kind(declared.default)

    def _find(self, declared: Option) -> _Found | None:
        """Return what the strongest layer says, and note each layer that says it twice."""
        strongest = None
        for layer in self.layers:
            given = list(_given(declared, layer))
            if len(given) > 1:
                names = f"{given[0].name} and {given[1].name}"
                self.faults.append(f"{names} are both set ({layer.source}); use one.")
            if given and strongest is None:
                strongest = given[0]
        return strongest

    def _follow(self, raw: Any, is_file: bool) -> Any:
        """Return a secret from its source. What a file or a function gives is the secret, not a reference."""
        if is_file:
            return read_secret_file(str(raw))
        if callable(raw):
            try:
                return raw()
            except Exception as exc:  # the user's code; the error may quote the secret
                raise SecretFault(f"comes from a function that raised {type(exc).__name__}") from exc
        return resolve_reference(raw, self.environ) if isinstance(raw, str) else raw

    def _follow_members(self, entries: list[dict[str, Any]], member: str) -> list[dict[str, Any]]:
        """Return the entries with their secret, or what it refers to, as a Secret.

        One that cannot be followed stays as it is: who builds something from the entry names it in the fault.
        """
        followed = []
        for entry in entries:
            raw = entry.get(member)
            if isinstance(raw, str):
                with contextlib.suppress(SecretFault):
                    entry = {**entry, member: Secret(resolve_reference(raw, self.environ))}
            followed.append(entry)
        return followed

    def _read_domain_keys(self) -> dict[str, Mapping[int, Secret]]:
        """Return the keys of each domain that a layer names, such as GUARD_ENCRYPTION_KEYS__PII, by "pii"."""
        domains = {
            match[1]
            for layer in self.layers
            for name in layer.values
            if (match := _DOMAIN_KEYS.match(_full_name(name, layer)))
        }
        meaning = "Keys of one domain."
        options = {d: Option(DOMAIN_KEYS_PREFIX + d, encryption_keys, None, meaning, secret=True) for d in domains}
        keys = {domain.lower(): self._read(options[domain]) for domain in sorted(domains)}
        return {domain: key for domain, key in keys.items() if key is not None}

    def unknown_names(self, ignored: Iterable[str]) -> Iterator[str]:
        """Yield a fault for every name that is nobody's: a typo must not fail open."""
        options = all_options()
        for layer in self.layers:
            known = {name for declared in options.values() for name in layer.spell(declared)}
            known |= {_file_name(n) for d in options.values() if d.secret for n in layer.spell(d)}
            for name in layer.values:
                mine = layer.source == "argument" or name.startswith(PREFIX)
                if mine and name not in known and name not in ignored and not _is_exempt(name, layer):
                    yield f"{name} ({layer.source}) is not a setting.{did_you_mean(name, known)}"


def _file_name(name: str) -> str:
    return f"{name}_FILE" if name.isupper() else f"{name}_file"


def _full_name(name: str, layer: _Layer) -> str:
    return f"{PREFIX}{name.upper()}" if layer.source == "argument" and name.islower() else name


def _is_exempt(name: str, layer: _Layer) -> bool:
    if layer.source in ("environment", ".env") and _SERVICE_LINK.match(name):
        return True
    return _DOMAIN_KEYS.match(_full_name(name, layer)) is not None
