"""One application issues tokens and publishes its keys, others check them by the address of the key set."""

from __future__ import annotations

import json
import secrets
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from flask import Flask, jsonify
from werkzeug.serving import make_server

from flask_guard import ConfigError, Guard, current_principal
from flask_guard.cli.main import main

from .conftest import assert_problem, bearer

ISSUER = "https://issuer.example.com"


def _private_key(algorithm: str = "ES256") -> str:
    line = CliRunner().invoke(main, ["keygen", "jwt", "--alg", algorithm]).stdout.strip()
    return line.partition("=")[2].strip('"')


def _issuer(tmp_path: Path, **options: Any) -> tuple[Flask, Guard]:
    app = Flask("issuer", instance_path=str(tmp_path / "issuer"))
    settings = {"jwt_private_key": _private_key(), "jwt_issuer": ISSUER, "jwt_audience": "api", **options}
    return app, Guard(app, **settings)


def _verifier(tmp_path: Path, **options: Any) -> Flask:
    app = Flask("verifier", instance_path=str(tmp_path / "verifier"))
    Guard(app, env="development", **options)

    @app.get("/me")
    def me() -> Any:
        return jsonify(id=current_principal.id, roles=sorted(current_principal.roles))

    return app


@pytest.fixture
def published(tmp_path: Path) -> Iterator[tuple[Guard, str]]:
    """An issuer behind a real server; (guard, address of its key set)."""
    app, guard = _issuer(tmp_path)
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield guard, f"http://127.0.0.1:{server.server_port}/.well-known/jwks.json"
    server.shutdown()
    thread.join()


def test_a_token_of_the_issuer_is_accepted_by_its_key_set(tmp_path: Path, published: tuple[Guard, str]) -> None:
    guard, url = published
    app = _verifier(tmp_path, jwt_jwks_url=url, jwt_issuer=ISSUER, jwt_audience="api")

    answer = app.test_client().get("/me", headers=bearer(guard, roles=["editor", "offline_access"]))

    assert answer.json == {"id": "ada", "roles": ["editor"]}


def test_the_published_set_holds_no_private_part(tmp_path: Path) -> None:
    app, _ = _issuer(tmp_path)

    answer = app.test_client().get("/.well-known/jwks.json")

    assert answer.headers["Cache-Control"] == "public, max-age=300"
    assert [sorted(key) for key in answer.json["keys"]] == [["alg", "crv", "kid", "kty", "use", "x", "y"]]


def test_a_secret_is_never_published(tmp_path: Path) -> None:
    app = Flask("app", instance_path=str(tmp_path))
    Guard(app, jwt_secret_key=secrets.token_urlsafe(48))

    assert app.test_client().get("/.well-known/jwks.json").status_code == 404


@pytest.mark.parametrize("options", [{"jwt_audience": "other"}, {"jwt_issuer": "https://other.example.com"}])
def test_a_token_for_others_or_of_others_is_refused(
    tmp_path: Path, published: tuple[Guard, str], options: dict[str, str]
) -> None:
    guard, url = published
    settings = {"jwt_jwks_url": url, "jwt_issuer": ISSUER, "jwt_audience": "api", **options}

    answer = _verifier(tmp_path, **settings).test_client().get("/me", headers=bearer(guard))

    assert_problem(answer, 401, "invalid_token")


def test_without_any_key_set_nobody_is_let_in(tmp_path: Path, published: tuple[Guard, str]) -> None:
    guard, _ = published
    app = _verifier(tmp_path, jwt_jwks_url="http://127.0.0.1:1/jwks.json", jwt_issuer=ISSUER)

    answer = app.test_client().get("/me", headers=bearer(guard))

    problem = assert_problem(answer, 503, "keys_unavailable")
    assert "127.0.0.1" not in str(problem)


def test_several_issuers_stand_side_by_side(tmp_path: Path, published: tuple[Guard, str]) -> None:
    guard, url = published
    second_app, second = _issuer(tmp_path / "second", jwt_issuer="https://second.example.com")
    _, third = _issuer(tmp_path / "third", jwt_issuer="https://third.example.com")
    public = second_app.test_client().get("/.well-known/jwks.json").json["keys"][0]
    pem = second.settings.jwt.private_key
    assert pem is not None
    issuers = [
        {"issuer": ISSUER, "audience": "api", "jwks_url": url},
        {"issuer": "https://second.example.com", "audience": "api", "public_key": _public_pem(pem.reveal())},
    ]
    client = _verifier(tmp_path, jwt_issuers=json.dumps(issuers)).test_client()

    assert public["kty"] == "EC"
    assert client.get("/me", headers=bearer(guard)).status_code == 200
    assert client.get("/me", headers=bearer(second)).status_code == 200
    assert_problem(client.get("/me", headers=bearer(third)), 401, "invalid_token")


def _public_pem(private_pem: str) -> str:
    from cryptography.hazmat.primitives import serialization

    key = serialization.load_pem_private_key(private_pem.replace("\\n", "\n").encode(), None)
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return public.decode()


def test_plain_http_is_refused_in_production(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="GUARD_JWT_JWKS_URL must be https"):
        Guard(Flask("app", instance_path=str(tmp_path)), jwt_jwks_url="http://127.0.0.1/jwks.json")


@pytest.mark.parametrize("algorithm", ["RS256", "EdDSA"])
def test_other_kinds_of_keys_sign_and_check(tmp_path: Path, algorithm: str) -> None:
    app, guard = _issuer(tmp_path, jwt_private_key=_private_key(algorithm))
    app.add_url_rule("/me", "me", lambda: str(current_principal.id))

    assert app.test_client().get("/me", headers=bearer(guard)).text == "ada"
    assert app.test_client().get("/.well-known/jwks.json").json["keys"][0]["alg"] == algorithm
