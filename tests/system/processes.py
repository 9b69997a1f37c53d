"""Programs that tests start, on loopback only.

Rule: a program runs in a process group of its own, and the whole group is ended when its block ends, however it does.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

START_WAIT_S = 30
END_WAIT_S = 10
_PAUSE_S = 0.02
# Debian keeps servers where only root's path leads.
_PATH = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin"))


def require_program(name: str, *, package: str) -> str:
    """Return the path of a program, or skip the tests that need it, with the package that has it."""
    found = shutil.which(name, path=_PATH)
    if found is None:
        pytest.skip(f"could not run: {name} is not installed; Debian has it in {package}")
    return found


def wait_until(is_so: Callable[[], object], what: str, *, seconds: float = 20) -> None:
    """Return as soon as it is so. Raises AssertionError, which says what was waited for."""
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end, f"not within {seconds} s: {what}"
        time.sleep(_PAUSE_S)


def has_ipv6() -> bool:
    """Tell whether this machine has the loopback address of IPv6."""
    with suppress(OSError), socket.create_server(("::1", 0), family=socket.AF_INET6):
        return True
    return False


def accepts(address: str) -> bool:
    """Tell whether somebody listens at `127.0.0.1:port` or at `unix:path`."""
    kind, _, place = address.partition(":")
    is_unix = kind == "unix"
    with socket.socket(socket.AF_UNIX if is_unix else socket.AF_INET) as client, suppress(OSError):
        client.connect(place if is_unix else (kind, int(place)))
        return True
    return False


@contextmanager
def running(
    command: Sequence[str], *, folder: Path, ready: Sequence[str], environment: Mapping[str, str] | None = None
) -> Iterator[None]:
    """Run a program in its folder for the time of the block, which begins when all addresses accept connections."""
    log = folder / "output.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        wait_until(
            lambda: _has_ended(process) or all(map(accepts, ready)),
            f"{command[0]} listens",
            seconds=START_WAIT_S,
        )
        assert not _has_ended(process), f"{' '.join(command)} ended:\n{log.read_text()}"
        yield
    finally:
        end_group(process)


def end_group(process: subprocess.Popen[bytes]) -> None:
    """End a process that leads a group, gently first, and then whatever is left of its group."""
    # By its number, which stays this group's until the process is waited for; Popen's own methods may wait.
    os.kill(process.pid, signal.SIGTERM)
    with suppress(AssertionError):
        wait_until(lambda: _has_ended(process), "the program ends", seconds=END_WAIT_S)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _has_ended(process: subprocess.Popen[bytes]) -> bool:
    """Tell whether a process has ended, and leave it to be waited for."""
    return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
