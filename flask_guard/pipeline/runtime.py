"""Everything of one application that requests use: settings, services, and the compiled plans.

Made by `wiring`, kept in `app.extensions["guard.runtime"]`. Rule: after the plans are compiled, at the first
request at the latest, nothing here changes.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from flask import Flask

from ..auth.credentials import CredentialReader
from ..browser.headers import HeaderSet
from ..config.settings import Settings
from ..errors import ConfigError, Refusal
from ..protocols import Clock, ErrorFormatter
from ..values import Finding
from .context import RequestContext
from .definitions import Definitions
from .discover import find_endpoints
from .failures import log_failure, log_would_refuse
from .plan import PlanTable, compile_plans
from .steps import StepBinder

if TYPE_CHECKING:
    from ..auth.apikeys import ApiKeys
    from ..auth.keyring import TokenIssuer
    from ..db.engine import Database

EXTENSION_KEY = "guard.runtime"
logger = logging.getLogger("flask_guard")


@dataclass(slots=True, eq=False, weakref_slot=True)
class Runtime:
    """One guarded application. tokens: None without a signing key."""

    app: Flask
    settings: Settings
    definitions: Definitions
    clock: Clock
    reader: CredentialReader
    headers: HeaderSet
    tokens: TokenIssuer | None
    api_keys: ApiKeys
    database: Database
    sibling_apps: Callable[[], Iterable[Flask]]
    error_formatter: ErrorFormatter | None = None
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
            bind=self._binder().bind,
            further_faults=self.definitions.find_faults(endpoints),
        )
        for sentence in self.definitions.find_double_replacements(plans.endpoints):
            logger.warning(sentence)
        for finding in plans.findings:
            logger.warning("%s %s", finding.id, finding.message)
        for finish in self.after_compile:
            finish(plans)
        return plans

    def _binder(self) -> StepBinder:
        return StepBinder(
            reader=self.reader,
            token_key=environ_key(self.settings.jwt.header),
            api_key_key=environ_key(self.settings.keys.header),
            max_body=self.settings.limits.max_body_bytes,
            max_multipart=self.settings.limits.max_multipart_bytes,
            registrations=self.definitions.registrations,
            headers_of=self.definitions.headers_of,
            ensure_sync=self.app.ensure_sync,
            report=report_only if self.is_report_only else None,
        )

    def after_fork(self) -> None:
        """Take a lock of our own: a thread that held it is not in the child."""
        self._lock = threading.RLock()

    def findings(self) -> list[Finding]:
        """Return what the compilation noticed; empty before it."""
        return list(self.plans.findings) if self.plans else []


def environ_key(header: str) -> str:
    """Return a header's name as the WSGI environment spells it."""
    return "HTTP_" + header.upper().replace("-", "_")


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
