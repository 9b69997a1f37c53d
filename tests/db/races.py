"""Runs things at the same moment: calls in threads, scripts in processes (where a fork meets no thread)."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from typing import Any


def run_processes(script: str, *arguments: str, count: int) -> list[str]:
    """Return what `count` interpreters printed that ran the script at the same moment; all must end well.

    The script waits at `start()`, which returns when every one of them has come so far.
    """
    prelude = "import sys\ndef start():\n    print('ready', flush=True)\n    sys.stdin.readline()\n"
    command = [sys.executable, "-P", "-W", "error", "-c", prelude + script, *arguments]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    running = [
        subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )
        for _ in range(count)
    ]
    for process in running:
        assert process.stdout is not None
        process.stdout.readline()
    for process in running:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    outputs = [process.communicate(timeout=60) for process in running]
    for process, (_output, errors) in zip(running, outputs, strict=True):
        assert process.returncode == 0, errors
    return [output.strip() for output, _errors in outputs]


def run_threads(calls: Sequence[Callable[[], Any]]) -> list[Any]:
    """Return what each call returned or raised; they start together, each in a thread of its own."""
    barrier = threading.Barrier(len(calls))
    outcomes: list[Any] = [None] * len(calls)

    def run(number: int, call: Callable[[], Any]) -> None:
        barrier.wait()
        try:
            outcomes[number] = call()
        except Exception as exc:
            outcomes[number] = exc

    threads = [threading.Thread(target=run, args=item) for item in enumerate(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcomes
