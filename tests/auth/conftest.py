"""A key set at an identity provider, for the tests of `jwks`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from flask_guard.auth.jwks import JwksKeys
from tests.auth.jwks_world import OLD, Provider, Stopwatch, make_keys


@pytest.fixture
def provider() -> Iterator[Provider]:
    provider = Provider(OLD)
    yield provider
    provider.gate.set()


@pytest.fixture
def watch(provider: Provider) -> Stopwatch:
    watch = Stopwatch()
    provider.clock = watch
    return watch


@pytest.fixture
def keys(provider: Provider, watch: Stopwatch) -> JwksKeys:
    return make_keys(provider, watch)
