"""The README's quick start and the commands of the examples' README, typed into a shell as they stand."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from .markdown import Block, find_blocks
from .shell import find_answers, find_run_commands, run_console
from .support import EXAMPLES, ROOT


def find_quick_start() -> tuple[Block, Block]:
    """Return the program and the commands."""
    blocks = list(find_blocks(ROOT / "README.md"))
    marked = [number for number, block in enumerate(blocks) if block.mark == "quick-start"]
    assert len(marked) == 1
    return blocks[marked[0]], blocks[marked[0] + 1]


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What the commands of the quick start print."""
    folder = tmp_path_factory.mktemp("app")
    program, console = find_quick_start()
    (folder / "app.py").write_text(program.text)
    return run_console(console, folder=folder, programs=tmp_path_factory.mktemp("bin"))


def test_every_command_of_the_quick_start_is_run(output: str) -> None:
    names = find_run_commands(output)

    assert names == ["pip", "export", "flask", "sleep", "curl", "TOKEN=$(flask", "curl", "flask"]


def test_the_first_request_is_refused_with_the_reason_as_a_problem(output: str) -> None:
    status, media_type, problem = find_answers(output)[0]

    assert (status, media_type) == (401, "application/problem+json")
    assert problem["code"] == "unauthorized"


def test_the_token_of_the_command_is_accepted(output: str) -> None:
    status, _, body = find_answers(output)[1]

    assert (status, body) == (200, {"id": "ada", "roles": ["editor"]})


@pytest.mark.parametrize(
    "words",
    [
        ("GET", "/", "index", "public", "front page"),
        ("GET", "/me", "me", "authenticated"),
        ("DELETE", "/notes/<int:note_id>", "delete_note", "role(editor)"),
    ],
    ids=["a public route", "a route without a rule", "a route with a role"],
)
def test_the_map_of_the_routes_says_who_may_call(output: str, words: tuple[str, ...]) -> None:
    lines = [" ".join(line.split()) for line in output.splitlines()]

    assert any(line.startswith(" ".join(words)) for line in lines)


def test_the_example_can_be_used_as_its_readme_says(tmp_path: Path) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    shutil.copytree(EXAMPLES, tmp_path / "examples", ignore=shutil.ignore_patterns("instance", "__pycache__"))
    commands = next(find_blocks(EXAMPLES / "README.md"))

    output = run_console(commands, folder=tmp_path, programs=programs)

    assert find_run_commands(output) == ["export", "flask", "TOKEN=$(flask", "curl", "flask"]
    ((status, _, note),) = find_answers(output)
    assert (status, note["title"], note["owner"]) == (201, "Milk", "ada")
    assert (tmp_path / "examples" / "instance" / "notes.sqlite3").is_file()
