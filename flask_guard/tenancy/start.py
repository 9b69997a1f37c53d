"""What is refused at start: tables that nothing is said about, and a compiler that does not filter.

Rule: every table next to a table of tenants says whose its rows are.
"""

from __future__ import annotations

import gc
from collections.abc import Collection, Iterable

from sqlalchemy import Engine, MetaData, create_engine
from sqlalchemy.exc import NoReferencedColumnError, NoReferencedTableError

from ..errors import ConfigError
from .canaries import run_canaries
from .rules import find_undeclared, list_protected


def require_declared(metadatas: Collection[MetaData] | None, *, is_complete: bool) -> None:
    """Raise ConfigError with a fault for each table whose rows are not told apart as declared, or not declared at all.

    metadatas: those of the application's models; None for all of the process.
    is_complete: every model has been imported; before that a parent may still be missing.
    """
    if _find_faults(metadatas, is_complete=is_complete):
        # Models that nobody holds any more are not the application's; what they are made of refers to itself.
        gc.collect()
    faults = _find_faults(metadatas, is_complete=is_complete)
    if faults:
        raise ConfigError(*faults)


def require_filtering(engines: Iterable[Engine]) -> None:
    """Raise ConfigError unless statements are compiled with the conditions of their rows on every engine.

    Nothing is connected to. Without an engine that is known SQLite's dialect is tried, whose driver is always there.
    """
    if list_protected():
        for engine in [*engines] or [create_engine("sqlite://")]:
            run_canaries(engine)


def _find_faults(metadatas: Collection[MetaData] | None, *, is_complete: bool) -> list[str]:
    if metadatas is None:
        metadatas = {id(table.metadata): table.metadata for table in list_protected()}.values()
    return sorted(fault for metadata in metadatas for fault in _ask(metadata, is_complete=is_complete))


def _ask(metadata: MetaData, *, is_complete: bool) -> Iterable[str]:
    try:
        return find_undeclared(metadata)
    except (NoReferencedTableError, NoReferencedColumnError) as exc:
        return [str(exc)] if is_complete else []
