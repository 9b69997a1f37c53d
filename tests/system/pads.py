"""The pad of examples/notes, served to a browser, and what its visitor does with it."""

from __future__ import annotations

import importlib
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, session
from selenium.webdriver import Remote
from selenium.webdriver.common.by import By

from flask_guard import Guard
from tests.examples.support import EXAMPLES

from .processes import wait_until


@contextmanager
def notes_app(folder: Path, **config: Any) -> Iterator[Flask]:
    """Yield the example, with one route more that no CSRF protection covers, for proof that an attack works."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(EXAMPLES))
        notes = importlib.import_module("notes")
    made = {
        "SECRET_KEY": secrets.token_hex(32),
        "GUARD_JWT_SECRET_KEY": secrets.token_urlsafe(48),
        "GUARD_TRUSTED_PROXIES": "127.0.0.1",
        "GUARD_RATE_LIMIT_ANONYMOUS": "off",
        "DATABASE_URL": f"sqlite:///{folder / 'notes.sqlite3'}",
    }
    app: Flask = notes.create_app(made | config)
    guard: Guard = app.extensions["guard"]

    @app.post("/unguarded")
    @guard.public(reason="test")
    @guard.no_csrf(reason="test")
    def unguarded() -> str:
        session["lines"] = [*session.get("lines", []), "stolen"]
        return ""

    try:
        yield app
    finally:
        app.extensions["notes.engine"].dispose()


def read_pad(browser: Remote, origin: str) -> list[str]:
    """Open the pad and return its lines."""
    browser.get(f"{origin}/pad")
    return read_lines(browser)


def read_lines(browser: Remote) -> list[str]:
    """Return the lines that are shown, none while another page is coming."""
    # By a script, because an element may be gone before it is read.
    lines: list[str] = browser.execute_script(
        "return [...document.querySelectorAll('#lines li')].map((line) => line.textContent)"
    )
    return lines


def write_by_form(browser: Remote, line: str) -> None:
    """Type a line into the pad's form and send it."""
    browser.find_element(By.NAME, "line").send_keys(line)
    browser.find_element(By.CSS_SELECTOR, "#form button").click()
    wait_until(lambda: line in read_lines(browser), f"the pad shows {line!r}")


def write_by_script(browser: Remote) -> None:
    """Have the pad's script send its line."""
    browser.find_element(By.ID, "send").click()
    wait_until(lambda: "from the script" in read_lines(browser), "the pad shows the script's line")
