"""The probes: `/healthz/live` says that the process answers, `/healthz/ready` that it can do its work.

They need no credential, are not logged, and never say why something is wrong: that goes to the log.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any

from flask import Blueprint, jsonify
from flask.typing import ResponseReturnValue

COALESCE_S = 1.0
logger = logging.getLogger("flask_guard.health")


class Readiness:
    """Runs the checks side by side, each within its time, and answers for a second with what it found.

    checks: asked anew each time, since an application may add some until it is first asked.
    A check is well unless it raises, returns False, or is late; a late one is not started again meanwhile.
    """

    def __init__(self, checks: Callable[[], Mapping[str, Callable[[], Any]]], *, timeout_s: float) -> None:
        self._checks = checks
        self._timeout_s = timeout_s
        self._lock = threading.Lock()
        self._running: dict[str, Future[Any]] = {}
        self._answer: dict[str, str] = {}
        self._asked_at = float("-inf")

    def after_fork(self) -> None:
        """Forget what threads of the parent were asked; they do not run in the child."""
        self._lock = threading.Lock()
        self._running = {}

    def ask(self) -> dict[str, str]:
        """Return "ok" or "error" for each check."""
        with self._lock:
            if time.monotonic() - self._asked_at >= COALESCE_S:
                self._answer = self._run()
                self._asked_at = time.monotonic()
            return self._answer

    def _run(self) -> dict[str, str]:
        checks = self._checks()
        if not checks:
            return {}
        pool = ThreadPoolExecutor(max_workers=len(checks), thread_name_prefix="guard-health")
        for name, check in checks.items():
            if name not in self._running or self._running[name].done():
                self._running[name] = pool.submit(check)
        wait(self._running.values(), timeout=self._timeout_s)
        pool.shutdown(wait=False)
        return {name: self._judge(name, self._running[name]) for name in checks}

    def _judge(self, name: str, check: Future[Any]) -> str:
        if not check.done():
            logger.error("health check %s did not end within %g s", name, self._timeout_s)
            return "error"
        error = check.exception()
        if error is not None:
            logger.error("health check %s failed", name, exc_info=error)
        return "error" if error is not None or check.result() is False else "ok"


def make_health_blueprint(
    *,
    live_paths: Sequence[str],
    ready_paths: Sequence[str],
    prefix: str,
    live: Readiness | None,
    ready: Readiness,
) -> Blueprint:
    """Return the probes as a blueprint. live: the checks of the live probe, None for a bare "ok"."""
    blueprint = Blueprint("guard_health", __name__, url_prefix=prefix or None)

    def answer_live() -> ResponseReturnValue:
        if live is None:
            return jsonify(status="ok")
        found = live.ask()
        return _answer(found, **found)

    def answer_ready() -> ResponseReturnValue:
        found = ready.ask()
        return _answer(found, checks=found)

    for view, paths in ((answer_live, live_paths), (answer_ready, ready_paths)):
        for path in paths:
            blueprint.add_url_rule(path, view.__name__.removeprefix("answer_"), view, methods=["GET"])
    return blueprint


def _answer(found: Mapping[str, str], **members: Any) -> ResponseReturnValue:
    is_well = all(state == "ok" for state in found.values())
    return jsonify(status="ok" if is_well else "degraded", **members), 200 if is_well else 503
