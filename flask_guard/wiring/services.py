"""Builds the services of one application from its settings and from what its program supplies."""

from __future__ import annotations

import importlib
import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

from flask import Flask

from ..api.csp_reports import REPORTS_PATH
from ..auth.apikeys import ApiKeyAuthenticator, ApiKeys, ClientKeyAuthenticator, KeyChain, StaticKeys, build_static_keys
from ..auth.bearer import TokenVerifier
from ..auth.credentials import CredentialReader
from ..auth.jwks import JwksKeys
from ..auth.keyring import TokenIssuer
from ..auth.profiles import build_profiles
from ..browser.headers import HeaderSet
from ..config.rules import find_warnings
from ..config.settings import Settings
from ..errors import ConfigError
from ..net.outbound import fetch_document
from ..pipeline.definitions import Definitions
from ..pipeline.runtime import Runtime
from ..protocols import ApiKeyStore, Clock, CspReportStore, ErrorFormatter, KeySource
from .data import engine_of, find_extension
from .front import build_front
from .lazy import OnFirstUse, StoreIfThere, survive_forks

if TYPE_CHECKING:
    from ..auth.claims import IssuerProfile
    from ..crypto.signing import SigningKey
    from ..db.engine import Database

DEFAULT_DATABASE = "guard.sqlite3"
Built = TypeVar("Built")


@dataclass(frozen=True, slots=True)
class Supplied:
    """What a program hands to `Guard(app, ...)` beside settings."""

    db: Any = None
    engine: Any = None
    error_formatter: ErrorFormatter | None = None
    clock: Clock = time.time


@dataclass(frozen=True, slots=True)
class Site:
    """One application that is to be guarded. sibling_apps: all applications of its Guard."""

    app: Flask
    settings: Settings
    definitions: Definitions
    supplied: Supplied
    sibling_apps: Callable[[], Iterable[Flask]]

    @property
    def knows_database(self) -> bool:
        """Whether somebody named the database, by a setting or by bringing one."""
        supplied = self.supplied
        brought = supplied.engine is not None or supplied.db is not None or "sqlalchemy" in self.app.extensions
        return brought or self.settings.database.url is not None

    @property
    def default_file(self) -> Path:
        return Path(self.app.instance_path) / DEFAULT_DATABASE


class _Faults:
    """Gathers the faults of several builders, so that one start tells them all."""

    def __init__(self) -> None:
        self.found: list[str] = []

    def gather(self, build: Callable[[], Built], otherwise: Built) -> Built:
        try:
            return build()
        except ConfigError as exc:
            self.found += exc.faults
            return otherwise

    def require_none(self) -> None:
        if self.found:
            raise ConfigError(*self.found)


def build_runtime(site: Site) -> Runtime:
    """Return the runtime of an application. Raises ConfigError with every fault."""
    settings, clock, faults = site.settings, site.supplied.clock, _Faults()
    key_sources: list[JwksKeys] = []
    nothing: tuple[list[IssuerProfile], SigningKey | None] = ([], None)
    profiles, signing_key = faults.gather(lambda: _build_profiles(settings, key_sources), nothing)
    static = faults.gather(lambda: _build_static_keys(settings), None)
    headers = faults.gather(lambda: _build_headers(settings), None)
    front = faults.gather(lambda: build_front(site.app, settings, clock=clock), None)
    database = faults.gather(lambda: _make_database(site), None)
    faults.require_none()
    assert static is not None and headers is not None and front is not None and database is not None  # noqa: S101, PT018
    verifier = TokenVerifier(profiles, clock=clock) if profiles else None
    api_keys, service_keys, client_keys = _build_keys(site, database)
    runtime = Runtime(
        app=site.app,
        settings=settings,
        definitions=site.definitions,
        clock=clock,
        reader=CredentialReader(
            verifier,
            KeyChain((service_keys, static, client_keys)),
            bare_token=settings.jwt.header.lower() != "authorization",
        ),
        headers=headers,
        client_reader=front.client_reader,
        cors=front.cors,
        csrf_tokens=front.csrf_tokens,
        rates=front.rates,
        counters=front.counters,
        tokens=_build_issuer(settings, signing_key, clock),
        api_keys=api_keys,
        csp_reports=_make_report_store(database),
        database=database,
        sibling_apps=site.sibling_apps,
        error_formatter=site.supplied.error_formatter,
        warnings=(*find_warnings(settings, flask_secret=site.app.config.get("SECRET_KEY")), *headers.warnings),
    )
    survive_forks(runtime, *key_sources, *([verifier] if verifier else []), database, service_keys, client_keys)
    return runtime


def _build_profiles(settings: Settings, key_sources: list[JwksKeys]) -> tuple[list[IssuerProfile], SigningKey | None]:
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

    return build_profiles(settings.jwt, make_jwks=make_jwks, is_production=settings.is_production, environ=os.environ)


def _build_headers(settings: Settings) -> HeaderSet:
    report_path = settings.service.path_prefix + REPORTS_PATH
    return HeaderSet(settings.browser, service=settings.service.name, report_path=report_path)


def _build_static_keys(settings: Settings) -> StaticKeys:
    return build_static_keys(settings.keys.static or [], environ=os.environ)


def _make_database(site: Site) -> Database:
    """Return where Guard's tables live: the setting, else the application's engine, else our own file."""
    url = site.settings.database.url
    if url is not None:  # a wrong address is told at start, not by the first key
        try:
            return cast("Database", _database_class().from_url(url))
        except ConfigError as exc:
            raise ConfigError(*(f"GUARD_DATABASE_URL: {fault}" for fault in exc.faults)) from exc

    def build() -> Any:
        database, supplied = _database_class(), site.supplied
        if supplied.engine is not None:
            return database.from_engine(supplied.engine)
        extension = find_extension(site)
        if extension is not None:
            return database.from_callable(lambda: engine_of(site.app, extension))
        return database.from_file(site.default_file)

    return cast("Database", OnFirstUse(build))


def _database_class() -> Any:
    return importlib.import_module("flask_guard.db.engine").Database


def _make_report_store(database: Database) -> CspReportStore:
    store = OnFirstUse(lambda: importlib.import_module("flask_guard.db.csp_reports").SqlCspReportStore(database))
    survive_forks(store)
    return cast(CspReportStore, store)


def _build_keys(site: Site, database: Database) -> tuple[ApiKeys, ApiKeyAuthenticator, ClientKeyAuthenticator]:
    """Return the service of API keys and what recognises them; they share one store."""

    def open_store() -> Any:
        return importlib.import_module("flask_guard.db.stores").SqlApiKeyStore(database)

    def can_have_keys() -> bool:  # presenting a key must not create a database
        return site.knows_database or site.default_file.exists()

    opened = OnFirstUse(open_store)
    store = cast(ApiKeyStore, opened)
    known = cast(ApiKeyStore, StoreIfThere(store, can_have_keys))
    clock, max_stale_s = site.supplied.clock, site.settings.jwt.revocation_max_stale_s
    service_keys = ApiKeyAuthenticator(known, clock=clock, max_stale_s=max_stale_s)
    client_keys = ClientKeyAuthenticator(
        known, registered_only=site.settings.keys.registered_only, clock=clock, max_stale_s=max_stale_s
    )
    survive_forks(opened)
    forget = (service_keys.forget, client_keys.forget)
    return ApiKeys(store, clock=clock, forget=forget), service_keys, client_keys


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
