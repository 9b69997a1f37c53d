"""Requests as a principal, and that nothing else gets in by them."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, jsonify, redirect, request

from flask_guard import ConfigError, Guard, Principal, current_principal, current_tenant
from flask_guard.testing import as_principal, guard_client
from flask_guard.values import ANONYMOUS

ADA = Principal("ada", tenant="acme", roles=frozenset({"editor"}), scopes=frozenset({"notes:read"}), method="jwt")
Maker = Callable[..., Flask]


@pytest.fixture
def make_app(tmp_path: Path) -> Maker:
    """Return a maker of guarded applications, in production, with no credential setting unless one is given."""

    def make(**options: Any) -> Flask:
        app = Flask("app", instance_path=str(tmp_path / "instance"))
        guard = Guard()

        @app.get("/whoami")
        def whoami() -> Any:
            return jsonify(id=current_principal.id, tenant=current_tenant.id, kind=current_principal.kind)

        @app.get("/admin")
        @guard.require_role("admin")
        def admin() -> Any:
            return jsonify(ok=True)

        @app.post("/notes")
        @guard.require_scope("notes:write")
        def write() -> Any:
            return jsonify(ok=True)

        @app.get("/moved")
        def moved() -> Any:
            return redirect("/whoami")

        guard.init_app(app, **options)
        return app

    return make


def test_requests_are_those_of_the_principal(make_app: Maker) -> None:
    client = guard_client(make_app(), ADA)

    assert client.get("/whoami").get_json() == {"id": "ada", "tenant": "acme", "kind": "user"}


def test_a_principal_can_be_spelt_out(make_app: Maker) -> None:
    client = guard_client(make_app(), "ci", kind="service", tenant="globex")

    assert client.get("/whoami").get_json() == {"id": "ci", "tenant": "globex", "kind": "service"}


def test_without_a_principal_requests_are_nobodys(make_app: Maker) -> None:
    app = make_app()

    assert guard_client(app).get("/whoami").status_code == 401
    assert guard_client(app, ANONYMOUS).get("/whoami").status_code == 401


def test_a_block_lends_its_principal_to_every_client_and_takes_it_back(make_app: Maker) -> None:
    client, adas = guard_client(make_app()), guard_client(make_app(), ADA)

    with as_principal("grace", tenant="globex"):
        inside = [one.get("/whoami").get_json()["id"] for one in (client, adas)]

    assert inside == ["grace", "grace"]
    assert client.get("/whoami").status_code == 401
    assert adas.get("/whoami").get_json()["id"] == "ada"


def test_blocks_can_be_nested(make_app: Maker) -> None:
    client = guard_client(make_app())

    with as_principal("ada"):
        with as_principal("grace"):
            inner = client.get("/whoami").get_json()["id"]
        outer = client.get("/whoami").get_json()["id"]

    assert (inner, outer) == ("grace", "ada")


def test_rules_decide_as_ever(make_app: Maker) -> None:
    client = guard_client(make_app(), ADA)

    assert client.get("/admin").status_code == 403
    assert client.post("/notes").status_code == 403
    with as_principal("ada", roles=["admin"], scopes=["notes:write"]):
        assert client.get("/admin").status_code == 200
        assert client.post("/notes").status_code == 200


def test_a_redirect_is_followed_as_the_same_principal(make_app: Maker) -> None:
    answer = guard_client(make_app(), ADA).get("/moved", follow_redirects=True)

    assert answer.get_json()["id"] == "ada"


def test_a_credential_that_a_request_brings_itself_is_judged(make_app: Maker) -> None:
    client = guard_client(make_app(), ADA)

    assert client.get("/whoami", headers={"Authorization": "Bearer nonsense"}).status_code == 401


def test_real_tokens_are_verified_beside_it(make_app: Maker) -> None:
    app = make_app(jwt_secret_key=secrets.token_urlsafe(48))
    token = app.extensions["guard"].tokens.issue("grace")
    client = guard_client(app, ADA)

    ids = [client.get("/whoami").get_json()["id"]]
    ids.append(client.get("/whoami", headers={"Authorization": f"Bearer {token}"}).get_json()["id"])

    assert ids == ["ada", "grace"]


def test_another_header_for_tokens_is_used(make_app: Maker) -> None:
    client = guard_client(make_app(jwt_header="X-Token"), ADA)

    assert client.get("/whoami").get_json()["id"] == "ada"


def test_the_credential_of_a_request_opens_nothing_after_it(make_app: Maker) -> None:
    app = make_app()
    seen: list[str] = []
    app.before_request_funcs.setdefault(None, []).append(lambda: seen.append(_credential_now()))
    guard_client(app, ADA).get("/whoami")
    guard_client(app, ADA).get("/whoami")

    answers = [app.test_client().get("/whoami", headers={"Authorization": one}).status_code for one in seen]

    assert len(set(seen)) == 2
    assert answers == [401, 401]


def _credential_now() -> str:
    return request.headers["Authorization"]


def test_no_other_client_is_let_in_meanwhile(make_app: Maker) -> None:
    app = make_app()

    with as_principal(ADA):
        assert app.test_client().get("/whoami").status_code == 401


def test_a_thread_inherits_no_principal(make_app: Maker) -> None:
    client, statuses = guard_client(make_app()), []

    with as_principal(ADA):
        thread = threading.Thread(target=lambda: statuses.append(client.get("/whoami").status_code))
        thread.start()
        thread.join()

    assert statuses == [401]


def test_an_application_without_a_guard_is_refused() -> None:
    with pytest.raises(ConfigError, match="has no Guard"):
        guard_client(Flask("bare"))


def test_a_whole_principal_takes_no_members() -> None:
    with pytest.raises(TypeError, match="given whole"), as_principal(ADA, roles=["admin"]):
        pass
