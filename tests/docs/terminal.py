"""A terminal for the console blocks of the documentation: the few words of a shell that pages use.

`flask guard` and `flask-guard` are the real commands, `flask run` loads the application from the folder and
`curl` asks it; all in this process, so that a page is run in a moment. Rule: a word that is not known here
fails, so that no page shows a command that was never tried.
"""

from __future__ import annotations

import importlib.util
import io
import os
import re
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from click.testing import CliRunner
from flask import Flask
from flask.cli import FlaskGroup, ScriptInfo, find_best_app
from werkzeug.datastructures import Headers
from werkzeug.test import Client

from flask_guard.cli.main import main as flask_guard

# What a page may show and this terminal only passes over: it is about installing, or starts real servers.
NOT_RUN = frozenset({"pip", "gunicorn", "make", "git", "cd"})
_PROMPT = "$ "
SERVER = "the server"  # what $! says, the number of what runs in the background
_WORD = re.compile(
    r"""(?P<blank>[ \t\n]+)|(?P<comment>\#[^\n]*)|(?P<operator>2>|>>|>|;|&)|'(?P<literal>[^']*)'"""
    r"""|"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<command>\$\((?:[^()"]|"[^"]*")*\))|(?P<variable>\$(?:\w+|[?!]))|\\(?P<escaped>.)"""
    r"""|(?P<plain>[^\s'"\\$;>&]+)""",
    re.DOTALL,
)
_EXPANSION = re.compile(r"\$\(([^()]*)\)|\$(\w+|[?!])|\\(.)", re.DOTALL)
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=")


@dataclass(frozen=True, slots=True)
class Command:
    """One command of a console block. expected: the lines shown below it, empty for none."""

    line: str
    expected: str


def read_commands(text: str) -> list[Command]:
    """Return the commands of a console block; without prompts, each line is one.

    A command goes on while it ends in `\\` or in an open quote.
    """
    lines = text.splitlines()
    if not text.startswith(_PROMPT):
        return [Command(line, "") for line in lines]
    commands = []
    while lines:
        line = lines.pop(0).removeprefix(_PROMPT)
        while lines and (line.endswith("\\") or _has_open_quote(line)):
            line = line.removesuffix("\\") + "\n" + lines.pop(0)
        output = []
        while lines and not lines[0].startswith(_PROMPT):
            output.append(lines.pop(0))
        commands.append(Command(line, "\n".join(output)))
    return commands


def _has_open_quote(line: str) -> bool:
    closed = re.sub(r"'[^']*'|\"(?:[^\"\\]|\\.)*\"|(?<=\s)#[^\n]*", "", line)
    return "'" in closed or '"' in closed


def shows(expected: str, output: str) -> bool:
    """Say whether an output is what a page shows. `...` stands for any text of a line, alone for any lines."""
    pattern = ""
    for line in expected.splitlines():
        if line.strip() == "...":
            pattern += r"(?:[^\n]*\n)*?"
        else:
            pattern += "[^\n]*?".join(re.escape(part) for part in line.rstrip().split("...")) + "\n"
    lines = "".join(f"{line.rstrip()}\n" for line in output.strip("\n").splitlines())
    return re.fullmatch(pattern, lines) is not None


@dataclass
class Terminal:
    """One session in a folder. patch: undoes what is exported. unread: files of the page that were never run."""

    folder: Path
    patch: pytest.MonkeyPatch
    status: int = 0
    variables: dict[str, str] = field(default_factory=dict)
    unread: set[str] = field(default_factory=set)
    _is_captured: bool = False
    _server: Flask | None = None
    _server_log: Path | None = None
    _jars: dict[str, Client] = field(default_factory=dict)

    def write(self, name: str, text: str, *, adds: bool = False) -> None:
        """Write a file of the page, or add to it. One that is replaced must have been run before."""
        assert adds or name not in self.unread, f"{name} is replaced and was never run"
        with (self.folder / name).open("a" if adds else "w") as file:
            file.write(text)
        if name.endswith(".py"):
            self.unread.add(name)

    def run(self, line: str) -> str:
        """Return what a line of commands prints."""
        output = ""
        for words, files in self._split(line):
            if ">" in files:
                with self._captured():
                    (self.folder / files[">"]).write_text(self._run_one(words, files))
            else:
                output += self._run_one(words, files)
        return output

    @contextmanager
    def _captured(self) -> Iterator[None]:
        """Within, a command's output is what it writes to standard output alone."""
        before, self._is_captured = self._is_captured, True
        yield
        self._is_captured = before

    def _split(self, line: str) -> Iterator[tuple[list[str], dict[str, str]]]:
        """Yield (words, files by redirection) for each command of a line."""
        words: list[str] = [""]
        files: dict[str, str] = {}
        operator = ""
        for match in [*_WORD.finditer(line), None]:
            kind = match.lastgroup if match is not None else "end"
            if kind in ("blank", "operator", "end") and words[-1]:
                if operator:
                    files[operator], operator = words.pop(), ""
                words.append("")
            if match is not None and kind == "operator" and match[0] in (">", "2>"):
                operator = match[0]
            elif kind in ("operator", "end"):
                if len(words) > 1:
                    yield words[:-1], files
                words, files = [""], {}
            elif match is not None and kind not in ("blank", "comment"):
                words[-1] += self._expand(match)

    def _expand(self, match: re.Match[str]) -> str:
        """Return the text of a token. What a command prints stays one word: no page needs it taken apart."""
        if match["command"] is not None:
            return self._print(match["command"][2:-1])
        if match["quoted"] is not None:
            return _EXPANSION.sub(self._expand_inside, match["quoted"])
        if match["variable"] is not None:
            return self._value_of(match["variable"][1:])
        return match[str(match.lastgroup)]

    def _expand_inside(self, match: re.Match[str]) -> str:
        if match[1] is not None:
            return self._print(match[1])
        if match[2] is not None:
            return self._value_of(match[2])
        return match[3] if match[3] in '"$`\\' else match[0]

    def _print(self, line: str) -> str:
        with self._captured():
            printed = self.run(line)
        assert self.status == 0, f"{line} failed"
        return printed.rstrip("\n")

    def _value_of(self, name: str) -> str:
        if name in ("?", "!"):
            return str(self.status) if name == "?" else SERVER
        return self.variables[name] if name in self.variables else os.environ[name]

    def _run_one(self, words: list[str], files: dict[str, str]) -> str:
        count = next((at for at, word in enumerate(words) if not _ASSIGNMENT.match(word)), len(words))
        assigned = dict(word.split("=", 1) for word in words[:count])
        if count == len(words):
            self.variables |= assigned
            return ""
        with pytest.MonkeyPatch.context() as once:
            for name, value in assigned.items():
                once.setenv(name, value)
            return self._run_word(words[count], words[count + 1 :], files)

    def _run_word(self, word: str, rest: list[str], files: dict[str, str]) -> str:
        self.status = 0
        if word in NOT_RUN:
            return ""
        if word == "flask" and rest[0] == "run":
            return self._start_server(files.get("2>"))
        if word == "flask":
            return self._invoke(FlaskGroup(create_app=self._load_app, load_dotenv=False), rest)
        if word == "flask-guard":
            return self._invoke(flask_guard, rest)
        if word == "curl":
            return self._ask(rest)
        builtin: Callable[[list[str]], str] = getattr(self, f"_do_{word}")
        return builtin(rest)

    def _do_export(self, words: list[str]) -> str:
        for word in words:
            name, _, value = word.partition("=")
            self.patch.setenv(name, value)
        return ""

    def _do_unset(self, names: list[str]) -> str:
        for name in names:
            self.patch.delenv(name)
        return ""

    def _do_set(self, words: list[str]) -> str:
        assert words in (["-a"], ["+a"])  # what `.` reads is exported here in any case
        return ""

    def _do_source(self, words: list[str]) -> str:
        for line in (self.folder / words[0]).read_text().splitlines():
            for found, _ in self._split(line):
                self._do_export(found)
        return ""

    def _do_echo(self, words: list[str]) -> str:
        return " ".join(words) + "\n"

    def _do_python3(self, words: list[str]) -> str:
        assert words[0] == "-c"
        with redirect_stdout(io.StringIO()) as printed:
            exec(words[1], {})  # noqa: S102  our own pages
        return printed.getvalue()

    def _do_sleep(self, words: list[str]) -> str:
        time.sleep(float(words[0]))
        return ""

    def _do_cat(self, words: list[str]) -> str:
        return (self.folder / words[0]).read_text()

    def _do_grep(self, words: list[str]) -> str:
        lines = (self.folder / words[1]).read_text().splitlines(keepends=True)
        return "".join(line for line in lines if words[0] in line)

    def _do_kill(self, words: list[str]) -> str:
        assert words == [SERVER]
        assert self._server is not None, "there is no server to stop"
        self._server = None
        return ""

    def _invoke(self, group: object, arguments: list[str]) -> str:
        result = CliRunner().invoke(group, arguments)  # type: ignore[arg-type]
        self.status = result.exit_code
        output = result.stdout if self._is_captured else result.output
        if result.exception is None or isinstance(result.exception, SystemExit):
            return output
        return output + "".join(traceback.format_exception(result.exception))

    def _load_app(self, info: ScriptInfo | None = None) -> Flask:
        """Return the application in app.py, read anew as a new process would."""
        self.unread.discard("app.py")
        spec = importlib.util.spec_from_file_location("app", self.folder / "app.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        self.patch.setitem(sys.modules, "app", module)
        spec.loader.exec_module(module)
        return find_best_app(module)

    def _start_server(self, log: str | None) -> str:
        self._server_log = self.folder / log if log else None
        with self._logged():
            self._server = self._load_app()
        return ""

    @contextmanager
    def _logged(self) -> Iterator[None]:
        """Within, what goes to standard error is the server's and goes to its log."""
        errors = io.StringIO()
        with redirect_stderr(errors):
            yield
        if self._server_log is not None:
            with self._server_log.open("a") as log:
                log.write(errors.getvalue())

    def _ask(self, words: list[str]) -> str:
        """Ask the application as curl does: -i, -s, -X, -H, -d, --json, -b, -c, and an address on localhost:5000."""
        method, body, path, shows_head = None, None, "", False
        headers, implied, jars = Headers(), {"User-Agent": "curl/8"}, dict[str, str]()
        while words:
            word = words.pop(0)
            if word in ("-i", "-s"):
                shows_head |= word == "-i"
            elif word == "-X":
                method = words.pop(0)
            elif word == "-H":
                name, _, value = words.pop(0).partition(":")
                headers.add(name, value.strip())
            elif word == "-d":
                body = words.pop(0)
                implied |= {"Content-Type": "application/x-www-form-urlencoded"}
            elif word == "--json":
                body = words.pop(0)
                implied |= {"Content-Type": "application/json", "Accept": "application/json"}
            elif word in ("-b", "-c"):
                jars[word] = words.pop(0)
            else:
                assert word.startswith("localhost:5000/"), word
                path = word.removeprefix("localhost:5000")
        for name, value in implied.items():
            headers.setdefault(name, value)
        with self._logged():
            answer = self._open_client(jars.get("-b"), jars.get("-c")).open(
                path,
                base_url="http://localhost:5000",
                method=method or ("GET" if body is None else "POST"),
                data=body,
                headers=headers,
                environ_overrides={"REMOTE_ADDR": "127.0.0.1"},
            )
        head = f"HTTP/1.1 {answer.status}\n" + "".join(f"{name}: {value}\n" for name, value in answer.headers)
        return (f"{head}\n" if shows_head else "") + answer.get_data(as_text=True)

    def _open_client(self, cookies_from: str | None, cookies_to: str | None) -> Client:
        """Return who asks, with the cookies of a file; a page keeps them in the file that they come from."""
        assert self._server is not None, "the page has not started the server"
        assert cookies_from in (None, cookies_to)
        if cookies_to is None:
            return Client(self._server, use_cookies=False)
        if cookies_from is None:
            self._jars[cookies_to] = Client(self._server)
        client = self._jars[cookies_to]
        client.application = self._server
        return client


# `.` and `source` are one word.
setattr(Terminal, "_do_.", Terminal._do_source)
