"""The blocks of the documentation: names that are imported and called exist, commands and options too.

A block is often a part of a program, so it is not run here; the quick start is, in `test_readme`.
"""

from __future__ import annotations

import ast
import importlib
import re
import shlex
from collections.abc import Iterator

import click
import pytest

from flask_guard import Guard
from flask_guard.cli.main import guard as guard_commands
from flask_guard.cli.main import main as own_commands

from .markdown import Block, find_blocks, find_pages

BLOCKS = [block for page in find_pages() for block in find_blocks(page)]
PYTHON = [block for block in BLOCKS if block.language == "python"]
CONSOLE = [block for block in BLOCKS if block.language in ("console", "sh", "shell", "bash")]

# `flask guard routes --lock x`, `flask --app notes guard routes`, `flask-guard demo`, also inside of $( ).
_GUARD_COMMAND = re.compile(r"\bflask(?P<own>-guard\b|(?: --app \S+)? guard\b)(?P<arguments>[^|;&)>]*)")


def find_guard_commands(block: Block) -> Iterator[tuple[click.Group, list[str]]]:
    for command in block.commands():
        for match in _GUARD_COMMAND.finditer(command):
            group = own_commands if match["own"] == "-guard" else guard_commands
            yield group, shlex.split(match["arguments"])


COMMANDS = [
    pytest.param(group, arguments, id=f"{block} {' '.join(arguments)}")
    for block in CONSOLE
    for group, arguments in find_guard_commands(block)
]


def test_blocks_are_found() -> None:
    assert {block.page for block in PYTHON} >= {"README.md"}
    assert len(COMMANDS) >= 3


@pytest.mark.parametrize("block", PYTHON, ids=str)
def test_a_block_of_python_can_be_read(block: Block) -> None:
    compile(block.text, str(block), "exec", dont_inherit=True)


@pytest.mark.parametrize("block", PYTHON, ids=str)
def test_what_a_block_imports_from_the_kit_is_there(block: Block) -> None:
    for node in ast.walk(ast.parse(block.text)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "flask_guard":
            module = importlib.import_module(node.module or "")
            missing = [name.name for name in node.names if not hasattr(module, name.name)]
            assert not missing, f"{node.module} has no {missing}"


@pytest.mark.parametrize("block", PYTHON, ids=str)
def test_what_a_block_asks_of_a_guard_is_there(block: Block) -> None:
    asked = {
        node.attr
        for node in ast.walk(ast.parse(block.text))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "guard"
    }

    assert [name for name in sorted(asked) if not hasattr(Guard, name)] == []


@pytest.mark.parametrize(("group", "arguments"), COMMANDS)
def test_a_command_and_its_options_are_there(group: click.Group, arguments: list[str]) -> None:
    command: click.Command | None = group

    while isinstance(command, click.Group):
        name, *arguments = arguments
        command = command.get_command(click.Context(command), name)

    assert command is not None, name
    command.make_context(name, arguments)
