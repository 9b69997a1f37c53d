"""What holds for every test: no network but loopback, no settings from the shell, the test servers.

Fixtures of one room stay in that room's own conftest.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from ipaddress import ip_address
from typing import Any

import pytest
from hypothesis import settings

from flask_guard import extension
from flask_guard.pipeline.runtime import Runtime

pytest_plugins = ["tests.services.postgres", "tests.services.valkey"]

# No deadline: on a busy machine it fails tests that are right.
settings.register_profile("flask_guard", deadline=None)
settings.load_profile("flask_guard")


class OutsideConnection(AssertionError):
    """A test tried to leave the machine. Not an OSError, which code under test may expect and handle."""


def pytest_configure() -> None:
    """Forget settings of the shell that runs the tests, so that they mean the same everywhere."""
    for name in [name for name in os.environ if name.startswith("GUARD_")]:
        del os.environ[name]


def is_loopback(host: str) -> bool:
    """Tell whether a connection to this host stays on the machine; of names only `localhost` does."""
    try:
        return ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return host == "localhost"


def refuse_outside(connect: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap `socket.connect` or `connect_ex`; raises OutsideConnection before a packet is sent."""

    def connect_inside(self: socket.socket, address: Any) -> Any:
        if self.family in (socket.AF_INET, socket.AF_INET6) and not is_loopback(address[0]):
            raise OutsideConnection(f"tests may connect to loopback only, not to {address!r}")
        return connect(self, address)

    return connect_inside


@pytest.fixture(scope="session", autouse=True)
def loopback_only() -> Iterator[None]:
    """Refuse every Python socket that would leave the machine."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("connect", "connect_ex"):
            patch.setattr(socket.socket, name, refuse_outside(getattr(socket.socket, name)))
        yield


@pytest.fixture(autouse=True)
def closed_databases() -> Iterator[None]:
    """Close the databases of every application that a test guarded: Python 3.13 warns of those that are left open."""
    guarded: list[Runtime] = []
    original = extension.install

    def remember(site: Any) -> Runtime:
        guarded.append(runtime := original(site))
        return runtime

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(extension, "install", remember)
        yield
    for runtime in guarded:
        runtime.database.close()
