"""The command: `python -m bench [requests] [edge] ... [--scale 0.1]`, all parts but `served` by default.

It ends with 0 even when a target was missed, because a busy machine misses targets; read the last lines.
Rule: what is measured are the defaults, so settings of the shell and of a `.env` file are kept away.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import platform
import tempfile
import warnings
from collections.abc import Callable
from importlib.metadata import version

from . import apps, edge, imports, rates, requests, rls, schemas, served, tenancy, tokens
from .report import Report

PARTS: dict[str, Callable[..., None]] = {
    "requests": requests.run,
    "edge": edge.run,
    "rates": rates.run,
    "tokens": tokens.run,
    "tenancy": tenancy.run,
    "rls": rls.run,
    "schemas": schemas.run,
    "imports": imports.run,
    "served": served.run,
}
# It needs wrk, and takes as long as all others together.
_ON_DEMAND = frozenset({"served"})
_LIBRARIES = (
    "authlib",
    "cryptography",
    "flask",
    "flask-cors",
    "flask-jwt-extended",
    "flask-limiter",
    "flask-seasurf",
    "flask-talisman",
    "gunicorn",
    "joserfc",
    "limits",
    "marshmallow",
    "pyjwt",
    "python-jose",
    "redis",
    "sqlalchemy",
    "werkzeug",
)


def main() -> None:
    options = _parse_arguments()
    for name in [name for name in os.environ if name.startswith("GUARD_")]:
        del os.environ[name]
    # The checks before the clock are refused on purpose; what is logged of it would stand between the tables.
    for name in ("flask_guard", apps.NAME):
        logging.getLogger(name).addHandler(logging.NullHandler())
    # joserfc says at every verification that EdDSA has a newer name.
    warnings.simplefilter("ignore")
    print(f"{platform.python_implementation()} {platform.python_version()}, {platform.machine()}, ", end="")
    print(", ".join(f"{name} {version(name)}" for name in _LIBRARIES), end="\n\n")
    report = Report()
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        for part in options.parts or [name for name in PARTS if name not in _ON_DEMAND]:
            PARTS[part](report, scale=options.scale)
    report.conclude()


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Compare flask_guard with its peers.")
    parser.add_argument("parts", nargs="*", metavar="part", help=f"{', '.join(PARTS)}; all but the last by default")
    parser.add_argument("--scale", type=float, default=1.0, help="share of the rounds to run, such as 0.1")
    options = parser.parse_args()
    for part in options.parts:
        if part not in PARTS:
            parser.error(f"there is no part {part!r}; the parts are {', '.join(PARTS)}")
    return options


if __name__ == "__main__":
    main()
