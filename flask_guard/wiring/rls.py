"""Hands the database roles of an application's settings to the transactions of its engines."""

from __future__ import annotations

import importlib
import weakref
from collections.abc import Callable
from typing import Any

from flask import Flask

from ..pipeline.runtime import EXTENSION_KEY
from .services import Site


def take_roles(site: Site) -> None:
    """Have transactions of the application's engines take GUARD_RLS_ROLE and GUARD_RLS_SYSTEM_ROLE, if they are set."""
    settings = site.settings.database
    if settings.rls_role is None and settings.rls_system_role is None:
        return
    context = importlib.import_module("flask_guard.tenancy.rls.context")
    roles = context.Roles(application=settings.rls_role, system=settings.rls_system_role)
    context.install()
    context.add_roles_source(_make_source(weakref.ref(site.app), roles))


def _make_source(find_app: Callable[[], Flask | None], roles: Any) -> Callable[[Any], Any]:
    def find(engine: Any) -> Any:
        app = find_app()
        runtime = None if app is None else app.extensions.get(EXTENSION_KEY)
        if runtime is None:
            return None
        return roles if any(each.dialect is engine.dialect for each in runtime.find_engines()) else None

    return find
