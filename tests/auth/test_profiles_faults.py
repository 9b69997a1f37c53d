"""What is wrong in the settings of tokens: each fault with its name, all of them at once, and no secret in any."""

from __future__ import annotations

import json
from typing import Any

import pytest

from flask_guard.auth.profiles import MAX_ISSUERS
from flask_guard.errors import ConfigError
from tests.auth.forge import private_key, private_pem, public_pem, signing_key
from tests.auth.profile_world import SECRET, A, B, Factory, algorithms_of, build, entry, faults_of


@pytest.mark.parametrize(
    ("values", "fault"),
    [
        ({"private_key": "nonsense"}, "GUARD_JWT_PRIVATE_KEY is not a private key in PEM form."),
        (
            {"public_key": "-----BEGIN CERTIFICATE-----\nMII\n-----END CERTIFICATE-----"},
            "GUARD_JWT_PUBLIC_KEY holds a certificate; give its public key (`openssl x509 -pubkey -noout`).",
        ),
        (
            {"secret_key": "ssh-ed25519 AAAA"},
            "GUARD_JWT_SECRET_KEY is empty, or holds a PEM key, an SSH key or a JWK where an HMAC secret is expected.",
        ),
        (
            {"secret_key": "short", "algorithms": "HS512"},
            "GUARD_JWT_SECRET_KEY is shorter than the 64 bytes that HS512 needs.",
        ),
        ({"jwks_url": "http://a.example/keys"}, "GUARD_JWT_JWKS_URL must be https in production."),
        (
            {"secret_key": SECRET, "algorithms": "RS256"},
            "GUARD_JWT_ALGORITHMS names RS256, which fits none of the keys.",
        ),
        (
            {"jwks_url": f"{A}/keys", "algorithms": "HS256"},
            "GUARD_JWT_ALGORITHMS names HS256, which fits none of the keys.",
        ),
        (
            {"secret_key": SECRET, "issuers": [entry()]},
            "GUARD_JWT_ISSUER must be set beside GUARD_JWT_ISSUERS, so that `iss` says whose keys check a token.",
        ),
        ({"issuers": [{"jwks_url": f"{A}/keys"}]}, "GUARD_JWT_ISSUERS[0].issuer is missing."),
        ({"issuers": [entry("", jwks_url=f"{A}/keys")]}, "GUARD_JWT_ISSUERS[0].issuer must not be empty."),
        ({"issuers": [{"issuer": 5, "jwks_url": f"{A}/keys"}]}, "GUARD_JWT_ISSUERS[0].issuer must be text."),
        (
            {"issuers": [entry(A), {"issuer": B}]},
            "GUARD_JWT_ISSUERS[1] needs one of jwks_url, public_key, secret_key; it has 0 of them.",
        ),
        (
            {"issuers": [entry(jwks_url=f"{A}/keys", secret_key=SECRET)]},
            "GUARD_JWT_ISSUERS[0] needs one of jwks_url, public_key, secret_key; it has 2 of them.",
        ),
        (
            {"issuers": [entry(jwks_uri="x")]},
            "GUARD_JWT_ISSUERS[0]: jwks_uri is not a member. Did you mean jwks_url?",
        ),
        (
            {"issuers": [entry(**{"4f!" * 12: "x"})]},
            "GUARD_JWT_ISSUERS[0]: has a member that is none of issuer, audience, jwks_url, public_key, secret_key, "
            "algorithms, types, subject_claim, roles_claim, scopes_claim, tenant_claim, required_claims, leeway, "
            "max_lifetime, require_expiry.",
        ),
        (
            {"issuers": [entry(jwks_url="ftp://a.example/keys")]},
            "GUARD_JWT_ISSUERS[0].jwks_url must be a URL beginning with https:// or http://.",
        ),
        (
            {"issuers": [entry(jwks_url="http://a.example/keys")]},
            "GUARD_JWT_ISSUERS[0].jwks_url must be https in production.",
        ),
        (
            {"issuers": [entry(secret_key="env:NOT_THERE")]},
            "GUARD_JWT_ISSUERS[0].secret_key refers to the environment variable NOT_THERE, which is not set.",
        ),
        ({"issuers": [entry(public_key="nonsense")]}, "GUARD_JWT_ISSUERS[0].public_key must be a key in PEM form."),
        (
            {"issuers": [entry(public_key=private_pem(private_key("p256")))]},
            "GUARD_JWT_ISSUERS[0].public_key holds a private key where only public keys belong.",
        ),
        ({"issuers": [entry(secret_key=5)]}, "GUARD_JWT_ISSUERS[0].secret_key must be text."),
        ({"issuers": [entry(leeway="soon")]}, "GUARD_JWT_ISSUERS[0].leeway must be a duration such as 30s or 15m."),
        ({"issuers": [entry(max_lifetime=0)]}, "GUARD_JWT_ISSUERS[0].max_lifetime must be a duration above zero."),
        ({"issuers": [entry(audience=[])]}, "GUARD_JWT_ISSUERS[0].audience must not be empty."),
        ({"issuers": [entry(audience="")]}, "GUARD_JWT_ISSUERS[0].audience must not be empty."),
        ({"issuers": [entry(types="")]}, "GUARD_JWT_ISSUERS[0].types must not be empty."),
        ({"issuers": [entry(require_expiry="perhaps")]}, "GUARD_JWT_ISSUERS[0].require_expiry must be true or false."),
        (
            {"issuers": [entry(algorithms="RS256", secret_key=SECRET)]},
            "GUARD_JWT_ISSUERS[0].algorithms names RS256, which fits none of the keys.",
        ),
        (
            {"asymmetric_only": "true", "issuers": [entry(secret_key=SECRET)]},
            "GUARD_JWT_ISSUERS[0].secret_key is refused by GUARD_JWT_ASYMMETRIC_ONLY.",
        ),
        (
            {"issuers": [entry(A), entry(B), entry(A)]},
            f"GUARD_JWT_ISSUERS has the issuer {A} twice, or beside GUARD_JWT_ISSUER.",
        ),
        (
            {"secret_key": SECRET, "issuer": A, "issuers": [entry(A)]},
            f"GUARD_JWT_ISSUERS has the issuer {A} twice, or beside GUARD_JWT_ISSUER.",
        ),
        (
            {"issuers": [entry(f"i{n}") for n in range(21)]},
            "GUARD_JWT_ISSUERS lists 21 issuers; 20 at most are accepted.",
        ),
    ],
    ids=lambda value: value[:60] if isinstance(value, str) else "",
)
def test_a_fault_is_one_sentence_with_the_name(values: dict[str, Any], fault: str) -> None:
    assert faults_of(**values) == [fault]


@pytest.mark.parametrize("name", ["none", "rs256", "HS1", "ES256K", "x" * 500])
def test_an_unknown_algorithm_is_a_fault_that_lists_the_known(name: str) -> None:
    (fault,) = faults_of(secret_key=SECRET, algorithms=f"HS256,{name}")
    (listed,) = faults_of(issuers=[entry(algorithms=[name])])

    assert fault.startswith(f"GUARD_JWT_ALGORITHMS names '{name[:30]}")
    assert listed.startswith(f"GUARD_JWT_ISSUERS[0].algorithms names '{name[:30]}")
    assert "HS256, HS384" in fault
    assert len(fault) < 250


def test_a_file_that_cannot_be_read_is_a_fault_with_its_cause() -> None:
    (fault,) = faults_of(issuers=[entry(public_key="file:/not/there")])

    assert fault.startswith("GUARD_JWT_ISSUERS[0].public_key refers to the file")
    assert "No such file or directory" in fault


def test_an_algorithm_that_fits_one_of_several_keys_is_no_fault() -> None:
    profiles, _ = build(
        algorithms="PS256,ES384",
        issuers=[
            entry(A, public_key=public_pem(private_key("rsa"))),
            entry(B, public_key=public_pem(private_key("p384"))),
        ],
    )

    assert [algorithms_of(profile) for profile in profiles] == [{"PS256"}, {"ES384"}]


def test_all_faults_come_at_once_and_no_source_is_made_for_a_bad_address() -> None:
    factory = Factory()

    faults = faults_of(
        private_key="nonsense",
        algorithms="nothing",
        issuers=[entry(jwks_url="http://a.example"), entry(B, colour="red", secret_key=""), {"leeway": "x"}],
        factory=factory,
    )

    assert [fault.split()[0] for fault in faults] == [
        "GUARD_JWT_PRIVATE_KEY",
        "GUARD_JWT_ISSUERS[0].jwks_url",
        "GUARD_JWT_ISSUERS[1]:",
        "GUARD_JWT_ISSUERS[1].secret_key",
        "GUARD_JWT_ISSUERS[2].leeway",
        "GUARD_JWT_ISSUERS[2].issuer",
        "GUARD_JWT_ISSUERS[2]",
        "GUARD_JWT_ALGORITHMS",
    ]
    assert factory.made == []


@pytest.mark.parametrize("count", [1, MAX_ISSUERS])
def test_up_to_twenty_issuers_are_accepted(count: int) -> None:
    profiles, _ = build(issuers=[entry(f"https://{number}.example") for number in range(count)])

    assert len(profiles) == count


@pytest.mark.parametrize(
    "members",
    [
        {"secret_key": "{text}", "leeway": "x"},
        {"public_key": "{text}"},
        {"public_key": "-----BEGIN PUBLIC KEY-----{text}-----END PUBLIC KEY-----"},
        {"secret_key": ["{text}"]},
        {"secret_key": "-----BEGIN PRIVATE KEY-----{text}"},
        {"secret_key": "{text}", "jwks_url": "http://{text}.example"},
    ],
    ids=str,
)
def test_no_fault_quotes_a_secret(members: dict[str, Any]) -> None:
    text = signing_key().kid
    filled = json.loads(json.dumps(members).replace("{text}", text))

    with pytest.raises(ConfigError) as caught:
        build(issuers=[entry(**filled)])

    assert text not in str(caught.value)
    assert text not in repr(caught.value)
