"""What the application stands on: its database and its Guard."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path

from flask import Flask, current_app
from sqlalchemy import URL, Engine, create_engine, make_url
from sqlalchemy.orm import Session, sessionmaker
from sqlalchemy.schema import CreateIndex, CreateTable

from flask_guard import Guard

from .models import Base


class Database:
    """Plain SQLAlchemy: one engine for each application."""

    def init_app(self, app: Flask) -> None:
        engine = app.extensions["notes.engine"] = create_engine(find_address(app))
        app.extensions["notes.sessions"] = sessionmaker(engine)
        with engine.begin() as connection:  # what outlives an example has migrations
            for table in Base.metadata.sorted_tables:
                connection.execute(CreateTable(table, if_not_exists=True))
                for index in table.indexes:
                    connection.execute(CreateIndex(index, if_not_exists=True))

    @property
    def engine(self) -> Engine:
        return current_app.extensions["notes.engine"]

    def begin(self) -> AbstractContextManager[Session]:
        """Open a session that is committed at the end of the block, unless the block raises."""
        return current_app.extensions["notes.sessions"].begin()


def find_address(app: Flask) -> URL:
    """Return where notes are kept. `postgresql://` means psycopg 3."""
    if "DATABASE_URL" in app.config:
        url = make_url(app.config["DATABASE_URL"])
        return url.set(drivername="postgresql+psycopg") if url.drivername == "postgresql" else url
    folder = Path(app.instance_path)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return URL.create("sqlite", database=str(folder / "notes.sqlite3"))


db = Database()
guard = Guard()
