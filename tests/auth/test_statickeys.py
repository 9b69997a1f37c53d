"""Keys of the configuration: every fault is found at start, and none of them quotes a key."""

from __future__ import annotations

import secrets
import traceback
import uuid
from pathlib import Path
from typing import Any

import pytest

from flask_guard.auth.statickeys import StaticKeys, build_static_keys
from flask_guard.config.secrets import Secret
from flask_guard.errors import ConfigError
from flask_guard.values import Principal

KEY = secrets.token_urlsafe(32)


def build(*entries: Any, environ: dict[str, str] | None = None) -> StaticKeys:
    return build_static_keys(entries, environ=environ or {})


def test_a_key_stands_for_its_entry() -> None:
    other = str(uuid.uuid4())
    keys = build(
        {"name": "ci", "key": KEY, "roles": ["deployer"], "scopes": ["notes:*"], "tenant": "acme"},
        {"name": "cron", "key": Secret(other)},
    )

    assert keys.authenticate(KEY) == Principal(
        id="ci",
        kind="service",
        method="api_key",
        roles=frozenset({"deployer"}),
        scopes=frozenset({"notes:*"}),
        tenant="acme",
        claims={"name": "ci"},
    )
    assert keys.authenticate(other) == Principal(id="cron", kind="service", method="api_key", claims={"name": "cron"})


@pytest.mark.parametrize(
    "credential",
    ["", KEY[:-1], KEY + "x", KEY.swapcase(), f" {KEY}", f"{KEY}\n", "ci", "\ud800", "ü"],
    ids=["empty", "cut off", "longer", "case", "blank", "line end", "the name", "surrogate", "latin"],
)
def test_anything_else_is_not_a_static_key(credential: str) -> None:
    assert build({"name": "ci", "key": KEY}).authenticate(credential) is None


def test_no_entries_are_no_keys() -> None:
    assert len(build()) == 0
    assert build().authenticate("") is None


def test_a_key_may_be_a_reference(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(secrets.token_hex() + "\n")

    keys = build(
        {"name": "ci", "key": "env:CI_KEY"},
        {"name": "cron", "key": f"file:{tmp_path / 'key'}"},
        environ={"CI_KEY": KEY},
    )

    assert keys.authenticate(KEY) is not None
    assert keys.authenticate((tmp_path / "key").read_text().strip()) is not None
    assert keys.authenticate("env:CI_KEY") is None


@pytest.mark.parametrize(
    ("entry", "fault"),
    [
        pytest.param({"key": KEY}, "entry 1: name must be one line", id="no name"),
        pytest.param({"name": "", "key": KEY}, "entry 1: name must be 1 to 100", id="empty name"),
        pytest.param({"name": 5, "key": KEY}, "entry 1: name must be one line", id="name of another type"),
        pytest.param({"name": "ci"}, "entry 1 (ci): key is missing", id="no key"),
        pytest.param({"name": "ci", "key": ""}, "key is missing", id="empty key"),
        pytest.param({"name": "ci", "key": 12345}, "key is missing", id="key of another type"),
        pytest.param({"name": "ci", "key": None}, "key is missing", id="null key"),
        pytest.param({"name": "ci", "key": "env:NOWHERE"}, "variable NOWHERE, which is not set", id="no variable"),
        pytest.param({"name": "ci", "key": "env:EMPTY"}, "a header cannot carry it", id="empty variable"),
        pytest.param({"name": "ci", "key": "file:/nowhere/key"}, "which cannot be read", id="no file"),
        pytest.param({"name": "ci", "key": "vault:x"}, "this version cannot read", id="vault"),
        pytest.param({"name": "ci", "key": KEY + " "}, "a header cannot carry it", id="blank in the key"),
        pytest.param({"name": "ci", "key": KEY + "ü"}, "a header cannot carry it", id="not ASCII"),
        pytest.param({"name": "ci", "key": "fgk_" + KEY}, "begins with fgk_", id="would never be asked"),
        pytest.param({"name": "ci", "key": KEY, "scope": []}, "scope is not a member. Did you mean scopes?", id="typo"),
        pytest.param({"name": "ci", "key": KEY, "Roles": []}, "Did you mean roles?", id="case"),
        pytest.param(
            {"name": "ci", "key": KEY, "zzz": 1}, "zzz is not a member. They are name, key, roles", id="unknown member"
        ),
        pytest.param({"name": "ci", "key": KEY, "scopes": "notes:read"}, "scopes must be a list", id="scopes as text"),
        pytest.param({"name": "ci", "key": KEY, "roles": {"admin"}, "tenant": ""}, "tenant must be 1", id="no tenant"),
        pytest.param({"name": "ci", "key": KEY, "tenant": 5}, "tenant must be one line", id="tenant as number"),
    ],
)
def test_a_faulty_entry_is_refused_without_a_word_of_the_key(entry: dict[str, Any], fault: str) -> None:
    with pytest.raises(ConfigError) as caught:
        build(entry, environ={"EMPTY": ""})

    assert len(caught.value.faults) == 1
    assert fault in caught.value.faults[0]
    assert caught.value.faults[0].startswith("GUARD_API_KEYS, entry 1")
    assert KEY[:31] not in "".join(traceback.format_exception(caught.value))


def test_all_faults_are_told_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        build({"key": KEY, "rolls": []}, {"name": "b"}, {"name": "b", "key": KEY}, {"name": "c", "key": "a b"})

    assert caught.value.faults == (
        "GUARD_API_KEYS, entry 1: rolls is not a member. Did you mean roles?",
        "GUARD_API_KEYS, entry 1: name must be one line of at most 500 printable characters.",
        "GUARD_API_KEYS, entry 2 (b): key is missing.",
        "GUARD_API_KEYS, entry 4 (c): key must be visible ASCII without blanks, or a header cannot carry it.",
        "GUARD_API_KEYS, entry 3 (b): key is the same as that of GUARD_API_KEYS, entry 1.",
        "GUARD_API_KEYS, entry 3 (b): name is taken by GUARD_API_KEYS, entry 2 (b).",
    )


def test_a_key_that_stands_where_a_member_should_is_not_quoted() -> None:
    """As in {"<key>": "ci"}, a form that other frameworks use."""
    with pytest.raises(ConfigError) as caught:
        build({KEY: "ci"})

    assert "has a member that is none of name, key, roles" in str(caught.value)
    assert KEY not in str(caught.value)


def test_a_key_that_stands_where_its_name_should_is_not_quoted() -> None:
    with pytest.raises(ConfigError, match="entry 1: key is missing") as caught:
        build({"name": KEY})

    assert KEY not in str(caught.value)


def test_the_same_key_by_two_references_is_found() -> None:
    with pytest.raises(ConfigError, match="key is the same as that of"):
        build({"name": "a", "key": "env:A"}, {"name": "b", "key": "env:B"}, environ={"A": KEY, "B": KEY})


def test_a_key_that_the_loader_has_read_is_no_reference() -> None:
    """What a file holds is the key, also when it looks like a way to another one."""
    keys = build({"name": "ci", "key": Secret("env:CI_KEY")}, environ={"CI_KEY": KEY})

    assert keys.authenticate("env:CI_KEY") is not None
    assert keys.authenticate(KEY) is None


@pytest.mark.parametrize("key", ["", Secret("")], ids=["text", "Secret"])
def test_a_key_may_be_weak_here_but_not_missing(key: Any) -> None:
    """How strong it must be, and where, the settings say."""
    assert build({"name": "dev", "key": "dev"}).authenticate("dev") is not None
    with pytest.raises(ConfigError, match="key is missing"):
        build({"name": "dev", "key": key})


def test_keys_are_not_kept() -> None:
    keys = build({"name": "ci", "key": KEY})

    assert KEY not in repr(vars(keys))


def test_what_a_key_stands_for_cannot_be_changed() -> None:
    principal = build({"name": "ci", "key": KEY, "scopes": ["a"]}).authenticate(KEY)

    assert principal is not None
    with pytest.raises(TypeError, match="read-only"):
        principal.claims["name"] = "root"  # type: ignore[index]
    with pytest.raises(AttributeError):
        principal.scopes = frozenset({"*"})  # type: ignore[misc]
