"""`flask guard routes`: who may call what, and whether that is still what was agreed on."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click
from flask.cli import with_appcontext

from ..pipeline.access_map import AccessRow, compare, dump_lock, make_access_map, parse_lock
from .support import (
    EXIT_FINDINGS,
    could_not_run,
    echo_json,
    find_runtime,
    format_option,
    make_markdown_table,
    make_table,
    tells_errors,
)

_HEADER = ["method", "path", "endpoint", "access", "why", "set by"]


@click.command()
@click.option("--lock", type=click.Path(dir_okay=False, path_type=Path), help="Write the map to this file.")
@click.option(
    "--check",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Compare with this file; exit 1 if access was widened.",
)
@format_option("text", "json", "markdown")
@with_appcontext
@tells_errors
def routes(lock: Path | None, check: Path | None, output: str) -> None:
    """Show every route and method with who may call it, from the plans that requests use."""
    if lock is not None and check is not None:
        raise click.UsageError("--lock and --check exclude each other: one writes the file, the other reads it.")
    rows = make_access_map(find_runtime().compile())
    if lock is not None:
        _write_lock(lock, rows)
    elif check is not None:
        _check_lock(check, rows)
    elif output == "json":
        echo_json([asdict(row) for row in rows])
    else:
        make = make_markdown_table if output == "markdown" else make_table
        click.echo(make(_HEADER, [_cells(row) for row in rows]))


def _cells(row: AccessRow) -> list[str]:
    why = row.reason + (f" (lifts {', '.join(row.lifted)})" if row.lifted else "")
    excepted = {"no_csrf": row.no_csrf, "unlimited": row.unlimited}
    why = "; ".join([*([why] if why else []), *(f"{word}: {reason}" for word, reason in excepted.items() if reason)])
    return [row.method, " ".join(row.paths), row.endpoint, row.asks, why, row.origin]


def _write_lock(path: Path, rows: list[AccessRow]) -> None:
    try:
        path.write_text(dump_lock(rows), "utf-8")
    except OSError as exc:
        could_not_run(f"{path} cannot be written: {exc.strerror}.")
    click.echo(f"{len(rows)} routes locked in {path}.")


def _check_lock(path: Path, rows: list[AccessRow]) -> None:
    try:
        locked = parse_lock(path.read_text("utf-8"))
    except OSError as exc:
        could_not_run(f"{path} cannot be read: {exc.strerror}.")
    except ValueError:
        could_not_run(f"{path} is not a lock file that this version of `flask guard routes --lock` wrote.")
    changes = compare(locked, rows)
    for change in changes:
        click.echo(change.text)
    if any(change.opens for change in changes):
        click.echo(f"Access was widened. If that is meant, renew the file with --lock {path}.", err=True)
        raise SystemExit(EXIT_FINDINGS)
    click.echo("No route was opened.")
