"""An issuer's key set through outages, rotations, floods and races; time stands where the test puts it."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from flask_guard.auth.jwks import JwksKeys
from flask_guard.errors import InvalidToken, KeysUnavailable
from tests.auth.forge import claims, sign, signing_key, verifier
from tests.auth.jwks_world import HOUR, NEW, OLD, URL, Provider, Stopwatch, has, key_set, make_keys, settle

# The ordinary day --------------------------------------------------------------------------------------


def test_nothing_is_fetched_before_a_key_is_needed(keys: JwksKeys, provider: Provider) -> None:
    assert (keys.generation, keys.age_s, keys.failures) == (0, None, 0)
    assert provider.calls == []


def test_the_first_caller_waits_for_the_keys(keys: JwksKeys, provider: Provider) -> None:
    assert has(keys, OLD)
    assert len(provider.calls) == 1


def test_fresh_keys_are_served_from_memory(keys: JwksKeys, provider: Provider, watch: Stopwatch) -> None:
    for _ in range(100):
        watch.now += 35.9
        assert has(keys, OLD)

    settle(keys)
    assert len(provider.calls) == 1


def test_keys_that_are_no_longer_fresh_serve_while_they_are_refreshed(
    keys: JwksKeys, provider: Provider, watch: Stopwatch
) -> None:
    has(keys, OLD)
    provider.gate.clear()
    watch.now += HOUR

    for _ in range(20):
        assert has(keys, OLD)
    assert len(provider.calls) == 2

    provider.gate.set()
    settle(keys)
    assert keys.age_s == 0


def test_remembered_tokens_alone_keep_the_keys_fresh(keys: JwksKeys, provider: Provider, watch: Stopwatch) -> None:
    """A service whose tokens are all in the cache asks for the generation only."""
    has(keys, OLD)
    provider.document = key_set(NEW)
    watch.now += HOUR

    before = keys.generation
    settle(keys)

    assert keys.generation == before + 1
    assert len(provider.calls) == 2


def test_hmac_has_no_place_in_a_published_set(keys: JwksKeys, provider: Provider) -> None:
    """A flood of HS256 tokens must not even cause the first fetch."""
    for algorithm in ("HS256", "HS512", "none", "", "ES256K"):
        assert keys.candidates("kid", algorithm) == ()
    assert provider.calls == []


def test_without_a_name_all_keys_of_the_algorithm_are_candidates(provider: Provider, watch: Stopwatch) -> None:
    provider.document = key_set(OLD, NEW, signing_key("RS256"))
    keys = make_keys(provider, watch)

    assert {key.kid for key in keys.candidates(None, "ES256")} == {OLD.kid, NEW.kid}
    assert keys.candidates(None, "ES384") == ()
    assert len(provider.calls) == 1


def test_the_algorithms_of_the_settings_apply_to_keys_that_name_none(provider: Provider, watch: Stopwatch) -> None:
    jwk = signing_key("RS256").public_jwk() or {}
    provider.document = {"keys": [{name: value for name, value in jwk.items() if name != "alg"}]}

    keys = make_keys(provider, watch, algorithms=("PS256",))

    assert len(keys.candidates(jwk["kid"], "PS256")) == 1
    assert keys.candidates(jwk["kid"], "RS256") == ()


# Rotation ----------------------------------------------------------------------------------------------


def test_a_new_key_is_found_at_once(keys: JwksKeys, provider: Provider, watch: Stopwatch) -> None:
    has(keys, OLD)
    provider.document = key_set(OLD, NEW)
    watch.now += 30

    assert has(keys, NEW)
    assert keys.generation == 0


@pytest.mark.parametrize("change", ["removed", "replaced under its name", "used by another algorithm"])
def test_a_key_that_is_gone_or_another_grows_the_generation(
    change: str, keys: JwksKeys, provider: Provider, watch: Stopwatch
) -> None:
    has(keys, OLD)
    provider.document = {
        "removed": key_set(NEW),
        "replaced under its name": key_set(NEW, kid=OLD.kid),
        "used by another algorithm": key_set(signing_key("ES384"), kid=OLD.kid),
    }[change]
    watch.now += 30

    keys.candidates("unknown", "ES256")

    assert keys.generation == 1


def test_a_token_of_a_removed_key_ends_although_it_is_remembered(
    keys: JwksKeys, provider: Provider, watch: Stopwatch
) -> None:
    subject = verifier(keys=keys)
    token = sign(OLD, claims())
    subject.authenticate(token)
    provider.document = key_set(NEW)
    watch.now += HOUR

    subject.authenticate(token)  # causes the refresh and is served stale
    settle(keys)

    with pytest.raises(InvalidToken):
        subject.authenticate(token)


def test_the_old_keys_are_gone_before_the_new_generation_shows(keys: JwksKeys, provider: Provider) -> None:
    """Else a token could be verified by a removed key and be remembered under the new generation."""
    has(keys, OLD)
    seen: list[tuple[int, Any]] = []

    class Watched(JwksKeys):
        def __setattr__(self, name: str, value: Any) -> None:
            super().__setattr__(name, value)
            if name in ("_keys", "_generation"):
                seen.append((self._generation, self._keys))

    keys.__class__ = Watched
    with keys._lock:
        keys._replace(None)

    assert seen == [(0, None), (1, None)]


# Outages -----------------------------------------------------------------------------------------------


def test_an_issuer_that_is_down_for_an_hour_is_not_noticed(
    keys: JwksKeys, provider: Provider, watch: Stopwatch
) -> None:
    has(keys, OLD)
    watch.now += HOUR - 30
    provider.fails = True

    for _ in range(120):
        watch.now += 30
        assert has(keys, OLD)
        settle(keys)

    assert keys.failures == 120
    assert len(provider.calls) == 121


def test_after_25_hours_without_the_issuer_nobody_is_let_in(
    keys: JwksKeys, provider: Provider, watch: Stopwatch
) -> None:
    has(keys, OLD)
    provider.fails = True

    watch.now += 24 * HOUR - 1
    assert has(keys, OLD)
    settle(keys)
    watch.now += HOUR + 1
    with pytest.raises(KeysUnavailable) as caught:
        has(keys, OLD)

    assert (caught.value.status, caught.value.text) == (503, KeysUnavailable.public)
    assert URL not in caught.value.text
    assert URL in caught.value.detail


def test_remembered_tokens_end_with_the_keys_that_are_too_old(
    keys: JwksKeys, provider: Provider, watch: Stopwatch
) -> None:
    subject = verifier(keys=keys)
    token = sign(OLD, claims())
    subject.authenticate(token)
    provider.fails = True
    watch.now += 25 * HOUR

    with pytest.raises(KeysUnavailable):
        subject.authenticate(token)


def test_the_stale_time_counts_from_the_last_success(keys: JwksKeys, provider: Provider, watch: Stopwatch) -> None:
    has(keys, OLD)
    watch.now += 20 * HOUR
    has(keys, OLD)
    settle(keys)
    provider.fails = True
    watch.now += 23 * HOUR

    assert has(keys, OLD)


def test_the_stale_time_ends_between_two_attempts_too(keys: JwksKeys, provider: Provider, watch: Stopwatch) -> None:
    has(keys, OLD)
    provider.fails = True
    watch.now += 24 * HOUR - 10
    assert has(keys, OLD)
    settle(keys)

    watch.now += 10

    with pytest.raises(KeysUnavailable):
        has(keys, OLD)
    assert len(provider.calls) == 2


def test_without_stale_time_the_keys_serve_as_long_as_they_are_fresh(provider: Provider, watch: Stopwatch) -> None:
    keys = make_keys(provider, watch, max_stale_s=0)
    has(keys, OLD)
    provider.fails = True

    watch.now += HOUR - 1
    assert has(keys, OLD)
    watch.now += 1
    with pytest.raises(KeysUnavailable):
        has(keys, OLD)


def test_the_first_request_after_a_long_silence_waits_for_new_keys(
    keys: JwksKeys, provider: Provider, watch: Stopwatch
) -> None:
    has(keys, OLD)
    watch.now += 72 * HOUR

    assert has(keys, OLD)
    assert len(provider.calls) == 2


def test_an_issuer_that_comes_back_is_believed_again(keys: JwksKeys, provider: Provider, watch: Stopwatch) -> None:
    provider.fails = True
    with pytest.raises(KeysUnavailable):
        has(keys, OLD)
    provider.fails = False

    with pytest.raises(KeysUnavailable):
        has(keys, OLD)
    watch.now += 30

    assert has(keys, OLD)
    assert keys.failures == 1


def test_before_the_first_success_there_is_one_attempt_in_a_cooldown(
    keys: JwksKeys, provider: Provider, watch: Stopwatch
) -> None:
    provider.fails = True

    for _ in range(300):
        with pytest.raises(KeysUnavailable):
            has(keys, OLD)
        watch.now += 1

    assert provider.calls == [1000 + 30 * turn for turn in range(10)]


def test_each_failure_is_logged_with_its_cause_and_the_age_of_what_serves(
    keys: JwksKeys, provider: Provider, watch: Stopwatch, caplog: pytest.LogCaptureFixture
) -> None:
    has(keys, OLD)
    provider.fails = True
    watch.now += 2 * HOUR

    with caplog.at_level(logging.WARNING, "flask_guard.jwks"):
        has(keys, OLD)
        settle(keys)

    (record,) = caplog.records
    assert record.getMessage() == (
        f"The keys at {URL} could not be fetched, those at hand are 7200 s old: connection refused"
    )


# Invented names ----------------------------------------------------------------------------------------


def test_a_flood_of_invented_names_causes_one_fetch_in_a_cooldown(
    keys: JwksKeys, provider: Provider, watch: Stopwatch
) -> None:
    has(keys, OLD)

    for number in range(1000):
        watch.now += 0.125
        assert keys.candidates(f"invented-{number}", "ES256") == ()

    gaps = [later - earlier for earlier, later in zip(provider.calls, provider.calls[1:], strict=False)]
    assert len(provider.calls) == 5
    assert min(gaps) >= 30


def test_attempts_count_and_not_successes(keys: JwksKeys, provider: Provider, watch: Stopwatch) -> None:
    """A provider that fails is not asked more often than one that answers."""
    has(keys, OLD)
    provider.fails = True

    for number in range(1000):
        watch.now += 0.125
        assert keys.candidates(f"invented-{number}", "ES256") == ()

    assert len(provider.calls) == 5
    assert has(keys, OLD)


def test_a_known_name_with_another_algorithm_causes_no_fetch(
    keys: JwksKeys, provider: Provider, watch: Stopwatch
) -> None:
    has(keys, OLD)
    watch.now += 60

    assert keys.candidates(OLD.kid, "RS256") == ()
    assert len(provider.calls) == 1
