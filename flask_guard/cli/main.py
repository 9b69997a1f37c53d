"""The command groups: `flask guard` (with an application) and `flask-guard` (without one)."""

from __future__ import annotations

import click
from flask.cli import AppGroup

from .check import check
from .config import show_config
from .csp_reports import csp_reports
from .data import init_db
from .demo import demo
from .deploy import deploy
from .keygen import keygen
from .keys import keys
from .rls import rls
from .routes import routes
from .tokens import token
from .whoami import whoami

guard = AppGroup("guard", help="Look after the security of this application.")
for command in (check, show_config, csp_reports, deploy, init_db, keygen, keys, rls, routes, token, whoami):
    guard.add_command(command)


@click.group()
@click.version_option(package_name="flask-guard-kit")
def main() -> None:
    """What needs no application. The rest is `flask guard`, inside of one."""


main.add_command(demo)
main.add_command(keygen)
