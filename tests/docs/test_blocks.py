"""What the pages show, happens: every Python block runs, every command exists and prints what is below it."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import pytest

from flask_guard.cli.main import guard, main
from flask_guard.tenancy import rules

from .pages import ROOT, Block, list_pages, name_of, read_blocks
from .terminal import Terminal, read_commands, shows

PAGES = [pytest.param(page, id=name_of(page)) for page in list_pages()]
MARKS = {"file", "more", "not run", "quick-start"}
# Commands in running text and in other blocks count too: `flask guard routes --check access.lock`.
_MENTION = re.compile(r"`((?:flask guard|flask-guard) [^`\n]+)`")


@pytest.fixture
def terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """A terminal in a temporary folder, of a process that knows the tables of no other page."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(rules, "_by_name", {})
    return Terminal(tmp_path, monkeypatch)


@contextmanager
def logging_of_a_process(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Take pytest's handlers away: an application that finds one writes no lines of its own."""
    loggers = [logging.root, *map(logging.getLogger, ("flask_guard", "app", "page"))]
    with monkeypatch.context() as patch:
        for logger in loggers:
            patch.setattr(logger, "handlers", [])
            patch.setattr(logger, "level", logging.NOTSET if logger is not logging.root else logging.WARNING)
        yield
    logging.root.manager._clear_cache()  # type: ignore[attr-defined]  # levels are remembered


@pytest.mark.parametrize("page", PAGES)
def test_a_page_can_be_followed(page: Path, terminal: Terminal) -> None:
    """Its blocks, in their order: Python in one namespace, files in a folder, commands in one terminal."""
    namespace: dict[str, Any] = {"__name__": "page"}

    with logging_of_a_process(terminal.patch):
        for block in read_blocks(page.read_text("utf-8")):
            where = f"{name_of(page)}:{block.line}"
            assert set(block.marks) <= MARKS, f"{where}: an unknown mark"
            if "not run" not in block.marks:
                _run(block, where, terminal=terminal, namespace=namespace)
    assert not terminal.unread, f"{terminal.unread} of {name_of(page)} was never run"


def _run(block: Block, where: str, *, terminal: Terminal, namespace: dict[str, Any]) -> None:
    if block.language == "json":
        json.loads(block.text)
    if "file" in block.marks or "quick-start" in block.marks:
        terminal.write(block.marks.get("file") or "app.py", block.text)
    elif "more" in block.marks:
        terminal.write(block.marks["more"], f"\n\n{block.text}", adds=True)
    elif block.language == "python":
        exec(compile(block.text, where, "exec", dont_inherit=True), namespace)  # noqa: S102  our own pages
    elif block.language == "console":
        for command in read_commands(block.text):
            printed = terminal.run(command.line)
            # A page may leave out what a command prints, but not that it fails.
            is_right = shows(command.expected, printed) if command.expected else terminal.status == 0
            assert is_right, f"{where}: {command.line} printed\n{printed}"


@pytest.mark.parametrize("page", PAGES)
def test_the_commands_of_a_page_exist(page: Path) -> None:
    """Their names and options are those of the program, also where a block is not run."""
    text = page.read_text("utf-8")
    blocks = [block for block in read_blocks(text) if block.language == "console"]
    lines = [command.line for block in blocks for command in read_commands(block.text)]

    for line in [*lines, *_MENTION.findall(text)]:
        for program, arguments in _find_calls(line):
            _require_command(program, arguments, where=f"{name_of(page)}: {line}")


def _find_calls(line: str) -> Iterator[tuple[click.Command, list[str]]]:
    """Yield (group, words after it) for each call of our commands in a line, also inside of `$(...)`."""
    for program, words in re.findall(r"(flask guard|flask-guard)((?: [^\s;|&()#]+)*)", line):
        yield (guard if program == "flask guard" else main), words.split()


def _require_command(command: click.Command, words: list[str], *, where: str) -> None:
    context = click.Context(command)
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        found = command.get_command(context, words[0])
        assert found is not None, f"{where}: there is no command {words[0]!r}"
        command, words = found, words[1:]
    known = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
    known |= set(command.get_help_option_names(context))
    for word in words:
        name = word.partition("=")[0]
        assert not name.startswith("-") or name in known, f"{where}: {command.name} has no option {name!r}"


# The tools of these tests: a terminal that took everything for right would prove nothing ----------------


@pytest.mark.parametrize(
    ("expected", "printed", "is_shown"),
    [
        ("one\ntwo", "one\ntwo\n", True),
        ("one", "one\ntwo\n", False),
        ("one\n...", "one\ntwo\nthree", True),
        ("...\ntwo", "two", True),
        ("id ...", "id 1234", True),
        ("id ...", "id 12\n34", False),
        ("a.c", "abc", False),
        ("one", "", False),
    ],
)
def test_an_output_is_compared_line_by_line(expected: str, printed: str, is_shown: bool) -> None:
    assert shows(expected, printed) is is_shown


@pytest.mark.parametrize(
    ("lines", "printed"),
    [
        (["A=b", "echo $A '$A' \"$A\""], "b $A b\n"),
        (["export A='x y'", 'echo "$A"   # a comment'], "x y\n"),
        (["echo one > f", "cat f"], "one\n"),
        (["echo 'A=\"1 2\"' > f", "set -a; . ./f; set +a", "echo $A"], "1 2\n"),
        (["A=$(echo one)", "echo $A$A"], "oneone\n"),
        (['echo "in $(echo quotes)"'], "in quotes\n"),
    ],
    ids=["quotes", "export", "redirect", "environment-file", "substitution", "quoted-substitution"],
)
def test_the_terminal_reads_lines_as_a_shell_does(terminal: Terminal, lines: list[str], printed: str) -> None:
    assert [terminal.run(line) for line in lines][-1] == printed


def test_an_unknown_word_fails(terminal: Terminal) -> None:
    with pytest.raises(AttributeError, match="_do_rm"):
        terminal.run("rm -rf /")


@pytest.mark.parametrize("line", ["flask guard rotues", "flask guard routes --lok f", "TOKEN=$(flask guard tokn)"])
def test_a_command_that_is_not_there_is_found(line: str) -> None:
    [(program, arguments)] = _find_calls(line)

    with pytest.raises(AssertionError, match=r"there is no command|has no option"):
        _require_command(program, arguments, where="a page")


def test_the_quick_start_of_the_readme_is_among_the_pages() -> None:
    blocks = read_blocks((ROOT / "README.md").read_text("utf-8"))

    assert [block.language for block in blocks if "quick-start" in block.marks] == ["python"]
