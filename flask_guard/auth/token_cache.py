"""Tokens that were verified a moment ago, so that a hot token costs one hash and one look-up.

Pure but for one lock. Read without it: a look-up is one `dict.get`; only writes take turns.
Rule: only verified tokens come in, by the SHA-256 of their text; none outlives its expiry, the keys that
verified it, or a call of `forget`.
"""

from __future__ import annotations

import threading
from itertools import islice

from ..protocols import KeySource
from ..values import Principal

# A verified token: its principal, the time from which it is no good (seconds since the epoch), the keys that
# verified it and their generation then. A tuple, because one is made for every cold token: 0.1 us against 0.5.
CachedToken = tuple[Principal, float, KeySource, int]


class TokenCache:
    """At most `size` verified tokens, the oldest going first; a size of 0 keeps none.

    `epoch` grows with each call of `forget`: whoever verifies a token reads it before and hands it to `keep`,
    so that a verification that was under way meanwhile leaves nothing behind.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._lock = threading.Lock()
        self._tokens: dict[bytes, CachedToken] = {}
        self.epoch = 0
        self.find = self._tokens.get

    def __len__(self) -> int:
        return len(self._tokens)

    def keep(self, digest: bytes, token: CachedToken, epoch: int) -> None:
        """Remember a token, unless `forget` was called since `epoch`."""
        with self._lock:
            if epoch == self.epoch:
                self._tokens[digest] = token
                if len(self._tokens) > self._size:
                    self._drop_oldest()

    def _drop_oldest(self) -> None:
        # An eighth at a time: finding the first member of a dict whose first members are gone is linear.
        for digest in list(islice(self._tokens, self._size // 8 + 1)):
            del self._tokens[digest]

    def forget(self, *, subject: str | None = None, token_id: str | None = None) -> None:
        """Drop the tokens of a subject, the token of an id (`jti`), or all when neither is given."""
        with self._lock:
            self.epoch += 1
            for digest, token in list(self._tokens.items()):
                if _is_meant(token[0], subject, token_id):
                    del self._tokens[digest]

    def after_fork(self) -> None:
        """Take a fresh lock: another thread of the parent may have held the old one."""
        self._lock = threading.Lock()


def _is_meant(principal: Principal, subject: str | None, token_id: str | None) -> bool:
    if subject is None and token_id is None:
        return True
    return principal.id == subject or (token_id is not None and principal.claims.get("jti") == token_id)
