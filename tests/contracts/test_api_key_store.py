"""What every store of API keys promises (`protocols.ApiKeyStore`)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from functools import partial
from hashlib import sha256
from itertools import count
from typing import Any

import pytest

from flask_guard.db.engine import Database
from flask_guard.db.schema import create_schema
from flask_guard.db.stores import SqlApiKeyStore
from flask_guard.errors import Conflict
from flask_guard.protocols import ApiKeyStore
from flask_guard.values import ApiKeyRecord
from tests.contracts.api_key_stores import MemoryApiKeyStore
from tests.db.races import run_threads

NOW = datetime(2026, 11, 21, 12, 0, 0, 123456, tzinfo=UTC)
_numbers = count(1)


@pytest.fixture(params=["memory", "sqlite", "sqlite in memory", "postgresql"])
def store(request: pytest.FixtureRequest, tmp_path: Any) -> Iterator[ApiKeyStore]:
    if request.param == "memory":
        yield MemoryApiKeyStore()
        return
    url = {"sqlite": f"sqlite:///{tmp_path / 'keys.db'}", "sqlite in memory": "sqlite://"}.get(request.param)
    database = Database.from_url(url or request.getfixturevalue("postgres_db"))
    if request.param == "postgresql":
        create_schema(database)
    yield SqlApiKeyStore(database)
    database.close()


def make_record(name: str = "ci", **changes: Any) -> ApiKeyRecord:
    number = next(_numbers)
    record = ApiKeyRecord(
        id=f"id{number:014d}",
        name=name,
        kind="service",
        prefix=f"fgk_id{number:014d}",
        digest=sha256(str(number).encode()).hexdigest(),
        roles=frozenset({"reader", "writer"}),
        scopes=frozenset({"notes:read", "notes:*", "*"}),
        tenant="acme",
        created_at=NOW,
    )
    return replace(record, **changes)


def test_a_key_comes_back_as_it_went_in(store: ApiKeyStore) -> None:
    record = make_record(
        name="Schlüssel für 日本 🔑",
        description='it\'s "quoted"; DROP TABLE guard_api_keys',
        expires_at=NOW + timedelta(days=90),
        last_used_at=NOW + timedelta(seconds=1),
        roles=frozenset({"größe", 'a"b'}),
    )

    store.add(record)

    assert store.find_by_digest(record.digest) == record


def test_times_come_back_aware_and_in_utc(store: ApiKeyStore) -> None:
    """A key made in another time zone ends at the same moment everywhere."""
    tokyo = timezone(timedelta(hours=9))
    store.add(record := make_record(expires_at=datetime(2027, 1, 1, 3, 0, tzinfo=tokyo)))

    found = store.find_by_digest(record.digest)

    assert found is not None
    assert found.expires_at == datetime(2026, 12, 31, 18, 0, tzinfo=UTC)
    assert found.created_at.utcoffset() == timedelta(0)


def test_an_empty_store_has_no_keys(store: ApiKeyStore) -> None:
    assert store.find_by_digest("0" * 64) is None
    assert store.list_keys() == []
    assert store.revoke("unknown", NOW) is False
    assert store.delete("unknown") is False
    store.touch("unknown", NOW, not_after=NOW)


@pytest.mark.parametrize("prefix", [0, 63], ids=["nothing", "63 of 64 digits"])
def test_part_of_a_digest_finds_nothing(store: ApiKeyStore, prefix: int) -> None:
    store.add(record := make_record())

    assert store.find_by_digest(record.digest[:prefix]) is None
    assert store.find_by_digest(record.digest[:prefix] + "%") is None
    assert store.find_by_digest(record.digest.upper()) is None


@pytest.mark.parametrize(
    ("first", "second", "is_taken"),
    [
        pytest.param({}, {}, True, id="same tenant"),
        pytest.param({"tenant": None}, {"tenant": None}, True, id="no tenant, twice"),
        pytest.param({}, {"kind": "client"}, True, id="another kind"),
        pytest.param({"expires_at": NOW - timedelta(days=1)}, {}, True, id="the first one expired"),
        pytest.param({"revoked_at": NOW}, {}, False, id="the first one revoked"),
        pytest.param({}, {"revoked_at": NOW}, False, id="the second one revoked"),
        pytest.param({}, {"tenant": "globex"}, False, id="another tenant"),
        pytest.param({}, {"tenant": None}, False, id="none and a tenant"),
        pytest.param({}, {"name": "CI"}, False, id="another case"),
    ],
)
def test_a_name_is_taken_by_one_live_key_of_a_tenant(
    store: ApiKeyStore, first: dict[str, Any], second: dict[str, Any], is_taken: bool
) -> None:
    store.add(make_record(**first))
    record = make_record(**second)

    if is_taken:
        with pytest.raises(Conflict) as caught:
            store.add(record)
        assert record.digest not in repr(caught.value)
        assert caught.value.status == 409
    else:
        store.add(record)

    assert len(store.list_keys()) == 2 - is_taken


def test_a_name_is_free_again_after_revocation_and_after_deletion(store: ApiKeyStore) -> None:
    store.add(first := make_record())
    store.revoke(first.id, NOW)
    store.add(second := make_record())
    store.delete(second.id)
    store.add(third := make_record())

    assert {record.id for record in store.list_keys()} == {first.id, third.id}


def take_name(store: ApiKeyStore, name: str) -> None:
    store.add(make_record(name=name))


def test_of_threads_that_take_a_name_at_once_one_wins(store: ApiKeyStore) -> None:
    for name in ("one", "two", "three"):
        outcomes = run_threads([partial(take_name, store, name)] * 4)

        assert sorted(type(outcome).__name__ for outcome in outcomes) == ["Conflict"] * 3 + ["NoneType"]

    assert len(store.list_keys()) == 3


def test_keys_are_listed_newest_first_and_by_tenant_and_kind(store: ApiKeyStore) -> None:
    rows = [
        ("a", "acme", "service"),
        ("b", "acme", "client"),
        ("c", None, "service"),
        ("d", "globex", "service"),
    ]
    for age, (name, tenant, kind) in enumerate(rows):
        created = NOW - timedelta(microseconds=age)
        store.add(make_record(name=name, tenant=tenant, kind=kind, created_at=created))

    def names(**filters: Any) -> str:
        return "".join(record.name for record in store.list_keys(**filters))

    assert names() == "abcd"
    assert names(tenant="acme") == "ab"
    assert names(kind="service") == "acd"
    assert names(tenant="acme", kind="service") == "a"
    assert names(tenant="") == ""


def test_revocation_is_for_good_and_keeps_its_first_time(store: ApiKeyStore) -> None:
    store.add(record := make_record())

    answers = [store.revoke(record.id, NOW), store.revoke(record.id, NOW + timedelta(days=1))]

    found = store.find_by_digest(record.digest)
    assert answers == [True, True]
    assert found == replace(record, revoked_at=NOW)


def test_deletion_leaves_nothing(store: ApiKeyStore) -> None:
    store.add(record := make_record())

    answers = [store.delete(record.id), store.delete(record.id)]

    assert answers == [True, False]
    assert store.find_by_digest(record.digest) is None


@pytest.mark.parametrize(
    ("noted", "expected"),
    [
        pytest.param(None, NOW, id="never used"),
        pytest.param(NOW - timedelta(seconds=61), NOW, id="61 s ago"),
        pytest.param(NOW - timedelta(seconds=60), NOW, id="60 s ago"),
        pytest.param(NOW - timedelta(seconds=59), NOW - timedelta(seconds=59), id="59 s ago"),
        pytest.param(NOW + timedelta(hours=1), NOW + timedelta(hours=1), id="later, by another clock"),
    ],
)
def test_a_use_is_noted_unless_a_recent_one_is(store: ApiKeyStore, noted: datetime | None, expected: datetime) -> None:
    store.add(record := make_record(last_used_at=noted))
    store.add(other := make_record(name="other"))

    store.touch(record.id, NOW, not_after=NOW - timedelta(seconds=60))

    found = store.find_by_digest(record.digest)
    assert found == replace(record, last_used_at=expected)
    assert store.find_by_digest(other.digest) == other


def test_a_key_is_found_by_its_id_whatever_its_state(store: ApiKeyStore) -> None:
    store.add(record := make_record(revoked_at=NOW))

    assert store.find_by_id(record.id) == record
    assert store.find_by_id("unknown") is None


def test_a_replacement_keeps_the_new_key_and_the_end_of_the_old_one(store: ApiKeyStore) -> None:
    store.add(old := make_record())
    ended, new = replace(old, revoked_at=NOW), make_record()

    assert store.replace(ended, by=new)

    assert store.find_by_id(old.id) == ended
    assert store.find_by_id(new.id) == new


@pytest.mark.parametrize("gone", ["revoked", "deleted"])
def test_a_key_that_has_ended_cannot_be_replaced(store: ApiKeyStore, gone: str) -> None:
    store.add(old := make_record())
    store.revoke(old.id, NOW) if gone == "revoked" else store.delete(old.id)
    new = make_record()

    assert not store.replace(replace(old, revoked_at=NOW), by=new)

    assert store.find_by_id(new.id) is None


def test_a_replacement_that_clashes_changes_nothing(store: ApiKeyStore) -> None:
    store.add(old := make_record())
    store.add(make_record(name="taken"))

    with pytest.raises(Conflict):
        store.replace(replace(old, revoked_at=NOW), by=make_record(name="taken"))

    assert store.find_by_id(old.id) == old


def test_of_threads_that_replace_one_key_at_once_one_wins(store: ApiKeyStore) -> None:
    store.add(old := make_record())
    ended = replace(old, revoked_at=NOW)

    won = run_threads([partial(store.replace, ended, by=make_record()) for _ in range(8)])

    assert won.count(True) == 1
    assert sum(record.revoked_at is None for record in store.list_keys()) == 1
