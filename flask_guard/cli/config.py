"""`flask guard config`: every setting, what it is, and where it came from."""

from __future__ import annotations

import json
from typing import Any

import click
from flask.cli import with_appcontext

from ..config.settings import describe_settings
from .support import echo_json, find_runtime, format_option, make_table, tells_errors


@click.command("config")
@click.option("--all", "show_all", is_flag=True, help="Also the settings that nobody has set.")
@format_option("text", "json")
@with_appcontext
@tells_errors
def show_config(show_all: bool, output: str) -> None:
    """Show name, value or ***, source and default of the settings."""
    rows = [row for row in describe_settings(find_runtime().settings) if show_all or row["source"] != "default"]
    if output == "json":
        echo_json(rows)
        return
    cells = [[row["name"], _cell(row["value"]), row["source"], row["default"] or ""] for row in rows]
    click.echo(make_table(["setting", "value", "source", "default"], cells))


def _cell(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
