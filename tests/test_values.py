"""The values that cross folders cannot be changed by whoever gets them."""

from __future__ import annotations

import copy
import dataclasses
import json
import pickle
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flask_guard.values import (
    ANONYMOUS,
    NO_TENANT,
    ApiKeyRecord,
    Claims,
    Decision,
    Finding,
    Level,
    Principal,
    Tenant,
    freeze_claims,
)

JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=5)),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=4), inner, max_size=4)),
    max_leaves=15,
)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda claims: claims.__setitem__("sub", "eve"), id="set"),
        pytest.param(lambda claims: claims.__delitem__("sub"), id="delete"),
        pytest.param(lambda claims: claims.update(sub="eve"), id="update"),
        pytest.param(lambda claims: claims.pop("sub"), id="pop"),
        pytest.param(lambda claims: claims.popitem(), id="popitem"),
        pytest.param(lambda claims: claims.setdefault("new", 1), id="setdefault"),
        pytest.param(lambda claims: claims.clear(), id="clear"),
        pytest.param(lambda claims: claims.__ior__({"sub": "eve"}), id="or in place"),
        pytest.param(lambda claims: claims["realm"].update(roles=()), id="a nested object"),
        pytest.param(lambda claims: claims["realm"]["roles"].append("admin"), id="a nested list"),
    ],
)
def test_claims_refuse_to_be_changed(change: Callable[[Any], Any]) -> None:
    claims = freeze_claims({"sub": "ada", "realm": {"roles": ["staff"]}})

    with pytest.raises((TypeError, AttributeError)):
        change(claims)

    assert claims == {"sub": "ada", "realm": {"roles": ("staff",)}}


def test_copy_of_claims_may_be_changed_and_leaves_them_alone() -> None:
    claims = freeze_claims({"sub": "ada"})

    mine = dict(claims)
    mine["sub"] = "eve"

    assert claims["sub"] == "ada"
    assert (claims | {"sub": "eve"})["sub"] == "eve"
    assert claims["sub"] == "ada"


@given(value=JSON)
def test_frozen_claims_hold_what_was_parsed(value: Any) -> None:
    assert json.loads(json.dumps(freeze_claims(value))) == json.loads(json.dumps(value))


@given(value=st.dictionaries(st.text(max_size=4), JSON, max_size=4))
def test_claims_survive_pickle_and_copy_and_stay_frozen(value: dict[str, Any]) -> None:
    claims = freeze_claims(value)

    for again in (pickle.loads(pickle.dumps(claims)), copy.deepcopy(claims), copy.copy(claims)):  # noqa: S301
        assert type(again) is Claims
        assert again == claims


def test_principal_without_claims_refuses_them_too() -> None:
    with pytest.raises(TypeError, match="claims are read-only"):
        Principal(id="a").claims["sub"] = "eve"  # type: ignore[index]
    assert ANONYMOUS.claims == {}


@pytest.mark.parametrize(
    "value",
    [
        Principal(id="ada"),
        Tenant("acme"),
        Decision(True, "yes"),
        Finding("FG-A-001", Level.INFO, "a", "b"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_value_is_frozen_and_has_no_room_for_more(value: Any) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(value, dataclasses.fields(value)[0].name, "other")
    with pytest.raises((AttributeError, TypeError)):
        value.more = 1


def test_principal_is_told_apart_by_what_was_proved() -> None:
    ada = Principal(id="ada", roles=frozenset({"a"}), claims=Claims(sub="ada"))

    assert ada.is_authenticated
    assert not ANONYMOUS.is_authenticated
    assert hash(ada) == hash(dataclasses.replace(ada, claims=Claims()))
    assert ada != dataclasses.replace(ada, tenant="acme")


def test_principal_prints_without_its_claims() -> None:
    assert "1990" not in repr(Principal(id="ada", claims=Claims(birthdate="1990")))


def test_tenant_is_true_when_it_has_an_id() -> None:
    assert Tenant("acme")
    assert not NO_TENANT
    assert not Tenant("", name="Acme")


def test_decision_is_true_when_allowed() -> None:
    assert Decision(True, "role")
    assert not Decision(False, "role_missing")


def test_key_record_prints_without_its_digest() -> None:
    record = ApiKeyRecord(
        id="k1", name="ci", kind="service", prefix="fgk_abcd", digest="d1g357", roles=frozenset(),
        scopes=frozenset(), tenant=None, created_at=datetime.now(UTC),
    )  # fmt: skip

    assert "d1g357" not in repr(record)
    assert "fgk_abcd" in repr(record)


def test_levels_are_ordered_from_the_most_serious() -> None:
    assert list(Level) == ["error", "warning", "info"]


@pytest.mark.parametrize("name", ["roles", "scopes"])
def test_one_text_is_no_set_of_roles(name: str) -> None:
    """A part of it would count as a role."""
    with pytest.raises(TypeError, match="not one text"):
        Principal("ada", **{name: "boss"})  # type: ignore[arg-type]
