"""Tells a developer that a value of the request stands in the text of a statement, where a parameter belongs.

    if app.debug:
        watch_text(lambda: request.values.values() if has_request_context() else ())

Relies on SQLAlchemy. It looks at `text()` and at statements of the driver, as they run, for values as they were sent:
it finds what somebody tried, in development and in tests, and proves nothing of the rest. It refuses nothing.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterable
from typing import Any, Final

from sqlalchemy import Connection, Engine, TextClause, event
from sqlalchemy.sql.elements import ClauseElement
from sqlalchemy.sql.visitors import iterate

# Shorter values stand in many statements by chance.
SHORTEST_VALUE: Final = 4


class ValueInText(UserWarning):
    """A value of the request was found in the text of a statement. It is not quoted, and may be a secret."""


def watch_text(find_values: Callable[[], Iterable[str]]) -> Callable[[], None]:
    """Warn, from now on, of statements whose text holds a value that a client sent; return what ends the watch.

    find_values: the values of the current request, none outside of requests. Values of fewer than four characters are
    passed over, and a value that stands in double quotes: that is what `quote_identifier` leaves.
    """

    def look(text: str) -> None:
        for value in find_values():
            if len(value) >= SHORTEST_VALUE and re.search(f'(?<!"){re.escape(value)}|{re.escape(value)}(?!")', text):
                warnings.warn("A value of the request stands in the text of a statement.", ValueInText, stacklevel=2)
                return

    def on_execute(_connection: Connection, statement: Any, *_parameters: Any) -> None:
        for part in iterate(statement) if isinstance(statement, ClauseElement) else ():
            if isinstance(part, TextClause):
                look(part.text)

    def on_cursor(
        _connection: Connection, _cursor: Any, statement: str, _values: Any, context: Any, _many: bool
    ) -> None:
        if context is None or context.compiled is None:
            look(statement)

    listeners: dict[str, Callable[..., Any]] = {"before_execute": on_execute, "before_cursor_execute": on_cursor}
    for name, listener in listeners.items():
        event.listen(Engine, name, listener)

    def stop() -> None:
        for name, listener in listeners.items():
            event.remove(Engine, name, listener)

    return stop
