"""How long a regular expression may take on the worst text, found out before anybody sends one.

Python's `re` tries one way after another. With two ways to read the same characters inside of a repetition, the
number of ways doubles with each character; with repetitions that follow each other, it grows as a power of the
length. Both are properties of the automaton: an ambiguous loop, and loops that are joined by a word which both can
read. Source: Weber and Seidl, "On the degree of ambiguity of finite automata", 1991 (EDA and IDA).

Pure. Rule: what is not understood counts as worse than it may be. A repetition with a bound counts as one without,
unless its body is fixed and short.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final

from re import _compiler as compiler  # type: ignore[attr-defined]  # isort: skip
from re import _constants as sre  # type: ignore[attr-defined]  # isort: skip  # the parser has no public door
from re import _parser as parser  # type: ignore[attr-defined]  # isort: skip

EXPONENTIAL: Final = 99
# Positions that are looked at; the pairs of them are what takes time.
MAX_POSITIONS: Final = 300
_MAX_COPIES: Final = 64
_MAX_CHOICES: Final = 12

# Characters that tell any two classes apart that differ in a way that matters; more come from the pattern itself.
_SAMPLES: Final = [
    *map(chr, range(0x20, 0x7F)),
    *"\t\n\r\x00\x1f\x7f\x85\xa0\xaa\xb2éßøΩяא\uff11٣\u0300\u2028\u3042\ufeff😀",
]


class CannotTell(Exception):
    """The pattern has a part whose cost is not known here: a reference to what another part matched, for example."""


@dataclass
class _Automaton:
    """Positions are the characters of the pattern; an edge goes where the next character may be read (Glushkov).

    is_doubled: two ways of the pattern are one edge, as in `(a+)+`. choices: how often, at most, one text can be read
    in twice as many ways: parts that may be left out, alternatives that begin alike.
    """

    classes: list[frozenset[int]] = field(default_factory=list)
    after: list[set[int]] = field(default_factory=list)
    choices: int = 0
    is_doubled: bool = False

    def add(self, characters: frozenset[int]) -> int:
        if len(self.classes) >= MAX_POSITIONS:
            raise CannotTell("it is too long to be judged")
        self.classes.append(characters)
        self.after.append(set())
        return len(self.classes) - 1

    def join(self, ends: Iterable[int], starts: Iterable[int]) -> None:
        for end in ends:
            self.is_doubled = self.is_doubled or not self.after[end].isdisjoint(starts)
            self.after[end].update(starts)


@dataclass(frozen=True)
class _Part:
    """A part of a pattern. is_nullable: it may match nothing. is_fixed: it matches texts of one length only."""

    first: frozenset[int]
    last: frozenset[int]
    is_nullable: bool
    is_fixed: bool = True


_NOTHING: Final = _Part(frozenset(), frozenset(), True)


def find_degree(pattern: re.Pattern[str], *, is_searched: bool) -> int:
    """Return the power of the length that a match takes at worst: 1 linear, 2 quadratic, EXPONENTIAL for more.

    is_searched: it may begin anywhere in the text. Raises CannotTell.
    """
    tree = parser.parse(pattern.pattern, pattern.flags)
    build = _Builder(tree, pattern.flags)
    build.build(tree, is_searched=is_searched and not _begins_at_start(tree))
    return max(build.degrees)


def _begins_at_start(tree: Any) -> bool:
    if not tree:
        return False
    is_line_start = tree[0] == (sre.AT, sre.AT_BEGINNING) and not tree.state.flags & re.MULTILINE
    return is_line_start or tree[0] == (sre.AT, sre.AT_BEGINNING_STRING)


class _Builder:
    def __init__(self, tree: Any, flags: int) -> None:
        self._flags = flags
        self._samples = sorted({*_SAMPLES, *_mentioned(tree)})
        self._everything = frozenset(range(len(self._samples)))
        self.degrees: list[int] = []
        self._repeats = 0

    def build(self, tree: Any, *, is_searched: bool) -> None:
        """Add the degrees of a pattern and of the lookarounds in it."""
        automaton = _Automaton()
        part = self._sequence(automaton, tree)
        if automaton.choices > _MAX_CHOICES:
            raise CannotTell("it has too many optional parts and alternatives that begin alike")
        if is_searched:
            start = automaton.add(self._everything)
            automaton.join([start], [start, *part.first])
        self.degrees.append(_measure(automaton))

    def _sequence(self, automaton: _Automaton, items: Any) -> _Part:
        whole = _NOTHING
        for operation, argument in items:
            part = self._item(automaton, operation, argument)
            automaton.join(whole.last, part.first)
            whole = _Part(
                whole.first | part.first if whole.is_nullable else whole.first,
                part.last | whole.last if part.is_nullable else part.last,
                whole.is_nullable and part.is_nullable,
                whole.is_fixed and part.is_fixed,
            )
        return whole

    def _item(self, automaton: _Automaton, operation: Any, argument: Any) -> _Part:
        if operation in (sre.LITERAL, sre.NOT_LITERAL, sre.ANY, sre.IN):
            place = frozenset({automaton.add(self._characters(operation, argument))})
            return _Part(place, place, False)
        if operation is sre.AT:
            return _NOTHING
        if operation in (sre.MAX_REPEAT, sre.MIN_REPEAT, sre.POSSESSIVE_REPEAT):
            return self._repeat(automaton, *argument)
        if operation is sre.BRANCH:
            return self._branch(automaton, argument[1])
        if operation is sre.SUBPATTERN:
            if argument[1] or argument[2]:
                raise CannotTell("it changes flags on the way")
            return self._sequence(automaton, argument[3])
        if operation is sre.ATOMIC_GROUP:
            return self._sequence(automaton, argument)
        if operation in (sre.ASSERT, sre.ASSERT_NOT):
            if self._repeats:
                raise CannotTell("it looks around within a repetition")
            self.build(argument[1], is_searched=False)
            return _NOTHING
        raise CannotTell("it refers to what another part of it matched")

    def _branch(self, automaton: _Automaton, branches: Any) -> _Part:
        parts = [self._sequence(automaton, branch) for branch in branches]
        if self._repeats and sum(part.is_nullable for part in parts) > 1:
            raise CannotTell("it repeats alternatives of which several may be nothing")
        automaton.choices += _count_choices(automaton, parts)
        return _Part(
            frozenset().union(*(part.first for part in parts)),
            frozenset().union(*(part.last for part in parts)),
            any(part.is_nullable for part in parts),
            is_fixed=False,
        )

    def _repeat(self, automaton: _Automaton, least: int, most: int, body: Any) -> _Part:
        if most == 1:
            part = self._sequence(automaton, body)
            automaton.choices += least == 0
            return _Part(part.first, part.last, part.is_nullable or least == 0, least == 1 and part.is_fixed)
        size = _fixed_size(body)
        if size is not None and least == most and size * most <= _MAX_COPIES:
            return self._sequence(automaton, list(body) * most)
        self._repeats += 1
        part = self._sequence(automaton, body)
        self._repeats -= 1
        if part.is_nullable:
            raise CannotTell("it repeats what may be nothing")
        automaton.join(part.last, part.first)
        return _Part(part.first, part.last, least == 0, is_fixed=False)

    def _characters(self, operation: Any, argument: Any) -> frozenset[int]:
        """Return which of the samples one character of the pattern stands for."""
        tree = parser.parse("a", self._flags)
        tree.data = [(operation, argument)]
        matches = compiler.compile(tree, self._flags).match
        return frozenset(place for place, sample in enumerate(self._samples) if matches(sample))


def _count_choices(automaton: _Automaton, parts: list[_Part]) -> int:
    """Return how often the ways double that one text can take through alternatives."""
    begun = Counter(
        sample for part in parts for sample in frozenset().union(*(automaton.classes[p] for p in part.first))
    )
    most = max(begun.values(), default=0) + sum(part.is_nullable for part in parts)
    return max(most - 1, 0).bit_length()


def _fixed_size(body: Any) -> int | None:
    """Return how many characters a part reads, if they are always as many and it has no choice."""
    simple = all(operation in (sre.LITERAL, sre.NOT_LITERAL, sre.ANY, sre.IN) for operation, _ in body)
    return len(body) if simple else None


def _mentioned(tree: Any) -> set[str]:
    """Return the characters that a pattern names, those at the ends of its ranges, neighbours, and some between."""
    points: set[int] = set()

    def visit(value: Any) -> None:
        if isinstance(value, tuple) and len(value) == 2 and value[0] in (sre.LITERAL, sre.NOT_LITERAL):
            points.add(value[1])
        elif isinstance(value, tuple) and len(value) == 2 and value[0] is sre.RANGE:
            points.update(value[1])
        elif isinstance(value, (tuple, list, parser.SubPattern)):
            for inner in value:
                visit(inner)

    visit(tree)
    near = {near for point in points for near in (point - 1, point, point + 1) if 0 <= near < 0x110000}
    if max(points, default=0) > 0x7F:
        near |= _one_of_each_kind(near)
    return {chr(point) for point in near} | {chr(point).swapcase()[:1] for point in near}


def _one_of_each_kind(cuts: set[int]) -> set[int]:
    """Return a digit, a space, another part of a word and a character that is none, from between any two cuts.

    The ends of a range may be characters that Unicode has not assigned, and those between may be letters.
    """
    kinds = _find_kinds()
    kind, part = kinds[0], 0
    found: dict[tuple[int, Any], int] = {}
    for point in sorted({*kinds, *cuts}):
        kind = kinds.get(point, kind)
        part += point in cuts
        found.setdefault((part, kind), point)
    return set(found.values())


@cache
def _find_kinds() -> dict[int, tuple[bool, bool, bool]]:
    """Return where in Unicode characters of another kind begin: what `\\d`, `\\s` and `\\w` match of them."""
    starts: dict[int, tuple[bool, bool, bool]] = {}
    before = None
    for point, character in enumerate(map(chr, range(0x110000))):
        kind = (character.isdecimal(), character.isspace(), character.isalnum())
        if kind != before:
            starts[point] = before = kind
    return starts


# The measure ---------------------------------------------------------------------------------------------


def _measure(automaton: _Automaton) -> int:
    loops = _find_loops(automaton)
    if automaton.is_doubled or any(_is_ambiguous(automaton, loop) for loop in loops):
        return EXPONENTIAL
    reachable = [_reach(automaton, loop) for loop in loops]

    @cache
    def longest(number: int) -> int:
        """Return how many loops, each joined with the next by a word that both read, follow from this one."""
        lengths = [
            longest(other)
            for other, loop in enumerate(loops)
            if other != number and loop & reachable[number] and _are_joined(automaton, loops[number], loop)
        ]
        return 1 + max(lengths, default=0)

    return max((longest(number) for number in range(len(loops))), default=1)


def _reach(automaton: _Automaton, starts: Iterable[int]) -> frozenset[int]:
    seen: set[int] = set()
    left = list(starts)
    while left:
        for after in automaton.after[left.pop()] - seen:
            seen.add(after)
            left.append(after)
    return frozenset(seen)


def _find_loops(automaton: _Automaton) -> list[frozenset[int]]:
    """Return the sets of positions that lead to each other."""
    reach = [_reach(automaton, [place]) for place in range(len(automaton.classes))]
    return list({frozenset(o for o in mine if place in reach[o]) for place, mine in enumerate(reach) if place in mine})


def _is_ambiguous(automaton: _Automaton, loop: frozenset[int]) -> bool:
    """Tell whether a word leads around the loop in two ways (EDA)."""
    return any(_walk_pairs(automaton, loop, (place, place)) for place in loop)


def _walk_pairs(automaton: _Automaton, loop: frozenset[int], start: tuple[int, int]) -> bool:
    """Tell whether two runs part at the start, read the same word and meet there again."""
    seen: set[tuple[int, int, bool]] = {(*start, False)}
    left = [(*start, False)]
    while left:
        one, two, have_parted = left.pop()
        for a in automaton.after[one] & loop:
            for b in automaton.after[two] & loop:
                if automaton.classes[a] & automaton.classes[b]:
                    state = (a, b, have_parted or a != b)
                    if state == (*start, True):
                        return True
                    if state not in seen:
                        seen.add(state)
                        left.append(state)
    return False


def _are_joined(automaton: _Automaton, one: frozenset[int], two: frozenset[int]) -> bool:
    """Tell whether a word leads around the first loop, from it to the second, and around the second (IDA)."""
    return any(_walk_triples(automaton, one, two, p, q) for p in one for q in two)


def _walk_triples(automaton: _Automaton, one: frozenset[int], two: frozenset[int], p: int, q: int) -> bool:
    seen = {(p, p, q)}
    left = [(p, p, q)]
    classes, after = automaton.classes, automaton.after
    while left:
        a, b, c = left.pop()
        for a2 in after[a] & one:
            for c2 in after[c] & two:
                common = classes[a2] & classes[c2]
                if not common:
                    continue
                for b2 in after[b]:
                    if common & classes[b2]:
                        state = (a2, b2, c2)
                        if state == (p, q, q):
                            return True
                        if state not in seen:
                            seen.add(state)
                            left.append(state)
    return False
