"""What tests of the examples share: where things are, and how a user's process is started."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
TIMEOUT_S = 100

# The console command `flask-guard`, whether or not the package is installed.
CONSOLE = "from flask_guard.cli.main import main; main()"


def make_environment(**variables: str) -> dict[str, str]:
    """Return the environment of a user's shell: no settings but these, and the checkout can be imported."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("GUARD_", "FLASK_", "NOTES_"))}
    path = os.pathsep.join(filter(None, (str(ROOT), kept.get("PYTHONPATH"))))
    return {**kept, "PYTHONPATH": path, "PYTHONUTF8": "1", **variables}


def run_python(
    code: str, *arguments: str, cwd: Path, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run Python code in a process of its own and return what came of it."""
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=cwd,
        env=dict(environment or make_environment()),
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
