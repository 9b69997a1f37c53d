"""Which rooms of ours, and which large parts of the standard library, an application loads before it needs them.

About modules, never about time: `make bench` measures that. What comes from other packages is in
`test_public_names`. Each case has its opposite, so that a probe that sees nothing cannot pass.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

GUARDED = """
import secrets
from flask_guard import Guard

app = flask.Flask("app", instance_path=sys.argv[1])
guard = Guard(app, jwt_secret_key=secrets.token_hex(32), log_level="error")
guard.compile(app)
"""
# Rooms that a process enters when a key is asked for, a command is run or a test is written.
ROOMS_ON_DEMAND = {"checks", "cli", "db", "extras", "testing"}
# Large, and nothing that answers a request needs them; Flask loads none of them either.
HEAVY = {"asyncio", "multiprocessing", "sqlite3", "unittest"}


def _loaded_by(program: str, *, folder: Path) -> set[str]:
    """Return the modules that a program loads beside Flask's, in a fresh interpreter. folder: for its files."""
    whole = (
        f"import flask, json, sys\nbefore = set(sys.modules)\n{program}\n"
        "print(json.dumps(sorted(set(sys.modules) - before)))"
    )
    command = [sys.executable, "-c", whole, str(folder)]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return set(json.loads(output))


def _rooms(modules: set[str]) -> set[str]:
    return {name.split(".")[1] for name in modules if name.startswith("flask_guard.")}


def test_importing_the_package_enters_no_room(tmp_path: Path) -> None:
    assert _rooms(_loaded_by("import flask_guard", folder=tmp_path)) == set()


@pytest.fixture(scope="module")
def guarded_modules(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    return _loaded_by(GUARDED, folder=tmp_path_factory.mktemp("instance"))


def test_a_guarded_application_enters_the_rooms_of_requests_only(guarded_modules: set[str]) -> None:
    rooms = _rooms(guarded_modules)

    assert {"auth", "config", "pipeline", "wiring"} <= rooms
    assert rooms.isdisjoint(ROOMS_ON_DEMAND)


def test_a_guarded_application_loads_no_heavy_part_of_the_standard_library(guarded_modules: set[str]) -> None:
    assert guarded_modules.isdisjoint(HEAVY)


@pytest.mark.parametrize(
    ("program", "room"),
    [
        pytest.param("guard.api_keys.list_keys()", "db", id="asking for API keys"),
        pytest.param("app.test_cli_runner().invoke(args=['guard', '--help'])", "cli", id="a command"),
    ],
)
def test_a_room_is_entered_when_it_is_asked_for(program: str, room: str, tmp_path: Path) -> None:
    assert room in _rooms(_loaded_by(GUARDED + program, folder=tmp_path))


def test_the_heavy_parts_are_seen_when_they_are_loaded(tmp_path: Path) -> None:
    program = "\n".join(f"import {name}" for name in sorted(HEAVY))

    assert _loaded_by(program, folder=tmp_path) >= HEAVY
