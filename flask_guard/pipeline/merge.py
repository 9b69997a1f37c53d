"""How the rules of several levels become one answer for a route and a method.

Pure. Levels run from the outside in: blueprints, patterns of `guard.rules`, view classes, the view, the
method. Requirements add up; of public, optional and authenticated the innermost wins; public on a level
lifts the requirements outside of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..authz.policies import AllOf, Policy
from ..config.sections import DefaultAccess
from ..limits.rule import LimitRule
from ..net.fences import Fence
from .cors_rule import CorsRule
from .rules import Access, Rule

if TYPE_CHECKING:
    from marshmallow import Schema

    from .bodies import AcceptRule

# What GUARD_DEFAULT_ACCESS=public-read opens.
_READING_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


@dataclass(frozen=True, slots=True)
class Level:
    """The rules written at one place. name: for people, such as "blueprint admin".

    is_wide: the place is about several routes, which need not all answer the methods that a rule names.
    methods: those that the place is about, None for all.
    """

    name: str
    rules: tuple[Rule, ...]
    is_wide: bool = False
    methods: frozenset[str] | None = None


@dataclass(slots=True)
class Merged:
    """What the rules of a route say about one method.

    lifted: requirements that a public inside of them has set aside.
    limits: each with the methods that it counts together, None for all.
    """

    access: Access
    origin: str
    reason: str = ""
    requirements: list[Policy] = field(default_factory=list)
    lifted: list[str] = field(default_factory=list)
    max_body_bytes: int | None = None
    json_kinds: frozenset[str] = frozenset({"object"})
    accepts: AcceptRule | None = None
    returns: Schema | None = None
    limits: list[tuple[LimitRule, frozenset[str] | None]] = field(default_factory=list)
    unlimited: str = ""
    no_csrf: str = ""
    csp: str | None = None
    cors: CorsRule | None = None
    fences: list[Fence] = field(default_factory=list)
    is_probe: bool = False

    @property
    def requirement(self) -> Policy | None:
        if not self.requirements:
            return None
        return self.requirements[0] if len(self.requirements) == 1 else AllOf(tuple(self.requirements))


def default_for(method: str, default: DefaultAccess) -> Access:
    """Return what a method without a rule asks for. An open default still refuses a bad credential."""
    if default == "public" or (default == "public-read" and method in _READING_METHODS):
        return Access.OPTIONAL
    return Access.AUTHENTICATED


def merge(levels: Iterable[Level], *, method: str, default: DefaultAccess) -> tuple[Merged, list[str]]:
    """Return the merged rules of a method, and what is wrong with them."""
    merged = Merged(default_for(method, default), "default")
    faults: list[str] = []
    for level in levels:
        rules = [rule for rule in level.rules if rule.covers(method)]
        faults += _find_contradictions(level.name, rules)
        _apply_access(merged, level.name, rules)
        _apply_requirements(merged, level.name, rules)
        _apply_settings(merged, [rule for rule in rules if not _is_idle(rule, level, method)])
        merged.limits += [(rule.limit, rule.methods or level.methods) for rule in rules if rule.limit is not None]
        merged.fences += [rule.fence for rule in rules if rule.fence is not None]
    return merged, faults


def _is_idle(rule: Rule, level: Level, method: str) -> bool:
    """Say whether a rule has nothing to say to a method that has no body as a rule: one about whole classes."""
    return rule.accepts is not None and method == "DELETE" and level.is_wide and rule.methods is None


def _apply_settings(merged: Merged, rules: Sequence[Rule]) -> None:
    """Replace what the levels outside said; of two rules of one level that can both be meant, the later one counts."""
    for rule in rules:
        merged.max_body_bytes = rule.max_body_bytes or merged.max_body_bytes
        merged.json_kinds = rule.json_kinds or merged.json_kinds
        merged.accepts = rule.accepts or merged.accepts
        merged.returns = rule.returns or merged.returns
        merged.unlimited = rule.unlimited or merged.unlimited
        merged.no_csrf = rule.no_csrf or merged.no_csrf
        merged.csp = rule.csp or merged.csp
        merged.cors = rule.cors or merged.cors
        merged.is_probe = rule.is_probe or merged.is_probe


def _find_contradictions(level: str, rules: Sequence[Rule]) -> list[str]:
    bases = {rule.access for rule in rules if rule.access is not None}
    required = [rule for rule in rules if rule.policy is not None]
    if len(bases) > 1:
        return [f"{level} is {' and '.join(sorted(bases))} at once."]
    for said in ("max_body_bytes", "accepts", "returns", "csp", "cors"):
        doubled = {getattr(rule, said): rule.text for rule in rules if getattr(rule, said) is not None}
        if len(doubled) > 1:
            return [f"{level} has {' and '.join(sorted(doubled.values()))} at once."]
    if Access.PUBLIC in bases and required:
        return [f"{level} is public and has {required[0].text}; one of the two must go."]
    return []


def _apply_access(merged: Merged, level: str, rules: Sequence[Rule]) -> None:
    for rule in rules:
        if rule.access is None:
            continue
        merged.access, merged.origin, merged.reason = rule.access, level, rule.reason
        if rule.access is Access.PUBLIC:
            merged.lifted += [policy.describe() for policy in merged.requirements]
            merged.requirements.clear()


def _apply_requirements(merged: Merged, level: str, rules: Sequence[Rule]) -> None:
    policies = [rule.policy for rule in rules if rule.policy is not None]
    if not policies:
        return
    merged.requirements += policies
    # A requirement is about a principal: only an explicit optional_auth() lets it judge the anonymous one.
    if merged.access is Access.PUBLIC or merged.origin == "default":
        merged.access, merged.origin, merged.reason = Access.AUTHENTICATED, level, ""
