"""Types the commands of a console block into a shell, with programs that do what a user's would."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.services.ports import find_free_port

from .markdown import Block
from .support import CONSOLE, TIMEOUT_S, make_environment

# Stands for curl, which not every machine has. It waits for a server that was started a moment ago, as a
# person does, and finds it on the port of this test.
CURL = """
import http.client, itertools, os, sys, time
arguments = sys.argv[1:]
options = [pair for pair in itertools.pairwise(arguments)]
headers = dict(value.split(": ", 1) for option, value in options if option == "-H")
data = next((value for option, value in options if option == "-d"), None)
host, _, path = arguments[-1].partition("/")
assert host == "localhost:5000", host
for _ in range(600):
    try:
        connection = http.client.HTTPConnection("127.0.0.1", int(os.environ["FLASK_RUN_PORT"]), timeout=10)
        connection.request("POST" if data else "GET", "/" + path, body=data, headers=headers)
        break
    except ConnectionRefusedError:
        time.sleep(0.1)
answer = connection.getresponse()
print("ANSWER", answer.status, answer.headers["Content-Type"], answer.read().decode().replace("\\n", " "))
"""

PROGRAMS = {
    "pip": "pass",  # what it would install is on the path
    "curl": CURL,
    "flask": "import sys; from flask.cli import main; main()",
    "flask-guard": CONSOLE,
}


def run_console(block: Block, *, folder: Path, programs: Path) -> str:
    """Run the commands of a block and return what they print, each after a line `== <its first word>`.

    folder: where they are typed. programs: an empty folder. A command that fails fails the test.
    """
    for name, code in PROGRAMS.items():
        (programs / f"run-{name}.py").write_text(code)  # a flask.py would hide the library
        (programs / name).write_text(f'#!/bin/sh\nexec {sys.executable} {programs}/run-{name}.py "$@"\n')
        (programs / name).chmod(0o755)

    script = ["set -eu", "trap 'kill $(jobs -p)' EXIT"]
    for command in block.commands():
        script += [f"echo '== {command.split()[0]}'", command]
    path = os.pathsep.join((str(programs), os.environ["PATH"]))
    done = subprocess.run(
        ["bash", "-c", "\n".join(script)],
        cwd=folder,
        env=make_environment(PATH=path, FLASK_RUN_PORT=str(find_free_port())),
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def find_answers(output: str) -> list[tuple[int, str, dict[str, Any]]]:
    """Return status, media type and JSON of every answer that curl got."""
    lines = [line.split(" ", 3) for line in output.splitlines() if line.startswith("ANSWER ")]
    return [(int(status), media_type, json.loads(body)) for _, status, media_type, body in lines]


def find_run_commands(output: str) -> list[str]:
    """Return the first word of each command that was run."""
    return [line.removeprefix("== ") for line in output.splitlines() if line.startswith("== ")]
