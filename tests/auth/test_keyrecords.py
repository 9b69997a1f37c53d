"""The live record of a key: how it ends, for how long it is remembered, and how its use is noted."""

from __future__ import annotations

import traceback
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from flask_guard.auth import keyrecords
from flask_guard.auth.apikeys import (
    ApiKeyAuthenticator,
)
from flask_guard.auth.keyformat import digest_of, make_key_id, make_service_key
from flask_guard.errors import (
    CredentialStoreUnavailable,
    StoreUnavailable,
)
from flask_guard.values import ApiKeyRecord
from tests.auth.keyworld import World, assert_refused_alike, refusal_of
from tests.db.races import run_threads


@pytest.fixture
def world() -> World:
    return World()


@pytest.mark.parametrize(
    ("age_s", "is_live"), [(59, True), (59.999, True), (60, False), (60.001, False), (10**9, False)]
)
@pytest.mark.parametrize("max_stale_s", [0, 3600], ids=["asked each time", "remembered"])
def test_a_key_expires_to_the_second(age_s: float, is_live: bool, max_stale_s: float) -> None:
    """Also one that this process remembers: its record was read while it was live."""
    world = World(max_stale_s=max_stale_s)
    record, key = world.keys.create("ci", expires_in=60)
    world.service.authenticate(key)

    world.clock.now += age_s

    if is_live:
        assert world.service.authenticate(key) is not None
    else:
        refusal = refusal_of(lambda: world.service.authenticate(key))
        assert_refused_alike(refusal, reason=f"the service key {record.id} expired at 2026-11-18T", key=key)


@pytest.mark.parametrize("max_stale_s", [0, 3600], ids=["asked each time", "remembered"])
@pytest.mark.parametrize("end", ["revoke", "delete"])
def test_a_key_that_this_process_ends_is_refused_at_once(max_stale_s: float, end: str) -> None:
    world = World(max_stale_s=max_stale_s)
    record, key = world.keys.create("ci")
    world.service.authenticate(key)

    assert getattr(world.keys, end)(record.id) is True

    refusal = refusal_of(lambda: world.service.authenticate(key))
    reason = f"the service key {record.id} " + ("was revoked at 2026-11-18T" if end == "revoke" else "is unknown")
    assert_refused_alike(refusal, reason=reason, key=key)
    assert (record.id in world.store.records) == (end == "revoke")


@pytest.mark.parametrize("max_stale_s", [0, 1, 10])
def test_a_key_that_another_process_revokes_is_refused_after_max_stale(max_stale_s: float) -> None:
    world = World(max_stale_s=max_stale_s)
    record, key = world.keys.create("ci")
    world.service.authenticate(key)
    world.store.revoke(record.id, datetime.fromtimestamp(world.clock.now, UTC))

    if max_stale_s:
        world.clock.now += max_stale_s - 0.001
        assert world.service.authenticate(key) is not None
        world.clock.now += 0.002

    assert "was revoked" in refusal_of(lambda: world.service.authenticate(key)).detail


def test_a_clock_that_is_set_back_does_not_prolong_what_is_remembered() -> None:
    world = World(max_stale_s=10)
    record, key = world.keys.create("ci")
    world.service.authenticate(key)
    world.store.revoke(record.id, datetime.fromtimestamp(world.clock.now, UTC))

    world.clock.now -= 3600

    assert "was revoked" in refusal_of(lambda: world.service.authenticate(key)).detail


def test_a_key_that_ends_while_it_is_looked_up_is_not_remembered() -> None:
    """The look-up read the record as it was before the revocation, and comes back after it."""
    world = World(max_stale_s=3600)
    record, key = world.keys.create("ci")
    find = world.store.find_by_digest

    def find_slowly(digest: str) -> ApiKeyRecord | None:
        found = find(digest)
        world.keys.revoke(record.id)
        return found

    world.store.find_by_digest = find_slowly  # type: ignore[method-assign]
    world.service.authenticate(key)
    world.store.find_by_digest = find  # type: ignore[method-assign]

    assert "was revoked" in refusal_of(lambda: world.service.authenticate(key)).detail


def test_a_remembered_key_costs_no_look_up() -> None:
    world = World(max_stale_s=1)
    _record, key = world.keys.create("ci")

    for _ in range(100):
        world.service.authenticate(key)

    assert world.store.asked == 1


def test_without_a_memory_each_use_asks_the_store(world: World) -> None:
    _record, key = world.keys.create("ci")

    for _ in range(5):
        world.service.authenticate(key)

    assert world.store.asked == 5


def test_what_is_refused_is_never_remembered() -> None:
    """Otherwise guesses would fill the memory, and a key would be refused after it was made."""
    world = World(max_stale_s=3600)
    records = world.service._records
    expired, expired_key = world.keys.create("old", expires_in=1)
    world.clock.now += 2
    unknown = make_service_key(make_key_id())

    for key in (expired_key, unknown):
        refusal_of(lambda key=key: world.service.authenticate(key))  # type: ignore[misc]
    world.store.records["new"] = replace(expired, id="new", digest=digest_of(unknown), expires_at=None)

    assert records._found == {}
    assert world.service.authenticate(unknown) is not None


def test_the_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keyrecords, "MAX_REMEMBERED", 16)
    world = World(max_stale_s=3600)
    made = [world.keys.create(f"key {number}")[1] for number in range(100)]

    for key in made:
        world.service.authenticate(key)

    records = world.service._records
    assert 8 <= len(records._found) <= 16
    assert 8 <= len(records._touched) <= 16
    assert world.service.authenticate(made[-1]) is not None
    assert world.store.asked == 100


def test_a_store_that_does_not_answer_closes_the_door(world: World) -> None:
    _record, key = world.keys.create("ci")
    world.store.is_down = True

    refusal = refusal_of(lambda: world.service.authenticate(key))

    assert isinstance(refusal, CredentialStoreUnavailable)
    assert (refusal.status, refusal.code) == (503, "credential_store_unavailable")
    assert refusal.text == "The service cannot check credentials right now."
    assert "does not answer" in refusal.detail
    assert key.split("_")[2] not in "".join(traceback.format_exception(refusal))


def test_what_is_remembered_outlives_the_store_by_max_stale_and_no_longer() -> None:
    world = World(max_stale_s=10)
    _record, key = world.keys.create("ci")
    world.service.authenticate(key)
    world.store.is_down = True

    world.clock.now += 9
    assert world.service.authenticate(key) is not None
    world.clock.now += 2
    assert isinstance(refusal_of(lambda: world.service.authenticate(key)), CredentialStoreUnavailable)


def test_what_a_key_grants_cannot_be_changed_by_who_holds_the_principal() -> None:
    world = World(max_stale_s=3600)
    _record, key = world.keys.create("ci", scopes=["notes:read"])
    principal = world.service.authenticate(key)
    assert principal is not None

    for tamper in (
        lambda: setattr(principal, "scopes", frozenset({"*"})),
        lambda: principal.claims.update(key_id="other"),  # type: ignore[attr-defined]
        lambda: principal.scopes.add("*"),  # type: ignore[attr-defined]
    ):
        with pytest.raises((AttributeError, TypeError)):
            tamper()

    assert world.service.authenticate(key).scopes == {"notes:read"}  # type: ignore[union-attr]


def test_scopes_taken_from_a_record_are_gone_after_max_stale() -> None:
    world = World(max_stale_s=1)
    record, key = world.keys.create("ci", scopes=["notes:read", "notes:write"])
    world.service.authenticate(key)
    world.store.records[record.id] = replace(record, scopes=frozenset({"notes:read"}))

    world.clock.now += 1

    assert world.service.authenticate(key).scopes == {"notes:read"}  # type: ignore[union-attr]


# The note of use ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("max_stale_s", [0, 1], ids=["asked each time", "remembered"])
def test_a_thousand_uses_in_a_minute_are_noted_once(max_stale_s: float) -> None:
    world = World(max_stale_s=max_stale_s)
    record, key = world.keys.create("ci")
    begin = world.clock.now

    for number in range(3000):
        world.clock.now = begin + number * 0.06
        world.service.authenticate(key)

    noted = [at.timestamp() - begin for _id, at in world.store.touched]
    assert noted == pytest.approx([0, 60, 120])
    assert world.store.records[record.id].last_used_at == world.store.touched[-1][1]


def test_a_use_that_another_process_noted_within_the_minute_is_not_noted_again(world: World) -> None:
    record, key = world.keys.create("ci")
    for second, expected in ((59, 0), (61, 1)):
        used = datetime.fromtimestamp(world.clock.now - second, UTC)
        world.store.records[record.id] = replace(record, last_used_at=used)
        other_process = ApiKeyAuthenticator(world.store, clock=world.clock, max_stale_s=0)

        other_process.authenticate(key)

        assert len(world.store.touched) == expected


def test_threads_that_use_a_key_at_once_note_it_once() -> None:
    world = World(max_stale_s=3600)
    _record, key = world.keys.create("ci")

    def use() -> int:
        return len([world.service.authenticate(key) for _ in range(50)])

    uses = run_threads([use] * 8)

    assert uses == [50] * 8
    assert len(world.store.touched) == 1


def test_of_two_threads_that_find_a_note_due_the_second_leaves_it(world: World) -> None:
    record, key = world.keys.create("ci")
    records = world.service._records

    class TakenFirstByAnother:
        def __enter__(self) -> None:
            records._touched[record.id] = world.clock.now

        def __exit__(self, *_error: object) -> None:
            pass

    records._lock = TakenFirstByAnother()  # type: ignore[assignment]
    world.service.authenticate(key)

    assert world.store.touched == []


@pytest.mark.parametrize("fault", [StoreUnavailable("down"), RuntimeError("a bug of somebody's store")])
def test_a_note_that_fails_is_logged_and_refuses_nobody(
    world: World, fault: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    record, key = world.keys.create("ci")

    def fail(*_args: Any, **_kwargs: Any) -> None:
        raise fault

    world.store.touch = fail  # type: ignore[method-assign]
    for _ in range(10):
        assert world.service.authenticate(key) is not None

    assert [(line.name, line.levelname) for line in caplog.records] == [("flask_guard.auth", "WARNING")]
    assert f"the use of the key {record.id} could not be noted ({type(fault).__name__})" in caplog.text
    assert key.split("_")[2] not in caplog.text


def test_a_refused_key_is_not_noted_as_used(world: World) -> None:
    record, key = world.keys.create("ci")
    world.keys.revoke(record.id)

    refusal_of(lambda: world.service.authenticate(key))

    assert world.store.touched == []


def test_a_lock_that_was_held_at_a_fork_is_left_behind(world: World) -> None:
    _record, key = world.keys.create("ci")
    for authenticator in (world.service, world.client):
        assert authenticator._records is not None
        authenticator._records._lock.acquire()
        authenticator.after_fork()

    assert world.service.authenticate(key) is not None
