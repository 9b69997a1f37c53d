"""Lines that wait for others: when they are written, in which order, and that none is lost, mixed or written twice."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from flask_guard.logs.stderr import HOLD_S, MAX_HELD, HeldLines, StderrHandler

ROOT = Path(__file__).parents[2]
LONG_S = 3600.0


class Stream(io.StringIO):
    """Remembers each write."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[str] = []

    def write(self, text: str) -> int:
        self.writes.append(text)
        return super().write(text)


def show(said: Any, now: float) -> str:
    return f"{said}"


def make_waiting(stream: io.StringIO | None, *, hold_s: float = LONG_S) -> HeldLines:
    """Lines of which one was written a moment ago, so that the next ones wait."""
    held = HeldLines(lambda: stream, hold_s=hold_s)
    held.flush()
    return held


def test_a_line_that_comes_alone_is_written_at_once() -> None:
    stream = Stream()

    HeldLines(lambda: stream).hold(show, "alone", time.time())

    assert stream.writes == ["alone\n"]


def test_lines_that_follow_are_written_together_when_there_are_enough() -> None:
    stream = Stream()
    held = make_waiting(stream)

    for number in range(MAX_HELD - 1):
        held.hold(show, number, time.time())
    before = list(stream.writes)
    held.hold(show, MAX_HELD - 1, time.time())

    assert before == []
    assert stream.writes == ["".join(f"{number}\n" for number in range(MAX_HELD))]


def test_a_line_that_waited_long_enough_is_written_with_the_next_one() -> None:
    stream = Stream()
    held = make_waiting(stream)

    held.hold(show, "first", time.time())
    held.hold(show, "second", time.time() + LONG_S)

    assert stream.writes == ["first\nsecond\n"]


def test_a_line_that_no_other_follows_is_written_all_the_same() -> None:
    stream = Stream()
    held = make_waiting(stream, hold_s=0.05)

    held.hold(show, "last", time.time())

    give_up_at = time.monotonic() + 10
    while not stream.writes and time.monotonic() < give_up_at:
        time.sleep(0.01)
    assert stream.writes == ["last\n"]


def test_what_waits_is_written_before_what_comes_after_it() -> None:
    stream = Stream()
    held = make_waiting(stream)

    held.hold(show, "first", time.time())
    held.write("second\n")

    assert stream.getvalue() == "first\nsecond\n"


def test_a_write_is_whole_lines_that_a_pipe_takes_at_once() -> None:
    stream = Stream()
    held = make_waiting(stream)
    lines = ["x" * 1000, "y" * 3000, "z" * 5000, "a", "b"]

    for line in lines:
        held.hold(show, line, time.time())
    held.flush()

    assert stream.getvalue().splitlines() == lines
    assert all(each.endswith("\n") for each in stream.writes)
    assert all(len(each) <= 4096 or each.count("\n") == 1 for each in stream.writes)


@pytest.mark.parametrize("stream", [None, io.TextIOWrapper(io.BytesIO())], ids=["none", "closed"])
def test_a_stream_that_takes_nothing_stops_nobody(stream: Any) -> None:
    if stream is not None:
        stream.close()
    held = make_waiting(stream)

    held.hold(show, "lost", time.time())
    held.flush()
    held.write("lost\n")


def test_without_a_further_thread_a_line_does_not_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_timer: threading.Timer) -> None:
        raise RuntimeError("can't start new thread")

    stream = Stream()
    held = make_waiting(stream)
    monkeypatch.setattr(threading.Timer, "start", fail)

    held.hold(show, "line", time.time())

    assert stream.writes == ["line\n"]


def test_lines_of_many_threads_are_all_there_once_and_whole() -> None:
    stream = Stream()
    held = HeldLines(lambda: stream, hold_s=0.001)

    def add(thread: int) -> None:
        for number in range(500):
            held.hold(show, f"{thread} {number}", time.time())
            if number % 50 == 0:
                held.write(f"{thread} record {number}\n")

    threads = [threading.Thread(target=add, args=(thread,)) for thread in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    held.flush()

    lines = stream.getvalue().splitlines()
    for thread in range(8):
        mine = [line.split()[-1] for line in lines if line.startswith(f"{thread} ") and "record" not in line]
        assert mine == [str(number) for number in range(500)]
    assert len(lines) == 8 * 510


def test_a_stream_that_stands_in_for_stderr_gets_its_lines_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    stderr = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stderr)
    handler = StderrHandler(holds_lines=True)

    for number in range(3):
        handler.write_line(show, number, time.time(), at_once=False)

    assert stderr.getvalue() == "0\n1\n2\n"


# Processes ---------------------------------------------------------------------------------------------

SERVICE = """
import os, sys, time, logging
from flask import Flask
from flask_guard import Guard

app = Flask("service")
guard = Guard(app, env="staging", log_level="info", rate_limit_anonymous="off", jwt_secret_key=os.urandom(32).hex())

@app.get("/<int:number>")
@guard.public(reason="test")
def show(number):
    return str(number)

def ask(first, last):
    for number in range(first, last):
        app.test_client().get(f"/{number}", headers={"X-Request-Id": f"r{number}"})
"""


def run(program: str, *, status: int = 0) -> list[str]:
    """Run a program with the service, and return the request ids, or else the messages, of what it logged."""
    done = subprocess.run(
        [sys.executable, "-c", SERVICE + program],
        check=False,
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == status, done.stderr
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    return [line.get("request_id", line["message"]) for line in lines]


def test_a_process_that_ends_leaves_no_line_behind() -> None:
    assert run("ask(0, 5)") == [f"r{number}" for number in range(5)]


def test_a_process_that_is_killed_loses_the_lines_that_wait_and_no_others() -> None:
    logged = run(f"ask(0, {MAX_HELD + 6}); os.kill(os.getpid(), 9)", status=-9)

    assert logged == [f"r{number}" for number in range(MAX_HELD + 1)]


def test_a_warning_is_written_at_once_and_after_the_lines_before_it() -> None:
    logged = run(
        """
ask(0, 3)
logging.getLogger("flask_guard.health").warning("unwell")
ask(3, 5)
app.test_client().get("/nowhere", headers={"X-Request-Id": "refused"})
os._exit(0)
"""
    )

    assert [each for each in logged if each in ("unwell", "refused") or each[0] == "r"] == logged
    assert logged[:6] == ["r0", "r1", "r2", "unwell", "r3", "r4"]
    assert set(logged[6:]) == {"refused"}


def test_an_idle_process_writes_what_waits() -> None:
    assert run(f"ask(0, 3); time.sleep({HOLD_S} + 1); os._exit(0)") == ["r0", "r1", "r2"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
def test_a_child_writes_its_own_lines_and_the_parent_its_own() -> None:
    logged = run(
        """
ask(0, 5)
children = []
for first in (100, 200):
    child = os.fork()
    if not child:
        ask(first, first + 70)
        sys.exit(0)
    children.append(child)
ask(5, 10)
for child in children:
    os.waitpid(child, 0)
"""
    )

    assert sorted(logged) == sorted(f"r{number}" for number in [*range(10), *range(100, 170), *range(200, 270)])
