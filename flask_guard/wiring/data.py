"""What an application with tables of tenants is refused for at start.

Rule: an application without such tables pays nothing, not even the import of SQLAlchemy. Whether there are any is
told by the module that every declaration loads.
"""

from __future__ import annotations

import importlib
import logging
import sys
from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING, Any

from flask import Flask

from ..errors import ConfigError

if TYPE_CHECKING:
    from .services import Site

logger = logging.getLogger("flask_guard")

_DECLARING = "flask_guard.tenancy.process"


def require_sound_tables(site: Site, *, is_complete: bool) -> None:
    """Raise ConfigError for tables that nothing is said about, and for SQL that is compiled without the filter.

    is_complete: the rules are being compiled, so every model has been imported.
    """
    if _DECLARING not in sys.modules:
        return
    start = importlib.import_module("flask_guard.tenancy.start")
    try:
        start.require_declared(_find_metadatas(site), is_complete=is_complete)
    except ConfigError as exc:
        if site.supplied.engine is not None or find_extension(site) is not None:
            raise
        # Models of a program that has not told of its database may be those of another application.
        logger.warning("%s Pass db= or engine= to Guard to have this refused at start.", exc)
    if is_complete:
        start.require_filtering(find_engines(site))


def _find_metadatas(site: Site) -> Collection[Any] | None:
    """Return the MetaData of an application's models if its extension tells, as Flask-SQLAlchemy does."""
    metadatas = None if site.supplied.engine is not None else getattr(find_extension(site), "metadatas", None)
    return None if metadatas is None else list(metadatas.values())


def find_engines(site: Site) -> list[Any]:
    """Return the engines of an application's models, as far as it has told of them."""
    supplied = site.supplied
    if supplied.engine is not None:
        return [supplied.engine]
    extension = find_extension(site)
    return [] if extension is None else _engines_of(site.app, extension)


def find_extension(site: Site) -> Any:
    """Return what brings the application's database, such as Flask-SQLAlchemy; None when nothing does."""
    return site.supplied.db or site.app.extensions.get("sqlalchemy")


def engine_of(app: Flask, extension: Any) -> Any:
    """Return the engine of an extension for an application."""
    with app.app_context():
        return extension.engine


def _engines_of(app: Flask, extension: Any) -> list[Any]:
    with app.app_context():
        try:
            engines: Iterable[Any] = extension.engines.values() if hasattr(extension, "engines") else [extension.engine]
        except (KeyError, RuntimeError):  # the extension has not seen this application yet
            return []
        return list(engines)
