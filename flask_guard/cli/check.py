"""`flask guard check`: the checklist. Exit 1 when an error is found."""

from __future__ import annotations

from dataclasses import asdict

import click
from flask.cli import with_appcontext

from ..checks import database as _database  # noqa: F401  registers its checks
from ..checks import edge as _edge  # noqa: F401  registers its checks
from ..checks import rls as _rls  # noqa: F401  registers its checks
from ..checks import routes as _routes  # noqa: F401  registers its checks
from ..checks import settings as _settings  # noqa: F401  registers its checks
from ..checks import tenancy as _tenancy  # noqa: F401  registers its checks
from ..checks.registry import run_checks
from ..values import Level
from .support import EXIT_FINDINGS, echo_json, find_runtime, format_option, tells_errors


@click.command()
@format_option("text", "json")
@with_appcontext
@tells_errors
def check(output: str) -> None:
    """Look for what this application should not be deployed with."""
    runtime = find_runtime()
    runtime.compile()
    findings = run_checks(runtime)
    if output == "json":
        echo_json([asdict(finding) for finding in findings])
    for finding in findings if output == "text" else ():
        click.echo(f"{finding.level:<8} {finding.id}  {finding.message}\n         {finding.remedy}")
    if not findings and output == "text":
        click.echo("Nothing found.")
    if any(finding.level is Level.ERROR for finding in findings):
        raise SystemExit(EXIT_FINDINGS)
