"""How the walk of `flask-guard demo` asks over HTTP, and how it tells a person what it asked and got.

Relies on the standard library and click alone, as any client would. Rule: no credential is printed in full.
"""

from __future__ import annotations

import json
import shutil
import textwrap
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from typing import Any

import click

HOST = "127.0.0.1"
# A step of the demo takes milliseconds; a server that is silent for this long will not answer.
TIMEOUT_S = 30
WIDEST = 100
INDENT = " " * 4
# Bodies beyond this are described, not shown.
_LONGEST_BODY = 400
_SHOWN_OF_SECRET = 16, 6


class Mismatch(Exception):
    """A step did not show what it says. The text tells what was expected and what came."""


@dataclass(frozen=True, slots=True)
class Credential:
    """A header that proves somebody, and for whom it stands, in words for the transcript."""

    header: str
    value: str
    says: str

    @property
    def shown(self) -> str:
        """The header with the middle of its secret left out."""
        scheme, space, secret = self.value.rpartition(" ")
        first, last = _SHOWN_OF_SECRET
        return f"{self.header}: {scheme}{space}{secret[:first]}...{secret[-last:]}"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server sent back. phrase: the words after the status."""

    status: int
    phrase: str
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def find_header(self, name: str) -> str | None:
        return next((value for header, value in self.headers if header.lower() == name.lower()), None)

    @property
    def members(self) -> Mapping[str, Any]:
        """The JSON object in the body; empty when there is none."""
        try:
            value = json.loads(self.body)
        except ValueError:
            return {}
        return value if isinstance(value, dict) else {}


def ask_server(port: int, method: str, path: str, *, headers: Mapping[str, str], body: bytes | None) -> Answer:
    """Send one request over a connection of its own. Raises Mismatch when nobody answers."""
    connection = HTTPConnection(HOST, port, timeout=TIMEOUT_S)
    try:
        connection.request(method, path, body=body, headers=dict(headers))
        response = connection.getresponse()
        return Answer(response.status, response.reason, tuple(response.getheaders()), response.read())
    except (OSError, HTTPException) as exc:
        raise Mismatch(f"{method} {path} should be answered; {type(exc).__name__}: {exc}") from exc
    finally:
        connection.close()


class Transcript:
    """Writes the steps to standard output, no wider than the terminal or 100 columns."""

    def __init__(self) -> None:
        self.width = min(shutil.get_terminal_size((WIDEST, 0)).columns, WIDEST)
        self.room = self.width - len(INDENT)

    def begin(self, number: int, says: str) -> None:
        """Write the number of a step and the sentence of what it shows."""
        lines = textwrap.fill(says, self.width, initial_indent=f"{number:>2}  ", subsequent_indent=INDENT)
        click.echo("\n" + click.style(lines, bold=True))

    def show_request(self, line: str, *, credential: Credential | None, headers: Mapping[str, str], body: str) -> None:
        """Write a request. headers: those beside the credential; body: empty for none."""
        click.echo()
        self._lines([line], color="cyan")
        if credential is not None:
            click.echo(f"{INDENT}{credential.shown}  " + click.style(f"({credential.says})", dim=True))
        self._lines(f"{name}: {value}" for name, value in headers.items())
        self._lines(self._fold(body))

    def show_answer(self, answer: Answer, headers: Iterable[str]) -> None:
        """Write an answer with the headers named, as far as it has them."""
        click.echo()
        self._lines([f"{answer.status} {answer.phrase}"], color="green" if answer.status < 400 else "yellow")
        for name in headers:
            value = answer.find_header(name)
            if value is not None:
                self._lines(self._wrap(f"{name}: {value}"))
        self._lines(self._pretty(answer.body))

    def show_code(self, *lines: str) -> None:
        """Write commands or lines of code as a person would type them."""
        click.echo()
        self._lines(lines, color="cyan")

    def show_output(self, text: str) -> None:
        """Write what a program says."""
        for line in text.rstrip().splitlines():
            self._lines(self._wrap(line))

    def _lines(self, lines: Iterable[str], *, color: str | None = None) -> None:
        for line in lines:
            click.echo(INDENT + (click.style(line, fg=color) if color else line) if line else "")

    def _wrap(self, line: str) -> list[str]:
        """Return a line as one or more, those that continue it farther to the right."""
        continued = line[: len(line) - len(line.lstrip())] + INDENT
        return textwrap.wrap(line, self.room, subsequent_indent=continued, break_on_hyphens=False) or [line]

    def _fold(self, body: str) -> list[str]:
        if len(body) > _LONGEST_BODY:
            return [f"({len(body):,} bytes of JSON)"]
        return self._wrap(body) if body else []

    def _pretty(self, body: bytes) -> list[str]:
        """Return JSON on one line if it fits, else one member a line; anything else as it is."""
        try:
            value = json.loads(body)
        except ValueError:
            return self._wrap(body.decode("utf-8", "replace"))
        line = json.dumps(value)
        if len(line) <= self.room:
            return [line]
        return [wrapped for line in json.dumps(value, indent=2).splitlines() for wrapped in self._wrap(line)]
