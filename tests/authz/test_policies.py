"""Policies: truth tables, wildcards, and that no mistake of a policy lets anybody in."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flask_guard.authz.policies import (
    AnyOf,
    Policy,
    authenticated,
    fresh,
    role,
    scope,
    tenant,
)
from flask_guard.errors import ConfigError
from flask_guard.values import ANONYMOUS, Decision, Principal

NOW = datetime(2026, 1, 1, tzinfo=UTC)
NOW_S = NOW.timestamp()


def someone(**facts: Any) -> Principal:
    return Principal(id="ada", method="jwt", **facts)


def allows(policy: Policy, principal: Principal) -> bool:
    return policy.decide(principal, now=NOW_S).allowed


class Says(Policy):
    """Answers what it was told to answer, or raises it."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def decide(self, principal: Principal, *, now: float) -> Decision:
        if isinstance(self.answer, Exception):
            raise self.answer
        return Decision(self.answer, "said")

    def describe(self) -> str:
        return f"says({self.answer})"


# Combinations -------------------------------------------------------------------------------------------

Formula = tuple[Policy, Callable[[frozenset[str]], bool]]


def _leaf(name: str) -> Formula:
    return role(name), lambda held: name in held


def _negate(part: Formula) -> Formula:
    return ~part[0], lambda held: not part[1](held)


def _both(parts: tuple[Formula, Formula]) -> Formula:
    left, right = parts
    return left[0] & right[0], lambda held: left[1](held) and right[1](held)


def _either(parts: tuple[Formula, Formula]) -> Formula:
    left, right = parts
    return left[0] | right[0], lambda held: left[1](held) or right[1](held)


NAMES = ("a", "b", "c", "d")
FORMULAS = st.recursive(
    st.sampled_from(NAMES).map(_leaf),
    lambda inner: st.one_of(
        inner.map(_negate), st.tuples(inner, inner).map(_both), st.tuples(inner, inner).map(_either)
    ),
    max_leaves=12,
)


@given(formula=FORMULAS, held=st.frozensets(st.sampled_from(NAMES)))
def test_combined_policies_answer_as_python_booleans_do(formula: Formula, held: frozenset[str]) -> None:
    policy, truth = formula

    decision = policy.decide(someone(roles=held), now=NOW_S)

    assert decision.allowed is truth(held)
    assert decision.reason


@given(formula=FORMULAS)
def test_description_is_stable_and_in_one_line(formula: Formula) -> None:
    text = formula[0].describe()

    assert text == formula[0].describe()
    assert "\n" not in text
    assert text.count("(") == text.count(")")


@pytest.mark.parametrize(
    ("policy", "text"),
    [
        (role("b", "a"), "role(a, b)"),
        (role("b", "a", all=True), "role(all of a, b)"),
        (scope("notes:read"), "scope(notes:read)"),
        (tenant(), "tenant"),
        (authenticated(), "authenticated"),
        (fresh("10m"), "fresh(600s)"),
        (fresh(0.5, mfa=True), "fresh(0.5s, mfa)"),
        (fresh("20d"), "fresh(1728000s)"),
        (role("a") | scope("x") & tenant(), "role(a) | (scope(x) & tenant)"),
        ((role("a") | scope("x")) & ~tenant(), "(role(a) | scope(x)) & ~tenant"),
        (~(role("a") & role("b")), "~(role(a) & role(b))"),
        (~~tenant(), "~~tenant"),
        (role("a") | role("b") | role("c"), "role(a) | role(b) | role(c)"),
        (role("a") & (role("b") & role("c")), "role(a) & role(b) & role(c)"),
        (role("CN=Staff,OU=a"), 'role("CN=Staff,OU=a")'),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_policy_describes_itself_for_the_route_map(policy: Policy, text: str) -> None:
    assert policy.describe() == text
    assert repr(policy) == f"<Policy {text}>"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (role("a, b"), role("a", "b")),
        (role("all of a"), role("a", all=True)),
        (role("a) | role(b"), role("a") | role("b")),
        (fresh(1_000_000), fresh(1_000_001)),
    ],
    ids=["a comma in a name", "words in a name", "brackets in a name", "long times"],
)
def test_policies_that_differ_are_described_differently(one: Policy, other: Policy) -> None:
    assert one.describe() != other.describe()


# Mistakes -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "mistake",
    [
        lambda: role("a") and role("b"),
        lambda: role("a") or role("b"),
        lambda: not role("a"),
        lambda: bool(role("a")),
        lambda: 1 if role("a") else 2,
        lambda: [p for p in [role("a")] if p],
        lambda: all([role("a"), role("b")]),
        lambda: bool(~role("a")),
        lambda: bool(role("a") & role("b")),
    ],
    ids=["and", "or", "not", "bool", "if", "filter", "all", "bool of ~", "bool of &"],
)
def test_policy_is_neither_true_nor_false(mistake: Callable[[], Any]) -> None:
    with pytest.raises(TypeError, match=r"combine policies with &, \| and ~"):
        mistake()


@pytest.mark.parametrize(
    "other", [True, None, "admin", role, {"admin"}], ids=["true", "none", "text", "function", "set"]
)
@pytest.mark.parametrize("operator", ["__and__", "__or__"])
def test_policy_combines_with_policies_only(other: Any, operator: str) -> None:
    with pytest.raises(ConfigError, match="combines with policies only"):
        getattr(role("a"), operator)(other)


@pytest.mark.parametrize("other", [True, None, "admin"], ids=repr)
def test_policy_on_the_right_combines_with_policies_only(other: Any) -> None:
    with pytest.raises(TypeError):
        other & role("a")
    with pytest.raises(TypeError):
        other | role("a")


BROKEN = Says(RuntimeError("the store is down"))
YES = Says(True)
NO = Says(False)


@pytest.mark.parametrize(
    "policy",
    [BROKEN, ~BROKEN, ~~BROKEN, YES & BROKEN, BROKEN & YES, NO | BROKEN, ~(YES & BROKEN), ~(NO | BROKEN)],
    ids=["alone", "not", "not not", "yes and", "and yes", "no or", "not (yes and)", "not (no or)"],
)
def test_error_in_a_policy_is_never_an_answer(policy: Policy) -> None:
    with pytest.raises(RuntimeError, match="the store is down"):
        policy.decide(someone(), now=NOW_S)


@pytest.mark.parametrize(("policy", "answer"), [(NO & BROKEN, False), (YES | BROKEN, True)], ids=["&", "|"])
def test_policy_whose_answer_cannot_matter_is_not_asked(policy: Policy, answer: bool) -> None:
    assert allows(policy, someone()) is answer


@pytest.mark.parametrize("answer", [None, 0, ""], ids=repr)
def test_answer_that_is_no_answer_is_not_turned_into_a_yes(answer: Any) -> None:
    assert not allows(~Says(answer), someone())


def test_policy_that_returns_no_decision_ends_in_an_error() -> None:
    class Forgets(Says):
        def decide(self, principal: Principal, *, now: float) -> Decision:
            return None  # type: ignore[return-value]

    for policy in (~Forgets(1), Forgets(1) & YES, Forgets(1) | YES):
        with pytest.raises(AttributeError):
            policy.decide(someone(), now=NOW_S)


def test_combination_of_ones_own_decides_also_inside_another() -> None:
    class Neither(AnyOf):
        def decide(self, principal: Principal, *, now: float) -> Decision:
            return Decision(not super().decide(principal, now=now).allowed, "neither")

    banned = Neither((role("a"), role("b")))

    assert not allows(banned | role("c"), someone(roles=frozenset({"a"})))
    assert allows(banned | role("c"), someone())


def test_policy_of_ones_own_must_decide_and_describe() -> None:
    class Silent(Policy):
        def decide(self, principal: Principal, *, now: float) -> Decision:
            return Decision(True, "yes")

    with pytest.raises(TypeError, match="describe"):
        Silent()  # type: ignore[abstract]


# Names --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [role, scope], ids=["role", "scope"])
@pytest.mark.parametrize(
    "names", [(), ("",), (" ",), ("a", ""), (" a",), ("a ",), ("a\n",), ("a\x00",), (None,), (5,), (["a"],)], ids=repr
)
def test_name_that_is_none_is_refused(make: Callable[..., Policy], names: tuple[Any, ...]) -> None:
    with pytest.raises(ConfigError):
        make(*names)


@pytest.mark.parametrize(
    ("make", "written"),
    [(role, 'require_role("admin", "editor")'), (scope, 'require_scope("notes:read", "notes:write")')],
    ids=["role", "scope"],
)
@pytest.mark.parametrize("names", [["a", "b"], ("a",), {"a"}], ids=repr)
def test_names_in_a_list_are_told_how_to_be_written(make: Callable[..., Policy], written: str, names: Any) -> None:
    with pytest.raises(ConfigError, match="takes names one by one") as caught:
        make(names)

    assert str(caught.value).endswith(f"not a {type(names).__name__}: write {written}.")


@pytest.mark.parametrize("name", ["a b", 'a"b', "a\\b", "é", "a\tb"])
def test_scope_that_no_header_could_name_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="is not the name of a scope"):
        scope(name)


def test_role_may_have_blanks_inside() -> None:
    assert allows(role("Content Editor"), someone(roles=frozenset({"Content Editor"})))


@pytest.mark.parametrize("max_age", ["soon", "0s", 0, -1, True, None])
def test_age_that_is_none_is_refused(max_age: Any) -> None:
    with pytest.raises(ConfigError, match="The max_age of fresh"):
        fresh(max_age)


# Roles --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("held", "any_of", "all_of"),
    [
        (set(), False, False),
        ({"a"}, True, False),
        ({"a", "b"}, True, True),
        ({"a", "b", "c"}, True, True),
        ({"c"}, False, False),
        ({"A"}, False, False),
        ({"a "}, False, False),
        ({"*"}, False, False),
    ],
    ids=lambda value: ",".join(sorted(value)) or "none" if isinstance(value, set) else None,
)
def test_role_is_held_by_its_exact_name(held: set[str], any_of: bool, all_of: bool) -> None:
    principal = someone(roles=frozenset(held))

    assert allows(role("a", "b"), principal) is any_of
    assert allows(role("a", "b", all=True), principal) is all_of


# Scopes -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("held", "needed", "covered"),
    [
        ("notes:read", "notes:read", True),
        ("*", "notes:read", True),
        ("notes:*", "notes:read", True),
        ("notes:*", "notes:read:own", True),
        ("notes:read:*", "notes:read:own", True),
        ("notes:*", "notes:*", True),
        ("*", "notes:*", True),
        ("*", "*", True),
        ("notes*", "notes:read", False),
        ("notes*", "notesread", False),
        ("no*", "notes:read", False),
        ("n*:read", "notes:read", False),
        ("*:read", "notes:read", False),
        ("notes:r*", "notes:read", False),
        ("notes:*", "notes", False),
        ("notes:*", "notesfoo:read", False),
        ("note:*", "notes:read", False),
        ("notes:read:*", "notes:read", False),
        ("**", "notes:read", False),
        ("*:*", "notes:read", False),
        (":*", "notes:read", False),
        ("NOTES:*", "notes:read", False),
        ("notes:read", "notes:*", False),
        ("notes:?ead", "notes:read", False),
        ("notes:.*", "notes:read", False),
        ("", "notes:read", False),
    ],
)
def test_scope_is_covered_by_itself_and_by_whole_wildcards_only(held: str, needed: str, covered: bool) -> None:
    assert allows(scope(needed), someone(scopes=frozenset({held}))) is covered


@given(
    held=st.frozensets(st.text("ab:*", max_size=5), max_size=4),
    needed=st.frozensets(st.text("ab:", min_size=1, max_size=5), min_size=1, max_size=3),
)
def test_scopes_are_held_when_each_one_is_covered(held: frozenset[str], needed: frozenset[str]) -> None:
    def is_covered(name: str) -> bool:
        parents = {name[: i + 1] + "*" for i, letter in enumerate(name) if letter == ":"}
        return bool(held & {name, "*", *parents})

    assert allows(scope(*needed), someone(scopes=held)) is all(map(is_covered, needed))


def test_roles_are_no_scopes() -> None:
    assert not allows(scope("admin"), someone(roles=frozenset({"admin", "*"})))


# Tenant and login ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("named", "has"), [("acme", True), ("", False), (None, False)])
def test_tenant_is_asked_of_the_credential(named: str | None, has: bool) -> None:
    assert allows(tenant(), someone(tenant=named)) is has


@pytest.mark.parametrize(
    ("age_s", "mfa", "plain", "with_mfa"),
    [
        (0, True, True, True),
        (0, False, True, False),
        (600, True, True, True),
        (600.001, True, False, False),
        (-299, True, True, True),
        (-301, True, False, False),
        (-(10**9), True, False, False),
        (None, True, False, False),
    ],
    ids=["now", "no mfa", "at the limit", "past it", "clocks differ", "ahead", "far ahead", "no login"],
)
def test_login_must_be_recent(age_s: float | None, mfa: bool, plain: bool, with_mfa: bool) -> None:
    at = None if age_s is None else NOW - timedelta(seconds=age_s)
    principal = someone(authenticated_at=at, mfa=mfa)

    assert allows(fresh("10m"), principal) is plain
    assert allows(fresh("10m", mfa=True), principal) is with_mfa


@pytest.mark.parametrize("policy", [role("a"), scope("a"), tenant(), authenticated(), fresh()], ids=repr)
def test_nobody_is_refused_by_every_policy(policy: Policy) -> None:
    assert not allows(policy, ANONYMOUS)
