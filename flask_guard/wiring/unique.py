"""Where `schemas.Unique` looks: in the database of the current application, within its tenant.

Rule: nothing is imported and nothing is opened before a value is looked up.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any, cast

from flask import current_app, has_app_context

from ..pipeline.runtime import EXTENSION_KEY
from ..protocols import UniqueLookup
from ..schemas.lookups import set_lookup_source
from .data import engine_of, find_extension
from .services import Site


def make_lookup(site: Site) -> Callable[[], UniqueLookup | None]:
    """Return what finds the look-up of an application; it finds None where no database of models is known."""

    def find() -> UniqueLookup | None:
        extension, engine = find_extension(site), site.supplied.engine
        if extension is None and engine is None:
            return None
        session = None if engine is not None else _session_of(extension)
        lookup = importlib.import_module("flask_guard.db.unique").SqlUniqueLookup
        if session is not None:
            return cast(UniqueLookup, lookup(lambda: session))
        return cast(UniqueLookup, lookup.on_engine(engine or engine_of(site.app, extension)))

    return find


def _session_of(extension: Any) -> Any:
    """Return the Session of the current request or job that an extension keeps; None if it keeps none."""
    session = getattr(extension, "session", None)
    return session if hasattr(session, "no_autoflush") else None


def _find_lookup() -> UniqueLookup | None:
    runtime = current_app.extensions.get(EXTENSION_KEY) if has_app_context() else None
    return None if runtime is None else runtime.find_unique_lookup()


set_lookup_source(_find_lookup)
