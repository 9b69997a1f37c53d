"""What a verifier remembers, so that "seen before" and "not seen before" are facts and not labels.

It looks inside of `TokenVerifier`, because the contents of a cache of tokens are nobody else's business.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256
from typing import cast

from flask import Flask

from flask_guard.auth.bearer import TokenVerifier

# The default of TokenVerifier.
DEFAULT_SIZE = 10_000


def verifier_of(app: Flask) -> TokenVerifier:
    """Return the verifier of a guarded application."""
    return cast(TokenVerifier, app.extensions["guard.runtime"].reader._tokens)


def is_remembered(verifier: TokenVerifier, token: str) -> bool:
    return verifier._cache.find(sha256(token.encode()).digest()) is not None


def fill(verifier: TokenVerifier, tokens: Iterable[str]) -> None:
    """Have the tokens verified, so that the clock meets a cache as full as a busy service's."""
    for token in tokens:
        verifier.authenticate(token)
