"""`flask guard token`: an access token from the command line, for trying things out and for operators."""

from __future__ import annotations

from typing import Any

import click
from flask.cli import with_appcontext

from ..auth.keyformat import require_roles, require_scopes
from ..config.kinds import positive_duration_s
from ..pipeline.desks import TokenDesk
from .support import Checked, could_not_run, echo_json, find_runtime, format_option, tells_errors

each_role = Checked(lambda role: require_roles([role]))
each_scope = Checked(lambda scope: require_scopes([scope]))


@click.command()
@click.argument("subject")
@click.option("--role", "roles", multiple=True, type=each_role, help="A role; may be given several times.")
@click.option("--scope", "scopes", multiple=True, type=each_scope, help="A scope; may be given several times.")
@click.option("--tenant", help="The tenant that the token speaks for.")
@click.option(
    "--ttl", type=Checked(positive_duration_s), help="Its lifetime, such as 15m; GUARD_JWT_ACCESS_TTL by default."
)
@format_option("text", "json")
@with_appcontext
@tells_errors
def token(subject: str, output: str, **asked: Any) -> None:
    """Print a signed access token for SUBJECT."""
    try:
        issued = TokenDesk(find_runtime()).issue(subject, **asked)
    except ValueError as exc:  # what only the settings can tell, such as GUARD_JWT_MAX_LIFETIME
        could_not_run(f"no such token can be issued: {exc}.")
    if output == "json":
        echo_json({"access_token": issued, "token_type": "Bearer"})
    else:
        click.echo(issued)
