"""Which profile and which key judge a token, and what is remembered of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from flask_guard.auth.bearer import MAX_CANDIDATES, TokenVerifier
from flask_guard.auth.keyring import LocalKeys
from flask_guard.errors import InvalidToken, KeysUnavailable
from flask_guard.protocols import TokenKey
from tests.auth.forge import (
    ISSUER,
    SIGNATURES,
    CountingKey,
    CountingKeys,
    StillClock,
    claims,
    counting,
    profile,
    sign,
    signing_key,
    verifier,
)

OTHER = "https://other.example"


# The right token ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", [*SIGNATURES, "HS384", "HS512", "RS384", "RS512", "PS256", "PS384", "PS512"])
def test_a_good_token_gives_its_principal(algorithm: str) -> None:
    key = signing_key(algorithm)

    principal = verifier(key).authenticate(sign(key, claims(roles=["reader"])))

    assert (principal.id, principal.kind, principal.method) == ("user-1", "user", "jwt")
    assert principal.roles == {"reader"}


@pytest.mark.parametrize("typ", ["at+jwt", "AT+JWT", "application/at+jwt", "JWT", "jwt", None])
def test_usual_types_are_accepted(typ: str | None) -> None:
    key = signing_key()

    assert verifier(key).authenticate(sign(key, typ=typ)).id == "user-1"


@pytest.mark.parametrize("typ", ["none", "", "id+jwt", "logout+jwt", "dpop+jwt", "application/", "JOSE", "jwt "])
def test_other_types_are_refused(typ: str) -> None:
    key = signing_key()

    with pytest.raises(InvalidToken, match=r"typ .* is not accepted"):
        verifier(key).authenticate(sign(key, typ=typ))


# Profiles ----------------------------------------------------------------------------------------------


def test_each_issuer_has_its_own_keys_and_rules() -> None:
    ours, theirs = signing_key("ES256"), signing_key("RS256")
    both = TokenVerifier(
        [profile(ours), profile(theirs, issuer=OTHER, audience=None, subject_claim="uid")], clock=StillClock()
    )

    assert both.authenticate(sign(ours)).id == "user-1"
    assert both.authenticate(sign(theirs, claims(iss=OTHER, aud="elsewhere", uid="u-2"))).id == "u-2"
    for crossed in (sign(theirs), sign(ours, claims(iss=OTHER, uid="u-2"))):
        with pytest.raises(InvalidToken):
            both.authenticate(crossed)


def test_a_header_that_one_issuer_proved_proves_nothing_for_another() -> None:
    """Same keys and same header, other rules: what is remembered of a header belongs to one profile."""
    key = signing_key()
    keys = LocalKeys([key.verification])
    both = TokenVerifier([profile(keys=keys), profile(keys=keys, issuer=OTHER, types=("at+jwt",))], clock=StillClock())

    assert both.authenticate(sign(key, typ="JWT")).id == "user-1"
    with pytest.raises(InvalidToken):
        both.authenticate(sign(key, claims(iss=OTHER), typ="JWT"))


@pytest.mark.parametrize(
    "iss", [None, "", OTHER, ISSUER + "/", ISSUER.upper(), ISSUER[:-1], [ISSUER], {ISSUER: 1}, 5], ids=str
)
def test_an_issuer_that_is_not_listed_is_refused_before_any_key_is_asked_for(iss: Any) -> None:
    subject, keys, _, _ = counting()

    with pytest.raises(InvalidToken):
        subject.authenticate(sign(signing_key(), claims(iss=iss)))

    assert keys.asked == []


@pytest.mark.parametrize("iss", [None, OTHER, ISSUER])
def test_a_single_profile_without_an_issuer_takes_any(iss: str | None) -> None:
    key = signing_key()

    assert verifier(key, issuer=None).authenticate(sign(key, claims(iss=iss))).id == "user-1"


@pytest.mark.parametrize("issuers", [(None, ISSUER), (ISSUER, ISSUER), (None, None)])
def test_profiles_that_could_both_be_meant_are_refused(issuers: tuple[str | None, ...]) -> None:
    with pytest.raises(ValueError, match="need an issuer each"):
        TokenVerifier([profile(signing_key(), issuer=issuer) for issuer in issuers], clock=StillClock())


def test_without_profiles_every_token_is_refused() -> None:
    with pytest.raises(InvalidToken):
        TokenVerifier([], clock=StillClock()).authenticate(sign(signing_key()))


# Keys --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("alg", ["none", "None", "", "HS1", "ES256K", "RSA-OAEP", "dir"])
def test_for_an_algorithm_that_nobody_has_no_key_is_asked_for(alg: str) -> None:
    subject, keys, _, _ = counting()

    with pytest.raises(InvalidToken, match="alg is none that a key of ours checks"):
        subject.authenticate(sign(signing_key(), alg=alg))

    assert keys.asked == []


def test_the_key_is_found_by_name_and_algorithm() -> None:
    subject, keys, _, _ = counting("ES256")

    subject.authenticate(sign(signing_key("ES256")))

    assert keys.asked == [(signing_key("ES256").kid, "ES256")]


def test_without_a_name_each_key_of_the_algorithm_is_tried() -> None:
    keys = [signing_key("ES256", name) for name in ("1", "2", "3")]

    assert verifier(*keys).authenticate(sign(keys[2], kid=None)).id == "user-1"


def test_the_number_of_keys_that_are_tried_is_bounded() -> None:
    wrong = [CountingKey(signing_key("HS256", f"wrong-{number}").verification) for number in range(40)]
    subject = verifier(keys=CountingKeys(*wrong))

    with pytest.raises(InvalidToken):
        subject.authenticate(sign(signing_key("HS256"), kid=None))

    assert sum(key.checked for key in wrong) == MAX_CANDIDATES


def test_a_key_source_that_offers_keys_of_another_algorithm_is_not_trusted() -> None:
    class Careless(CountingKeys):
        def candidates(self, kid: str | None, algorithm: str) -> Sequence[TokenKey]:
            return self.keys

    key = CountingKey(signing_key("HS256").verification)
    careless = Careless(key)
    token = sign(signing_key("HS256"), alg="HS512")

    with pytest.raises(InvalidToken):
        verifier(keys=careless).authenticate(token)

    assert key.checked == 0


def test_an_issuer_whose_keys_are_not_at_hand_is_no_bad_token() -> None:
    subject, keys, _, _ = counting()
    keys.fails = True

    with pytest.raises(KeysUnavailable):
        subject.authenticate(sign(signing_key()))
