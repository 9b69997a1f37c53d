"""A notes API for several customers, guarded by flask_guard.

    export $(flask-guard keygen jwt)
    flask --app examples/notes run

Notes are kept in SQLite in the instance folder, or where NOTES_DATABASE_URL says. With a NOTES_SECRET_KEY there
is a page for browsers, too: /pad.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import Flask

from .extensions import db, guard
from .pages import pages
from .views import admin, notes


def create_app(config: Mapping[str, Any] | None = None) -> Flask:
    """Return the application. config: DATABASE_URL, and settings of Flask and of Guard."""
    app = Flask(__name__, instance_relative_config=True, static_folder=None)
    app.config.from_prefixed_env("NOTES")
    app.config.from_mapping(config)
    app.register_blueprint(notes)
    app.register_blueprint(admin)
    if app.secret_key:  # the page keeps its lines in the session
        app.register_blueprint(pages)
    db.init_app(app)
    guard.init_app(app, db=db)
    return app
