"""What we issue is what a verifier reads; what it would not accept or would read differently is not issued."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flask_guard.auth.keyring import LocalKeys, TokenIssuer
from flask_guard.crypto.signing import SigningKey, parse_jwk
from flask_guard.errors import InvalidToken, TokenExpired
from tests.auth.forge import AUDIENCE, ISSUER, NOW, SIGNATURES, StillClock, sign, signing_key, verifier

PATHS = {"roles_claim": "roles", "scopes_claim": "scope", "tenant_claim": "tenant", "subject_claim": "sub"}


def issuer(key: SigningKey | None = None, **changes: Any) -> TokenIssuer:
    options: dict[str, Any] = {
        "issuer": ISSUER,
        "audience": AUDIENCE,
        "ttl_s": 900.0,
        "max_lifetime_s": None,
        "clock": StillClock(NOW + 0.75),
        **PATHS,
        **changes,
    }
    return TokenIssuer(key or signing_key(), **options)


def read(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    header, claims = (
        json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))) for part in token.split(".")[:2]
    )
    return header, claims


# Issued tokens -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", [*SIGNATURES, "HS512", "PS256"])
def test_what_is_issued_is_accepted(algorithm: str) -> None:
    key = signing_key(algorithm)

    token = issuer(key).issue(
        "user-1", ["admin", "reader"], scopes=["notes:read", "notes:write"], tenant="acme", sid="s-1"
    )
    principal = verifier(key).authenticate(token)

    assert (principal.id, principal.tenant, principal.session_id) == ("user-1", "acme", "s-1")
    assert principal.roles == {"admin", "reader"}
    assert principal.scopes == {"notes:read", "notes:write"}
    assert principal.authenticated_at == datetime.fromtimestamp(NOW, UTC)


def test_a_token_has_the_form_of_rfc_9068() -> None:
    key = signing_key()

    header, claims = read(issuer(key).issue("user-1", ["b", "a"], scopes=["y", "x"], tenant="acme"))

    assert header == {"typ": "at+jwt", "alg": key.algorithm, "kid": key.kid}
    token_id = claims.pop("jti")
    assert len(token_id) == 32
    assert claims == {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": "user-1",
        "iat": NOW,
        "exp": NOW + 900,
        "roles": ["a", "b"],
        "scope": "x y",
        "tenant": "acme",
    }


def test_what_is_not_known_is_left_out() -> None:
    _, claims = read(issuer(issuer=None, audience=None).issue("user-1"))

    assert set(claims) == {"sub", "iat", "exp", "jti"}


def test_no_two_tokens_have_the_same_id() -> None:
    ours = issuer(signing_key("HS256"))

    assert len({read(ours.issue("user-1"))[1]["jti"] for _ in range(100)}) == 100


def test_further_claims_travel_along() -> None:
    key = signing_key()
    extra = {
        "amr": ["pwd", "otp"],
        "auth_time": NOW - 60,
        "plan": {"name": "gold", "seats": [1, 2]},
        "client_id": "app",
    }

    principal = verifier(key).authenticate(issuer(key).issue("user-1", **extra))

    assert principal.mfa
    assert principal.authenticated_at == datetime.fromtimestamp(NOW - 60, UTC)
    assert principal.claims["plan"] == {"name": "gold", "seats": (1, 2)}


def test_dotted_paths_nest() -> None:
    key = signing_key()
    paths = {
        "roles_claim": "realm.roles",
        "scopes_claim": "realm.scp",
        "tenant_claim": "org.unit.id",
        "subject_claim": "uid",
    }

    token = issuer(key, **paths).issue("u-1", ["admin"], scopes=["read"], tenant="acme")
    principal = verifier(key, **paths).authenticate(token)

    assert read(token)[1]["realm"] == {"roles": ["admin"], "scp": "read"}
    assert read(token)[1]["org"] == {"unit": {"id": "acme"}}
    assert (principal.id, principal.tenant, principal.roles, principal.scopes) == ("u-1", "acme", {"admin"}, {"read"})


# Lifetimes ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ttl", "seconds"),
    [(None, 900), ("15m", 900), ("2h", 7200), (30, 30), (1, 1), (90.9, 90), (timedelta(minutes=5), 300), ("1s", 1)],
    ids=str,
)
def test_a_lifetime_may_be_given_in_any_form(ttl: Any, seconds: int) -> None:
    _, claims = read(issuer().issue("user-1", ttl=ttl))

    assert claims["exp"] - claims["iat"] == seconds


@pytest.mark.parametrize(
    "ttl",
    [
        0,
        -1,
        0.5,
        "0",
        "0s",
        "500ms",
        "-5m",
        "soon",
        "",
        timedelta(0),
        timedelta(seconds=-1),
        float("nan"),
        float("inf"),
        10**12,
        True,
    ],
    ids=str,
)
def test_a_lifetime_that_is_none_is_refused(ttl: Any) -> None:
    with pytest.raises(ValueError, match=r"ttl|duration"):
        issuer().issue("user-1", ttl=ttl)


@pytest.mark.parametrize(("ttl", "fits"), [(900, True), (901, False), ("16m", False), (timedelta(minutes=15), True)])
def test_no_token_lives_longer_than_the_settings_allow(ttl: Any, fits: bool) -> None:
    key = signing_key()
    ours = issuer(key, max_lifetime_s=900.0)

    if fits:
        token = ours.issue("user-1", ttl=ttl)
        assert verifier(key, max_lifetime_s=900.0).authenticate(token).id == "user-1"
        return
    with pytest.raises(ValueError, match="longer than tokens may live"):
        ours.issue("user-1", ttl=ttl)


def test_an_issued_token_expires() -> None:
    key, clock = signing_key(), StillClock()
    token = issuer(key, clock=clock).issue("user-1", ttl=60)

    with pytest.raises(TokenExpired):
        verifier(key, clock=StillClock(NOW + 60)).authenticate(token)


# What is not issued ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["iss", "sub", "aud", "exp", "nbf", "iat", "jti", "scope"])
def test_a_claim_that_has_its_place_cannot_be_given(name: str) -> None:
    with pytest.raises(ValueError, match=f"the claim {name} is set by the issuer"):
        issuer().issue("user-1", **{name: "x"})


@pytest.mark.parametrize("name", ["realm", "realm.roles", "org", "org.id"])
def test_neither_a_path_nor_its_root_can_be_given(name: str) -> None:
    """A claim named with dots wins over the path, and a root would carry roles of its own."""
    with pytest.raises(ValueError, match="is set by the issuer"):
        issuer(roles_claim="realm.roles", tenant_claim="org.id").issue("user-1", **{name: {"roles": ["admin"]}})


@pytest.mark.parametrize(
    "paths",
    [
        {"roles_claim": "sub"},
        {"tenant_claim": "iss"},
        {"tenant_claim": "roles"},
        {"roles_claim": "a", "scopes_claim": "a.b"},
        {"subject_claim": "exp"},
        {"roles_claim": "aud.roles"},
        {"subject_claim": "tenant"},
    ],
    ids=str,
)
def test_claims_that_would_share_a_place_are_refused(paths: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="have the same place"):
        issuer(**paths).issue("user-1")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"subject": ""}, "sub is not a text"),
        ({"subject": "x" * 256}, "sub is not a text"),
        ({"subject": "a\nb"}, "sub is not a text"),
        ({"subject": "\ud800"}, "cannot be written|not a text"),
        ({"subject": 5}, "sub is not a text"),
        ({"subject": None}, "sub is missing"),
        ({"roles": "admin"}, "lists of texts"),
        ({"roles": [1]}, "lists of texts"),
        ({"roles": [["admin"]]}, "lists of texts"),
        ({"roles": [""]}, "read differently"),
        ({"scopes": "read"}, "lists of texts"),
        ({"scopes": ["read write"]}, "read differently"),
        ({"scopes": [""]}, "read differently"),
        ({"tenant": ""}, "tenant is not a text"),
        ({"tenant": 5}, "tenant is not a text"),
        ({"plan": b"bytes"}, "cannot be written as JSON"),
        ({"plan": {1, 2}}, "cannot be written as JSON"),
        ({"plan": float("nan")}, "cannot be written as JSON"),
        ({"plan": "\ud800"}, "cannot be written as JSON"),
        ({"plan": "x" * 9000}, "longer than 8192 bytes"),
        ({"auth_time": "yesterday"}, "not a number"),
        ({"sid": 5}, "sid is not a text"),
        ({"token_type": "refresh"}, "token_type is not access"),
        ({"typ": "ID"}, "no access token"),
    ],
    ids=lambda value: ascii(value)[:50],
)
def test_a_token_that_would_not_be_accepted_is_not_issued(arguments: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        issuer().issue(**{"subject": "user-1", **arguments})


def test_a_claim_that_contains_itself_is_refused() -> None:
    loop: list[Any] = []
    loop.append(loop)

    with pytest.raises(ValueError, match="cannot be written as JSON"):
        issuer().issue("user-1", plan=loop)


_names = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


@given(subject=_names, roles=st.sets(_names, max_size=3), scopes=st.sets(_names, max_size=3), tenant=st.none() | _names)
def test_either_refused_or_read_as_given(subject: str, roles: set[str], scopes: set[str], tenant: str | None) -> None:
    key = signing_key("HS256")
    try:
        token = issuer(key).issue(subject, roles, scopes=scopes, tenant=tenant)
    except ValueError:
        return

    principal = verifier(key, excluded_roles=frozenset()).authenticate(token)

    assert (principal.id, principal.roles, principal.scopes, principal.tenant) == (subject, roles, scopes, tenant)


# Keys --------------------------------------------------------------------------------------------------


def test_the_published_set_checks_what_was_issued() -> None:
    key = signing_key("RS256")
    (jwk,) = issuer(key).public_jwks()["keys"]
    published = parse_jwk(json.loads(json.dumps(jwk)))
    signing_input, _, signature = issuer(key).issue("user-1").rpartition(".")

    assert published is not None
    assert published.verify(signing_input.encode(), base64.urlsafe_b64decode(signature + "=="))
    assert {"d", "p", "q", "k"}.isdisjoint(jwk)


def test_a_secret_is_not_published() -> None:
    assert issuer(signing_key("HS256")).public_jwks() == {"keys": []}


def test_a_local_key_is_found_under_whatever_name_its_issuer_gives_it() -> None:
    """A PEM in the settings has no name; the issuer's name for it is only a hint."""
    key = signing_key("RS256")

    assert verifier(key).authenticate(sign(key, kid="issuers-own-name")).id == "user-1"
    with pytest.raises(InvalidToken):
        verifier(key).authenticate(sign(signing_key("RS256", "attacker"), kid="issuers-own-name"))


def test_the_name_of_a_local_key_picks_it_out() -> None:
    keys = [signing_key("ES256", name) for name in "123"]
    source = LocalKeys([key.verification for key in keys])

    assert [key.kid for key in source.candidates(keys[1].kid, "ES256")] == [keys[1].kid]
    assert len(source.candidates("unknown", "ES256")) == 3
    assert source.candidates(keys[1].kid, "RS256") == ()
