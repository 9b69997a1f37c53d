"""From settings to profiles: what is inherited, and what an entry of the list may say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from flask_guard.auth.claims import IssuerProfile
from tests.auth.forge import private_key, private_pem, public_pem, secret_bytes
from tests.auth.profile_world import SECRET, A, B, Factory, algorithms_of, build, entry

# The settings themselves -------------------------------------------------------------------------------


def test_without_a_key_there_is_no_profile() -> None:
    assert build() == ([], None)
    assert build(issuer=A, audience="api", issuers="[]") == ([], None)


def test_a_secret_signs_and_checks() -> None:
    (profile,), key = build(secret_key=SECRET)

    assert key is not None
    assert key.algorithm == "HS256"
    assert algorithms_of(profile) == {"HS256"}


@pytest.mark.parametrize(("kind", "algorithm"), [("rsa", "RS256"), ("p384", "ES384"), ("ed25519", "EdDSA")])
def test_a_private_key_signs_and_its_public_half_checks(kind: str, algorithm: str) -> None:
    (profile,), key = build(private_key=private_pem(private_key(kind)))

    assert key is not None
    assert key.algorithm == algorithm
    assert [k.kid for k in profile.keys.candidates(None, algorithm)] == [key.kid]


def test_public_keys_check_and_do_not_sign() -> None:
    pem = public_pem(private_key("rsa")) + public_pem(private_key("p256"))

    (profile,), key = build(public_key=pem)

    assert key is None
    assert algorithms_of(profile) == {"RS256", "ES256"}


def test_a_private_key_and_the_public_key_before_it_check_together() -> None:
    pem, old = private_pem(private_key("p256")), public_pem(private_key("p256:old"))

    (profile,), key = build(private_key=pem, public_key=old)

    assert key is not None
    assert len(profile.keys.candidates(None, "ES256")) == 2


def test_a_jwks_address_makes_a_source() -> None:
    factory = Factory()

    (profile,), key = build(jwks_url=f"{A}/keys", issuer=A, algorithms="PS256", factory=factory)

    assert factory.made == [(f"{A}/keys", ("PS256",))]
    assert (profile.issuer, key) == (A, None)


def test_every_setting_reaches_the_profile() -> None:
    (profile,), _ = build(
        secret_key=SECRET,
        issuer=A,
        audience="api,other",
        types="at+jwt",
        subject_claim="uid",
        roles_claim="realm.roles",
        scopes_claim="scp",
        tenant_claim="org",
        required_claims="email,org",
        excluded_roles="guest",
        leeway="30s",
        max_lifetime="1h",
        require_expiry="false",
    )

    assert profile == IssuerProfile(
        keys=profile.keys,
        issuer=A,
        audience=frozenset({"api", "other"}),
        types=("at+jwt",),
        subject_claim="uid",
        roles_claim="realm.roles",
        scopes_claim="scp",
        tenant_claim="org",
        required_claims=("email", "org"),
        excluded_roles=frozenset({"guest"}),
        leeway_s=30.0,
        max_lifetime_s=3600.0,
        require_expiry=False,
    )


def test_the_defaults_of_the_settings_are_those_of_a_profile() -> None:
    (profile,), _ = build(secret_key=SECRET)

    assert profile == IssuerProfile(keys=profile.keys)


def test_an_algorithm_may_be_chosen_for_a_key() -> None:
    (_,), key = build(private_key=private_pem(private_key("rsa")), algorithms="PS256,RS256")

    assert key is not None
    assert key.algorithm == "PS256"


# Several issuers ---------------------------------------------------------------------------------------


def test_each_entry_makes_a_profile_beside_our_own() -> None:
    factory = Factory()

    profiles, key = build(
        secret_key=SECRET,
        issuer="https://ours.example",
        issuers=[
            entry(A),
            entry(B, public_key=public_pem(private_key("rsa"))),
            entry("c", secret_key=secret_bytes("c").decode()),
        ],
        factory=factory,
    )

    assert [profile.issuer for profile in profiles] == ["https://ours.example", A, B, "c"]
    assert [algorithms_of(profile) for profile in profiles] == [{"HS256"}, set(), {"RS256"}, {"HS256"}]
    assert key is not None
    assert factory.made == [(f"{A}/keys", ())]


def test_an_entry_inherits_what_it_does_not_say() -> None:
    (profile,), _ = build(audience="api", roles_claim="groups", leeway="5s", required_claims="email", issuers=[entry()])

    assert profile.audience == {"api"}
    assert (profile.roles_claim, profile.leeway_s, profile.required_claims) == ("groups", 5.0, ("email",))


def test_an_entry_overrides_what_it_says() -> None:
    said = {
        "audience": "its-api",
        "types": "JWT",
        "subject_claim": "uid",
        "roles_claim": "r",
        "scopes_claim": "scp",
        "tenant_claim": "org_id",
        "required_claims": ["email"],
        "leeway": "10s",
        "max_lifetime": "2h",
        "require_expiry": False,
    }

    (profile,), _ = build(audience="api", roles_claim="groups", leeway="5s", issuers=[entry(**said)])

    assert profile == IssuerProfile(
        keys=profile.keys,
        issuer=A,
        audience=frozenset({"its-api"}),
        types=("JWT",),
        subject_claim="uid",
        roles_claim="r",
        scopes_claim="scp",
        tenant_claim="org_id",
        required_claims=("email",),
        leeway_s=10.0,
        max_lifetime_s=7200.0,
        require_expiry=False,
    )


@pytest.mark.parametrize(("given", "audience"), [("a,b", {"a,b"}), (["a", "b"], {"a", "b"}), (None, {"api"})])
def test_an_audience_is_one_text_or_a_list(given: Any, audience: set[str]) -> None:
    (profile,), _ = build(audience="api", issuers=[entry(audience=given)])

    assert profile.audience == audience


def test_keys_of_an_entry_may_be_references(tmp_path: Path) -> None:
    pem = tmp_path / "key.pem"
    pem.write_text(public_pem(private_key("ed25519")))

    profiles, _ = build(
        issuers=[entry(A, secret_key="env:PARTNER_SECRET"), entry(B, public_key=f"file:{pem}")],
        environ={"PARTNER_SECRET": SECRET},
    )

    assert [algorithms_of(profile) for profile in profiles] == [{"HS256"}, {"EdDSA"}]


def test_an_entry_has_its_own_algorithms() -> None:
    factory = Factory()

    build(
        algorithms="PS256",
        issuers=[
            entry(A),
            entry(B, algorithms=["ES256"]),
            entry("c", algorithms="RS512", public_key=public_pem(private_key("rsa"))),
        ],
        factory=factory,
    )

    assert factory.made == [(f"{A}/keys", ("PS256",)), (f"{B}/keys", ("ES256",))]


def test_our_own_tokens_are_signed_by_our_own_key_only() -> None:
    _, key = build(issuers=[entry(A, secret_key=SECRET)])

    assert key is None


def test_a_weak_secret_will_do_outside_production() -> None:
    profiles, _ = build(is_production=False, issuers=[entry(secret_key="changeme")])

    assert len(profiles) == 1


def test_plain_http_will_do_outside_production() -> None:
    profiles, _ = build(is_production=False, issuers=[entry(jwks_url="http://localhost:8080/keys")])

    assert len(profiles) == 1
