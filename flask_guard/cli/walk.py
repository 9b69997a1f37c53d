"""What a step of `flask-guard demo` is: it shows one promise of the example and checks it while it does.

`Ask` is a request with the answer that it must get, `Act` is anything else. The steps are in `walk_steps`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path
from typing import Any

from flask import Flask

from ..extension import Guard
from .transcript import Answer, Credential, Mismatch, Transcript, ask_server

# The beginning of the names of variables that would change what the example does.
_FOREIGN = ("GUARD_", "NOTES_", "FLASK_")
_COMMAND_TIMEOUT_S = 60

# The site whose pages may use the example from a browser.
APP_ORIGIN = "https://app.example.com"

SECURITY_HEADERS = (
    "Content-Security-Policy",
    "X-Content-Type-Options",
    "X-Frame-Options",
    "Referrer-Policy",
    "Permissions-Policy",
    "X-XSS-Protection",
    "Cross-Origin-Resource-Policy",
    "X-Request-Id",
)


@dataclass(frozen=True, slots=True)
class Example:
    """The example while it runs. source: the folder to import it from. folder: an empty one, for files.

    settings: the variables that it was started with.
    """

    app: Flask
    guard: Guard
    port: int
    secret: str
    source: Path
    folder: Path
    settings: Mapping[str, str]


@dataclass(slots=True)
class Walk:
    """Where the walk is: who there is to ask as, and what was learned on the way (`{note}` in a path)."""

    example: Example
    transcript: Transcript
    credentials: dict[str, Credential]
    learned: dict[str, str] = field(default_factory=dict)

    def ask(self, ask: Ask) -> Answer:
        """Send a request, show it and its answer, and hold the answer against what it must be."""
        path, credential = ask.path.format_map(self.learned), self._credential_of(ask)
        self.transcript.show_request(
            f"{ask.method} {path}", credential=credential, headers=ask.make_headers(), body=ask.make_body()
        )
        answer = self.send(ask)
        self.transcript.show_answer(answer, (*ask.headers, *ask.shows))
        ask.check(answer)
        return answer

    def send(self, ask: Ask) -> Answer:
        """Send a request and show nothing."""
        credential = self._credential_of(ask)
        proof = {credential.header: credential.value} if credential else {}
        return ask_server(
            self.example.port,
            ask.method,
            ask.path.format_map(self.learned),
            headers=ask.make_headers() | proof,
            body=ask.make_body().encode() or None,
        )

    def _credential_of(self, ask: Ask) -> Credential | None:
        return self.credentials[ask.by] if ask.by else None

    def run_flask(self, app: str, *arguments: str, exit_code: int = 0) -> str:
        """Run a command of `flask --app ...`, show it and its output, and return the output."""
        self.transcript.show_code(f"$ flask --app {app} {' '.join(arguments)}")
        output = self.read_flask(app, *arguments, exit_code=exit_code)
        self.transcript.show_output(output)
        return output

    def read_flask(self, app: str, *arguments: str, exit_code: int = 0) -> str:
        """Run a command of `flask --app ...` and return its output. Raises Mismatch for another exit code."""
        done = subprocess.run(  # noqa: S603  our own Python with arguments from this file
            [sys.executable, "-m", "flask", "--app", app, *arguments],
            cwd=self.example.folder,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(_import_path(self.example.source))},
            capture_output=True,
            text=True,
            timeout=_COMMAND_TIMEOUT_S,
            check=False,
        )
        output = done.stdout + done.stderr
        if done.returncode != exit_code:
            raise Mismatch(f"The exit code should be {exit_code}, not {done.returncode}:\n{output}")
        return output


def _import_path(source: Path) -> list[str]:
    """Return where a child process finds the example and this package."""
    inherited = os.environ.get("PYTHONPATH")
    package = str(Path(__file__).parents[2])
    return [str(source), package, *([inherited] if inherited else [])]


@dataclass(frozen=True, slots=True)
class Ask:
    """A step that sends a request. says: what it shows, in one or two sentences.

    by: the name of a credential. sends: further headers.
    body: text is sent as it is, anything else as JSON, None not at all.
    status, code, members, headers: what the answer must have, code being that of its problem document.
    shows: further headers to print, which must be there.
    """

    says: str = ""
    _: KW_ONLY
    method: str = "GET"
    path: str
    by: str = ""
    sends: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    status: int
    code: str | None = None
    members: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    shows: tuple[str, ...] = ()

    def take(self, walk: Walk) -> None:
        walk.ask(self)

    def make_headers(self) -> dict[str, str]:
        return {**({} if self.body is None else {"Content-Type": "application/json"}), **self.sends}

    def make_body(self) -> str:
        if self.body is None or isinstance(self.body, str):
            return self.body or ""
        return json.dumps(self.body)

    def check(self, answer: Answer) -> None:
        """Raise Mismatch for the first thing that is not as it must be."""
        expect("status", answer.status, self.status)
        for name, value in self._expected_members().items():
            expect(f"member {name!r}", answer.members.get(name), value)
        for name, value in self.headers.items():
            expect(f"header {name}", answer.find_header(name), value)
        for name in (*self.shows, *SECURITY_HEADERS):
            if answer.find_header(name) is None:
                raise Mismatch(f"The answer should have the header {name}.")

    def _expected_members(self) -> dict[str, Any]:
        if self.code is None:
            return dict(self.members)
        return {
            "code": self.code,
            "status": self.status,
            "type": f"urn:flask-guard:error:{self.code}",
            **self.members,
        }


@dataclass(frozen=True, slots=True)
class Act:
    """A step that is a function. says: what it shows."""

    says: str
    take: Callable[[Walk], None]


def expect(what: str, actual: Any, expected: Any) -> None:
    if actual != expected:
        raise Mismatch(f"The {what} should be {expected!r}, not {actual!r}.")


@contextmanager
def only_settings(**settings: str) -> Iterator[None]:
    """Let the settings of the shell be forgotten for a while: the demo is the same for everybody."""
    saved = dict(os.environ)
    for name in [name for name in saved if name.startswith(_FOREIGN)]:
        del os.environ[name]
    os.environ.update(settings)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(saved)
