"""The composition root: settings in, a Runtime out. The only place that picks a class for a protocol.

`db` is loaded by name and only when a credential or a command asks for it, so that an application that
uses nothing but tokens pays for no database.
"""

from __future__ import annotations

import functools
import importlib
import logging
import os
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from flask import Flask

from .api.health import Readiness, make_health_blueprint
from .api.well_known import make_key_set_blueprint
from .auth.apikeys import (
    ApiKeyAuthenticator,
    ApiKeys,
    ClientKeyAuthenticator,
    KeyChain,
    build_static_keys,
)
from .auth.bearer import TokenVerifier
from .auth.credentials import CredentialReader
from .auth.jwks import JwksKeys
from .auth.keyring import TokenIssuer
from .auth.profiles import build_profiles
from .browser.headers import HeaderSet
from .config.dotenv import read_dotenv
from .config.load import load_settings
from .config.rules import find_warnings
from .config.settings import Settings
from .logs.format import configure_logging
from .net.outbound import fetch_document
from .pipeline.definitions import Definitions
from .pipeline.edge import Edge
from .pipeline.failures import FailureHandlers
from .pipeline.json_request import strict_request_class
from .pipeline.rules import annotate, public
from .pipeline.runner import Runner
from .pipeline.runtime import Runtime
from .pipeline.session import use_lazy_sessions
from .protocols import ApiKeyStore, Clock, ErrorFormatter, KeySource
from .values import ApiKeyRecord

if TYPE_CHECKING:
    from .crypto.signing import SigningKey
    from .db.engine import Database

logger = logging.getLogger("flask_guard.config")
DEFAULT_DATABASE = "guard.sqlite3"


@dataclass(frozen=True, slots=True)
class Supplied:
    """What a program hands to `Guard(app, ...)` beside settings."""

    db: Any = None
    engine: Any = None
    error_formatter: ErrorFormatter | None = None
    clock: Clock = time.time


def read_settings(app: Flask, options: Mapping[str, Any]) -> Settings:
    """Return the settings of an application; raises ConfigError with every fault."""
    settings = load_settings(
        environ=os.environ,
        app_config={name: value for name, value in app.config.items() if isinstance(name, str)},
        arguments=options,
        dotenv=read_dotenv(Path.cwd() / ".env"),
    )
    return _align_with_flask(app, settings)


def _align_with_flask(app: Flask, settings: Settings) -> Settings:
    """Take over MAX_CONTENT_LENGTH: Flask cuts a chunked body there without a word, Guard refuses it."""
    limit = app.config.get("MAX_CONTENT_LENGTH")
    if limit is None:
        return settings
    app.config["MAX_CONTENT_LENGTH"] = None
    limits = settings.limits
    if not settings.is_set("GUARD_MAX_BODY"):
        limits = replace(limits, max_body_bytes=limit)
    if not settings.is_set("GUARD_MAX_MULTIPART"):
        limits = replace(limits, max_multipart_bytes=limit)
    return replace(settings, limits=limits)


def install(
    app: Flask,
    settings: Settings,
    definitions: Definitions,
    supplied: Supplied,
    *,
    sibling_apps: Callable[[], Iterable[Flask]],
) -> Runtime:
    """Build the runtime of an application and hook it in."""
    runtime = _build(app, settings, definitions, supplied, sibling_apps)
    edge = Edge(runtime, app.wsgi_app)
    runner = Runner(runtime, edge)
    handlers = FailureHandlers(supplied.error_formatter)
    runtime.before_compile = (runner.keep_first, functools.partial(_guard_request_class, app, runtime))
    runtime.after_compile = (runner.install_after, lambda _plans: handlers.install_data_handlers(app))
    configure_logging(settings.logs, settings.service.name, settings.service.env)
    if settings.browser.session_interface == "lazy":
        use_lazy_sessions(app)
    _guard_request_class(app, runtime)
    runner.install(app)
    handlers.install(app)
    _mount_bundled(app, runtime, lambda: _knows_database(app, settings, supplied))
    app.wsgi_app = edge  # type: ignore[method-assign]
    for sentence in runtime.warnings:
        logger.warning(sentence)
    return runtime


def _guard_request_class(app: Flask, runtime: Runtime) -> None:
    if not runtime.is_report_only:
        strict_request_class(app, runtime)


def _build(
    app: Flask,
    settings: Settings,
    definitions: Definitions,
    supplied: Supplied,
    sibling_apps: Callable[[], Iterable[Flask]],
) -> Runtime:
    clock = supplied.clock
    key_sources: list[JwksKeys] = []

    def make_jwks(url: str, algorithms: Iterable[str]) -> KeySource:
        source = JwksKeys(
            url,
            fetch=fetch_document,
            clock=time.monotonic,
            max_stale_s=settings.jwt.jwks_max_stale_s,
            algorithms=tuple(algorithms),
        )
        key_sources.append(source)
        return source

    profiles, signing_key = build_profiles(
        settings.jwt, make_jwks=make_jwks, is_production=settings.is_production, environ=os.environ
    )
    verifier = TokenVerifier(profiles, clock=clock) if profiles else None
    static = build_static_keys(settings.keys.static or [], environ=os.environ, is_production=settings.is_production)
    database = _make_database(app, settings, supplied)
    api_keys, service_keys, client_keys = _build_keys(app, settings, supplied, database)
    _survive_forks(*key_sources, *([verifier] if verifier else []), database, service_keys, client_keys)
    return Runtime(
        app=app,
        settings=settings,
        definitions=definitions,
        clock=clock,
        reader=CredentialReader(
            verifier,
            KeyChain((service_keys, static, client_keys)),
            bare_token=settings.jwt.header.lower() != "authorization",
        ),
        headers=HeaderSet(settings.browser, service=settings.service.name),
        tokens=_build_issuer(settings, signing_key, clock),
        api_keys=api_keys,
        database=database,
        sibling_apps=sibling_apps,
        error_formatter=supplied.error_formatter,
        warnings=tuple(find_warnings(settings, flask_secret=app.config.get("SECRET_KEY"))),
    )


def _make_database(app: Flask, settings: Settings, supplied: Supplied) -> Database:
    """Return where Guard's tables live: the setting, else the application's engine, else our own file."""
    if settings.database.url is not None:  # a wrong address is told at start, not by the first key
        return cast("Database", _database_class().from_url(settings.database.url))

    def build() -> Any:
        database = _database_class()
        if supplied.engine is not None:
            return database.from_engine(supplied.engine)
        extension = supplied.db or app.extensions.get("sqlalchemy")
        if extension is not None:
            return database.from_callable(lambda: _engine_of(app, extension))
        return database.from_file(_default_file(app))

    return cast("Database", OnFirstUse(build))


def _database_class() -> Any:
    return importlib.import_module("flask_guard.db.engine").Database


def _engine_of(app: Flask, extension: Any) -> Any:
    with app.app_context():
        return extension.engine


def _default_file(app: Flask) -> Path:
    return Path(app.instance_path) / DEFAULT_DATABASE


def _knows_database(app: Flask, settings: Settings, supplied: Supplied) -> bool:
    """Say whether somebody named the database, by a setting or by bringing one."""
    brought = supplied.engine is not None or supplied.db is not None or "sqlalchemy" in app.extensions
    return brought or settings.database.url is not None


def _has_key_store(app: Flask, settings: Settings, supplied: Supplied) -> bool:
    """Say whether there can be a key at all: presenting one must not create a database."""
    return _knows_database(app, settings, supplied) or _default_file(app).exists()


def _build_keys(
    app: Flask, settings: Settings, supplied: Supplied, database: Database
) -> tuple[ApiKeys, ApiKeyAuthenticator, ClientKeyAuthenticator]:
    """Return the service of API keys and what recognises them; they share one store."""

    def open_store() -> Any:
        return importlib.import_module("flask_guard.db.stores").SqlApiKeyStore(database)

    store = cast(ApiKeyStore, OnFirstUse(open_store))
    known = cast(ApiKeyStore, StoreIfThere(store, lambda: _has_key_store(app, settings, supplied)))
    clock, max_stale_s = supplied.clock, settings.jwt.revocation_max_stale_s
    service_keys = ApiKeyAuthenticator(known, clock=clock, max_stale_s=max_stale_s)
    client_keys = ClientKeyAuthenticator(
        known, registered_only=settings.keys.registered_only, clock=clock, max_stale_s=max_stale_s
    )
    forget = (service_keys.forget, client_keys.forget)
    return ApiKeys(store, clock=supplied.clock, forget=forget), service_keys, client_keys


def _build_issuer(settings: Settings, signing_key: SigningKey | None, clock: Clock) -> TokenIssuer | None:
    if signing_key is None:
        return None
    jwt = settings.jwt
    return TokenIssuer(
        signing_key,
        issuer=jwt.issuer,
        audience=jwt.audience[0] if jwt.audience else None,
        ttl_s=jwt.access_ttl_s,
        max_lifetime_s=jwt.max_lifetime_s,
        subject_claim=jwt.subject_claim,
        roles_claim=jwt.roles_claim,
        scopes_claim=jwt.scopes_claim,
        tenant_claim=jwt.tenant_claim,
        clock=clock,
    )


def _mount_bundled(app: Flask, runtime: Runtime, has_database: Callable[[], bool]) -> None:
    """Mount the endpoints that are there without being asked for. has_database: whether one is ours to check."""
    health, prefix = runtime.settings.health, runtime.settings.service.path_prefix
    database = {"db": lambda: runtime.database.ping()}  # not opened before the first probe asks

    def ready_checks() -> dict[str, Callable[[], Any]]:
        return {**(database if has_database() else {}), **runtime.definitions.health_checks}

    probes = make_health_blueprint(
        live_paths=health.live_paths,
        ready_paths=health.ready_paths,
        prefix=prefix,
        live=Readiness(lambda: database, timeout_s=health.timeout_s) if health.check_db else None,
        ready=Readiness(ready_checks, timeout_s=health.timeout_s),
    )
    app.register_blueprint(annotate(probes, public(reason="health probes")))
    tokens = runtime.tokens
    if tokens is not None and tokens.public_jwks()["keys"]:
        keys = make_key_set_blueprint(tokens.public_jwks, prefix=prefix)
        app.register_blueprint(annotate(keys, public(reason="public keys")))


class StoreIfThere:
    """A key store as those who present keys see it: where none was ever made, every key is unknown."""

    def __init__(self, store: ApiKeyStore, is_there: Callable[[], bool]) -> None:
        self._store = store
        self._is_there = is_there

    def find_by_digest(self, digest: str) -> ApiKeyRecord | None:
        return self._store.find_by_digest(digest) if self._is_there() else None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


class OnFirstUse:
    """Stands for an object that is built, once, when something is asked of it."""

    def __init__(self, build: Callable[[], Any]) -> None:
        self._build = build
        self._lock = threading.Lock()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._built, name)

    @functools.cached_property
    def _built(self) -> Any:
        with self._lock:
            return self.__dict__.get("_built") or self._build()


def _survive_forks(*parts: Any) -> None:
    """After a fork, tell the parts to drop what they must not share: connections, locks, threads."""
    for part in parts:
        _forkable.add(part)


_forkable: weakref.WeakSet[Any] = weakref.WeakSet()


def _after_fork() -> None:
    for part in list(_forkable):
        if not isinstance(part, OnFirstUse) or "_built" in vars(part):
            part.after_fork()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_after_fork)
