"""Passwords as hashes: made with one scheme, checked with every scheme that a table may still hold.

Pure. A hash says of which scheme it is and with which costs it was made; `needs_rehash` tells when it is to be made
anew, which only a login can do. Rule: no text of a password or a hash is ever in an error.
Source: RFC 9106 (Argon2), RFC 7914 (scrypt), OWASP Password Storage Cheat Sheet.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
import re
import threading
import unicodedata
from collections.abc import Sequence
from typing import Any, Final, Protocol

import argon2
from argon2.exceptions import Argon2Error, InvalidHashError
from argon2.low_level import Type

# A password of 1,024 characters of four bytes; hashing megabytes is work that somebody else chose.
MAX_BYTES: Final = 4096
BCRYPT_MAX_BYTES: Final = 72  # bcrypt reads no further
# OWASP's least for Argon2id.
_LEAST_MEMORY_KIB: Final = 19 * 1024
_LEAST_PASSES: Final = 2
# What checking one hash may cost at most: a hash that somebody planted must not take the memory of the machine.
_MOST_MEMORY_KIB: Final = 1024 * 1024
_MOST_PASSES: Final = 64


class HashedText(str):
    """A hash that was made here. It is a text, and not hashed again."""

    __slots__ = ()


class PasswordTooLong(ValueError):
    """Hashing would leave the end of the password out, or take too long. max_bytes: of its UTF-8."""

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        super().__init__(f"longer than {max_bytes} bytes")


class HashScheme(Protocol):
    """One way to hash. Its hashes are told from others by how they begin."""

    def recognises(self, stored: str) -> bool: ...

    def hash(self, password: bytes) -> str:
        """Return a hash with a salt of its own. Raises PasswordTooLong."""
        ...

    def verify(self, stored: str, password: bytes) -> bool:
        """Tell whether the hash is that of the password; False for a hash that cannot be read."""
        ...

    def is_current(self, stored: str) -> bool:
        """Tell whether the hash was made with the costs of today."""
        ...


class Argon2id:
    """Argon2id; 64 MiB, 3 passes, 4 lanes by default (RFC 9106, section 4, the second recommended option)."""

    def __init__(self, *, memory_kib: int = 64 * 1024, passes: int = 3, lanes: int = 4) -> None:
        if memory_kib < _LEAST_MEMORY_KIB or passes < _LEAST_PASSES:
            raise ValueError(f"Argon2id needs {_LEAST_MEMORY_KIB} KiB and {_LEAST_PASSES} passes at least")
        self._hasher = argon2.PasswordHasher(time_cost=passes, memory_cost=memory_kib, parallelism=lanes, type=Type.ID)

    def recognises(self, stored: str) -> bool:
        return stored.startswith("$argon2")

    def hash(self, password: bytes) -> str:
        return self._hasher.hash(password)

    def verify(self, stored: str, password: bytes) -> bool:
        try:
            costs = argon2.extract_parameters(stored)
            if costs.memory_cost > _MOST_MEMORY_KIB or costs.time_cost > _MOST_PASSES:
                return False
            return self._hasher.verify(stored, password)
        except (Argon2Error, InvalidHashError):
            return False

    def is_current(self, stored: str) -> bool:
        try:
            return not self._hasher.check_needs_rehash(stored)
        except InvalidHashError:
            return False


class Scrypt:
    """scrypt as `$scrypt$ln=17,r=8,p=1$salt$key`, and as Werkzeug writes it: `scrypt:32768:8:1$salt$key`."""

    _OWN = re.compile(
        r"\$scrypt\$ln=([0-9]{1,2}),r=([0-9]{1,2}),p=([0-9]{1,2})\$([A-Za-z0-9+/.]{1,128})\$([A-Za-z0-9+/.]{1,128})"
    )
    _WERKZEUG = re.compile(r"scrypt:([0-9]{1,8}):([0-9]{1,2}):([0-9]{1,2})\$([A-Za-z0-9]{1,64})\$([0-9a-f]{2,256})")

    def __init__(self, *, log_n: int = 17, r: int = 8, p: int = 1) -> None:
        if log_n < 15:
            raise ValueError("scrypt needs 2**15 rounds at least")
        self._costs = (log_n, r, p)

    def recognises(self, stored: str) -> bool:
        return stored.startswith(("$scrypt$", "scrypt:"))

    def hash(self, password: bytes) -> str:
        log_n, r, p = self._costs
        salt = os.urandom(16)
        key = _scrypt(password, salt, n=1 << log_n, r=r, p=p, length=32)
        return f"$scrypt$ln={log_n},r={r},p={p}${_encode(salt)}${_encode(key)}"

    def verify(self, stored: str, password: bytes) -> bool:
        read = self._read(stored)
        if read is None:
            return False
        n, r, p, salt, key = read
        try:
            return hmac.compare_digest(_scrypt(password, salt, n=n, r=r, p=p, length=len(key)), key)
        except ValueError:  # costs that do not go together, or take more memory than is given
            return False

    def is_current(self, stored: str) -> bool:
        match = self._OWN.fullmatch(stored)
        return match is not None and tuple(map(int, match.group(1, 2, 3))) == self._costs

    def _read(self, stored: str) -> tuple[int, int, int, bytes, bytes] | None:
        if match := self._OWN.fullmatch(stored):
            log_n, r, p = map(int, match.group(1, 2, 3))
            try:
                return 1 << min(log_n, 32), r, p, _decode(match[4]), _decode(match[5])
            except binascii.Error:
                return None
        if match := self._WERKZEUG.fullmatch(stored):
            n, r, p = map(int, match.group(1, 2, 3))
            return (n, r, p, match[4].encode(), bytes.fromhex(match[5])) if len(match[5]) % 2 == 0 else None
        return None


def _scrypt(password: bytes, salt: bytes, *, n: int, r: int, p: int, length: int) -> bytes:
    return hashlib.scrypt(password, salt=salt, n=n, r=r, p=p, dklen=length, maxmem=512 * 1024 * 1024)


def _encode(raw: bytes) -> str:
    return base64.b64encode(raw).decode().rstrip("=")


def _decode(text: str) -> bytes:
    # passlib writes "." for "+".
    return base64.b64decode(text.replace(".", "+") + "=" * (-len(text) % 4), validate=True)


class Bcrypt:
    """bcrypt, by the module of the bcrypt package: `Bcrypt(bcrypt)`.

    A password of more than 72 bytes is refused: bcrypt would leave the rest out, and any other end would do.
    """

    _FORM = re.compile(r"\$2[abxy]\$([0-9]{2})\$[./A-Za-z0-9]{53}")

    def __init__(self, module: Any, *, rounds: int = 12) -> None:
        if rounds < 10:
            raise ValueError("bcrypt needs 10 rounds at least")
        self._module = module
        self._rounds = rounds

    def recognises(self, stored: str) -> bool:
        return self._FORM.fullmatch(stored) is not None

    def hash(self, password: bytes) -> str:
        if len(password) > BCRYPT_MAX_BYTES:
            raise PasswordTooLong(BCRYPT_MAX_BYTES)
        hashed: bytes = self._module.hashpw(password, self._module.gensalt(self._rounds))
        return hashed.decode("ascii")

    def verify(self, stored: str, password: bytes) -> bool:
        # A NUL ends the password for the C code of older releases.
        if len(password) > BCRYPT_MAX_BYTES or b"\0" in password:
            return False
        return bool(self._module.checkpw(password, stored.encode("ascii")))

    def is_current(self, stored: str) -> bool:
        match = self._FORM.fullmatch(stored)
        return match is not None and int(match[1]) == self._rounds


class PasswordHasher:
    """Hashes with the first scheme and checks with all of them.

    schemes: Argon2id and scrypt by default. max_parallel: how many hashes are made at a time, because each takes
    its 64 MiB; others wait. Passwords are composed (NFC), so that they are the same from every keyboard.
    """

    def __init__(self, schemes: Sequence[HashScheme] = (), *, max_parallel: int | None = None) -> None:
        self._schemes = tuple(schemes) or (Argon2id(), Scrypt())
        self._turns = threading.BoundedSemaphore(max_parallel or 2 * (os.cpu_count() or 1))

    def hash(self, password: str) -> HashedText:
        """Return the hash of a password; one that was made here, as it is. Raises PasswordTooLong."""
        if isinstance(password, HashedText):
            return password
        raw = _to_bytes(password)
        if len(raw) > MAX_BYTES:
            raise PasswordTooLong(MAX_BYTES)
        with self._turns:
            return HashedText(self._schemes[0].hash(raw))

    def verify(self, stored: str, password: str) -> bool:
        """Tell whether a hash is that of a password. False for one of no scheme that is known here."""
        scheme = self._find_scheme(stored)
        raw = _to_bytes(password)
        if scheme is None or not raw or len(raw) > MAX_BYTES:
            return False
        with self._turns:
            return scheme.verify(stored, raw)

    def needs_rehash(self, stored: str) -> bool:
        """Tell whether a hash is of another scheme, or of other costs, than a new one would be."""
        scheme = self._schemes[0]
        return not (scheme.recognises(stored) and scheme.is_current(stored))

    def _find_scheme(self, stored: str) -> HashScheme | None:
        return next((scheme for scheme in self._schemes if scheme.recognises(stored)), None)


def _to_bytes(password: str) -> bytes:
    # A lone surrogate, which is no character, is kept apart from every other one.
    return unicodedata.normalize("NFC", password).encode("utf-8", "surrogatepass")
