"""The ways in which an application brings its database. Each returns the base of its models, a way to its Session, and
what it hands to its Guard."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from flask import Flask
from sqlalchemy.orm import DeclarativeBase, scoped_session, sessionmaker

Opened = tuple[Any, Callable[[], Any], dict[str, Any]]


def with_flask_sqlalchemy(app: Flask, url: str) -> Opened:
    from flask_sqlalchemy import SQLAlchemy

    class Base(DeclarativeBase):
        pass

    app.config["SQLALCHEMY_DATABASE_URI"] = url
    db = SQLAlchemy(app, model_class=Base)
    return db.Model, lambda: db.session, {"db": db}


def with_lite(app: Flask, url: str) -> Opened:
    from flask_sqlalchemy_lite import SQLAlchemy

    class Base(DeclarativeBase):
        pass

    app.config["SQLALCHEMY_ENGINES"] = {"default": url}
    db = SQLAlchemy(app)
    return Base, lambda: db.session, {"db": db}


def with_engine(app: Flask, url: str) -> Opened:
    class Base(DeclarativeBase):
        pass

    engine = sa.create_engine(url)
    sessions = scoped_session(sessionmaker(engine))
    app.teardown_appcontext(lambda _error: sessions.remove())
    return Base, sessions, {"engine": engine}
