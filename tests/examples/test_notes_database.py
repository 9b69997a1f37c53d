"""examples/notes: where it keeps its notes."""

from __future__ import annotations

import importlib
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from .notes_client import Caller, make_app


def test_without_an_address_notes_are_in_a_private_instance_folder(
    notes: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "instance"
    find_address: Callable[[Flask], Any] = importlib.import_module("notes.extensions").find_address

    address = find_address(Flask("notes", instance_path=str(folder)))

    assert address.render_as_string() == f"sqlite:///{folder}/notes.sqlite3"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


@pytest.mark.parametrize(
    ("url", "driver"),
    [
        ("postgresql://someone@host/notes", "postgresql+psycopg"),
        ("postgresql+psycopg://someone@host/notes", "postgresql+psycopg"),
        ("sqlite:////somewhere/notes.db", "sqlite"),
    ],
)
def test_the_address_of_postgresql_needs_no_driver(notes: Any, url: str, driver: str) -> None:
    app = Flask("notes")
    app.config["DATABASE_URL"] = url

    address = importlib.import_module("notes.extensions").find_address(app)

    assert address.drivername == driver
    assert address.database == url.split("/", 3)[3]


def test_the_environment_names_the_database(notes: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "elsewhere.db"
    monkeypatch.setenv("NOTES_DATABASE_URL", f"sqlite:///{file}")

    app = make_app(notes)
    Caller(app).write()
    app.extensions["notes.engine"].dispose()

    assert file.is_file()


def test_two_applications_keep_their_notes_apart(notes: Any, tmp_path: Path) -> None:
    first, second = (make_app(notes, DATABASE_URL=f"sqlite:///{tmp_path / name}") for name in ("first.db", "second.db"))
    Caller(first).write("first")

    titles = Caller(first).titles(), Caller(second).titles()

    assert titles == (["first"], [])
    for app in (first, second):
        app.extensions["notes.engine"].dispose()
