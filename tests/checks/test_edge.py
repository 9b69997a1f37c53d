"""What a deployment is told of the edge: each check has a case that it finds and one that it passes."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask_cors import CORS

from flask_guard import Guard
from flask_guard.checks import edge  # noqa: F401  registers them
from flask_guard.checks.registry import run_checks
from flask_guard.pipeline.runtime import EXTENSION_KEY
from flask_guard.values import Finding, Level


def _find(check_id: str, tmp_path: Path, *, cors: bool = False, **options: Any) -> list[Finding]:
    app = Flask("app", instance_path=str(tmp_path))
    if cors:
        CORS(app)
    Guard(app, jwt_secret_key=secrets.token_urlsafe(64), **options)
    return [finding for finding in run_checks(app.extensions[EXTENSION_KEY]) if finding.id == check_id]


@pytest.mark.parametrize(
    ("check_id", "found", "passed", "level"),
    [
        ("FG-HTTPS-001", {}, {"require_https": True, "public_url": "https://a.test"}, Level.WARNING),
        ("FG-HTTPS-002", {}, {"hsts": True}, Level.WARNING),
        ("FG-HOST-001", {}, {"allowed_hosts": "a.test"}, Level.WARNING),
        ("FG-PROXY-001", {"trusted_proxies": "10.0.0.0/8,::/0"}, {"trusted_proxies": "10.0.0.0/8,unix"}, Level.ERROR),
        ("FG-CORS-001", {"cors": True}, {}, Level.WARNING),
        ("FG-LIMIT-001", {}, {"rate_limit_storage_uri": "redis://127.0.0.1:1"}, Level.WARNING),
    ],
)
def test_a_check_finds_what_it_is_for_and_passes_what_is_right(
    tmp_path: Path, check_id: str, found: dict[str, Any], passed: dict[str, Any], level: Level
) -> None:
    assert [finding.level for finding in _find(check_id, tmp_path, **found)] == [level]
    assert _find(check_id, tmp_path, **passed) == []


@pytest.mark.parametrize("check_id", ["FG-HTTPS-001", "FG-HTTPS-002", "FG-HOST-001", "FG-LIMIT-001"])
def test_development_is_not_told_how_to_deploy(tmp_path: Path, check_id: str) -> None:
    assert _find(check_id, tmp_path, env="development") == []


@pytest.mark.parametrize(("workers", "level"), [("4", Level.ERROR), ("1", Level.WARNING), ("many", Level.WARNING)])
def test_memory_for_several_workers_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: str, level: Level
) -> None:
    monkeypatch.setenv("WEB_CONCURRENCY", workers)

    assert [finding.level for finding in _find("FG-LIMIT-001", tmp_path)] == [level]
