"""Debian's PgBouncer in front of a PostgreSQL server, with one connection of its own that all clients share."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import URL

from tests.services.ports import find_free_port

from .processes import running

_CONFIGURATION = """
[databases]
{database} = host={host} port={port} dbname={database} user={user} password={password}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {listen}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 1
min_pool_size = 0
reserve_pool_size = 0
max_client_conn = 50
logfile =
pidfile =
ignore_startup_parameters = extra_float_digits
"""
# PgBouncer refuses to run as root.
_USER = "nobody"


@contextmanager
def pooling(program: str, url: URL) -> Iterator[URL]:
    """Run PgBouncer in transaction mode in front of a database; yield the URL to connect to in place of its own."""
    folder = Path(tempfile.mkdtemp(prefix="flask-guard-pgbouncer-"))
    listen = find_free_port()
    text = _CONFIGURATION.format(
        database=url.database, host=url.host, port=url.port, user=url.username, password=url.password, listen=listen
    )
    (folder / "pgbouncer.ini").write_text(text)
    folder.chmod(0o755)
    command = [program, "pgbouncer.ini"]
    if os.geteuid() == 0:
        command = [program, "-u", _USER, "pgbouncer.ini"]
    with running(command, folder=folder, ready=[f"127.0.0.1:{listen}"]):
        yield url.set(host="127.0.0.1", port=listen)
