"""An identity provider that fails, hangs and counts, and a clock that stands still."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from typing import Any

from flask_guard.auth.jwks import JwksKeys
from flask_guard.crypto.signing import SigningKey
from tests.auth.forge import signing_key

URL = "https://issuer.example/keys"
HOUR = 3600.0


class Provider:
    """An identity provider: serves a document, fails, or hangs, and counts how often it is asked."""

    def __init__(self, *keys: SigningKey) -> None:
        self.document: Any = key_set(*keys)
        self.fails = False
        self.calls: list[float] = []
        self.clock: Callable[[], float] = lambda: 0.0
        self.gate = threading.Event()
        self.gate.set()

    def fetch(self, url: str) -> bytes:
        assert url == URL
        self.calls.append(self.clock())
        if not self.gate.wait(20):
            raise AssertionError("nobody opened the gate")
        if self.fails:
            raise OSError("connection refused")
        return self.document if isinstance(self.document, bytes) else json.dumps(self.document).encode()


class Stopwatch:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def key_set(*keys: SigningKey, **changes: Any) -> dict[str, Any]:
    return {"keys": [{**(key.public_jwk() or {}), **changes} for key in keys]}


OLD, NEW = signing_key("ES256", "old"), signing_key("ES256", "new")


def make_keys(provider: Provider, watch: Stopwatch, **changes: Any) -> JwksKeys:
    return JwksKeys(URL, fetch=provider.fetch, clock=watch, **{"max_stale_s": 24 * HOUR, **changes})


def has(keys: JwksKeys, key: SigningKey) -> bool:
    return [found.kid for found in keys.candidates(key.kid, key.algorithm)] == [key.kid]


def settle(keys: JwksKeys) -> None:
    """Wait for the attempt that is under way."""
    attempt = keys._attempt
    if attempt is not None:
        assert attempt.wait(10)


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.001)
