"""A store in memory, a clock that stands still, and everything that works on them."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from flask_guard.auth.apikeys import ApiKeyAuthenticator, ApiKeys, ClientKeyAuthenticator
from flask_guard.auth.keyformat import digest_of
from flask_guard.errors import InvalidApiKey, Refusal
from tests.contracts.api_key_stores import MemoryApiKeyStore


@dataclass
class StillClock:
    """now: seconds since the epoch; by default 2026-11-18T11:06:40Z."""

    now: float = 1_795_000_000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class World:
    """As `wiring` puts things together: what `keys` ends, both authenticators forget."""

    max_stale_s: float = 0
    registered_only: bool = True
    store: MemoryApiKeyStore = field(default_factory=MemoryApiKeyStore)
    clock: StillClock = field(default_factory=StillClock)

    def __post_init__(self) -> None:
        self.service = ApiKeyAuthenticator(self.store, clock=self.clock, max_stale_s=self.max_stale_s)
        self.client = ClientKeyAuthenticator(
            self.store,
            registered_only=self.registered_only,
            clock=self.clock,
            max_stale_s=self.max_stale_s,
        )
        self.keys = ApiKeys(self.store, clock=self.clock, forget=[self.service.forget, self.client.forget])


def refusal_of(call: Callable[[], Any]) -> Refusal:
    """Return the refusal that a call raises."""
    with pytest.raises(Refusal) as caught:
        call()
    return caught.value


def assert_refused_alike(refusal: Refusal, *, reason: str, key: str) -> None:
    """One text for whoever asks, the reason for the log, and nothing of the key but its public id."""
    assert type(refusal) is InvalidApiKey
    assert (refusal.status, refusal.text) == (401, "The API key is not valid.")
    assert reason in refusal.detail
    said = "".join(traceback.format_exception(refusal)) + repr(refusal.headers())
    for part in (key, digest_of(key), *key.split("_")[2:3]):
        assert not part or part not in said
