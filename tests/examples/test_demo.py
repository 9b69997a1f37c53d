"""`flask-guard demo`, run as a user runs it: in a process of its own, read from its output and exit code."""

from __future__ import annotations

import re
import shlex
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import pytest

from .support import CONSOLE, TIMEOUT_S, make_environment, run_python

# What a shell may hold, and what must change nothing.
HOSTILE = {
    "GUARD_ENV": "nowhere",
    "GUARD_DEFAULT_ACCESS": "public",
    "GUARD_TYPO": "1",
    "NOTES_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/nothing",
    "FLASK_APP": "missing.py",
    "FLASK_DEBUG": "1",
}


@pytest.fixture(scope="module")
def walked(tmp_path_factory: pytest.TempPathFactory) -> tuple[subprocess.CompletedProcess[str], Path]:
    """The whole walk, from a shell with settings of its own; and the folder for temporary files."""
    folder, elsewhere = tmp_path_factory.mktemp("temporary"), tmp_path_factory.mktemp("cwd")
    environment = make_environment(**HOSTILE, TMPDIR=str(folder), COLUMNS="100")
    return run_python(CONSOLE, "demo", cwd=elsewhere, environment=environment), folder


def test_the_walk_ends_well_and_counts_its_steps(
    walked: tuple[subprocess.CompletedProcess[str], Path],
) -> None:
    done, _ = walked

    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
    numbers = [int(number) for number in re.findall(r"(?m)^ ?(\d+)  \S", done.stdout)]
    assert numbers == list(range(1, len(numbers) + 1))
    assert len(numbers) >= 20
    assert done.stdout.rstrip().endswith(f"{len(numbers)} steps, all as they should be.")
    assert done.stderr == ""


@pytest.mark.parametrize(
    "line",
    [
        "401 UNAUTHORIZED",
        "WWW-Authenticate: Bearer",
        "X-Content-Type-Options: nosniff",
        "201 CREATED",
        '{"notes": []}',
        "GET /notes?owner_id=ada",
        '"code": "invalid_query",',
        '"pointer": "/note_id",',
        '{"comments": ["Done."]}',
        '{"renamed": 0}',
        '"pointer": "/tenant_id",',
        "403 FORBIDDEN",
        'WWW-Authenticate: Bearer error="insufficient_scope", scope="notes:write"',
        '"code": "token_expired",',
        '"code": "invalid_token",',
        '"code": "invalid_json",',
        "413 REQUEST ENTITY TOO LARGE",
        '{"imported": 220}',
        'RateLimit-Policy: "authenticated";q=1000;w=60, "import";q=10;w=60',
        "429 TOO MANY REQUESTS",
        '"code": "csrf_validation_failed",',
        '"code": "cors_origin_denied",',
        "Access-Control-Allow-Origin: https://app.example.com",
        "address: 192.0.2.7",
        "404 NOT FOUND",
        '"code": "invalid_api_key",',
        '{"checks": {"db": "ok"}, "status": "ok"}',
        "$ flask --app notes guard routes --check access.lock",
        "No route was opened.",
        "~ GET /admin/notes/count (admin.count_notes): was role(admin) & tenant, is public",
        "GUARD_JWT_LEWAY (environment) is not a setting. Did you mean GUARD_JWT_LEEWAY?",
        "GUARD_JWT_SECRET_KEY is a well-known example.",
    ],
)
def test_the_walk_shows(walked: tuple[subprocess.CompletedProcess[str], Path], line: str) -> None:
    done, _ = walked

    assert line in done.stdout


def test_the_walk_prints_no_credential_in_full(walked: tuple[subprocess.CompletedProcess[str], Path]) -> None:
    done, _ = walked

    assert "Authorization: Bearer eyJ" in done.stdout
    assert "X-API-Key: fgk_" in done.stdout
    assert not re.search(r"eyJ[\w-]+\.eyJ", done.stdout)
    assert not re.search(r"fgk_\w{17,}", done.stdout)


def test_the_walk_fits_a_terminal_of_100_columns(
    walked: tuple[subprocess.CompletedProcess[str], Path],
) -> None:
    done, _ = walked

    assert max(map(len, done.stdout.splitlines())) <= 100


def test_the_walk_leaves_nothing_behind(walked: tuple[subprocess.CompletedProcess[str], Path]) -> None:
    _, folder = walked

    assert list(folder.iterdir()) == []


def test_a_step_that_is_not_as_it_should_be_ends_the_walk(tmp_path: Path) -> None:
    code = f"""
from flask_guard.cli import walk_steps
from flask_guard.cli.walk import Ask
walk_steps.STEPS = (Ask("Tea.", path="/", status=418), Ask("Never asked.", path="/", status=200))
{CONSOLE}
"""

    done = run_python(code, "demo", cwd=tmp_path)

    assert done.returncode == 1
    assert "Not as it should be: The status should be 418, not 200." in done.stdout
    assert "Never asked." not in done.stdout
    assert "all as they should be" not in done.stdout


def test_a_port_in_use_is_told_in_one_sentence(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = run_python(CONSOLE, "demo", "--port", port, cwd=tmp_path)

    assert done.returncode == 2
    assert done.stdout == ""
    assert f"Error: Port {port} of 127.0.0.1 cannot be used: Address already in use." in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("lack", "sentence"),
    [
        pytest.param(
            "import sys; sys.modules['waitress'] = None",
            "Error: The server waitress is not installed: pip install 'flask-guard-kit[demo]'.",
            id="waitress",
        ),
        pytest.param(
            "from flask_guard.cli import demo; import sys; sys.modules['flask_guard.cli.demo']._PLACES = ()",
            "Error: The example is in neither this installation nor a checkout around it.",
            id="the example",
        ),
    ],
)
def test_what_is_lacking_is_told_in_one_sentence(tmp_path: Path, lack: str, sentence: str) -> None:
    done = run_python(f"{lack}\n{CONSOLE}", "demo", cwd=tmp_path)

    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"{sentence}\n")


@contextmanager
def serving(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], str, list[list[str]]]]:
    """Run `demo --serve` and yield the process, the token it printed, and its curl commands, split."""
    process = subprocess.Popen(
        [sys.executable, "-u", "-c", CONSOLE, "demo", "--serve"],
        cwd=tmp_path,
        env=make_environment(TMPDIR=str(tmp_path)),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    watch = threading.Timer(TIMEOUT_S, process.kill)
    watch.start()
    try:
        assert process.stdout is not None
        token = ""
        commands: list[list[str]] = []
        while len(commands) < 2:
            line = process.stdout.readline()
            assert line, f"ended with exit {process.wait()}"
            token = line.strip().removeprefix("TOKEN=") if line.startswith("TOKEN=") else token
            if line.startswith("curl "):
                commands.append(shlex.split(line.replace("$TOKEN", token)))
        yield process, token, commands
    finally:
        watch.cancel()
        process.kill()
        process.communicate()


def request_of(command: list[str]) -> urllib.request.Request:
    """Return what curl would send: -H for a header, -d for a body."""
    headers, data = {}, None
    for option, value in pairwise(command):
        if option == "-H":
            name, _, text = value.partition(": ")
            headers[name] = text
        if option == "-d":
            data = value.encode()
    return urllib.request.Request(command[-1], headers=headers, data=data)  # noqa: S310  loopback


def test_serve_prints_commands_that_work_and_ends_with_ctrl_c(tmp_path: Path) -> None:
    with serving(tmp_path) as (process, _, (listing, writing)):
        with urllib.request.urlopen(request_of(writing), timeout=10) as written:  # noqa: S310  loopback
            assert written.status == 201
        with urllib.request.urlopen(request_of(listing), timeout=10) as listed:  # noqa: S310  loopback
            assert b'"title":"Milk"' in listed.read().replace(b": ", b":")
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=30)

    assert process.returncode == 0
    assert output.rstrip().endswith("Stopped.")
    assert "Traceback" not in output
    assert list(tmp_path.iterdir()) == []


def test_serve_tidies_up_when_it_is_terminated(tmp_path: Path) -> None:
    with serving(tmp_path) as (process, _, _commands):
        process.terminate()
        output, _ = process.communicate(timeout=30)

    assert process.returncode == 128 + signal.SIGTERM
    assert "Traceback" not in output
    assert list(tmp_path.iterdir()) == []
