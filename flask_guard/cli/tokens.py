"""`flask guard token`: an access token from the command line, for trying things out and for operators."""

from __future__ import annotations

import click
from flask.cli import with_appcontext

from ..pipeline.desks import TokenDesk
from .support import find_runtime, tells_errors


@click.command()
@click.argument("subject")
@click.option("--role", "roles", multiple=True, help="A role; may be given several times.")
@click.option("--scope", "scopes", multiple=True, help="A scope; may be given several times.")
@click.option("--tenant", help="The tenant that the token speaks for.")
@click.option("--ttl", help="Its lifetime, such as 15m; GUARD_JWT_ACCESS_TTL by default.")
@with_appcontext
@tells_errors
def token(subject: str, roles: tuple[str, ...], scopes: tuple[str, ...], tenant: str | None, ttl: str | None) -> None:
    """Print a signed access token for SUBJECT."""
    click.echo(TokenDesk(find_runtime()).issue(subject, roles=roles, scopes=scopes, tenant=tenant, ttl=ttl))
