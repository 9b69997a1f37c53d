"""What it costs to verify a token, the first time and again, next to the least code that could do it.

Cold: every case walks the same ring of tokens; Guard's cache holds fewer than the ring has and drops the oldest
first, so each token was forgotten when its turn comes. Warm: the cache is full and holds the tokens asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import cycle

from flask_guard.auth.bearer import TokenVerifier
from flask_guard.auth.credentials import CredentialReader

from .caches import DEFAULT_SIZE, fill, is_remembered
from .measure import Case, measure, scaled
from .report import Comparison, Report, Target
from .verifiers import (
    ALGORITHMS,
    FLOOR,
    GUARD,
    PYJWT,
    KeyPair,
    Verify,
    make_floor,
    make_guard,
    make_peers,
    make_pyjwt,
    require_strict,
)

ROUNDS = 41
# The ring has more tokens than the small cache holds, and the cache is large enough to drop by the dozen.
RING = 512
SMALL_CACHE = 128
HOT_TOKENS = 64

COLD_TARGETS = {"HS256": 1.60, "RS256": 1.20, "ES256": 1.10, "EdDSA": 1.08}
# How many times as long as Guard a peer takes, at least: the fastest of them, and PyJWT.
FASTEST_PEER = {"HS256": 1.7, "RS256": 1.0, "ES256": 1.0, "EdDSA": 1.0}
PYJWT_COLD = {"HS256": 3.0}

HIT = "flask_guard, remembered"
THROUGH_READER = "flask_guard, remembered, from the header"
WARM_FLOOR = "hand-written, full, HS256"
WARM_TARGETS = {HIT: Target(0.25)}
WARM_COMPARISONS = (
    Comparison("PyJWT HS256", HIT, Target(20, "at least")),
    Comparison("PyJWT ES256", HIT, Target(50, "at least")),
)


def run(report: Report, *, scale: float) -> None:
    """Print the tables of tokens."""
    rounds = scaled(ROUNDS, scale)
    for algorithm in ALGORITHMS:
        _run_cold(report, KeyPair.generate(algorithm), rounds=rounds)
    _run_warm(report, rounds=rounds)


def _run_cold(report: Report, pair: KeyPair, *, rounds: int) -> None:
    report.heading(f"Tokens: {pair.algorithm}, not seen before")
    ring = [pair.sign() for _ in range(RING)]
    guard = make_guard(pair, cache_size=SMALL_CACHE)
    _require_cold(guard, ring)
    peers = dict(make_peers(pair))
    verifiers = {FLOOR: make_floor(pair), GUARD: guard.authenticate, **peers}
    for name, verify in verifiers.items():
        require_strict(name, verify, pair)
    timing = measure([_walking(name, verify, ring) for name, verify in verifiers.items()], rounds=rounds)
    comparisons = [Comparison(timing.fastest(peers), GUARD, Target(FASTEST_PEER[pair.algorithm], "at least"))]
    if pair.algorithm in PYJWT_COLD:
        comparisons.append(Comparison(PYJWT, GUARD, Target(PYJWT_COLD[pair.algorithm], "at least")))
    report.timing(
        f"Tokens, {pair.algorithm}, not seen before",
        timing,
        floor=FLOOR,
        targets={GUARD: Target(COLD_TARGETS[pair.algorithm])},
        comparisons=comparisons,
    )


def _walking(name: str, verify: Verify, ring: Sequence[str]) -> Case:
    next_token = cycle(ring).__next__
    return Case(name, lambda: verify(next_token()))


def _require_cold(guard: TokenVerifier, ring: Sequence[str]) -> None:
    """Stop unless every token of the ring was forgotten when its turn comes, twice around."""
    for token in [*ring, *ring]:
        assert not is_remembered(guard, token)
        guard.authenticate(token)
        assert is_remembered(guard, token)


def _run_warm(report: Report, *, rounds: int) -> None:
    report.heading("Tokens: seen before")
    pair, curve = KeyPair.generate("HS256"), KeyPair.generate("ES256")
    guard = make_guard(pair, cache_size=DEFAULT_SIZE)
    fill(guard, (pair.sign() for _ in range(DEFAULT_SIZE - HOT_TOKENS)))
    headers = [f"Bearer {pair.sign()}" for _ in range(HOT_TOKENS)]
    fill(guard, (header[7:] for header in headers))
    assert all(is_remembered(guard, header[7:]) for header in headers)
    by_curve = [f"Bearer {curve.sign()}" for _ in range(HOT_TOKENS)]
    reader = CredentialReader(guard, None)
    cases = [
        _slicing(WARM_FLOOR, make_floor(pair), headers),
        _slicing(HIT, guard.authenticate, headers),
        Case(THROUGH_READER, _reading(reader, headers)),
        _slicing("PyJWT HS256", make_pyjwt(pair), headers),
        _slicing("PyJWT ES256", make_pyjwt(curve), by_curve),
    ]
    timing = measure(cases, rounds=rounds)
    assert all(is_remembered(guard, header[7:]) for header in headers)
    report.timing(
        "Tokens, seen before",
        timing,
        floor=WARM_FLOOR,
        targets=WARM_TARGETS,
        comparisons=WARM_COMPARISONS,
    )


def _slicing(name: str, verify: Verify, headers: Sequence[str]) -> Case:
    """A token is cut out of its header by each call, as in a request: a text whose hash is not known yet."""
    next_header = cycle(headers).__next__
    return Case(name, lambda: verify(next_header()[7:]))


def _reading(reader: CredentialReader, headers: Sequence[str]) -> Callable[[], object]:
    next_header = cycle(headers).__next__
    return lambda: reader.read(next_header(), None, "")
