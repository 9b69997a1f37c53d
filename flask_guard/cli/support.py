"""What commands share: the exit codes, the output formats, and how an error is told.

Exit codes: 0 done and clean, 1 findings, 2 could not run.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Sequence
from typing import Any, NoReturn, TypeVar, cast

import click
from flask import current_app

from ..config.kinds import Kind
from ..errors import GuardError, Refusal
from ..pipeline.runtime import EXTENSION_KEY, Runtime

EXIT_FINDINGS = 1
EXIT_COULD_NOT_RUN = 2
Command = TypeVar("Command", bound=Callable[..., Any])


def find_runtime() -> Runtime:
    """Return the runtime of the application that the command was called for."""
    return cast(Runtime, current_app.extensions[EXTENSION_KEY])


def format_option(*formats: str) -> Callable[[Command], Command]:
    """Add `--format`; the first one is the default."""
    return click.option(
        "--format",
        "output",
        type=click.Choice(formats),
        default=formats[0],
        show_default=True,
        help="Form of the output.",
    )


def could_not_run(message: str) -> NoReturn:
    """End the command with the exit code of one that could not run."""
    click.echo(f"Error: {message}", err=True)
    raise SystemExit(EXIT_COULD_NOT_RUN)


def tells_errors(command: Command) -> Command:
    """Let the command end with one clear sentence instead of a traceback when the kit refuses."""

    @functools.wraps(command)
    def run(*args: Any, **kwargs: Any) -> Any:
        try:
            return command(*args, **kwargs)
        except Refusal as exc:
            could_not_run(exc.text)  # its detail is for the log
        except GuardError as exc:
            could_not_run(str(exc))

    return cast(Command, run)


class Checked(click.ParamType):  # type: ignore[type-arg]  # generic from click 8.4 on, and only for checkers
    """Text that a kind of setting would read. A fault is told with the name of the option, and the text stays."""

    name = "text"

    def __init__(self, kind: Kind) -> None:
        self._kind = kind

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            self._kind(value)
        except ValueError as exc:
            self.fail(f"{exc}.", param, ctx)
        return value


def echo_json(value: Any) -> None:
    click.echo(json.dumps(value, indent=2, ensure_ascii=False, default=str))


def make_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return rows as columns of text."""
    widths = [max(len(str(row[column])) for row in [header, *rows]) for column in range(len(header))]
    lines = [header, ["-" * width for width in widths], *rows]
    return "\n".join(
        "  ".join(str(cell).ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def make_markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return rows as a Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in lines)
