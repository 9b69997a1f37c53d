"""Writes access lines the short way where nobody could tell the difference, else as a record of `logging`.

Rule: whatever an application did to the logging of our lines, at any time, is done to each of them: handlers, filters,
levels, factories of records and patched methods all see the record that they expect.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from types import FunctionType
from typing import Any, Final

from .access import AccessEvent, AccessValues, log_access
from .format import JsonFormatter
from .lines import AccessLines
from .stderr import StderrHandler

_get_factory: Final = logging.getLogRecordFactory
# What a record of a logger goes through. Tools that collect errors and traces put functions of their own there.
_PASSED: Final[tuple[Callable[..., Any], ...]] = (
    logging.Logger.makeRecord,
    logging.Logger.handle,
    logging.Logger.callHandlers,
    logging.Handler.handle,
)
# Where one did so before this module was imported, nothing is standard.
_IS_STANDARD: Final = all(type(each) is FunctionType and each.__globals__ is vars(logging) for each in _PASSED)
_STANDARD: Final = _PASSED if _IS_STANDARD else ()


class AccessLog:
    """The access lines of one logger."""

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger
        self._lines: AccessLines | None = None
        self.takes = logger.isEnabledFor

    def write(self, said: AccessValues, level: int) -> None:
        """Write the line of a request. Never fails.

        said: an AccessEvent, or its values. level: that of its status, which `takes` said yes to.
        """
        try:
            handler = self._find_own_handler(level)
            if handler is None:
                log_access(self._logger, AccessEvent(*said))
                return
            lines = self._lines
            formatter: Any = handler.formatter
            if lines is None or lines.formatter is not formatter:
                lines = self._lines = AccessLines(formatter, self._logger)
            handler.write_line(lines.make, said, time.time(), at_once=level > logging.INFO)
        except Exception:  # as in log_access; a thread may also change the handlers meanwhile
            return

    def _find_own_handler(self, level: int) -> StderrHandler | None:
        """Return our handler, if it alone gets the records of the level, and as JSON that nobody else had a say in."""
        logger = self._logger
        found: Any = None
        current: logging.Logger | None = logger
        while current is not None:
            handlers = current.handlers
            if handlers:
                if found is not None or len(handlers) > 1:
                    return None
                found = handlers[0]
            current = current.parent if current.propagate else None
        kind = logging.Logger
        is_ours = (
            type(found) is StderrHandler
            and type(found.formatter) is JsonFormatter
            and found.level <= level
            and not found.filters
            and not logger.filters
            and type(logger) is kind
            and _get_factory() is logging.LogRecord
            and (kind.makeRecord, kind.handle, kind.callHandlers, logging.Handler.handle) == _STANDARD
        )
        return found if is_ours else None
