"""`flask-guard demo`: starts the example API on loopback and walks through it as a client.

The example lies beside the package in a checkout and inside of it in a wheel. It runs in this process, on
waitress, with SQLite in a temporary folder, and is over when the command is.
Exit codes: 0 all steps as they should be, 1 one was not, 2 could not run.
"""

from __future__ import annotations

import importlib
import secrets
import shlex
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import click

from .support import EXIT_FINDINGS, could_not_run
from .transcript import HOST, Mismatch
from .walk import APP_ORIGIN, Example, only_settings
from .walk_steps import take_walk

_PACKAGE = Path(__file__).parents[1]
# In a wheel, in a checkout.
_PLACES = (_PACKAGE / "_examples", _PACKAGE.parent / "examples")
_SECRET_BYTES = 48
_SERVE_TTL = "8h"
# 128 and the signal's number, as a shell reports a program that a signal has ended.
_EXIT_TERMINATED = 128 + signal.SIGTERM


@click.command()
@click.option("--serve", is_flag=True, help="Leave the example running, until Ctrl-C, instead of walking through it.")
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Port on loopback; a free one by default.")
def demo(serve: bool, port: int) -> None:
    """Start the example API on loopback and walk through it as a client."""
    signal.signal(signal.SIGTERM, _end_properly)
    with ExitStack() as stack:
        example = _start_example(stack, port=port, log_level="info" if serve else "error")
        if serve:
            _serve(example)
        else:
            _walk(example)


def _walk(example: Example) -> None:
    click.echo(f"The example {example.source / 'notes'} runs on http://{HOST}:{example.port} with SQLite.")
    try:
        count = take_walk(example)
    except Mismatch as mismatch:
        click.echo(click.style(f"\nNot as it should be: {mismatch}", fg="red"))
        raise SystemExit(EXIT_FINDINGS) from mismatch
    click.echo(click.style(f"\n{count} steps, all as they should be.", fg="green", bold=True))


def _serve(example: Example) -> None:
    address = f"http://{HOST}:{example.port}"
    with example.app.app_context():
        token = example.guard.tokens.issue("ada", scopes=["notes:read", "notes:write"], tenant="acme", ttl=_SERVE_TTL)
    note = shlex.quote('{"title": "Milk"}')
    authorization = '-H "Authorization: Bearer $TOKEN"'
    click.echo(f"The example runs on {address} until Ctrl-C. A token for ada of acme, and what to do with it:\n")
    click.echo(f"TOKEN={token}")
    click.echo(f"curl -i {authorization} {address}/notes")
    click.echo(f"curl -i {authorization} -H 'Content-Type: application/json' -d {note} {address}/notes\n")
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        click.echo("\nStopped.")


def _end_properly(_signal: int, _frame: FrameType | None) -> NoReturn:
    raise SystemExit(_EXIT_TERMINATED)


# The example -------------------------------------------------------------------------------------------


def _start_example(stack: ExitStack, *, port: int, log_level: str) -> Example:
    """Start everything that the stack will end. Ends the command when something is not there."""
    source = _find_source()
    waitress = _find_waitress()
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="flask-guard-", ignore_cleanup_errors=True)))
    secret = secrets.token_urlsafe(_SECRET_BYTES)
    settings = {
        "GUARD_JWT_SECRET_KEY": secret,
        "GUARD_LOG_FORMAT": "text",
        "GUARD_LOG_LEVEL": log_level,
        "GUARD_CORS_ORIGINS": APP_ORIGIN,
        "NOTES_DATABASE_URL": f"sqlite:///{folder / 'notes.sqlite3'}",
        "NOTES_SECRET_KEY": secrets.token_hex(),
    }
    stack.enter_context(only_settings(**settings))
    sys.path.insert(0, str(source))
    app = importlib.import_module("notes").create_app()
    stack.callback(lambda: app.extensions["notes.engine"].dispose())
    try:
        bound = stack.enter_context(_served(app, waitress, port=port))
    except OSError as exc:
        could_not_run(f"Port {port} of {HOST} cannot be used: {exc.strerror}. Choose another with --port.")
    return Example(app, app.extensions["guard"], bound, secret, source, folder, settings)


def _find_source() -> Path:
    """Return the folder to import the package `notes` from."""
    for place in _PLACES:
        if (place / "notes" / "__init__.py").is_file():
            return place
    could_not_run("The example is in neither this installation nor a checkout around it.")


def _find_waitress() -> Any:
    try:
        return importlib.import_module("waitress")
    except ImportError:
        could_not_run("The server waitress is not installed: pip install 'flask-guard-kit[demo]'.")


@contextmanager
def _served(app: Any, waitress: Any, *, port: int) -> Iterator[int]:
    """Serve an application in a thread of its own, and yield the port. Raises OSError when that is taken."""
    sockets: dict[int, Any] = {}
    server = waitress.create_server(app, map=sockets, host=HOST, port=port, ident="")
    thread = threading.Thread(target=server.run, name="example", daemon=True)
    thread.start()
    try:
        yield int(server.effective_port)
    finally:
        # In the thread of its loop, which ends when no socket is left; from here it would close them in use.
        server.trigger.pull_trigger(lambda: waitress.server.wasyncore.close_all(sockets, ignore_all=True))
        thread.join()
        server.task_dispatcher.shutdown()
