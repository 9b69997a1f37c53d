"""Requests a second behind gunicorn, as wrk counts them: plain Flask, Guard with everything on, the assembled core.

One worker with one thread and keep-alive connections serves each application; wrk, on the same machine, loads one
after the other, in turn. Needs wrk (apt-get install wrk).
Rule: an application is loaded with the very request that it was seen to answer, and one bad answer ends the run.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from email.message import Message
from http.client import HTTPConnection
from pathlib import Path

from flask import Flask

from flask_guard.config.sections import LogSettings
from flask_guard.logs.format import configure_logging
from tests.services.ports import find_free_port

from . import apps
from .apps import DOCUMENT, LISTED_ORIGIN, PATH
from .edge import CORE, FLOOR, GUARD, NO_LINE, page_request
from .measure import Spread, scaled
from .report import NO_TARGET, Report, Target, show

TITLE = "Served"
ROUNDS = 7
LOAD_S = 3
START_WAIT_S = 20.0
TARGET = Target(0.90, "at least")
CORE_TARGET = Target(2.5, "at least")
_SECRET_VARIABLE = "BENCH_SECRET"
_ROOT = Path(__file__).resolve().parent.parent


def run(report: Report, *, scale: float) -> None:
    """Print the table of rates."""
    wrk = shutil.which("wrk")
    if wrk is None:
        report.note("Served: not measured, because wrk is not installed.")
        return
    rounds = scaled(ROUNDS, scale)
    report.heading(f"Served: gunicorn with one worker, loaded by wrk, {rounds} turns of {LOAD_S} s each")
    secret = secrets.token_hex(32)
    rates: dict[str, list[float]] = {FLOOR: [], GUARD: [], NO_LINE: [], CORE: []}
    with ExitStack() as stack:
        ports = {name: stack.enter_context(_serve(name, secret)) for name in rates}
        headers = {name: _prepare(name, port, secret) for name, port in ports.items()}
        for number in range(rounds):
            names = [*rates][number % len(rates) :] + [*rates][: number % len(rates)]
            for name in names:
                rates[name].append(_load(wrk, ports[name], headers[name]))
    _print(report, rates)


def _print(report: Report, rates: dict[str, list[float]]) -> None:
    rows = []
    for name in rates:
        share = _ratio(rates[name], rates[FLOOR])
        verdict = report.judge(f"{TITLE}, {name}", share.median, TARGET) if name == GUARD else NO_TARGET
        rows.append((name, show(share), show(Spread.of(rates[name]), 0), *verdict))
    ahead = _ratio(rates[GUARD], rates[CORE])
    label = f"{GUARD} / {CORE}"
    rows.append((label, show(ahead), "", *report.judge(f"{TITLE}, {label}", ahead.median, CORE_TARGET)))
    report.table(("application", "x plain (quartiles)", "requests a second", "target", "verdict"), rows)


def _ratio(rates: list[float], base: list[float]) -> Spread:
    return Spread.of([a / b for a, b in zip(rates, base, strict=True)])


# The server --------------------------------------------------------------------------------------------


def make(name: str) -> Flask:
    """Return an application for gunicorn, which calls this in its worker."""
    secret = os.environ[_SECRET_VARIABLE]
    if name == FLOOR:
        return apps.make_app()
    if name == CORE:
        return apps.make_assembled(secret)
    if name == GUARD:
        configure_logging(LogSettings(format="json", level="info", metrics=False), "bench", "production")
    return apps.make_guarded_edge(secret, trusted_proxies="127.0.0.1")


@contextmanager
def _serve(name: str, secret: str) -> Iterator[int]:
    """Run gunicorn with one application, and yield its port."""
    port = find_free_port()
    command = [sys.executable, "-m", "gunicorn", f"bench.served:make({name!r})", "--bind", f"127.0.0.1:{port}"]
    command += ["--worker-class", "gthread", "--workers", "1", "--threads", "1", "--keep-alive", "30"]
    command += ["--log-level", "error", "--no-control-socket"]
    environ = os.environ | {_SECRET_VARIABLE: secret, "PYTHONPATH": str(_ROOT)}
    # Nothing reads the access lines.
    with subprocess.Popen(command, env=environ, stderr=subprocess.DEVNULL) as server:  # noqa: S603  # our own program
        try:
            _await(port, server)
            yield port
        finally:
            server.terminate()


def _await(port: int, server: subprocess.Popen[bytes]) -> None:
    """Wait until the server listens; its worker answers as soon as it can."""
    give_up_at = time.monotonic() + START_WAIT_S
    while time.monotonic() < give_up_at and server.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise RuntimeError("gunicorn does not listen")


# The client --------------------------------------------------------------------------------------------


def _prepare(name: str, port: int, secret: str) -> dict[str, str]:
    """Return the headers of the request that an application is loaded with, after it was answered once."""
    headers = {"Host": "localhost", "X-Forwarded-Proto": "https"}
    if name != FLOOR:
        page = page_request(secret)
        headers |= {key: page[f"HTTP_{key.upper()}"] for key in ("Authorization", "Origin", "Cookie")}
    if name == CORE:
        found = apps.seasurf_headers(_ask(port, headers).items(), origin=LISTED_ORIGIN)
        headers |= {"Cookie": found["HTTP_COOKIE"], "X-CSRFToken": found["HTTP_X_CSRFTOKEN"]}
        headers["Referer"] = found["HTTP_REFERER"]
    assert ("Strict-Transport-Security" in _ask(port, headers)) is (name != FLOOR)
    return headers


def _ask(port: int, headers: dict[str, str]) -> Message:
    """Make one request, stop unless the answer is the document, and return the answer's headers."""
    connection = HTTPConnection("127.0.0.1", port, timeout=START_WAIT_S)
    with closing(connection):
        connection.request("GET", PATH, headers=headers)
        answer = connection.getresponse()
        assert (answer.status, json.load(answer)) == (200, DOCUMENT)
        return answer.headers


def _load(wrk: str, port: int, headers: dict[str, str]) -> float:
    """Load an application and return how many requests a second it answered."""
    sent = [f"--header={name}: {value}" for name, value in headers.items()]
    command = [wrk, "--threads", "1", "--connections", "4", "--duration", f"{LOAD_S}s", *sent]
    command.append(f"http://127.0.0.1:{port}{PATH}")
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout  # noqa: S603  # as above
    assert "Non-2xx" not in output, output
    assert "Socket errors" not in output, output
    [rate] = re.findall(r"Requests/sec:\s+([\d.]+)", output)
    return float(rate)
