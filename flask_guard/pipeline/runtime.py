"""Everything of one application that requests use: settings, services, and the compiled plans.

Made by `wiring`, kept in `app.extensions["guard.runtime"]`. Rule: after the plans are compiled, at the first
request at the latest, nothing here changes.
"""

from __future__ import annotations

import importlib
import logging
import sys
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from flask import Flask

from ..auth.credentials import CredentialReader
from ..browser.csrf import CsrfRule
from ..browser.headers import HeaderSet
from ..browser.hosts import HttpsRule
from ..config.kinds import environ_key
from ..config.settings import Settings
from ..errors import ConfigError, Refusal
from ..logs.counters import Counters
from ..net.addresses import ClientReader
from ..protocols import Clock, CspReportStore, ErrorFormatter, UniqueLookup
from ..values import Finding
from .binder import StepBinder
from .context import RequestContext
from .cors_answers import CorsAnswers
from .csrf_session import CsrfTokens
from .definitions import Definitions
from .discover import Endpoint, find_endpoints
from .failures import log_failure, log_would_refuse
from .hidden import find_hiding_fence
from .plan import PlacedLimit, Plan, PlanTable, compile_plans
from .rates import Rates

if TYPE_CHECKING:
    from ..auth.apikeys import ApiKeys
    from ..auth.keyring import TokenIssuer
    from ..db.engine import Database

EXTENSION_KEY = "guard.runtime"
logger = logging.getLogger("flask_guard")


@dataclass(slots=True, eq=False, weakref_slot=True)
class Runtime:
    """One guarded application. tokens: None without a signing key.

    find_engines: the SQLAlchemy engines of the application's models, as far as it has told of them.
    find_unique_lookup: what tells whether a value is taken in its database, None without one.
    """

    app: Flask
    settings: Settings
    definitions: Definitions
    clock: Clock
    reader: CredentialReader
    headers: HeaderSet
    client_reader: ClientReader
    cors: CorsAnswers
    csrf_tokens: CsrfTokens
    rates: Rates
    counters: Counters
    tokens: TokenIssuer | None
    api_keys: ApiKeys
    csp_reports: CspReportStore
    database: Database
    sibling_apps: Callable[[], Iterable[Flask]]
    error_formatter: ErrorFormatter | None = None
    find_engines: Callable[[], list[Any]] = list
    find_unique_lookup: Callable[[], UniqueLookup | None] = lambda: None
    warnings: tuple[str, ...] = ()
    before_compile: tuple[Callable[[], None], ...] = ()
    after_compile: tuple[Callable[[PlanTable], None], ...] = ()
    plans: PlanTable | None = None
    failure: ConfigError | None = None
    _lock: Any = field(default_factory=threading.RLock)

    @property
    def is_report_only(self) -> bool:
        return self.settings.service.default_access == "report-only"

    @property
    def propagates_errors(self) -> bool:
        """Say whether exceptions go up to the server, as Flask decides it."""
        propagate = self.app.config["PROPAGATE_EXCEPTIONS"]
        return bool(self.app.testing or self.app.debug) if propagate is None else bool(propagate)

    def compile(self) -> PlanTable:
        """Return the plans, compiling them once.

        Raises ConfigError when the rules are faulty, then and on every later call: an application whose
        rules cannot be read serves nothing.
        """
        plans = self.plans
        if plans is not None:
            return plans
        with self._lock:
            if self.failure is not None:
                raise ConfigError(*self.failure.faults)  # anew: one that is raised again and again grows
            if self.plans is None:
                try:
                    self.plans = self._compile()
                except ConfigError as exc:
                    self.failure = exc
                    logger.critical("the rules of the application cannot be compiled; nothing is served: %s", exc)
                    raise
            return self.plans

    def _compile(self) -> PlanTable:
        for prepare in self.before_compile:
            prepare()
        apps = list(self.sibling_apps())
        endpoints = [endpoint for app in apps for endpoint in find_endpoints(app)]
        plans = compile_plans(
            self.app,
            apps=apps,
            annotations=self.definitions.annotations,
            patterns=self.definitions.patterns,
            default=self.settings.service.default_access,
            bind=self.make_binder().bind,
            further_faults=[*self.definitions.find_faults(endpoints), *self._find_unread_settings()],
        )
        for sentence in self.definitions.find_double_replacements(plans.endpoints):
            logger.warning(sentence)
        for sentence in dict.fromkeys(_policy_warnings(plans)):
            logger.warning(sentence)
        for finding in plans.findings:
            logger.warning("%s %s", finding.id, finding.message)
        for finish in self.after_compile:
            finish(plans)
        return plans

    def make_binder(self) -> StepBinder:
        service = self.settings.service
        https = HttpsRule(public_url=service.public_url, has_allowed_hosts=bool(self.app.config["TRUSTED_HOSTS"]))
        return StepBinder(
            settings=self.settings,
            reader=self.reader,
            rates=self.rates,
            headers=self.headers,
            https=https if service.require_https else None,
            csrf=self._csrf_rule(),
            csrf_tokens=self.csrf_tokens,
            cors=self.cors,
            answers_for=self._cors_answers_for,
            find_plan=self._find_plan,
            limits_of=self._limits_of,
            registrations=self.definitions.registrations,
            headers_of=self.definitions.headers_of,
            ensure_sync=self.app.ensure_sync,
            report=report_only if self.is_report_only else None,
        )

    def _csrf_rule(self) -> CsrfRule:
        """Return the rule for cookies as they are named by now: an application may configure its session late."""
        browser = self.settings.browser
        is_set = self.settings.is_set("GUARD_CSRF_TRUSTED_ORIGINS")
        return CsrfRule(
            scope=browser.csrf_scope,
            trusted_origins=browser.csrf_trusted_origins if is_set else self.cors.policy.exact_origins,
            cookie_names=(self.app.session_interface.get_cookie_name(self.app),),
            credential_keys=(environ_key(self.settings.jwt.header), environ_key(self.settings.keys.header)),
        )

    def _cors_answers_for(self, endpoint: str | None, method: str, context: RequestContext) -> CorsAnswers:
        """Return the answers of a route for a method that a preflight asks about; a hidden one has the common ones."""
        plan = None if endpoint is None else self._find_plan(endpoint, method)
        if plan is None or plan.cors_answers is None:
            return self.cors
        is_hidden = not self.is_report_only and find_hiding_fence(plan, context) is not None
        return self.cors if is_hidden else plan.cors_answers

    def _find_plan(self, endpoint: str, method: str) -> Plan | None:
        return None if self.plans is None else self.plans.find(endpoint, method)

    def _limits_of(self, plan: Plan, endpoint: Endpoint) -> tuple[PlacedLimit, ...]:
        """Return what decorators of Flask-Limiter said of a route; none where nobody has loaded them."""
        decorators = sys.modules.get("flask_guard.pipeline.limiter")
        if decorators is None:
            return ()
        return cast("tuple[PlacedLimit, ...]", decorators.resolve_limits(self.app, endpoint, plan.method))

    def _find_unread_settings(self) -> list[str]:
        """Return what is wrong with the settings of Flask-Limiter, where there are any."""
        if not any(str(name).startswith("RATELIMIT_") for name in self.app.config):
            return []
        foreign = importlib.import_module("flask_guard.pipeline.foreign_limiter")
        return list(foreign.find_unread_settings(self.app))

    def after_fork(self) -> None:
        """Take a lock of our own: a thread that held it is not in the child."""
        self._lock = threading.RLock()

    def findings(self) -> list[Finding]:
        """Return what the compilation noticed; empty before it."""
        return list(self.plans.findings) if self.plans else []


def _policy_warnings(plans: PlanTable) -> Iterable[str]:
    for endpoint, methods in plans.plans.items():
        for plan in methods.values():
            for warning in plan.policy.warnings if plan.policy is not None else ():
                yield f"The content policy of {endpoint!r}: {warning}"


def report_only(step: Callable[..., Any]) -> Callable[..., Any]:
    """Return the step with its refusals logged instead of raised (`GUARD_DEFAULT_ACCESS=report-only`)."""

    def reported(context: RequestContext) -> Any:
        try:
            return step(context)
        except Refusal as refusal:
            log_would_refuse(context, refusal)
        except Exception as error:  # a policy with a bug: where nothing is enforced, nothing fails for it
            log_failure(context, error)
        return None

    return reported
