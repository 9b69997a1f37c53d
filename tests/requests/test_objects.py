"""`guard.check`: a view asks about one object, and a foreign one is not there."""

from __future__ import annotations

import secrets
from typing import Any

import pytest
from flask import Flask

from flask_guard import ConfigError, Decision, Guard, Policy, Principal, tenant_scope
from flask_guard.errors import NotFound, Unauthorized
from flask_guard.policies import fresh, owner, role, scope, tenant
from flask_guard.tenancy.scope import unscoped_block


class Note:
    def __init__(self, owner_id: str = "ann", tenant_id: str | None = "acme") -> None:
        self.owner_id = owner_id
        self.tenant_id = tenant_id


class Loose:
    owner_id = "ann"


NOTES: dict[str, Any] = {"own": Note(), "theirs": Note("ben"), "foreign": Note("ann", "other"), "loose": Loose()}
POLICIES = {"owner": owner() | role("admin"), "scope": scope("notes:write"), "fresh": fresh("1s"), "tenant": tenant()}


@pytest.fixture
def served() -> tuple[Flask, Guard]:
    app = Flask("app")
    guard = Guard(app, jwt_secret_key=secrets.token_urlsafe(64))

    @app.get("/<policy>/<name>")
    @guard.optional_auth()
    def show(policy: str, name: str) -> str:
        return str(guard.check(POLICIES[policy], NOTES.get(name)).owner_id)

    return app, guard


def ask(served: tuple[Flask, Guard], path: str, *, subject: str | None = "ann", **claims: Any) -> tuple[int, str]:
    app, guard = served
    headers = {}
    if subject is not None:
        with app.app_context():
            headers["Authorization"] = f"Bearer {guard.tokens.issue(subject, **{'tenant': 'acme', **claims})}"
    answer = app.test_client().get(path, headers=headers)
    return answer.status_code, answer.text if answer.status_code == 200 else answer.get_json()["code"]


@pytest.mark.parametrize(
    ("path", "claims", "answer"),
    [
        ("/owner/own", {}, (200, "ann")),
        ("/owner/theirs", {}, (403, "forbidden")),
        ("/owner/theirs", {"roles": ["admin"]}, (200, "ben")),
        ("/owner/foreign", {}, (404, "not_found")),
        ("/owner/foreign", {"roles": ["admin"]}, (404, "not_found")),
        ("/owner/own", {"tenant": None}, (404, "not_found")),
        ("/owner/nothing", {}, (404, "not_found")),
        ("/owner/loose", {}, (200, "ann")),
        ("/scope/own", {}, (403, "insufficient_scope")),
        ("/scope/foreign", {"scopes": ["*"]}, (404, "not_found")),
        ("/fresh/own", {"auth_time": 1}, (401, "insufficient_user_authentication")),
        ("/tenant/own", {}, (200, "ann")),
    ],
)
def test_an_object_is_given_to_whom_the_policy_lets_in(
    served: tuple[Flask, Guard], path: str, claims: dict[str, Any], answer: tuple[int, str]
) -> None:
    assert ask(served, path, **claims) == answer


def test_without_a_credential_one_may_log_in_but_learns_of_nothing(served: tuple[Flask, Guard]) -> None:
    assert ask(served, "/owner/own", subject=None) == (404, "not_found")
    assert ask(served, "/owner/loose", subject=None) == (401, "unauthorized")


def test_a_missing_object_and_a_foreign_one_are_told_in_the_same_words(served: tuple[Flask, Guard]) -> None:
    app, guard = served
    with app.app_context():
        headers = {"Authorization": f"Bearer {guard.tokens.issue('ann', tenant='acme')}"}
    client = app.test_client()

    told = [client.get(f"/owner/{name}", headers=headers).get_json() for name in ("foreign", "nothing")]

    assert {tuple(sorted((k, v) for k, v in one.items() if k not in ("instance", "request_id"))) for one in told} == {
        tuple(sorted((k, v) for k, v in told[0].items() if k not in ("instance", "request_id")))
    }


def test_a_job_asks_in_its_tenant_scope() -> None:
    guard = Guard()
    ann = Principal(id="ann", kind="user", tenant="acme")
    note = Note()

    with tenant_scope("acme", principal=ann):
        assert guard.check(owner(), note) is note
    with tenant_scope("other", principal=ann), pytest.raises(NotFound):
        guard.check(owner(), note)
    with pytest.raises(NotFound):
        guard.check(owner(), note)
    with unscoped_block("a test"), pytest.raises(Unauthorized):
        guard.check(owner(), note)


@pytest.mark.parametrize("tenant_id", [None, ""], ids=["none", "empty"])
def test_an_object_of_no_tenant_is_nobodys(tenant_id: str | None) -> None:
    ann = Principal(id="ann", kind="user", tenant="acme")

    with tenant_scope("acme", principal=ann), pytest.raises(NotFound):
        Guard().check(owner(), Note("ann", tenant_id))


@pytest.mark.parametrize("policy", ["notes:delete", None, owner], ids=["text", "none", "function"])
def test_what_is_no_policy_is_refused(policy: Any) -> None:
    with pytest.raises(ConfigError, match=r"guard\.check\(\) takes a policy"):
        Guard().check(policy, Note())


def test_a_policy_that_forgets_to_answer_lets_nobody_in() -> None:
    class Forgetful(Policy):
        def decide(self, principal: Principal, *, now: float) -> Decision:
            return None  # type: ignore[return-value]

        def describe(self) -> str:
            return "forgetful"

    with pytest.raises(TypeError, match="not a Decision"):
        Guard().check(Forgetful(), Loose())


@pytest.mark.parametrize("policy", [owner(), ~owner(), role("admin") | owner()], ids=["owner", "not", "or"])
def test_a_route_cannot_ask_about_an_object(policy: Policy) -> None:
    guard = Guard()

    with pytest.raises(ConfigError, match=r"guard\.check\(policy, obj\)"):
        guard.require(policy)
    with pytest.raises(ConfigError, match=r"guard\.check\(policy, obj\)"):
        guard.rules({"notes": policy})
