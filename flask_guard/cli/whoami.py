"""`flask guard whoami`: whom a request would be taken for, and why. Nothing is sent; it is worked out."""

from __future__ import annotations

import re
from typing import Any

import click
from flask.cli import with_appcontext

from ..api.whoami import describe_client
from ..config.kinds import environ_key
from ..net.addresses import UNIX, parse_address
from .support import Checked, echo_json, find_runtime, format_option, make_table, tells_errors

# Without the underscore, which proxies and servers drop from names, because X_Real_IP would become X-Real-IP.
_NAME = re.compile(r"[A-Za-z0-9-]+\Z")
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*\Z")


def _check_peer(text: str) -> None:
    if text != UNIX and parse_address(text) is None:
        raise ValueError(f"must be an IP address, or {UNIX} for a UNIX socket")


def _split_header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon or not _NAME.match(name) or not _VALUE.match(value):
        raise ValueError("must be a header such as 'X-Forwarded-For: 203.0.113.9'")
    return name, value.strip(" \t")


@click.command()
@click.option(
    "--peer",
    type=Checked(_check_peer),
    default="127.0.0.1",
    show_default=True,
    metavar="ADDRESS",
    help="Who connects to the server; unix for a UNIX socket.",
)
@click.option(
    "--header",
    "headers",
    type=Checked(_split_header),
    multiple=True,
    metavar="HEADER",
    help="A header of the request, as 'Name: value'; may be repeated.",
)
@format_option("text", "json")
@with_appcontext
@tells_errors
def whoami(peer: str, headers: tuple[str, ...], output: str) -> None:
    """Show whom a request would be taken for: the stations it came by, and which one is believed."""
    found = describe_client(find_runtime().client_reader, _make_environ(peer, headers))
    if output == "json":
        echo_json(found)
        return
    click.echo(f"trusted proxies: {', '.join(found['trusted_proxies']) or 'none, GUARD_TRUSTED_PROXIES is empty'}")
    click.echo(f"headers read: {found['forwarded_header']}\n")
    rows = [[str(number), hop["address"], _mark(hop), hop["why"]] for number, hop in enumerate(found["hops"])]
    click.echo(make_table(["hop", "address", "taken for", "why"], rows))
    click.echo("")
    for name, value in found["client"].items():
        click.echo(f"{name}: {value or 'none'}")


def _make_environ(peer: str, headers: tuple[str, ...]) -> dict[str, str]:
    """Return what of such a request a server would put into the WSGI environment."""
    sent: dict[str, str] = {}
    for name, value in map(_split_header, headers):
        key = environ_key(name)
        sent[key] = f"{sent[key]},{value}" if key in sent else value
    address = "" if peer == UNIX else peer
    return {"REMOTE_ADDR": address, "wsgi.url_scheme": "http", "HTTP_HOST": "localhost", **sent}


def _mark(hop: dict[str, Any]) -> str:
    if hop["is_client"]:
        return "client"
    return "proxy" if hop["is_trusted"] else ""
