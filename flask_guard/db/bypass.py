"""The way past the tenants, for jobs: `with unscoped(reason="nightly invoices"):`.

Rule: what goes past them is written down first. When that fails, nothing runs.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from ..tenancy.scope import entered, find_identity, find_request_id, unscoped_block

# Facts fit for JSON: event, reason, actor, tenant, request_id; None for what is not known.
Recorder = Callable[[Mapping[str, str | None]], None]

logger = logging.getLogger("flask_guard.audit")


@contextmanager
def unscoped(*, reason: str) -> Iterator[None]:
    """See the rows of all tenants in every Session and Connection that is opened until the block ends.

    What was opened before stays guarded, also inside; what was opened inside ends with the block. One audit event is
    written before the block is entered: by the recorder that was set, else as a line of the logger `flask_guard.audit`.
    Raises ValueError for an empty reason, and whatever the recorder raises.
    """
    with unscoped_block(reason):
        identity = find_identity()
        principal = identity.principal
        facts = {
            "event": "unscoped",
            "reason": reason,
            "actor": principal.id if principal.is_authenticated else None,
            "tenant": identity.tenant.id or None,
            "request_id": find_request_id(),
        }
        with entered(identity):  # the recorder is not past the tenants
            _record(facts)
        yield


def set_unscoped_recorder(record: Recorder | None) -> None:
    """Say what writes the audit event of an unscoped block; None for the line of the logger.

    record: gets the facts before anything runs in the block; what it raises keeps the block from running.
    """
    global _record
    _record = record or _log


def _log(facts: Mapping[str, str | None]) -> None:
    # A warning: lines of lower levels are switched off in many a set-up, and this one must not be.
    logger.warning("all tenants, because: %s", facts["reason"], extra={"guard": dict(facts)})


_record: Recorder = _log
