"""What an API key looks like, and what may be written about it.

A service key is `fgk_<id>_<secret>_<check>`: a public id of 16 base62 characters, 43 that encode 32 random
bytes, and the CRC-32 of all before it in 6, so that a mistyped or invented key is refused without asking a
store, and a scanner of source code finds real ones only. A client key is a random UUID.
Pure. Rule: no error here holds any part of a key but its public id.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import uuid
import zlib
from collections.abc import Iterable
from typing import Any

SERVICE_PREFIX = "fgk_"

_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_ID_LENGTH = 16  # 95 bits: never the same twice
_SECRET_BYTES = 32
_SECRET_LENGTH = 43  # 62**43 > 2**256
_CHECK_LENGTH = 6  # 62**6 > 2**32
_ID = re.compile(r"[0-9A-Za-z]{16}")
_SERVICE_KEY = re.compile(r"fgk_([0-9A-Za-z]{16})_[0-9A-Za-z]{43}_[0-9A-Za-z]{6}")

# RFC 9562, section 5.4: version 4 in the 13th digit, variant 10xx in the 17th.
_CLIENT_KEY = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
_UUID_SPELLING = re.compile(r"\s*(urn:)?(uuid:)?[{(]?[0-9a-f-]*[)}]?\s*", re.IGNORECASE)

# RFC 6749, section 3.3: scope-token.
_SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")
# Generous for a word that a person typed; keeps rows, log lines and lists readable.
_LONGEST_WORD = 100
_LONGEST_TEXT = 500


def make_key_id() -> str:
    """Return a new public id: 16 base62 characters."""
    return "".join(secrets.choice(_DIGITS) for _ in range(_ID_LENGTH))


def make_service_key(key_id: str) -> str:
    """Return a new service key with this id, 71 characters."""
    number = int.from_bytes(secrets.token_bytes(_SECRET_BYTES), "big")
    body = f"{SERVICE_PREFIX}{key_id}_{_base62(number, length=_SECRET_LENGTH)}"
    return f"{body}_{_check_of(body)}"


def make_client_key() -> str:
    """Return a new client key: a random UUID in canonical form."""
    return str(uuid.uuid4())


def is_key_id(text: str) -> bool:
    return _ID.fullmatch(text) is not None


def find_key_id(text: str) -> str | None:
    """Return the public id in a service key, None when the text has another form or its check is wrong."""
    match = _SERVICE_KEY.fullmatch(text)
    if match is None or _check_of(text[: -_CHECK_LENGTH - 1]) != text[-_CHECK_LENGTH:]:
        return None
    return match[1]


def is_client_key(text: str) -> bool:
    """Say whether this is a version 4 UUID in the one spelling that is accepted: lower case, with dashes."""
    return _CLIENT_KEY.fullmatch(text) is not None


def is_uuid_like(text: str) -> bool:
    """Say whether anybody would read this as a UUID, in whatever spelling and of whatever version."""
    if len(text) > _LONGEST_WORD or _UUID_SPELLING.fullmatch(text) is None:
        return False
    bare = re.sub(r"urn:|uuid:|[^0-9a-f]", "", text.casefold())
    return len(bare) == 32


def digest_of(text: str) -> str:
    """Return the SHA-256 of a key in hex; it needs no stretching, having 122 random bits or more."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def client_tenant(key: str) -> str:
    """Return the tenant that a client key opens: 32 hex digits from which the key cannot be found again."""
    return hashlib.sha256(b"flask_guard client tenant v1:" + key.encode()).hexdigest()[:32]


def require_word(value: Any, *, what: str) -> str:
    """Return a name that fits on a line of a list. Raises ValueError that begins with `what`."""
    word = require_text(value, what=what)
    if not word or len(word) > _LONGEST_WORD or word != word.strip():
        raise ValueError(f"{what} must be 1 to {_LONGEST_WORD} characters without blanks around them")
    return word


def require_text(value: Any, *, what: str) -> str:
    """Return text on one line, perhaps empty. Raises ValueError that begins with `what`."""
    if not isinstance(value, str) or not value.isprintable() or len(value) > _LONGEST_TEXT:
        raise ValueError(f"{what} must be one line of at most {_LONGEST_TEXT} printable characters")
    return value


def require_roles(values: Any) -> frozenset[str]:
    """Return role names as a set. Raises ValueError."""
    return frozenset(require_word(role, what="a role") for role in _require_list(values, what="roles"))


def require_scopes(values: Any) -> frozenset[str]:
    """Return scopes as a set; each is a scope-token of RFC 6749. Raises ValueError."""
    scopes = [require_word(scope, what="a scope") for scope in _require_list(values, what="scopes")]
    if not all(_SCOPE.fullmatch(scope) for scope in scopes):
        raise ValueError('a scope must be ASCII without blanks, " or \\')
    return frozenset(scopes)


def _require_list(values: Any, *, what: str) -> Iterable[Any]:
    # A single text would be taken apart into letters.
    if isinstance(values, (str, bytes)) or not isinstance(values, Iterable):
        raise ValueError(f"{what} must be a list of texts")
    return values


def _check_of(body: str) -> str:
    return _base62(zlib.crc32(body.encode()), length=_CHECK_LENGTH)


def _base62(number: int, *, length: int) -> str:
    digits = []
    for _ in range(length):
        number, digit = divmod(number, 62)
        digits.append(_DIGITS[digit])
    return "".join(reversed(digits))
