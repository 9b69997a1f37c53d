"""`flask guard keys`: create, list and revoke API keys.

Works on the application's own services, so it needs `--app`. Rule: a key is printed once, by `create`, alone
on its line, so that it can be piped into a secret store.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import click
from flask.cli import with_appcontext

from ..auth.keyformat import require_text, require_word
from ..config.kinds import positive_duration_s
from ..values import ApiKeyRecord
from .support import Checked, could_not_run, echo_json, find_runtime, format_option, make_table, tells_errors
from .tokens import each_role, each_scope

kind_choice = click.Choice(["service", "client"])
_word = Checked(lambda word: require_word(word, what="it"))
_line = Checked(lambda line: require_text(line, what="it"))


@click.group("keys")
def keys() -> None:
    """Create, list and revoke API keys."""


@keys.command("create")
@click.option("--name", required=True, type=_word, help="What the key is for; a tenant has one live key of a name.")
@click.option("--scope", "scopes", multiple=True, type=each_scope, help="A scope that it grants; may be repeated.")
@click.option("--role", "roles", multiple=True, type=each_role, help="A role that it grants; may be repeated.")
@click.option("--tenant", type=_word, help="The tenant that it belongs to.")
@click.option(
    "--expires-in",
    type=Checked(positive_duration_s),
    help="How long it lives, such as 90d; without this it does not expire.",
)
@click.option("--kind", type=kind_choice, default="service", show_default=True, help="Kind of the key.")
@click.option("--description", default="", type=_line, help="A line for people.")
@format_option("text", "json")
@with_appcontext
@tells_errors
def create_key(output: str, **arguments: Any) -> None:
    """Create a key and print it; it cannot be shown again."""
    api_keys = find_runtime().api_keys
    record, key = api_keys.create(**arguments)
    if output == "json":
        echo_json({**_describe(record, state=api_keys.state_of(record)), "key": key})
        return
    click.echo(key)
    click.echo(f"Created the {record.kind} key {record.id}. Keep it now: it is not shown again.", err=True)


@keys.command("list")
@click.option("--tenant", help="Only keys of this tenant.")
@click.option("--kind", type=kind_choice, help="Only keys of this kind.")
@format_option("text", "json")
@with_appcontext
@tells_errors
def list_keys(output: str, tenant: str | None, kind: Any) -> None:
    """List keys, newest first, without what would let anybody use them."""
    api_keys = find_runtime().api_keys
    records = api_keys.list_keys(tenant=tenant, kind=kind)
    listed = [_describe(record, state=api_keys.state_of(record)) for record in records]
    if output == "json":
        echo_json(listed)
        return
    columns = ("id", "name", "kind", "tenant", "state", "created_at", "expires_at", "last_used_at")
    click.echo(make_table(columns, [[str(line[column] or "-") for column in columns] for line in listed]))


@keys.command("revoke")
@click.argument("key_id", metavar="ID")
@format_option("text", "json")
@with_appcontext
@tells_errors
def revoke_key(output: str, key_id: str) -> None:
    """End the key with this ID for good; its record stays."""
    if not find_runtime().api_keys.revoke(key_id):
        # Not quoted: it may be a key that was pasted by mistake.
        could_not_run("there is no key with this id; `flask guard keys list` shows the ids")
    if output == "json":
        echo_json({"id": key_id, "state": "revoked"})
    else:
        click.echo(f"The key {key_id} is revoked.")


def _describe(record: ApiKeyRecord, *, state: str) -> dict[str, Any]:
    return {
        "id": record.id,
        "name": record.name,
        "kind": record.kind,
        "prefix": record.prefix,
        "roles": sorted(record.roles),
        "scopes": sorted(record.scopes),
        "tenant": record.tenant,
        "state": state,
        "created_at": _second(record.created_at),
        "expires_at": _second(record.expires_at),
        "revoked_at": _second(record.revoked_at),
        "last_used_at": _second(record.last_used_at),
        "description": record.description,
    }


def _second(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat(timespec="seconds")
