"""`flask guard ...`: what the commands print, and how they exit: 0 done, 1 findings, 2 could not run."""

from __future__ import annotations

import base64
import json
import re
import secrets
import uuid
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from flask import Blueprint, Flask

from flask_guard import Guard
from flask_guard.cli.main import main
from flask_guard.config.load import load_settings
from flask_guard.policies import public


def _app(tmp_path: Path, setup: Any = None, **options: Any) -> Flask:
    app = Flask("app", instance_path=str(tmp_path))
    guard = Guard()

    @app.get("/notes/<int:note_id>")
    @guard.require_scope("notes:read")
    def note(note_id: int) -> str:
        return "note"

    @app.get("/")
    @guard.public(reason="front page")
    def index() -> str:
        return "front"

    if setup is not None:
        setup(app, guard)
    options.setdefault("jwt_secret_key", secrets.token_urlsafe(48))
    guard.init_app(app, **options)
    return app


def _run(app: Flask, *arguments: str) -> Result:
    return app.test_cli_runner().invoke(args=["guard", *arguments])


def test_routes_shows_every_kind_of_route(tmp_path: Path) -> None:
    def setup(app: Flask, guard: Guard) -> None:
        blueprint = Blueprint("docs", __name__, static_folder="static", url_prefix="/docs")
        app.register_blueprint(guard.require_role("staff")(blueprint))

    result = _run(_app(tmp_path, setup), "routes")

    assert result.exit_code == 0
    lines = [re.split(r"\s{2,}", line) for line in result.output.splitlines()]
    assert ["GET", "/", "index", "public", "front page", "view index"] in lines
    assert ["HEAD", "/notes/<int:note_id>", "note", "scope(notes:read)", "", "view note"] in [
        [*line[:4], "", line[-1]] for line in lines
    ]
    assert any(line[:4] == ["GET", "/docs/static/<path:filename>", "docs.static", "role(staff)"] for line in lines)
    assert any(line[:4] == ["GET", "/static/<path:filename>", "static", "authenticated"] for line in lines)
    assert any(line[:3] == ["OPTIONS", "/healthz/live", "guard_health.live"] for line in lines)


def test_routes_as_json_and_markdown(tmp_path: Path) -> None:
    app = _app(tmp_path)

    rows = json.loads(_run(app, "routes", "--format", "json").output)
    markdown = _run(app, "routes", "--format", "markdown").output.splitlines()

    assert {row["endpoint"] for row in rows} >= {"index", "note", "static", "guard_health.ready"}
    assert markdown[0] == "| method | path | endpoint | access | why | set by |"
    assert len(markdown) == len(rows) + 2


def test_a_lock_file_holds_until_access_is_widened(tmp_path: Path) -> None:
    lock = tmp_path / "access.lock"
    app = _app(tmp_path)
    assert _run(app, "routes", "--lock", str(lock)).exit_code == 0
    assert _run(app, "routes", "--check", str(lock)).exit_code == 0

    def open_one(app: Flask, guard: Guard) -> None:
        app.add_url_rule("/new", "new", guard.public(reason="oops")(lambda: "new"))

    result = _run(_app(tmp_path, open_one), "routes", "--check", str(lock))

    assert result.exit_code == 1
    assert "+ GET /new (new): public, a new route" in result.output


@pytest.mark.parametrize(
    "content",
    [b"", b"{}", b"[]", b'{"version": 9, "routes": []}', b'{"version": 1, "routes": [{"access": "x"}]}', b"\xff"],
)
def test_a_lock_file_that_is_none_cannot_be_checked(tmp_path: Path, content: bytes) -> None:
    lock = tmp_path / "access.lock"
    lock.write_bytes(content)

    result = _run(_app(tmp_path), "routes", "--check", str(lock))

    assert result.exit_code == 2
    assert result.stderr == (
        f"Error: {lock} is not a lock file that this version of `flask guard routes --lock` wrote.\n"
    )
    assert _run(_app(tmp_path), "routes", "--check", str(tmp_path / "missing")).exit_code == 2


def test_a_lock_file_is_written_or_checked_and_not_both(tmp_path: Path) -> None:
    lock = tmp_path / "access.lock"

    result = _run(_app(tmp_path), "routes", "--lock", str(lock), "--check", str(lock))

    assert result.exit_code == 2
    assert "--lock and --check exclude each other" in result.stderr
    assert not lock.exists()


def test_faulty_rules_cannot_be_shown(tmp_path: Path) -> None:
    result = _run(_app(tmp_path, lambda app, guard: guard.rules({"nobody": public(reason="nobody")})), "routes")

    assert result.exit_code == 2
    assert "'nobody' of guard.rules() matches no endpoint" in result.output


def test_config_shows_sources_and_no_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = secrets.token_urlsafe(48)
    monkeypatch.setenv("GUARD_JWT_SECRET_KEY", secret)
    app = _app(tmp_path, jwt_leeway="5s", jwt_secret_key=None)

    result = _run(app, "config")
    everything = json.loads(_run(app, "config", "--all", "--format", "json").output)

    assert result.exit_code == 0
    assert secret not in result.output
    assert re.search(r"GUARD_JWT_SECRET_KEY\s+\*\*\*\s+environment", result.output)
    assert re.search(r"GUARD_JWT_LEEWAY\s+5.0\s+argument\s+0s", result.output)
    assert "GUARD_MAX_BODY" not in result.output
    assert {
        "name": "GUARD_ENV",
        "value": "production",
        "source": "default",
        "default": "production",
    } in everything


# What a checklist has nothing to say of.
DEPLOYED = {
    "allowed_hosts": "notes.test",
    "hsts": "true",
    "public_url": "https://notes.test",
    "rate_limit_storage_uri": "redis://127.0.0.1:1",
    "require_https": "true",
}


def test_check_tells_an_open_default_as_an_error_in_production(tmp_path: Path) -> None:
    clean = _run(_app(tmp_path, **DEPLOYED), "check")
    loud = _run(_app(tmp_path, **DEPLOYED, default_access="report-only"), "check", "--format", "json")

    assert (clean.exit_code, clean.output) == (0, "Nothing found.\n")
    assert loud.exit_code == 1
    assert [(row["id"], row["level"]) for row in json.loads(loud.output)] == [("FG-ACCESS-001", "error")]


def test_check_tells_settings_without_effect(tmp_path: Path) -> None:
    result = _run(_app(tmp_path, **DEPLOYED, metrics_enabled="true"), "check")

    assert result.exit_code == 0
    assert result.output == (
        "warning  FG-SETTINGS-001  GUARD_METRICS_ENABLED has no effect in this version.\n"
        "         Remove it, and do not rely on what it promises.\n"
    )


def test_check_tells_each_finding_once_under_its_own_id(tmp_path: Path) -> None:
    idle = Blueprint("idle", __name__)

    def setup(app: Flask, guard: Guard) -> None:
        guard.require_role("staff")(idle)

    app = _app(
        tmp_path,
        setup,
        env="staging",
        jwt_secret_key="short",
        jwt_issuer="us",
        jwt_issuers=[{"issuer": "a", "jwks_url": "https://a.test"}],
    )

    rows = json.loads(_run(app, "check", "--format", "json").output)

    assert [row["id"] for row in rows] == ["FG-ROUTE-002", "FG-SECRET-001", "FG-SECRET-003", "FG-TOKEN-001"]


def test_token_prints_a_token_that_is_accepted(tmp_path: Path) -> None:
    app = _app(tmp_path)

    result = _run(app, "token", "ada", "--scope", "notes:read", "--ttl", "5m")

    headers = {"Authorization": f"Bearer {result.output.strip()}"}
    assert app.test_client().get("/notes/1", headers=headers).status_code == 200
    assert json.loads(_run(app, "token", "ada", "--format", "json").stdout)["token_type"] == "Bearer"
    for option, value in (("--ttl", "never"), ("--ttl", "0"), ("--scope", "a b"), ("--role", "")):
        refused = _run(app, "token", "ada", option, value)
        assert (refused.exit_code, refused.stdout) == (2, "")
        assert f"Invalid value for '{option}'" in refused.stderr
    too_long = _run(_app(tmp_path, jwt_max_lifetime="1h"), "token", "ada", "--ttl", "2h")
    assert too_long.exit_code == 2
    assert too_long.stderr == "Error: no such token can be issued: ttl is longer than tokens may live.\n"
    keyless = _run(_app(tmp_path, jwt_secret_key=None), "token", "ada")
    assert keyless.exit_code == 2
    assert "GUARD_JWT_SECRET_KEY" in keyless.output


@pytest.mark.parametrize("algorithm", ["HS256", "RS256", "ES256", "EdDSA"])
def test_keygen_makes_a_line_that_a_start_accepts(algorithm: str) -> None:
    app = Flask("app")
    Guard(app)

    made = _run(app, "keygen", "jwt", "--alg", algorithm)

    line = made.stdout.strip()
    assert ("line ends are written as \\n, and the quotes belong to it" in made.stderr) is (algorithm != "HS256")

    name, _, value = line.partition("=")
    settings = load_settings(environ={name: value.strip('"')}, app_config={}, arguments={})
    assert settings.is_set(name)
    guarded = Flask("guarded")
    guard = Guard(guarded, **{name.removeprefix("GUARD_").lower(): value.strip('"')})
    header = {"Authorization": f"Bearer {guard.tokens.issue('ada')}"}
    guarded.add_url_rule("/", "index", lambda: "ok")
    assert guarded.test_client().get("/", headers=header).status_code == 200


def test_keygen_needs_no_application() -> None:
    from click.testing import CliRunner

    runner = CliRunner()

    encryption = runner.invoke(main, ["keygen", "encryption"]).output.strip().partition("=")[2]
    made = runner.invoke(main, ["keygen", "client"])
    client = made.stdout.strip()
    as_json = json.loads(runner.invoke(main, ["keygen", "jwt", "--alg", "EdDSA", "--format", "json"]).output)

    assert len(base64.urlsafe_b64decode(encryption)) == 32
    assert uuid.UUID(client).version == 4
    assert "`flask guard keys create --kind client` makes one that is registered" in made.stderr
    assert as_json["name"] == "GUARD_JWT_PRIVATE_KEY"
    assert as_json["value"].startswith("-----BEGIN PRIVATE KEY-----\n")
    assert runner.invoke(main, ["keygen", "admin", "--alg", "HS256"]).exit_code == 2
    assert runner.invoke(main, ["keygen", "other"]).exit_code == 2


def test_keygen_never_prints_the_same_twice() -> None:
    from click.testing import CliRunner

    lines = {CliRunner().invoke(main, ["keygen", "jwt"]).output for _ in range(20)}

    assert len(lines) == 20
