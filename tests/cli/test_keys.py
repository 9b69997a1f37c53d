"""`flask guard keys`: the key comes out once and alone, so that it can be piped; faults are one sentence."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import Result
from flask import Flask

from flask_guard.auth.apikeys import ApiKeyAuthenticator, ApiKeys
from flask_guard.cli.keys import keys
from flask_guard.errors import Conflict
from tests.auth.keyworld import StillClock
from tests.contracts.api_key_stores import MemoryApiKeyStore

CLOCK = StillClock(datetime(2026, 11, 21, 12, tzinfo=UTC).timestamp())


@pytest.fixture
def store() -> MemoryApiKeyStore:
    return MemoryApiKeyStore()


@pytest.fixture
def run(store: MemoryApiKeyStore) -> Any:
    """Call `run("create", "--name", "ci")` and get click's Result."""
    app = Flask(__name__)
    app.extensions["guard.runtime"] = SimpleNamespace(api_keys=ApiKeys(store, clock=CLOCK))
    app.cli.add_command(keys)

    def call(*arguments: str) -> Result:
        return app.test_cli_runner().invoke(args=["keys", *arguments])

    return call


def test_a_new_key_is_alone_on_its_line_and_works(run: Any, store: MemoryApiKeyStore) -> None:
    result = run("create", "--name", "ci", "--scope", "notes:read", "--scope", "notes:write", "--role", "deployer")

    key = result.stdout.removesuffix("\n")
    principal = ApiKeyAuthenticator(store, clock=CLOCK, max_stale_s=0).authenticate(key)
    assert result.exit_code == 0
    assert principal is not None
    assert principal.scopes == {"notes:read", "notes:write"}
    assert principal.roles == {"deployer"}
    assert result.stderr == f"Created the service key {principal.id}. Keep it now: it is not shown again.\n"


def test_a_new_key_as_json(run: Any) -> None:
    result = run(
        *("create", "--name", "ci", "--tenant", "acme", "--expires-in", "90d"),
        *("--description", "nightly", "--format", "json"),
    )

    answer = json.loads(result.stdout)
    key, key_id = answer.pop("key"), answer.pop("id")
    assert key.startswith(f"fgk_{key_id}_")
    assert answer == {
        "name": "ci",
        "kind": "service",
        "prefix": f"fgk_{key_id}",
        "roles": [],
        "scopes": [],
        "tenant": "acme",
        "state": "live",
        "created_at": "2026-11-21T12:00:00+00:00",
        "expires_at": "2027-02-19T12:00:00+00:00",
        "revoked_at": None,
        "last_used_at": None,
        "description": "nightly",
    }
    assert result.stderr == ""


def test_a_client_key_is_a_uuid(run: Any) -> None:
    assert uuid.UUID(run("create", "--name", "mobile", "--kind", "client").stdout.strip()).version == 4


def test_keys_are_listed_without_what_lets_anybody_use_them(run: Any, store: MemoryApiKeyStore) -> None:
    key = run("create", "--name", "ci", "--tenant", "acme").stdout.strip()
    client = run("create", "--name", "mobile", "--kind", "client").stdout.strip()

    text, listed = run("list"), run("list", "--format", "json")

    names = {line["name"]: line["state"] for line in json.loads(listed.stdout)}
    assert text.exit_code == listed.exit_code == 0
    assert names == {"ci": "live", "mobile": "live"}
    assert text.stdout.splitlines()[0].split() == [
        *("id", "name", "kind", "tenant", "state", "created_at", "expires_at", "last_used_at"),
    ]
    said = text.output + listed.output
    for secret in (key, key.split("_")[2], client, *(record.digest for record in store.records.values())):
        assert secret not in said


def test_a_list_may_be_of_one_tenant_or_one_kind(run: Any) -> None:
    run("create", "--name", "ci", "--tenant", "acme")
    run("create", "--name", "mobile", "--kind", "client")

    def names(*filters: str) -> list[str]:
        return [line["name"] for line in json.loads(run("list", "--format", "json", *filters).stdout)]

    assert names("--tenant", "acme") == ["ci"]
    assert names("--kind", "client") == ["mobile"]
    assert names("--tenant", "globex") == []


def test_a_key_is_revoked_by_its_id(run: Any, store: MemoryApiKeyStore) -> None:
    key_id = json.loads(run("create", "--name", "ci", "--format", "json").stdout)["id"]

    text, again = run("revoke", key_id), run("revoke", key_id, "--format", "json")

    assert (text.exit_code, again.exit_code) == (0, 0)
    assert text.stdout == f"The key {key_id} is revoked.\n"
    assert json.loads(again.stdout) == {"id": key_id, "state": "revoked"}
    assert store.records[key_id].revoked_at is not None
    assert "revoked" in run("list").stdout


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        pytest.param(["create", "--name", ""], "'--name': it must be 1 to 100", id="empty name"),
        pytest.param(["create", "--name", "x", "--scope", "a b"], "'--scope': a scope must be", id="scope"),
        pytest.param(["create", "--name", "x", "--role", ""], "'--role': a role must be", id="role"),
        pytest.param(["create", "--name", "x", "--tenant", " "], "'--tenant': it must be", id="tenant"),
        pytest.param(["create", "--name", "x", "--description", "a\nb"], "'--description': it", id="description"),
        pytest.param(["create", "--name", "x", "--expires-in", "soon"], "'--expires-in': must be a", id="expiry"),
        pytest.param(["create", "--name", "x", "--expires-in", "0"], "'--expires-in': must be a", id="no time"),
        pytest.param(["create", "--name", "taken"], "Error: This conflicts with what is already", id="name taken"),
        pytest.param(["create"], "Missing option '--name'", id="no name"),
        pytest.param(["create", "--name", "x", "--kind", "user"], "is not one of 'service', 'client'", id="kind"),
        pytest.param(["revoke", "unknown"], "there is no key with this id", id="unknown id"),
        pytest.param(["revoke", "A" * 16], "there is no key with this id", id="unknown id of the right form"),
        pytest.param(["list", "--format", "xml"], "is not one of 'text', 'json'", id="format"),
    ],
)
def test_what_cannot_be_done_is_one_sentence_and_exit_code_2(run: Any, arguments: list[str], sentence: str) -> None:
    run("create", "--name", "taken")

    result = run(*arguments)

    assert result.exit_code == 2
    assert sentence in result.stderr
    assert result.stdout == ""
    assert "Traceback" not in result.output


def test_refusal_is_told_as_to_a_caller_and_its_detail_is_for_the_log(store: MemoryApiKeyStore, run: Any) -> None:
    def refuse(_record: Any) -> None:
        raise Conflict("A live key of this name exists.", detail="the tenant 'acme' has one")

    store.add = refuse  # type: ignore[method-assign]

    assert run("create", "--name", "ci").stderr == "Error: A live key of this name exists.\n"


def test_defect_is_not_told_as_a_fault_of_the_caller(store: MemoryApiKeyStore, run: Any) -> None:
    def fail(_record: Any) -> None:
        raise ValueError("a defect of ours")

    store.add = fail  # type: ignore[method-assign]
    result = run("create", "--name", "ci")

    assert isinstance(result.exception, ValueError)
    assert result.exit_code == 1


@pytest.mark.parametrize("arguments", [["create", "--name", "x"], ["list"], ["revoke", "A" * 16]], ids=lambda a: a[0])
def test_a_store_that_is_down_is_exit_code_2(run: Any, store: MemoryApiKeyStore, arguments: list[str]) -> None:
    store.is_down = True

    result = run(*arguments)

    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == "Error: the store does not answer\n"


def test_a_key_that_is_pasted_for_an_id_is_not_repeated(run: Any) -> None:
    key = run("create", "--name", "ci").stdout.strip()

    result = run("revoke", key)

    assert result.exit_code == 2
    assert key not in result.output
