"""`POST /csp-reports`: takes what browsers report against a content security policy.

Open to everybody, because browsers send reports without a credential; so little is read, and nothing of it gets
into the log. The answer is 204 whatever was in the report: a browser has no use for more.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Final

from flask import Blueprint, abort, request
from flask.typing import ResponseReturnValue

from ..browser.csp_reports import read_violations
from ..errors import BodyTooLarge, StoreUnavailable, UnsupportedMediaType
from ..limits.strict_json import parse_json
from ..protocols import Clock, CspReportStore
from ..values import CspViolation

REPORTS_PATH: Final = "/csp-reports"
MAX_REPORT_BYTES: Final = 128 * 1024
_MAX_DEPTH: Final = 8  # a list of reports, each with a body, and room for what the body may hold one day

# Content Security Policy Level 3, section 5.3, and the Reporting API, section 3.
_TOP_LEVEL: Final = {
    "application/csp-report": frozenset({"object"}),
    "application/reports+json": frozenset({"array"}),
}
logger = logging.getLogger("flask_guard.csp_reports")


class _Recorder:
    """Hands violations to the store, and tells the log of an outage once, when it begins."""

    def __init__(self, store: CspReportStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._is_down = False

    def record(self, violations: list[CspViolation]) -> bool:
        """Return whether they are kept."""
        try:
            self._store.record(violations, datetime.fromtimestamp(self._clock(), UTC))
        except StoreUnavailable as exc:
            if not self._is_down:
                logger.error("reports of content policies are refused until they can be kept: %s", exc, exc_info=exc)
            self._is_down = True
            return False
        self._is_down = False
        return True


def make_csp_reports_blueprint(store: CspReportStore, *, prefix: str, clock: Clock) -> Blueprint:
    """Return the endpoint as a blueprint.

    Answers 415 for another media type, 413 above MAX_REPORT_BYTES, 400 for what is no report, 503 while the store
    is down. Whoever mounts it makes it public and limits its rate and its body, so that no more is read.
    """
    blueprint = Blueprint("guard_csp_reports", __name__, url_prefix=prefix or None)
    recorder = _Recorder(store, clock)

    @blueprint.post(REPORTS_PATH)
    def collect() -> ResponseReturnValue:
        violations = _read_body()
        if violations and not recorder.record(violations):
            abort(HTTPStatus.SERVICE_UNAVAILABLE)
        return "", HTTPStatus.NO_CONTENT

    return blueprint


def _read_body() -> list[CspViolation]:
    top_level = _TOP_LEVEL.get(request.mimetype)
    if top_level is None:
        raise UnsupportedMediaType(f"This route accepts {' and '.join(_TOP_LEVEL)}.")
    request.max_content_length = MAX_REPORT_BYTES
    data = request.get_data()
    if len(data) > MAX_REPORT_BYTES:
        raise BodyTooLarge(detail=f"more than {MAX_REPORT_BYTES} bytes of reports")
    return read_violations(parse_json(data, max_depth=_MAX_DEPTH, top_level=top_level))
