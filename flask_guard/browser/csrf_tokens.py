"""CSRF tokens: what a page of ours can put into a form and a page of another origin cannot know.

Pure. A token is base64url(nonce || HMAC-SHA256(key, nonce || seed)): bound to a session by its seed, and
another text each time, so that a compressed page does not give it away (BREACH).
Rule: the key signs nothing else; it is derived from the application's secret for this one purpose.
"""

from __future__ import annotations

import base64
import hmac
import os
import re
from collections.abc import Iterable
from typing import Final

_PURPOSE: Final = b"flask_guard csrf token 1"
_NONCE_BYTES: Final = 16
# 16 bytes of nonce and 32 of HMAC: 64 characters exactly, without padding.
_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{64}")


def derive_key(secret: str | bytes) -> bytes:
    """Return the 32-byte key of CSRF tokens that belongs to a secret such as Flask's SECRET_KEY."""
    return hmac.digest(secret.encode() if isinstance(secret, str) else secret, _PURPOSE, "sha256")


def make_token(key: bytes, seed: str) -> str:
    """Return a new token of 64 characters. seed: the secret text that the session keeps for its tokens."""
    nonce = os.urandom(_NONCE_BYTES)
    return base64.urlsafe_b64encode(nonce + _sign(key, nonce, seed)).decode()


def check_token(keys: Iterable[bytes], seed: str, raw: str) -> bool:
    """Tell whether `raw` was made with this seed and one of the keys, in constant time for each key."""
    if _TOKEN.fullmatch(raw) is None:
        return False
    token = base64.urlsafe_b64decode(raw)
    nonce, signature = token[:_NONCE_BYTES], token[_NONCE_BYTES:]
    return any(hmac.compare_digest(_sign(key, nonce, seed), signature) for key in keys)


def _sign(key: bytes, nonce: bytes, seed: str) -> bytes:
    return hmac.digest(key, nonce + seed.encode(), "sha256")
