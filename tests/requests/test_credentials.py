"""Who is asking: tokens, keys, several at once, none. A bad credential is final."""

from __future__ import annotations

import secrets
import string
import threading
import uuid
from typing import Any

import pytest
from flask import Flask, jsonify
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flask_guard import Guard, current_principal

from .conftest import AppMaker, assert_problem, bearer


def _routes(app: Flask, guard: Guard) -> None:
    @app.get("/maybe")
    @guard.optional_auth()
    def maybe() -> Any:
        return jsonify(id=current_principal.id, method=current_principal.method)

    @app.get("/open")
    @guard.public(reason="test")
    def open_to_all() -> Any:
        return jsonify(id=current_principal.id)

    @app.get("/editors")
    @guard.require_role("editor", "admin")
    def editors() -> Any:
        return "ok"

    @app.get("/both-roles")
    @guard.require_role("editor", "admin", all=True)
    def both_roles() -> Any:
        return "ok"

    @app.get("/scoped")
    @guard.require_scope("notes:read", "notes:write")
    def scoped() -> Any:
        return "ok"

    @app.get("/fresh")
    @guard.require_fresh("10m", mfa=True)
    def fresh() -> Any:
        return "ok"


def test_optional_auth_takes_none_refuses_bad_and_knows_good(make_app: AppMaker) -> None:
    app, guard = make_app(_routes)
    client = app.test_client()

    assert client.get("/maybe").json == {"id": "anonymous", "method": "none"}
    assert client.get("/maybe", headers=bearer(guard)).json == {"id": "ada", "method": "jwt"}
    assert_problem(client.get("/maybe", headers={"Authorization": "Bearer x.y.z"}), 401, "invalid_token")


def test_a_public_route_looks_at_no_credential(make_app: AppMaker) -> None:
    app, _ = make_app(_routes)

    assert app.test_client().get("/open", headers={"Authorization": "Bearer x.y.z"}).json == {"id": "anonymous"}


@pytest.mark.parametrize(
    ("path", "issued", "status"),
    [
        ("/editors", {"roles": ["editor"]}, 200),
        ("/editors", {"roles": ["Editor"]}, 403),
        ("/editors", {"roles": ["editors"]}, 403),
        ("/editors", {}, 403),
        ("/both-roles", {"roles": ["editor", "admin"]}, 200),
        ("/both-roles", {"roles": ["admin"]}, 403),
        ("/scoped", {"scopes": ["notes:read", "notes:write"]}, 200),
        ("/scoped", {"scopes": ["notes:*"]}, 200),
        ("/scoped", {"scopes": ["*"]}, 200),
        ("/scoped", {"scopes": ["notes:read"]}, 403),
        ("/scoped", {"scopes": ["note:*"]}, 403),
    ],
)
def test_roles_and_scopes(make_app: AppMaker, path: str, issued: dict[str, Any], status: int) -> None:
    app, guard = make_app(_routes)

    assert app.test_client().get(path, headers=bearer(guard, **issued)).status_code == status
    assert app.test_client().get(path).status_code == 401


def test_a_missing_scope_is_named(make_app: AppMaker) -> None:
    app, guard = make_app(_routes)

    answer = app.test_client().get("/scoped", headers=bearer(guard))

    assert_problem(answer, 403, "insufficient_scope")
    challenge = 'Bearer error="insufficient_scope", scope="notes:read notes:write"'
    assert answer.headers["WWW-Authenticate"] == challenge


def test_an_excluded_role_is_never_held(make_app: AppMaker) -> None:
    app, guard = make_app(_routes, jwt_excluded_roles="editor")

    assert app.test_client().get("/editors", headers=bearer(guard, roles=["editor"])).status_code == 403


def test_a_login_without_second_factor_is_asked_for_one(make_app: AppMaker) -> None:
    app, guard = make_app(_routes)

    answer = app.test_client().get("/fresh", headers=bearer(guard))

    assert_problem(answer, 401, "insufficient_user_authentication")


def test_an_api_key_opens_what_its_scopes_say(make_app: AppMaker) -> None:
    app, guard = make_app(_routes)
    with app.app_context():
        record, key = guard.api_keys.create(name="ci", scopes=["notes:*"], tenant="acme")
    client = app.test_client()

    for headers in ({"X-API-Key": key}, {"Authorization": f"Bearer {key}"}):
        assert client.get("/scoped", headers=headers).status_code == 200
        assert client.get("/maybe", headers=headers).json == {"id": record.id, "method": "service_key"}
        assert client.get("/editors", headers=headers).status_code == 403


def test_a_revoked_key_is_refused_at_once(make_app: AppMaker) -> None:
    app, guard = make_app(_routes)
    with app.app_context():
        record, key = guard.api_keys.create(name="ci")
    client = app.test_client()
    assert client.get("/closed", headers={"X-API-Key": key}).status_code == 200

    with app.app_context():
        assert guard.api_keys.revoke(record.id)

    assert_problem(client.get("/closed", headers={"X-API-Key": key}), 401, "invalid_api_key")


def test_a_key_never_made_opens_no_database(make_app: AppMaker, tmp_path: Any) -> None:
    maker_app, maker = make_app(database_url=f"sqlite:///{tmp_path}/elsewhere.sqlite3")
    with maker_app.app_context():
        _, key = maker.api_keys.create(name="ci")
    app, _ = make_app(_routes)

    assert_problem(app.test_client().get("/closed", headers={"X-API-Key": key}), 401, "invalid_api_key")
    assert not (tmp_path / "instance").exists()


def test_a_key_in_the_query_string_is_refused_with_a_hint(make_app: AppMaker) -> None:
    app, guard = make_app(_routes)
    token = bearer(guard)["Authorization"].removeprefix("Bearer ")

    problem = assert_problem(app.test_client().get(f"/closed?access_token={token}"), 400, "credential_in_query")

    assert token not in str(problem)


def test_a_static_key_needs_no_store(make_app: AppMaker, tmp_path: Any) -> None:
    key = secrets.token_urlsafe(40)
    app, _ = make_app(_routes, api_keys=[{"name": "ci", "key": key, "roles": ["editor"]}])
    client = app.test_client()

    assert client.get("/editors", headers={"X-API-Key": key}).status_code == 200
    assert client.get("/maybe", headers={"X-API-Key": key}).json == {"id": "ci", "method": "api_key"}
    assert_problem(client.get("/editors", headers={"X-API-Key": key[:-1]}), 401, "invalid_api_key")
    assert not (tmp_path / "instance").exists()


def test_a_client_key_stands_for_its_own_tenant(make_app: AppMaker) -> None:
    app, guard = make_app(_routes)
    with app.app_context():
        record, key = guard.api_keys.create(name="customer", kind="client")
    client = app.test_client()

    assert client.get("/maybe", headers={"Authorization": f"Bearer {key}"}).json["method"] == "client_key"
    assert record.tenant is not None
    assert key not in record.tenant
    unknown = client.get("/maybe", headers={"Authorization": f"Bearer {uuid.uuid4()}"})
    assert_problem(unknown, 401, "invalid_api_key")
    upper = client.get("/maybe", headers={"Authorization": f"Bearer {key.upper()}"})
    assert_problem(upper, 400, "invalid_client_key")


def test_of_several_good_credentials_the_strongest_counts(make_app: AppMaker) -> None:
    app, guard = make_app(_routes)
    with app.app_context():
        record, key = guard.api_keys.create(name="ci")

    answer = app.test_client().get("/maybe", headers={**bearer(guard), "X-API-Key": key})

    assert answer.json == {"id": record.id, "method": "service_key"}


@pytest.mark.parametrize("bad", ["token", "key"])
def test_of_several_credentials_a_bad_one_is_final(make_app: AppMaker, bad: str) -> None:
    app, guard = make_app(_routes)
    with app.app_context():
        _, key = guard.api_keys.create(name="ci")
    headers = {**bearer(guard), "X-API-Key": key}
    headers |= {"Authorization": "Bearer a.b.c"} if bad == "token" else {"X-API-Key": key[:-1] + "_"}

    assert app.test_client().get("/maybe", headers=headers).status_code == 401


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Bearer",
        "Bearer ",
        "Basic YTpi",
        "Bearer a.b.c,Bearer d.e.f",
        "bearer\ta.b.c",
        "Token x",
        "Bearer  ",
    ],
)
def test_a_header_that_is_no_bearer_is_refused(make_app: AppMaker, header: str) -> None:
    app, _ = make_app(_routes)

    answer = app.test_client().get("/maybe", headers={"Authorization": header})

    assert answer.status_code == 401
    assert answer.json is not None
    assert answer.json["code"] in ("unauthorized", "invalid_token")


def test_the_scheme_is_matched_in_any_case(make_app: AppMaker) -> None:
    app, guard = make_app(_routes)
    token = bearer(guard)["Authorization"].removeprefix("Bearer ")

    assert app.test_client().get("/closed", headers={"Authorization": f"bEARER {token}"}).status_code == 200


def test_another_header_may_carry_the_bare_token(make_app: AppMaker) -> None:
    app, guard = make_app(_routes, jwt_header="X-Token")
    token = bearer(guard)["Authorization"].removeprefix("Bearer ")

    assert app.test_client().get("/closed", headers={"X-Token": token}).status_code == 200
    assert app.test_client().get("/closed", headers={"Authorization": f"Bearer {token}"}).status_code == 401


@pytest.fixture(scope="module")
def fuzzed() -> Any:
    app = Flask("fuzzed")
    guard = Guard(app, jwt_secret_key=secrets.token_urlsafe(48), rate_limit_anonymous="off")
    app.add_url_rule("/", "index", guard.optional_auth()(lambda: current_principal.id))
    return app.test_client()


_HEADER_TEXT = st.text(st.characters(max_codepoint=255, exclude_characters="\r\n\0"), max_size=300)
_TOKENISH = st.text(string.ascii_letters + string.digits + "-_.=+/ ", max_size=300)


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(authorization=st.none() | _HEADER_TEXT | _TOKENISH.map("Bearer ".__add__), key=st.none() | _HEADER_TEXT)
def test_no_header_yields_a_500_or_a_principal(fuzzed: Any, authorization: str | None, key: str | None) -> None:
    """Raw header values as a server would hand them on: any latin-1 text."""
    overrides = {"HTTP_AUTHORIZATION": authorization, "HTTP_X_API_KEY": key}

    answer = fuzzed.get("/", environ_overrides={k: v for k, v in overrides.items() if v is not None})

    is_anonymous = authorization is None and key is None
    assert answer.status_code == 200 if is_anonymous else answer.status_code in (400, 401)
    assert answer.text == "anonymous" if is_anonymous else answer.json["code"]


def test_threads_never_see_each_others_principal(make_app: AppMaker) -> None:
    app, guard = make_app(_routes)
    wrong: list[str] = []

    def ask(name: str) -> None:
        client, headers = app.test_client(), bearer(guard, name)
        for _ in range(50):
            answer = client.get("/closed", headers=headers)
            if answer.json != {"id": name}:
                wrong.append(answer.text)

    threads = [threading.Thread(target=ask, args=(f"user-{number}",)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert wrong == []


def test_claims_cannot_be_changed_by_a_view(make_app: AppMaker) -> None:
    def setup(app: Flask, guard: Guard) -> None:
        @app.get("/claims")
        def change_claims() -> Any:
            with pytest.raises(TypeError):
                current_principal.claims["sub"] = "root"  # type: ignore[index]
            return jsonify(current_principal.claims)

    app, guard = make_app(setup)

    assert app.test_client().get("/claims", headers=bearer(guard, team={"a": [1]})).json["team"] == {"a": [1]}
