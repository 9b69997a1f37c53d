"""What claims must say, at the edges, and the principal that they make."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime
from typing import Any

import pytest

from flask_guard.auth.claims import ClaimRules, IssuerProfile, find_claim, refuse_other_kinds
from flask_guard.auth.keyring import LocalKeys
from flask_guard.errors import (
    CredentialRefused,
    InvalidToken,
)
from flask_guard.values import Claims, Principal, freeze_claims
from tests.auth.forge import AUDIENCE, NOW, admit, claims, principal_of

# Audience ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("aud", [AUDIENCE, "second", [AUDIENCE], ["other", AUDIENCE], ["second", "third"]], ids=str)
def test_one_accepted_audience_is_enough(aud: Any) -> None:
    assert principal_of(claims(aud=aud), audience=frozenset({AUDIENCE, "second"})).id == "user-1"


@pytest.mark.parametrize(
    "aud",
    [None, "", "other", AUDIENCE.upper(), AUDIENCE + " ", f"{AUDIENCE} other", [], ["other"], [[AUDIENCE]],
     {AUDIENCE: 1}, [AUDIENCE, 5], [{"a": 1}], 5, True],
    ids=ascii,
)  # fmt: skip
def test_another_audience_is_refused(aud: Any) -> None:
    with pytest.raises(InvalidToken):
        admit(claims(aud=aud), audience=frozenset({AUDIENCE}))


def test_any_audience_will_do_when_none_is_configured() -> None:
    assert principal_of(claims(aud="other")).id == "user-1"
    assert principal_of(claims(aud=None)).id == "user-1"


# Kinds of tokens ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "members",
    [
        {"token_type": "refresh"}, {"token_type": "id"}, {"token_type": "Bearer"}, {"token_type": "ACCESS"},
        {"token_type": 1}, {"token_use": "id"}, {"token_use": "refresh"},
        {"typ": "ID"}, {"typ": "Refresh"}, {"typ": "Offline"}, {"typ": "Logout"}, {"typ": "logout+jwt"},
        {"typ": "refresh token"}, {"type": "refresh"}, {"type": "id_token"}, {"type": "refresh-token"},
        {"at_hash": "x"}, {"c_hash": "x"}, {"nonce": "n"}, {"events": {}}, {"nonce": None},
        {"typ": "Bearer", "nonce": "n", "at_hash": "x"}, {"typ": "Bearer", "events": {}},
        {"typ": "bearer", "nonce": "n"},
    ],
    ids=str,
)  # fmt: skip
def test_tokens_of_another_kind_are_refused(members: dict[str, Any]) -> None:
    with pytest.raises(InvalidToken):
        admit({**claims(), **members})


@pytest.mark.parametrize(
    ("members", "typ"),
    [
        ({"token_type": "access"}, "jwt"),
        ({"token_use": "access"}, None),
        ({"typ": "Bearer"}, "jwt"),
        ({"typ": "Bearer", "nonce": "n"}, "jwt"),
        ({"nonce": "n", "at_hash": "x"}, "at+jwt"),
        ({"type": "identity-card"}, "jwt"),
        ({"type": 3}, "jwt"),
    ],
    ids=str,
)
def test_access_tokens_of_known_issuers_pass(members: dict[str, Any], typ: str) -> None:
    assert principal_of(claims(**members), typ=typ).id == "user-1"


def test_the_header_does_not_make_a_refresh_token_an_access_token() -> None:
    with pytest.raises(InvalidToken):
        refuse_other_kinds({"typ": "Refresh"}, is_access_token=True)


# Paths -------------------------------------------------------------------------------------------------

TREE = {"a": {"b": {"c": 1}, "list": [{"x": 1}]}, "a.b": 2, "x": 3, "null": None, "": {"": 4}, "a.b.d": 5}


@pytest.mark.parametrize(
    ("path", "expected"),
    [("x", 3), ("a.b", 2), ("a.b.c", 1), ("null", None), (".", 4), ("a.b.d", 5)],
)
def test_a_claim_is_found_by_name_or_path(path: str, expected: Any) -> None:
    assert find_claim(freeze_claims(TREE), path) == expected


@pytest.mark.parametrize("path", ["y", "x.y", "a.c", "a.list.0", "a.list.x", "null.x", "a..b", "a.b.c.d"])
def test_a_claim_that_is_not_there_equals_no_json(path: str) -> None:
    absent = find_claim(freeze_claims(TREE), path)

    assert absent is find_claim(Claims(), "nothing")
    assert absent is not None


@pytest.mark.parametrize("value", ["text", 0, False, [], {}, ""], ids=ascii)
def test_a_required_claim_may_have_any_value(value: Any) -> None:
    assert principal_of(claims(ext={"plan": value}), required_claims=("ext.plan", "jti")).id == "user-1"


@pytest.mark.parametrize("members", [{}, {"ext": {}}, {"ext": {"plan": None}}, {"ext": "plan"}], ids=str)
def test_a_required_claim_that_is_missing_or_null_is_refused(members: dict[str, Any]) -> None:
    with pytest.raises(InvalidToken, match=r"ext\.plan"):
        admit({**claims(), **members}, required_claims=("ext.plan",))


# The principal -----------------------------------------------------------------------------------------


def test_the_principal_is_an_ordinary_one() -> None:
    """It is built past `__init__`, so it must not differ from one that was not."""
    members = claims(roles=["a"], scope="x", tenant="acme", sid="session-1", auth_time=NOW - 60, amr=["pwd", "otp"])

    principal = principal_of(members)

    expected = Principal(
        id="user-1",
        kind="user",
        roles=frozenset({"a"}),
        scopes=frozenset({"x"}),
        tenant="acme",
        session_id="session-1",
        method="jwt",
        claims=freeze_claims(members),
        authenticated_at=datetime.fromtimestamp(NOW - 60, UTC),
        mfa=True,
    )
    assert type(principal) is Principal
    assert principal == expected
    assert hash(principal) == hash(expected)
    assert repr(principal) == repr(expected)
    assert dataclasses.replace(principal, tenant="other").tenant == "other"
    with pytest.raises(dataclasses.FrozenInstanceError):
        principal.roles = frozenset({"admin"})  # type: ignore[misc]


def test_a_bare_token_makes_a_bare_principal() -> None:
    assert principal_of({"sub": "a", "exp": NOW + 1}) == Principal(
        id="a", kind="user", method="jwt", claims=freeze_claims({"sub": "a", "exp": NOW + 1})
    )


@pytest.mark.parametrize(
    ("members", "session"),
    [({"sid": "s", "jti": "t"}, "s"), ({"sid": None, "jti": "t"}, "t"), ({"sid": None, "jti": None}, None)],
    ids=str,
)
def test_the_session_is_sid_else_jti(members: dict[str, Any], session: str | None) -> None:
    assert principal_of(claims(**members)).session_id == session


@pytest.mark.parametrize(
    ("members", "second"),
    [({"auth_time": NOW - 100.5}, NOW - 100.5), ({}, NOW - 10), ({"iat": None}, None), ({"auth_time": 0}, 0)],
    ids=str,
)
def test_the_login_is_auth_time_else_iat(members: dict[str, Any], second: float | None) -> None:
    expected = None if second is None else datetime.fromtimestamp(second, UTC)

    assert principal_of(claims(**members)).authenticated_at == expected


@pytest.mark.parametrize(
    ("members", "mfa"),
    [
        ({"amr": ["mfa"]}, True), ({"amr": ["pwd", "otp"]}, True), ({"amr": ["hwk"]}, True), ({"mfa": True}, True),
        ({"amr": ["pwd"]}, False), ({"amr": []}, False), ({"amr": "mfa"}, False), ({"amr": [["mfa"]]}, False),
        ({"amr": {"mfa": 1}}, False), ({"amr": [1, {"a": 1}]}, False), ({"mfa": "true"}, False), ({"mfa": 1}, False),
        ({}, False),
    ],
    ids=str,
)  # fmt: skip
def test_a_second_factor_must_be_named(members: dict[str, Any], mfa: bool) -> None:
    assert principal_of(claims(**members)).mfa is mfa


@pytest.mark.parametrize(
    ("value", "names"),
    [
        (["a", "b", "a"], {"a", "b"}), ("a b", {"a", "b"}), ("a  b ", {"a", "b"}), ("", set()), ([], set()),
        (["", "a"], {"a"}), (["a b"], {"a b"}), ("a\u00a0b", {"a\u00a0b"}), ("a\tb", {"a\tb"}),
        (["offline_access", "a"], {"a"}),
        ("uma_authorization a", {"a"}), (["Offline_Access"], {"Offline_Access"}),
    ],
)  # fmt: skip
def test_roles_are_a_list_or_words_without_the_excluded(value: Any, names: set[str]) -> None:
    assert principal_of(claims(roles=value)).roles == names
    assert principal_of(claims(realm={"roles": value}), roles_claim="realm.roles").roles == names


def test_scopes_are_not_subject_to_excluded_roles() -> None:
    assert principal_of(claims(scope="offline_access read")).scopes == {"offline_access", "read"}


@pytest.mark.parametrize("name", ["roles", "scope"])
@pytest.mark.parametrize(
    "value", [5, True, None, 1.5, {"admin": True}, [1], ["a", None], ["a", {"b": 1}], [["admin"]], {}], ids=ascii
)
def test_names_of_the_wrong_form_are_a_bad_token_and_not_an_empty_list(name: str, value: Any) -> None:
    with pytest.raises(InvalidToken, match="not a list of texts"):
        admit({**claims(), name: value})


def test_a_list_of_names_is_made_once() -> None:
    rules = ClaimRules(IssuerProfile(LocalKeys([])))
    first, _ = rules.admit(freeze_claims(claims(roles=["a", "b"])), None, NOW)
    second, _ = rules.admit(freeze_claims(claims(roles=["a", "b"], sub="user-2")), None, NOW)

    assert first.roles is second.roles


def test_the_memory_of_name_lists_is_bounded() -> None:
    rules = ClaimRules(IssuerProfile(LocalKeys([])))

    for number in range(3000):
        principal, _ = rules.admit(freeze_claims(claims(roles=[f"role-{number}"])), None, NOW)
        assert principal.roles == {f"role-{number}"}

    assert len(rules.roles._known) <= 1024


@pytest.mark.parametrize("name", ["sub", "jti", "sid", "tenant"])
@pytest.mark.parametrize(
    "value", ["", "x" * 256, 5, True, None, ["a"], {"a": 1}, "a\nb", "a\0", "a\u202eb", "\ud800", "\u2028"], ids=ascii
)
def test_a_name_that_cannot_be_shown_is_refused(name: str, value: Any) -> None:
    with pytest.raises(InvalidToken):
        admit({**claims(), name: value})


@pytest.mark.parametrize("value", ["x", "x" * 255, "auth0|1234", "Zoë Müller", "日本", "a b", "https://id.example/u#1"])
def test_a_name_may_be_any_printable_text(value: str) -> None:
    principal = principal_of(claims(sub=value, tenant=value, sid=value))

    assert (principal.id, principal.tenant, principal.session_id) == (value, value, value)


def test_claims_may_live_under_other_names() -> None:
    members = claims(sub=None, uid="u-9", org={"id": "acme"}, scp=["read"], **{"https://app.example/roles": ["admin"]})

    principal = principal_of(
        members, subject_claim="uid", tenant_claim="org.id", scopes_claim="scp", roles_claim="https://app.example/roles"
    )

    assert (principal.id, principal.tenant) == ("u-9", "acme")
    assert (principal.scopes, principal.roles) == ({"read"}, {"admin"})


def test_a_token_without_the_configured_subject_is_refused() -> None:
    with pytest.raises(InvalidToken, match="the claim uid is missing"):
        admit(claims(), subject_claim="uid")


# Types -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("configured", "accepted", "refused"),
    [
        (("at+jwt", "JWT", "none"), {"at+jwt", "jwt", None}, {"none", "", "id+jwt"}),
        (("application/AT+JWT",), {"at+jwt"}, {"jwt", None}),
        (("NONE",), {None}, {"none"}),
    ],
    ids=["default", "one", "none only"],
)
def test_none_stands_for_a_header_without_a_type(
    configured: tuple[str, ...], accepted: set[Any], refused: set[Any]
) -> None:
    types = ClaimRules(IssuerProfile(LocalKeys([]), types=configured)).types

    assert types == accepted
    assert types.isdisjoint(refused)


# What refusals say -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "members",
    [
        {"exp": NOW},
        {"exp": None},
        {"nbf": NOW + 99},
        {"iat": NOW + 99},
        {"aud": "other"},
        {"roles": 5},
        {"sub": "a\nb"},
        {"nonce": "n"},
    ],
    ids=str,
)
def test_the_public_text_is_the_same_for_all_and_the_reason_is_private(members: dict[str, Any]) -> None:
    with pytest.raises(CredentialRefused) as caught:
        admit(claims(**members), audience=frozenset({AUDIENCE}))

    refusal = caught.value
    assert refusal.text == type(refusal).public
    assert refusal.detail
    assert refusal.detail not in refusal.text
    assert AUDIENCE not in str(refusal.headers())
    assert "user-1" not in refusal.text + str(refusal.headers())
