"""Passwords: hashed with one scheme, checked with several, and no text of them in any error."""

from __future__ import annotations

import hashlib
import threading
import time
from typing import Any

import pytest

from flask_guard.crypto.passwords import (
    MAX_BYTES,
    Argon2id,
    Bcrypt,
    HashedText,
    PasswordHasher,
    PasswordTooLong,
    Scrypt,
)

QUICK = Argon2id(memory_kib=19 * 1024, passes=2, lanes=1)
SCRYPT = Scrypt(log_n=15)


class FakeBcrypt:
    """Has the functions of the bcrypt package, with SHA-256 for the hash, so that its answers can be known."""

    @staticmethod
    def gensalt(rounds: int) -> bytes:
        return b"$2b$%02d$" % rounds + b"s" * 22

    @staticmethod
    def hashpw(password: bytes, salt: bytes) -> bytes:
        return salt[:29] + hashlib.sha256(password).hexdigest()[:31].encode()

    @classmethod
    def checkpw(cls, password: bytes, hashed: bytes) -> bool:
        return cls.hashpw(password, hashed) == hashed


BCRYPT = Bcrypt(FakeBcrypt)


@pytest.mark.parametrize("scheme", [QUICK, SCRYPT, BCRYPT], ids=["argon2id", "scrypt", "bcrypt"])
def test_a_password_is_that_of_its_hash_and_no_other(scheme: Any) -> None:
    hasher = PasswordHasher([scheme])
    stored = hasher.hash("correct horse")

    assert "correct" not in stored
    assert hasher.verify(stored, "correct horse")
    assert not hasher.verify(stored, "correct hors")
    assert not hasher.verify(stored, "")
    assert not hasher.needs_rehash(stored)


@pytest.mark.parametrize("scheme", [QUICK, SCRYPT], ids=["argon2id", "scrypt"])
def test_each_hash_has_a_salt_of_its_own(scheme: Any) -> None:
    assert scheme.hash(b"x") != scheme.hash(b"x")


def test_old_hashes_are_checked_and_told_to_be_old() -> None:
    hasher = PasswordHasher([QUICK, SCRYPT, BCRYPT])
    old = [SCRYPT.hash(b"pw"), BCRYPT.hash(b"pw"), Argon2id(memory_kib=20 * 1024, passes=2, lanes=1).hash(b"pw")]

    assert all(hasher.verify(stored, "pw") for stored in old)
    assert all(hasher.needs_rehash(stored) for stored in old)


def test_hashes_of_werkzeug_are_checked() -> None:
    from werkzeug.security import generate_password_hash

    stored = generate_password_hash("pässword", method="scrypt:32768:8:1")

    assert PasswordHasher().verify(stored, "pässword")
    assert not PasswordHasher().verify(stored, "password")
    assert PasswordHasher().needs_rehash(stored)


def test_the_vector_of_the_scrypt_rfc_is_checked() -> None:
    """RFC 7914, section 12, the third vector, in the form of Werkzeug."""
    key = (
        "7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2"
        "d5432955613f0fcf62d49705242a9af9e61e85dc0d651e40dfcf017b45575887"
    )

    assert SCRYPT.verify(f"scrypt:16384:8:1$SodiumChloride${key}", b"pleaseletmein")


@pytest.mark.parametrize(
    "stored",
    [
        "", "plain", "$argon2id$", "$argon2id$v=19$m=65536,t=3,p=4$x$y", "$scrypt$ln=99,r=8,p=1$AAAA$AAAA",
        "$scrypt$ln=17,r=0,p=0$AAAA$AAAA", "$scrypt$ln=15,r=8,p=1$A$A", "scrypt:3:8:1$salt$00",
        "scrypt:32768:8:1$salt$0", "scrypt:99999999:99:99$salt$00", "$2b$12$short", "md5$x$y",
    ],
    ids=repr,
)  # fmt: skip
def test_what_is_no_hash_is_nobodys(stored: str) -> None:
    hasher = PasswordHasher([QUICK, SCRYPT, BCRYPT])

    assert not hasher.verify(stored, "pw")
    assert hasher.needs_rehash(stored)


def test_a_planted_hash_does_not_take_the_memory_of_the_machine() -> None:
    began = time.process_time()

    assert not QUICK.verify("$argon2id$v=19$m=4194304,t=1000,p=1$c29tZXNhbHQ$" + "A" * 43, b"pw")
    assert time.process_time() - began < 1


def test_a_password_that_is_composed_otherwise_is_the_same() -> None:
    hasher = PasswordHasher([QUICK])

    assert hasher.verify(hasher.hash("\u00e9t\u00e9"), "e\u0301te\u0301")
    assert hasher.verify(hasher.hash("\ud800"), "\ud800")


def test_a_hash_that_was_made_here_is_not_hashed_again() -> None:
    hasher = PasswordHasher([QUICK])
    stored = hasher.hash("pw")

    assert isinstance(stored, HashedText)
    assert hasher.hash(stored) is stored
    assert hasher.hash(str(stored)) != stored


@pytest.mark.parametrize(
    ("hasher", "longest"),
    [
        pytest.param(PasswordHasher([QUICK]), MAX_BYTES, id="any scheme"),
        pytest.param(PasswordHasher([BCRYPT]), 72, id="bcrypt"),
    ],
)
def test_a_password_that_is_too_long_is_refused_and_not_cut(hasher: PasswordHasher, longest: int) -> None:
    stored = hasher.hash("x" * longest)

    with pytest.raises(PasswordTooLong) as caught:
        hasher.hash("x" * (longest + 1))
    assert caught.value.max_bytes == longest
    assert "xx" not in str(caught.value)
    assert not hasher.verify(stored, "x" * (longest + 1))


def test_bcrypt_reads_no_nul() -> None:
    assert not BCRYPT.verify(BCRYPT.hash(b"pw\0x"), b"pw\0x")


@pytest.mark.parametrize(
    "build",
    [
        lambda: Argon2id(memory_kib=1024),
        lambda: Argon2id(passes=1),
        lambda: Scrypt(log_n=10),
        lambda: Bcrypt(FakeBcrypt, rounds=4),
    ],
    ids=["memory", "passes", "scrypt", "bcrypt"],
)
def test_costs_that_are_too_low_are_refused(build: Any) -> None:
    with pytest.raises(ValueError, match=r"needs .* at least"):
        build()


def test_only_so_many_hashes_are_made_at_a_time() -> None:
    class Slow:
        running = most = 0

        def hash(self, password: bytes) -> str:
            type(self).running += 1
            type(self).most = max(self.most, self.running)
            time.sleep(0.02)
            type(self).running -= 1
            return "x"

        recognises = verify = is_current = hash  # not asked here

    hasher = PasswordHasher([Slow()], max_parallel=2)  # type: ignore[list-item]
    threads = [threading.Thread(target=hasher.hash, args=("x",)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert Slow.most == 2
