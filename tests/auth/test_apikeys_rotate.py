"""A key is replaced by a new one that stands for the same: both are kept, or neither is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from flask_guard.errors import Conflict, NotFound
from tests.auth.keyworld import World, assert_refused_alike, refusal_of


@pytest.fixture
def world() -> World:
    return World(max_stale_s=1)


def test_the_new_key_stands_for_the_same_and_the_old_one_ends(world: World) -> None:
    old, old_key = world.keys.create("ci", scopes=["notes:*"], roles=["bot"], tenant="acme", expires_in="90d")
    assert world.service.authenticate(old_key)
    world.clock.now += 86_400

    new, new_key = world.keys.rotate(old.id)

    principal = world.service.authenticate(new_key)
    assert principal is not None
    assert (principal.id, principal.tenant, principal.scopes) == (new.id, "acme", frozenset({"notes:*"}))
    assert (new.name, new.kind, new.roles) == (old.name, old.kind, old.roles)
    assert new.created_at == datetime.fromtimestamp(world.clock.now, UTC)
    assert new.expires_at == new.created_at + timedelta(days=90)
    assert_refused_alike(refusal_of(lambda: world.service.authenticate(old_key)), reason="revoked", key=old_key)


def test_within_the_grace_both_are_good(world: World) -> None:
    old, old_key = world.keys.create("ci")

    new, new_key = world.keys.rotate(old.id, grace="24h")

    assert new.name == "ci"
    world.clock.now += 86_399
    assert world.service.authenticate(old_key)
    assert world.service.authenticate(new_key)
    world.clock.now += 1
    assert_refused_alike(refusal_of(lambda: world.service.authenticate(old_key)), reason="expired", key=old_key)
    assert world.service.authenticate(new_key)


def test_a_grace_never_prolongs_the_old_key(world: World) -> None:
    old, old_key = world.keys.create("ci", expires_in="1h")

    world.keys.rotate(old.id, grace="24h")

    world.clock.now += 3600
    assert_refused_alike(refusal_of(lambda: world.service.authenticate(old_key)), reason="expired", key=old_key)


def test_a_client_key_keeps_its_namespace(world: World) -> None:
    old, old_key = world.keys.create("customer", kind="client")

    new, new_key = world.keys.rotate(old.id)

    assert new_key != old_key
    principal = world.client.authenticate(new_key)
    assert principal is not None
    assert principal.tenant == old.tenant
    assert old_key not in repr(new)


@pytest.mark.parametrize(
    ("arguments", "sentence"), [({"grace": "soon"}, "grace must be"), ({"expires_in": 0}, "expires_in must be")]
)
def test_a_lifetime_of_the_wrong_form_changes_nothing(world: World, arguments: dict[str, Any], sentence: str) -> None:
    old, old_key = world.keys.create("ci")

    with pytest.raises(ValueError, match=sentence):
        world.keys.rotate(old.id, **arguments)

    assert world.keys.list_keys() == [old]
    assert world.service.authenticate(old_key)


@pytest.mark.parametrize("end", ["revoked", "expired"])
def test_a_key_that_is_not_live_is_not_replaced(world: World, end: str) -> None:
    old, _ = world.keys.create("ci", expires_in="1h")
    world.keys.revoke(old.id) if end == "revoked" else None
    world.clock.now += 3600 if end == "expired" else 0

    with pytest.raises(Conflict) as refused:
        world.keys.rotate(old.id)

    assert refused.value.text == "The key is not live."
    assert end in refused.value.detail
    assert len(world.keys.list_keys()) == 1


@pytest.mark.parametrize("key_id", ["0123456789abcdef", "'; DROP TABLE guard_api_keys", ""])
def test_an_unknown_id_is_not_found(world: World, key_id: str) -> None:
    with pytest.raises(NotFound):
        world.keys.rotate(key_id)


def test_a_store_that_loses_the_race_tells_so(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    old, _ = world.keys.create("ci")
    monkeypatch.setattr(world.store, "replace", lambda ended, *, by: False)

    with pytest.raises(Conflict, match="ended meanwhile"):
        world.keys.rotate(old.id)
