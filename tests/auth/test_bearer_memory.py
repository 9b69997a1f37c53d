"""What is remembered of verified tokens and their headers, and what ends it."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Sequence
from typing import Any

import pytest

from flask_guard.auth.bearer import TokenVerifier
from flask_guard.errors import InvalidToken, TokenExpired
from flask_guard.protocols import TokenKey
from flask_guard.values import Principal
from tests.auth.forge import (
    NOW,
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


def test_a_token_is_verified_once() -> None:
    subject, keys, key, _ = counting()
    token = sign(signing_key())

    first = subject.authenticate(token)

    assert all(subject.authenticate(token) is first for _ in range(5))
    assert (len(keys.asked), key.checked) == (1, 1)


def test_a_second_token_with_the_same_header_costs_one_signature_and_no_question() -> None:
    subject, keys, key, _ = counting()

    subject.authenticate(sign(signing_key()))
    assert subject.authenticate(sign(signing_key(), claims(sub="user-2"))).id == "user-2"

    assert (len(keys.asked), key.checked) == (1, 2)


def test_a_wrong_signature_under_a_known_header_is_refused() -> None:
    subject, _, _, _ = counting("ES256")
    subject.authenticate(sign(signing_key("ES256")))
    forged = sign(signing_key("ES256", "attacker"), claims(sub="admin"), kid=signing_key("ES256").kid)

    with pytest.raises(InvalidToken, match="signature"):
        subject.authenticate(forged)


def test_a_known_header_without_a_name_does_not_hide_the_other_keys() -> None:
    keys = [signing_key("ES256", name) for name in ("1", "2")]
    subject = verifier(*keys)

    for key in (keys[0], keys[1], keys[0]):
        assert subject.authenticate(sign(key, claims(sub=key.kid), kid=None)).id == key.kid


@pytest.mark.parametrize("what", ["a wrong signature", "a wrong claim"])
def test_nothing_is_remembered_of_a_refused_token(what: str) -> None:
    subject, _, _, _ = counting()
    bad = {
        "a wrong signature": sign(signing_key("EdDSA", "attacker"), kid=signing_key().kid),
        "a wrong claim": sign(signing_key(), claims(aud="other")),
    }[what]

    for _ in range(3):
        with pytest.raises(InvalidToken):
            subject.authenticate(bad)

    assert (len(subject._cache), len(subject._headers)) == (0, 0)


@pytest.mark.parametrize("leeway_s", [0.0, 30.0])
def test_a_remembered_token_ends_when_it_expires(leeway_s: float) -> None:
    subject, _, _, clock = counting(leeway_s=leeway_s)
    token = sign(signing_key(), claims(exp=NOW + 60))
    subject.authenticate(token)

    clock.now = NOW + 60 + leeway_s - 0.001
    assert subject.authenticate(token).id == "user-1"
    clock.now = NOW + 60 + leeway_s
    with pytest.raises(TokenExpired):
        subject.authenticate(token)


def test_a_removed_key_ends_what_it_verified() -> None:
    subject, keys, _, _ = counting()
    token = sign(signing_key())
    subject.authenticate(token)

    keys.keys, keys.generation = [], 1

    with pytest.raises(InvalidToken):
        subject.authenticate(token)
    with pytest.raises(InvalidToken):
        subject.authenticate(sign(signing_key(), claims(sub="user-2")))


def test_a_replaced_key_is_asked_for_again() -> None:
    """Another key under the same name: neither the remembered token nor the remembered header may pass."""
    old, new = signing_key("ES256", "old"), signing_key("ES256", "new")
    renamed = CountingKey(new.verification)
    renamed.kid = old.kid
    keys = CountingKeys(old.verification)
    subject = verifier(keys=keys)
    subject.authenticate(sign(old))

    keys.keys, keys.generation = [renamed], 1

    for token in (sign(old), sign(old, claims(sub="user-2"))):
        with pytest.raises(InvalidToken):
            subject.authenticate(token)
    assert subject.authenticate(sign(new, kid=old.kid)).id == "user-1"


def test_keys_that_change_during_a_verification_leave_nothing_behind() -> None:
    class Changing(CountingKeys):
        def candidates(self, kid: str | None, algorithm: str) -> Sequence[TokenKey]:
            found = super().candidates(kid, algorithm)
            self.generation += 1
            return found

    keys = Changing(signing_key().verification)
    subject = verifier(keys=keys)
    token = sign(signing_key())
    subject.authenticate(token)

    keys.keys = []

    with pytest.raises(InvalidToken):
        subject.authenticate(token)


@pytest.mark.parametrize("what", [{"subject": "user-1"}, {"token_id": "token-1"}, {}], ids=str)
def test_a_forgotten_token_is_verified_anew(what: dict[str, str]) -> None:
    subject, _, key, _ = counting()
    token, other = sign(signing_key()), sign(signing_key(), claims(sub="user-2", jti="token-2"))
    subject.authenticate(token)
    subject.authenticate(other)

    subject.forget(**what)
    subject.authenticate(token)
    subject.authenticate(other)

    assert key.checked == (4 if not what else 3)


def test_a_verification_under_way_during_a_revocation_is_not_remembered() -> None:
    class Forgetting(CountingKeys):
        def candidates(self, kid: str | None, algorithm: str) -> Sequence[TokenKey]:
            subject.forget(subject="user-1")
            return super().candidates(kid, algorithm)

    subject = verifier(keys=Forgetting(signing_key().verification))

    subject.authenticate(sign(signing_key()))

    assert len(subject._cache) == 0


def test_without_room_every_token_is_verified() -> None:
    key = CountingKey(signing_key().verification)
    subject = TokenVerifier([profile(keys=CountingKeys(key))], clock=StillClock(), cache_size=0)
    token = sign(signing_key())

    for _ in range(3):
        subject.authenticate(token)

    assert key.checked == 3


def test_the_memory_of_headers_is_bounded() -> None:
    key = signing_key("HS256")
    subject = verifier(key)

    for number in range(600):
        subject.authenticate(sign(key, typ="JWT", x=number))

    assert len(subject._headers) <= 256


def test_the_token_itself_is_not_kept() -> None:
    key = signing_key("HS256")
    subject = verifier(key)
    token = sign(key)
    subject.authenticate(token)

    (digest, kept), *_ = subject._cache._tokens.items()

    assert token.encode() not in digest
    assert token not in repr(kept) + repr(subject._headers)
    assert token.rpartition(".")[2] not in repr(kept)


def test_one_request_cannot_change_the_identity_that_the_next_one_sees() -> None:
    key = signing_key()
    subject = verifier(key)
    token = sign(key, claims(roles=["reader"], realm={"groups": ["a"]}))
    principal = subject.authenticate(token)

    with pytest.raises(TypeError):
        principal.claims["roles"] = ("admin",)  # type: ignore[index]
    with pytest.raises(TypeError):
        principal.claims["realm"]["groups"] = ()
    with pytest.raises(dataclasses.FrozenInstanceError):
        principal.id = "admin"  # type: ignore[misc]

    assert subject.authenticate(token).claims == claims(roles=("reader",), realm={"groups": ("a",)})


def test_threads_get_the_principal_of_their_own_token() -> None:
    key = signing_key("HS256")
    subject = TokenVerifier([profile(key)], clock=StillClock(), cache_size=20)
    tokens = {f"user-{number}": sign(key, claims(sub=f"user-{number}")) for number in range(60)}
    wrong: list[Any] = []

    def work(offset: int) -> None:
        for turn in range(300):
            name = f"user-{(turn * 7 + offset) % 60}"
            try:
                principal: Principal = subject.authenticate(tokens[name])
                if principal.id != name:
                    wrong.append((name, principal.id))
                if turn % 50 == 0:
                    subject.forget(subject=name)
            except BaseException as exc:
                wrong.append(exc)

    threads = [threading.Thread(target=work, args=[offset]) for offset in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert wrong == []


def test_after_a_fork_the_verifier_verifies() -> None:
    subject, _, _, _ = counting()
    subject._cache._lock.acquire()

    subject.after_fork()

    assert subject.authenticate(sign(signing_key())).id == "user-1"
