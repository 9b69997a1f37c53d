"""Hooks a runtime into its application: the edge, the hook, the error handlers, the bundled endpoints.

Rule: whatever can be refused is refused before the first hook is in; after that nothing here fails.
"""

from __future__ import annotations

import importlib
import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from flask import Blueprint, Flask

from ..api.csp_reports import MAX_REPORT_BYTES, make_csp_reports_blueprint
from ..api.health import Readiness, make_health_blueprint
from ..api.well_known import make_key_set_blueprint
from ..api.whoami import make_whoami_blueprint
from ..config.dotenv import read_dotenv
from ..config.load import load_settings
from ..config.settings import Settings
from ..errors import ConfigError
from ..logs.format import configure_logging
from ..pipeline.definitions import DATABASE_CHECK
from ..pipeline.edge import Edge
from ..pipeline.failures import FailureHandlers
from ..pipeline.form_request import use_bounded_forms
from ..pipeline.header_request import use_readable_headers
from ..pipeline.json_request import use_strict_json
from ..pipeline.nonces import find_nonce
from ..pipeline.plan import PlanTable
from ..pipeline.rules import Rule, annotate
from ..pipeline.runner import Runner
from ..pipeline.runtime import Runtime
from ..pipeline.session import use_lazy_sessions
from ..pipeline.words import limit, max_body, no_csrf, probe, public, unlimited
from .data import find_engines, require_sound_tables
from .front import prepare_app, use_nonces
from .lazy import survive_forks
from .rls import take_roles
from .services import Site, build_runtime
from .unique import make_lookup

logger = logging.getLogger("flask_guard.config")


def read_settings(app: Flask, options: Mapping[str, Any]) -> Settings:
    """Return the settings of an application; raises ConfigError with every fault."""
    settings = load_settings(
        environ=os.environ,
        app_config={name: value for name, value in app.config.items() if isinstance(name, str)},
        arguments=options,
        dotenv=read_dotenv(Path.cwd() / ".env"),
    )
    return _with_flask_limit(app, settings)


def _with_flask_limit(app: Flask, settings: Settings) -> Settings:
    """Return the settings with MAX_CONTENT_LENGTH where no limit of ours is set. Raises ConfigError."""
    limit = app.config.get("MAX_CONTENT_LENGTH")
    if limit is None:
        return settings
    if type(limit) is not int or limit < 0:  # not isinstance: True would be a limit of one byte
        raise ConfigError("MAX_CONTENT_LENGTH (app.config) must be a whole number of bytes, at least 0.")
    limits = settings.limits
    if not settings.is_set("GUARD_MAX_BODY"):
        limits = replace(limits, max_body_bytes=limit)
    if not settings.is_set("GUARD_MAX_MULTIPART"):
        limits = replace(limits, max_multipart_bytes=limit)
    return replace(settings, limits=limits)


def install(site: Site) -> Runtime:
    """Build the runtime of an application and hook it in."""
    app = site.app
    require_sound_tables(site, is_complete=False)
    runtime = build_runtime(site)
    runtime.find_engines = lambda: find_engines(site)
    runtime.find_unique_lookup = make_lookup(site)
    take_roles(site)
    warnings = prepare_app(app, site.settings)
    _mount(app, _make_blueprints(site, runtime))
    edge = Edge(runtime, app.wsgi_app)
    runner = Runner(runtime, edge)
    handlers = FailureHandlers(site.supplied.error_formatter)

    def prepare() -> None:
        """Once more before the plans are compiled: what the application set since `init_app` counts too."""
        require_sound_tables(site, is_complete=True)
        runner.keep_first()
        prepare_app(app, runtime.settings)
        _take_over_body(app, runtime)

    runtime.before_compile = (prepare,)

    def finish(plans: PlanTable) -> None:
        runner.install_after(plans)
        handlers.install_data_handlers(app)
        if any(plan.accepts for plan in plans.every):
            importlib.import_module("flask_guard.pipeline.bodies").require_callable(app, plans)
        if any(plan.returns for plan in plans.every):
            importlib.import_module("flask_guard.pipeline.bodies").install_projection(app)

    runtime.after_compile = (finish,)
    if site.settings.database.query_timeout_s:
        importlib.import_module("flask_guard.db.timeouts").install()
    configure_logging(site.settings.logs, site.settings.service.name, site.settings.service.env)
    if site.settings.browser.session_interface == "lazy":
        use_lazy_sessions(app)
    _take_over_body(app, runtime)
    use_nonces(app, find_nonce)
    runner.install(app)
    handlers.install(app)
    app.wsgi_app = edge  # type: ignore[method-assign]
    for sentence in (*runtime.warnings, *warnings):
        logger.warning(sentence)
    return runtime


def _take_over_body(app: Flask, runtime: Runtime) -> None:
    """Have bodies judged by us: their size, which Flask cuts a chunked one at without a word, JSON and forms.

    In report-only they stay Flask's, because nothing is refused by us.
    """
    use_readable_headers(app)
    if not runtime.is_report_only:
        runtime.settings = _with_flask_limit(app, runtime.settings)
        app.config["MAX_CONTENT_LENGTH"] = None
        use_strict_json(app)
        use_bounded_forms(app)


def _make_blueprints(site: Site, runtime: Runtime) -> list[Blueprint]:
    """Return the endpoints that are there without being asked for."""
    health, prefix = site.settings.health, site.settings.service.path_prefix
    database = {DATABASE_CHECK: lambda: runtime.database.ping()}  # not opened before a probe asks

    def ready_checks() -> dict[str, Callable[[], Any]]:
        return {**(database if site.knows_database else {}), **site.definitions.health_checks}

    live = Readiness(lambda: database, timeout_s=health.timeout_s) if health.check_db else None
    ready = Readiness(ready_checks, timeout_s=health.timeout_s)
    survive_forks(ready, *([live] if live else []))
    probes = make_health_blueprint(
        live_paths=health.live_paths, ready_paths=health.ready_paths, prefix=prefix, live=live, ready=ready
    )
    blueprints = [_annotate(probes, public(reason="health probes"), probe())]
    if runtime.tokens is not None and runtime.tokens.public_jwks()["keys"]:
        keys = make_key_set_blueprint(runtime.tokens.public_jwks, prefix=prefix)
        blueprints.append(_annotate(keys, public(reason="public keys"), unlimited(reason="public keys")))
    if site.settings.service.env == "development":
        whoami = make_whoami_blueprint(runtime.client_reader, prefix=prefix)
        blueprints.append(_annotate(whoami, public(reason="for development"), unlimited(reason="for development")))
    if site.settings.browser.csp_reports:
        reports = make_csp_reports_blueprint(runtime.csp_reports, prefix=prefix, clock=runtime.clock)
        blueprints.append(
            _annotate(
                reports,
                public(reason="browsers report without credentials"),
                no_csrf(reason="a report changes nothing but its own count"),
                max_body(MAX_REPORT_BYTES),
                limit("60/minute", by="address"),
                unlimited(reason="reports have a limit of their own"),
            )
        )
    return blueprints


def _annotate(blueprint: Blueprint, *rules: Rule) -> Blueprint:
    for rule in rules:
        annotate(blueprint, rule)
    return blueprint


def _mount(app: Flask, blueprints: list[Blueprint]) -> None:
    taken = [blueprint.name for blueprint in blueprints if blueprint.name in app.blueprints]
    if taken:
        raise ConfigError(*(f"The blueprint name {name!r} is Guard's own; give yours another." for name in taken))
    for blueprint in blueprints:
        app.register_blueprint(blueprint)
