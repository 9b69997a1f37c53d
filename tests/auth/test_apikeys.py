"""API keys over a store: made once, recognised, refused with one text, looked after, ended for good."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from flask_guard.auth.apikeys import (
    ApiKeyAuthenticator,
    ApiKeys,
    KeyChain,
    build_static_keys,
    client_tenant,
)
from flask_guard.auth.keyformat import digest_of, make_key_id, make_service_key
from flask_guard.db.engine import Database
from flask_guard.db.schema import create_schema
from flask_guard.db.stores import SqlApiKeyStore
from flask_guard.errors import (
    Conflict,
    CredentialStoreUnavailable,
    InvalidApiKey,
)
from flask_guard.values import ApiKeyRecord, Principal
from tests.auth.keyworld import StillClock, World, assert_refused_alike, refusal_of


@pytest.fixture
def world() -> World:
    return World()


# Making -------------------------------------------------------------------------------------------------


def test_a_new_service_key(world: World) -> None:
    record, key = world.keys.create(
        name="ci",
        scopes=["notes:read"],
        roles=("deployer",),
        tenant="acme",
        expires_in="90d",
        description="x",
    )

    now = datetime.fromtimestamp(world.clock.now, UTC)
    assert key.startswith(f"fgk_{record.id}_")
    assert record == ApiKeyRecord(
        id=record.id,
        name="ci",
        kind="service",
        prefix=f"fgk_{record.id}",
        digest=digest_of(key),
        roles=frozenset({"deployer"}),
        scopes=frozenset({"notes:read"}),
        tenant="acme",
        created_at=now,
        expires_at=now + timedelta(days=90),
        description="x",
    )
    assert world.store.records == {record.id: record}


def test_a_new_client_key_has_a_tenant_that_is_not_the_key(world: World) -> None:
    record, key = world.keys.create("mobile", kind="client")

    assert str(uuid.UUID(key)) == key
    assert uuid.UUID(key).version == 4
    assert record.tenant == client_tenant(key)
    assert record.prefix == key[:8]
    assert key not in repr(record)
    assert key.replace("-", "") not in repr(record)
    assert world.keys.create("other", kind="client", tenant="acme")[0].tenant == "acme"


@pytest.mark.parametrize(
    ("expires_in", "seconds"),
    [
        pytest.param("90d", 90 * 86400, id="days"),
        pytest.param("15m", 900, id="minutes"),
        pytest.param(30, 30, id="seconds"),
        pytest.param(0.5, 0.5, id="half a second"),
        pytest.param(timedelta(hours=2), 7200, id="timedelta"),
        pytest.param(None, None, id="never"),
    ],
)
def test_how_long_a_key_lives(world: World, expires_in: Any, seconds: float | None) -> None:
    record, _key = world.keys.create("ci", expires_in=expires_in)

    lives = record.expires_at - record.created_at if record.expires_at else None
    assert lives == (None if seconds is None else timedelta(seconds=seconds))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        pytest.param({"name": ""}, "name must be", id="empty name"),
        pytest.param({"name": None}, "name must be", id="no name"),
        pytest.param({"name": "a\nb"}, "name must be", id="name on two lines"),
        pytest.param({"name": "x" * 101}, "name must be", id="long name"),
        pytest.param({"scopes": "notes:read"}, "scopes must be a list", id="one scope as text"),
        pytest.param({"scopes": ["notes:read notes:write"]}, "a scope must be", id="two scopes in one"),
        pytest.param({"scopes": [None]}, "a scope must be", id="no scope"),
        pytest.param({"roles": "admin"}, "roles must be a list", id="one role as text"),
        pytest.param({"roles": [""]}, "a role must be", id="empty role"),
        pytest.param({"tenant": ""}, "tenant must be", id="empty tenant"),
        pytest.param({"tenant": " acme"}, "tenant must be", id="tenant with a blank"),
        pytest.param({"tenant": "a\0"}, "tenant must be", id="tenant with NUL"),
        pytest.param({"description": "a\nb"}, "description must be", id="description on two lines"),
        pytest.param({"description": "x" * 501}, "description must be", id="long description"),
        pytest.param({"kind": "user"}, "kind must be service or client", id="kind"),
        pytest.param({"expires_in": 0}, "expires_in must be", id="at once"),
        pytest.param({"expires_in": -1}, "expires_in must be", id="in the past"),
        pytest.param({"expires_in": timedelta(0)}, "expires_in must be", id="at once as timedelta"),
        pytest.param({"expires_in": timedelta(seconds=-1)}, "expires_in must be", id="in the past as timedelta"),
        pytest.param({"expires_in": "soon"}, "expires_in must be", id="words"),
        pytest.param({"expires_in": ""}, "expires_in must be", id="nothing"),
        pytest.param({"expires_in": True}, "expires_in must be", id="true"),
        pytest.param({"expires_in": float("nan")}, "expires_in must be", id="not a number"),
        pytest.param({"expires_in": float("inf")}, "expires_in must be", id="infinity"),
        pytest.param({"expires_in": "9999999w"}, "expires_in must be", id="past the calendar"),
        pytest.param({"expires_in": timedelta.max}, "expires_in must be", id="past the calendar as timedelta"),
    ],
)
def test_a_key_of_the_wrong_form_is_not_made(world: World, arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        world.keys.create(**{"name": "ci", **arguments})

    assert world.store.records == {}


def test_a_taken_name_is_a_conflict(world: World) -> None:
    world.keys.create("ci")

    with pytest.raises(Conflict):
        world.keys.create("ci")


# Recognising a service key --------------------------------------------------------------------------------


def test_a_live_key_is_the_principal_of_its_record(world: World) -> None:
    record, key = world.keys.create("ci", scopes=["notes:read"], roles=["deployer"], tenant="acme")

    assert world.service.authenticate(key) == Principal(
        id=record.id,
        kind="service",
        method="service_key",
        roles=frozenset({"deployer"}),
        scopes=frozenset({"notes:read"}),
        tenant="acme",
        claims={"name": "ci", "key_id": record.id},
    )


@pytest.mark.parametrize("text", ["", "fgk", "FGK_x", " fgk_", "eyJhbGciOi.x.y", "0f0e9a52-7c0b-4a4e"])
def test_a_text_that_does_not_begin_as_a_service_key_is_somebody_elses(world: World, text: str) -> None:
    assert world.service.authenticate(text) is None
    assert world.store.asked == 0


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda key: key[:-1] + ("0" if key[-1] != "0" else "1"), id="wrong check"),
        pytest.param(lambda key: "fgk_" + key[4:].swapcase(), id="case changed"),
        pytest.param(lambda key: key + "\n", id="line end"),
        pytest.param(lambda key: key[:-7], id="no check"),
        pytest.param(lambda key: "fgk_" + "A" * 10_000, id="long"),
        pytest.param(lambda key: "fgk_\ud800", id="surrogate"),
        pytest.param(lambda key: "fgk_", id="nothing after the mark"),
    ],
)
def test_a_malformed_key_is_refused_and_no_store_is_asked(world: World, change: Callable[[str], str]) -> None:
    _record, key = world.keys.create("ci")
    world.store.is_down = True

    refusal = refusal_of(lambda: world.service.authenticate(change(key)))

    assert_refused_alike(refusal, reason="malformed service key", key=change(key))
    assert key.split("_")[2] not in refusal.detail
    assert world.store.asked == 0


def test_an_unknown_key_is_refused(world: World) -> None:
    record, _key = world.keys.create("ci")
    invented = make_service_key(record.id)

    refusal = refusal_of(lambda: world.service.authenticate(invented))

    assert_refused_alike(refusal, reason=f"the service key {record.id} is unknown", key=invented)


def test_a_record_of_another_key_is_not_accepted(world: World) -> None:
    """Whatever a faulty store answers, the digest decides."""
    record, _key = world.keys.create("ci")
    other = make_service_key(make_key_id())
    world.store.find_by_digest = lambda _digest: record  # type: ignore[method-assign]

    assert "unknown" in refusal_of(lambda: world.service.authenticate(other)).detail


def test_a_service_key_that_is_recorded_as_a_client_key_is_refused(world: World) -> None:
    record, key = world.keys.create("ci")
    world.store.records[record.id] = replace(record, kind="client")

    refusal = refusal_of(lambda: world.service.authenticate(key))

    assert_refused_alike(refusal, reason="is recorded as a client key", key=key)


# Looking after keys ---------------------------------------------------------------------------------------


def test_keys_are_listed_with_their_state(world: World) -> None:
    live, _key = world.keys.create("live", tenant="acme")
    expired, _key = world.keys.create("expired", expires_in=60)
    revoked, _key = world.keys.create("revoked", kind="client", expires_in=60)
    world.keys.revoke(revoked.id)
    world.clock.now += 60

    states = {record.name: world.keys.state_of(record) for record in world.keys.list_keys()}

    assert states == {"live": "live", "expired": "expired", "revoked": "revoked"}
    assert [record.id for record in world.keys.list_keys(tenant="acme")] == [live.id]
    assert [record.id for record in world.keys.list_keys(kind="client")] == [revoked.id]
    assert expired.id not in {record.id for record in world.keys.list_keys(tenant="acme")}


@pytest.mark.parametrize("key_id", ["", "unknown", "\0", "A" * 16, "A" * 15 + "\n", "%", "' OR 1=1 --"])
@pytest.mark.parametrize("end", ["revoke", "delete"])
def test_an_unknown_id_ends_nothing(world: World, end: str, key_id: str) -> None:
    world.keys.create("ci")

    assert getattr(world.keys, end)(key_id) is False
    assert all(record.revoked_at is None for record in world.store.records.values())
    assert len(world.store.records) == 1


def test_revoking_again_is_no_fault_and_keeps_the_time(world: World) -> None:
    record, _key = world.keys.create("ci")
    world.keys.revoke(record.id)
    first = world.store.records[record.id].revoked_at
    world.clock.now += 60

    assert world.keys.revoke(record.id) is True
    assert world.store.records[record.id].revoked_at == first


# All kinds in turn ----------------------------------------------------------------------------------------


def test_a_chain_takes_any_kind_and_refuses_the_rest(world: World) -> None:
    static_key = make_service_key(make_key_id())[4:]
    static = build_static_keys([{"name": "cron", "key": static_key}], environ={})
    chain = KeyChain([world.service, static, world.client])
    service = world.keys.create("ci")
    client = world.keys.create("mobile", kind="client")

    assert chain.authenticate(service[1]).id == service[0].id
    assert chain.authenticate(static_key).id == "cron"
    assert chain.authenticate(client[1]).id == client[0].id
    for key in ("x" * 40, "", static_key.swapcase(), f"{static_key} ", service[1].upper()):
        refusal = refusal_of(lambda key=key: chain.authenticate(key))  # type: ignore[misc]
        assert_refused_alike(refusal, reason=f"no known kind, of {len(key)} characters", key=key)


def test_the_first_to_refuse_has_the_last_word(world: World) -> None:
    """A bad service key is not tried as something weaker."""

    class Everyone:
        def authenticate(self, _credential: str) -> Principal:
            return Principal(id="anybody")

    chain = KeyChain([world.service, Everyone()])

    assert isinstance(refusal_of(lambda: chain.authenticate("fgk_x")), InvalidApiKey)


def test_an_empty_chain_refuses() -> None:
    assert isinstance(refusal_of(lambda: KeyChain([]).authenticate("x")), InvalidApiKey)


# With the real store --------------------------------------------------------------------------------------


@pytest.fixture
def sql_store(database_url: str) -> Iterator[SqlApiKeyStore]:
    database = Database.from_url(database_url)
    create_schema(database)
    yield SqlApiKeyStore(database)
    database.close()


def test_over_sql_a_key_lives_from_creation_to_revocation(
    sql_store: SqlApiKeyStore, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """And in all that is logged or printed meanwhile, there is neither the key nor its digest."""
    caplog.set_level(logging.DEBUG)
    clock = StillClock()
    service = ApiKeyAuthenticator(sql_store, clock=clock, max_stale_s=1)
    keys = ApiKeys(sql_store, clock=clock, forget=[service.forget])
    record, key = keys.create("ci", scopes=["notes:read"], expires_in="1h")

    principal = service.authenticate(key)
    noted = sql_store.find_by_digest(record.digest)
    keys.revoke(record.id)
    refusal = refusal_of(lambda: service.authenticate(key))

    assert principal is not None
    assert principal.scopes == {"notes:read"}
    assert noted is not None
    assert noted.last_used_at == datetime.fromtimestamp(clock.now, UTC)
    assert_refused_alike(refusal, reason="was revoked", key=key)
    said = caplog.text + "".join(capfd.readouterr()) + repr((record, principal, vars(service), vars(keys)))
    assert key not in said
    assert key.split("_")[2] not in said
    assert record.digest not in said


def test_over_sql_that_is_down_the_door_is_closed() -> None:
    store = SqlApiKeyStore(Database.from_url("postgresql://guard@127.0.0.1:1/app"))
    service = ApiKeyAuthenticator(store, clock=StillClock(), max_stale_s=1)

    refusal = refusal_of(lambda: service.authenticate(make_service_key(make_key_id())))

    assert isinstance(refusal, CredentialStoreUnavailable)
    assert "postgresql+psycopg://guard@127.0.0.1:1/app does not answer" in refusal.detail
    assert "127.0.0.1" not in refusal.text
