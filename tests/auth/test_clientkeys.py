"""Client keys: one spelling of one kind of UUID, a tenant of its own, and no way around an end."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import pytest

from flask_guard.auth.apikeys import (
    ClientKeyAuthenticator,
    client_tenant,
)
from flask_guard.errors import (
    CredentialStoreUnavailable,
    InvalidApiKey,
    InvalidClientKey,
)
from flask_guard.values import Principal
from tests.auth.keyworld import StillClock, World, assert_refused_alike, refusal_of


@pytest.fixture
def world() -> World:
    return World()


# Client keys ----------------------------------------------------------------------------------------------


def test_a_registered_client_key_opens_its_tenant(world: World) -> None:
    record, key = world.keys.create("mobile", kind="client", scopes=["notes:read"])

    assert world.client.authenticate(key) == Principal(
        id=record.id,
        kind="client",
        method="client_key",
        scopes=frozenset({"notes:read"}),
        tenant=client_tenant(key),
        claims={"name": "mobile", "key_id": record.id},
    )
    assert len(world.store.touched) == 1


def test_an_unregistered_client_key_is_refused_by_default(world: World) -> None:
    key = str(uuid.uuid4())

    refusal = refusal_of(lambda: world.client.authenticate(key))

    assert_refused_alike(refusal, reason="not registered", key=key)


def test_an_unregistered_client_key_may_open_an_empty_tenant_of_its_own() -> None:
    world = World(registered_only=False, max_stale_s=3600)
    first, second = str(uuid.uuid4()), str(uuid.uuid4())

    principal = world.client.authenticate(first)

    tenant = client_tenant(first)
    assert principal == Principal(id=f"client-{tenant}", kind="client", method="client_key", tenant=tenant)
    assert world.client.authenticate(second).tenant != tenant  # type: ignore[union-attr]
    assert first not in repr(principal)


@pytest.mark.parametrize("registered_only", [True, False])
@pytest.mark.parametrize("end", ["revoked", "expired"])
def test_a_client_key_that_ended_stays_refused(registered_only: bool, end: str) -> None:
    """Else whoever lost the key could be seen by whoever found it, in the tenant that it opened."""
    world = World(registered_only=registered_only)
    record, key = world.keys.create("mobile", kind="client", expires_in=60)
    if end == "revoked":
        world.keys.revoke(record.id)
    else:
        world.clock.now += 60

    refusal = refusal_of(lambda: world.client.authenticate(key))

    assert_refused_alike(refusal, reason=f"the client key {record.id} ", key=key)
    assert end in refusal.detail


@pytest.mark.parametrize("registered_only", [True, False])
def test_client_keys_are_closed_when_the_store_is_down(registered_only: bool) -> None:
    world = World(registered_only=registered_only)
    world.store.is_down = True

    refusal = refusal_of(lambda: world.client.authenticate(str(uuid.uuid4())))

    assert isinstance(refusal, CredentialStoreUnavailable)


SPELLINGS: dict[str, Callable[[str], str]] = {
    "upper case": str.upper,
    "braces": "{{{}}}".format,
    "urn": "urn:uuid:{}".format,
    "no dashes": lambda key: key.replace("-", ""),
    "line end": "{}\n".format,
    "blank": " {}".format,
    "version 1": lambda key: key[:14] + "1" + key[15:],
    "variant": lambda key: key[:19] + "7" + key[20:],
}


@pytest.mark.parametrize("spell", SPELLINGS.values(), ids=SPELLINGS)
@pytest.mark.parametrize("registered_only", [True, False])
def test_a_revoked_client_key_cannot_dodge_by_its_spelling(spell: Callable[[str], str], registered_only: bool) -> None:
    world = World(registered_only=registered_only)
    record, key = world.keys.create("mobile", kind="client")
    world.keys.revoke(record.id)
    world.store.is_down = True

    refusal = refusal_of(lambda: world.client.authenticate(spell(key)))

    assert isinstance(refusal, InvalidClientKey)
    assert (refusal.status, refusal.text) == (
        400,
        "A client key is a UUID of version 4 in canonical lower case.",
    )
    assert key not in refusal.detail
    assert world.store.asked == 0


def test_without_a_store_client_keys_are_all_open_or_all_closed() -> None:
    key = str(uuid.uuid4())
    settings: dict[str, Any] = {"clock": StillClock(), "max_stale_s": 1}
    closed = ClientKeyAuthenticator(None, registered_only=True, **settings)
    opened = ClientKeyAuthenticator(None, registered_only=False, **settings)

    assert isinstance(refusal_of(lambda: closed.authenticate(key)), InvalidApiKey)
    assert opened.authenticate(key).tenant == client_tenant(key)  # type: ignore[union-attr]
    for authenticator in (closed, opened):
        authenticator.forget("any")
        authenticator.after_fork()


@pytest.mark.parametrize("text", ["", "ci", "fgk_x", "eyJhbGciOi.x.y"])
def test_a_text_that_is_no_uuid_is_no_client_key(world: World, text: str) -> None:
    assert world.client.authenticate(text) is None
