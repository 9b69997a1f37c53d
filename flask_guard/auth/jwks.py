"""An issuer's published keys (RFC 7517): fetched, kept, and served while the issuer does not answer.

Relies on two callables, `fetch` and a monotonic clock; knows nothing of HTTP. Each fetch has a daemon thread.
Rule: a request whose key is at hand never waits; attempts are counted, not successes, so that neither a
broken issuer nor a flood of invented kids causes a flood of fetches.
"""

from __future__ import annotations

import json
import logging
import math
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from ..crypto.signing import ASYMMETRIC_ALGORITHMS, VerificationKey, parse_jwk
from ..errors import KeysUnavailable
from ..protocols import TokenKey

# Issuers publish two to ten keys. A longer set is cut, so that no look-up grows with it.
MAX_KEYS = 50
# Where other keys are at hand, an invented kid must not hold a worker for the whole of `wait_s`.
_UNKNOWN_KID_WAIT_S = 2.0

logger = logging.getLogger("flask_guard.jwks")


@dataclass(frozen=True, slots=True)
class _KeySet:
    """The keys of one answer, arranged for look-ups. fetched_at: on the monotonic clock."""

    fetched_at: float
    by_name: Mapping[tuple[str, str], VerificationKey]
    by_algorithm: Mapping[str, tuple[VerificationKey, ...]]
    kids: frozenset[str]

    def find(self, kid: str | None, algorithm: str) -> tuple[VerificationKey, ...]:
        if kid is None:
            return self.by_algorithm.get(algorithm, ())
        key = self.by_name.get((kid, algorithm))
        return () if key is None else (key,)

    def loses_a_key_of(self, older: _KeySet) -> bool:
        """Say whether a key of an older set is not in this one, or is another key now."""
        ours = self.by_name
        return any(n not in ours or ours[n].thumbprint != key.thumbprint for n, key in older.by_name.items())


class JwksKeys:
    """A KeySource over one JWKS address.

    fetch: returns the document of an address or raises; it bounds its own time and size.
    clock: monotonic seconds. max_stale_s: how long after the last success its keys serve while attempts fail;
    fresh ones always do.
    algorithms: as for `parse_jwk`. fresh_s: age at which the keys are fetched anew in the background.
    cooldown_s: least time from one attempt to the next. wait_s: longest time that a request waits for keys.
    """

    def __init__(
        self,
        url: str,
        *,
        fetch: Callable[[str], bytes],
        clock: Callable[[], float],
        max_stale_s: float,
        algorithms: Sequence[str] = (),
        fresh_s: float = 3600,
        cooldown_s: float = 30,
        wait_s: float = 10,
    ) -> None:
        self._url = url
        self._fetch = fetch
        self._clock = clock
        self._algorithms = tuple(algorithms)
        self._fresh_s = fresh_s
        self._usable_s = max_stale_s
        self._cooldown_s = cooldown_s
        self._wait_s = wait_s
        self._lock = threading.Lock()
        self._keys: _KeySet | None = None
        self._generation = 0
        self._due_at = math.inf
        self._next_attempt_at = -math.inf
        self._attempt: threading.Event | None = None
        self.failures = 0

    @property
    def generation(self) -> int:
        """Grows when a key is removed or replaced, and when the set has become too old to serve.

        It is read for remembered tokens too, so that a service which sees no others still learns of both.
        """
        if self._clock() >= self._due_at:
            self._look_after_keys()
        return self._generation

    @property
    def age_s(self) -> float | None:
        """Seconds since the last success; None when there are no keys."""
        keys = self._keys
        return None if keys is None else self._clock() - keys.fetched_at

    def candidates(self, kid: str | None, algorithm: str) -> Sequence[TokenKey]:
        """Return the key of this name and algorithm; without a name, all keys of the algorithm.

        Waits for a fetch when there are no keys, or none of this name. Raises KeysUnavailable when there are
        none then.
        """
        if algorithm not in ASYMMETRIC_ALGORITHMS:
            return ()
        if self._clock() >= self._due_at:
            self._look_after_keys()
        keys = self._keys
        if keys is None:
            self._wait_for_attempt(self._wait_s)
        elif kid is not None and kid not in keys.kids:
            self._wait_for_attempt(min(self._wait_s, _UNKNOWN_KID_WAIT_S))
        keys = self._keys
        if keys is None:
            raise KeysUnavailable(detail=f"no keys from {self._url}, {self.failures} attempts failed")
        return keys.find(kid, algorithm)

    def after_fork(self) -> None:
        """Forget what threads of the parent were doing; they do not run in the child."""
        self._lock = threading.Lock()
        self._attempt = None
        self._next_attempt_at = -math.inf

    def _look_after_keys(self) -> None:
        """Drop keys that are too old to serve; refresh those that are no longer fresh, without waiting."""
        with self._lock:
            now = self._clock()
            keys = self._keys
            if keys is None or now < self._due_at:
                return
            if now >= keys.fetched_at + self._usable_s:
                self._replace(None)
            else:
                self._start_attempt(now)
                self._due_at = min(self._next_attempt_at, keys.fetched_at + self._usable_s)

    def _wait_for_attempt(self, longest_s: float) -> None:
        with self._lock:
            attempt = self._start_attempt(self._clock())
        if attempt is not None:
            attempt.wait(longest_s)

    def _start_attempt(self, now: float) -> threading.Event | None:
        """Return the end of the attempt that is under way or was begun, None within the cooldown. Needs the lock."""
        if self._attempt is None and now >= self._next_attempt_at:
            self._next_attempt_at = now + self._cooldown_s
            self._attempt = threading.Event()
            thread = threading.Thread(target=self._run, args=[self._attempt], name="flask-guard-jwks", daemon=True)
            try:
                thread.start()
            except RuntimeError as exc:  # no more threads, or the interpreter is going down
                self._attempt = None
                self._note_failure(exc)
        return self._attempt

    def _run(self, attempt: threading.Event) -> None:
        keys: _KeySet | None = None
        try:
            keys = self._load()
        except Exception as exc:  # `fetch` is anyone's; whatever it raises, the old keys serve on
            self._note_failure(exc)
        finally:
            with self._lock:
                self._attempt = None
                if keys is not None:
                    self._replace(keys)
            attempt.set()

    def _load(self) -> _KeySet:
        document = json.loads(self._fetch(self._url))
        listed = document.get("keys") if isinstance(document, dict) else None
        if not isinstance(listed, list):
            raise ValueError("the document is not a key set")
        keys = _without_ambiguous(parse_jwk(jwk, self._algorithms) for jwk in listed[:MAX_KEYS])
        if not keys:
            raise ValueError("the key set has no key that could check a signature")
        by_algorithm: dict[str, tuple[VerificationKey, ...]] = {}
        for key in keys.values():
            by_algorithm[key.algorithm] = (*by_algorithm.get(key.algorithm, ()), key)
        return _KeySet(self._clock(), keys, by_algorithm, frozenset(kid for kid, _ in keys))

    def _replace(self, keys: _KeySet | None) -> None:
        """Put a set in the place of the one before. Needs the lock."""
        before = self._keys
        self._keys = keys
        self._due_at = math.inf if keys is None else keys.fetched_at + self._fresh_s
        # After the keys: who reads the new generation must not get the old keys.
        if before is not None and (keys is None or keys.loses_a_key_of(before)):
            self._generation += 1

    def _note_failure(self, exc: Exception) -> None:
        self.failures += 1
        age_s = self.age_s
        state = "there are none to serve" if age_s is None else f"those at hand are {age_s:.0f} s old"
        reason = str(exc) or type(exc).__name__
        logger.warning("The keys at %s could not be fetched, %s: %s", self._url, state, reason)


def _without_ambiguous(parsed: Iterable[VerificationKey | None]) -> dict[tuple[str, str], VerificationKey]:
    """Return keys by name and algorithm. Different keys under one name are all left out: any might be meant."""
    keys: dict[tuple[str, str], VerificationKey] = {}
    ambiguous: set[tuple[str, str]] = set()
    for key in parsed:
        if key is not None:
            name = (key.kid, key.algorithm)
            if keys.setdefault(name, key).thumbprint != key.thumbprint:
                ambiguous.add(name)
    return {name: key for name, key in keys.items() if name not in ambiguous}
