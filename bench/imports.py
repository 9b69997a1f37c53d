"""What it costs to start: fresh interpreters that import Flask first and then something more.

The libraries take turns, and each run compares with its own `import flask`, so that a slow moment meets both.
Rule: the first run of each is thrown away. It writes the byte code that the others read, into a folder of this
bench, whatever the environment says about writing byte code.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from .measure import Spread, scaled
from .report import Report, Target, show

ROUNDS = 15
LEAST_RUNS = 9
TARGET = Target(80, unit=" ms")
_ROOT = Path(__file__).resolve().parent.parent

# GUARD_LOG_LEVEL error: the first answer is a 404, whose access line would stand between the tables.
_GUARDED = (
    "import secrets; from flask_guard import Guard; app = flask.Flask('app'); "
    "app.config['SECRET_KEY'] = secrets.token_hex(32); "
    "Guard(app, jwt_secret_key=secrets.token_hex(32), log_level='error')"
)
_ANSWERED = f"{_GUARDED}; app.test_client().get('/')"
STATEMENTS = {
    "import flask_guard": "import flask_guard",
    "from flask_guard import Guard": "from flask_guard import Guard",
    "a guarded application": _GUARDED,
    "a guarded application and its first answer": _ANSWERED,
    "a plain application and its first answer": "flask.Flask('app').test_client().get('/')",
    "import flask_jwt_extended": "import flask_jwt_extended",
    "import flask_talisman": "import flask_talisman",
    "import authlib.integrations.flask_oauth2": "import authlib.integrations.flask_oauth2",
    "import flask_security": "import flask_security",
}
_JUDGED = ("import flask_guard", "from flask_guard import Guard", "a guarded application")

_PROGRAM = """
import json, sys, time, warnings
warnings.simplefilter("ignore")
clock = time.process_time
began = clock()
import flask
flask_done = clock()
before = set(sys.modules)
exec(sys.argv[1])
done = clock()
added = set(sys.modules) - before
packages = {name.partition(".")[0] for name in added} - before
json.dump([(flask_done - began) * 1e3, (done - flask_done) * 1e3, len(added), sorted(packages)], sys.stdout)
"""


@dataclass(frozen=True, slots=True)
class Run:
    """One interpreter: milliseconds of `import flask`, those of the statement after it, and what it loaded.

    packages: top-level names that Flask had not loaded.
    """

    flask_ms: float
    added_ms: float
    module_count: int
    packages: list[str]


def run(report: Report, *, scale: float) -> None:
    """Print the table of imports, and what a guarded application loads beside Flask."""
    rounds = max(LEAST_RUNS, scaled(ROUNDS, scale))
    with tempfile.TemporaryDirectory() as byte_code:
        runs = _take_turns(rounds, _child_environ(byte_code))
    report.heading(f"Imports: CPU time over `import flask`, {rounds} fresh interpreters each")
    rows = []
    for name, taken in runs.items():
        added = Spread.of([each.added_ms for each in taken])
        share = Spread.of([each.added_ms / each.flask_ms for each in taken])
        verdict = report.judge(f"Imports, {name}", added.median, TARGET if name in _JUDGED else None)
        rows.append((name, show(share), show(added, 1), *verdict))
    report.table(("case", "x import flask (quartiles)", "ms (quartiles)", "target", "verdict"), rows)
    _list_packages(report, runs["a guarded application"][-1])


def _take_turns(rounds: int, environ: Mapping[str, str]) -> dict[str, list[Run]]:
    for statement in STATEMENTS.values():
        _start(statement, environ)
    runs: dict[str, list[Run]] = {name: [] for name in STATEMENTS}
    names = list(STATEMENTS)
    for number in range(rounds):
        first = number % len(names)
        for name in [*names[first:], *names[:first]]:
            runs[name].append(_start(STATEMENTS[name], environ))
    return runs


def _child_environ(byte_code: str) -> dict[str, str]:
    environ = os.environ | {"PYTHONPATH": str(_ROOT), "PYTHONPYCACHEPREFIX": byte_code}
    environ.pop("PYTHONDONTWRITEBYTECODE", None)
    return environ


def _start(statement: str, environ: Mapping[str, str]) -> Run:
    output = subprocess.run(  # noqa: S603  # our own program
        [sys.executable, "-c", _PROGRAM, statement], env=environ, check=True, stdout=subprocess.PIPE, text=True
    ).stdout
    return Run(*json.loads(output))


def _list_packages(report: Report, loaded: Run) -> None:
    standard = [name for name in loaded.packages if name in sys.stdlib_module_names]
    others = [name for name in loaded.packages if name not in sys.stdlib_module_names]
    report.note(f"A guarded application loads {loaded.module_count} modules beside Flask's.")
    report.note(f"Packages: {', '.join(others)}.")
    report.note(f"Of the standard library: {', '.join(standard) or 'nothing'}.")
