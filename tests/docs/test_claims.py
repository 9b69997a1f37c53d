"""What the guides claim and no block of theirs shows."""

from __future__ import annotations

import re
import secrets
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519
from flask import Flask
from sqlalchemy import MetaData, create_engine

from flask_guard import ConfigError, Guard
from flask_guard.policies import public, role

from .pages import DOCS, ROOT, read_blocks, read_tables, unquote


def test_the_filter_for_alembic_hides_guards_tables(tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path / 'shared.sqlite3'}")
    app = Flask("app")
    guard = Guard(app, engine=engine)
    with app.app_context():
        guard.api_keys.create("report")
    blocks = read_blocks((DOCS / "guides" / "your-own-database.md").read_text("utf-8"))
    namespace: dict[str, Any] = {}
    exec(next(block.text for block in blocks if "def include_name" in block.text), namespace)  # noqa: S102

    with engine.connect() as connection:
        filtered = _compare(connection, include_name=namespace["include_name"])
        unfiltered = _compare(connection)

    engine.dispose()
    assert filtered == []
    assert {change[0] for change in unfiltered} >= {"remove_table"}


def _compare(connection: Any, **options: Any) -> list[Any]:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Skipped unsupported reflection of expression-based index")
        found: list[Any] = compare_metadata(MigrationContext.configure(connection, opts=options), MetaData())
    return found


def test_the_route_map_needs_no_secret() -> None:
    """CI can compare the lock file without the settings of production."""
    app = Flask("app")
    Guard(app)

    assert app.test_cli_runner().invoke(args=["guard", "routes"]).exit_code == 0


def test_the_loggers_are_those_that_the_guide_lists() -> None:
    guide = (DOCS / "guides" / "answers-and-logs.md").read_text("utf-8")
    tables = [rows for heading, rows in read_tables(guide) if heading == "4. Read the log"]
    sources = {path: path.read_text("utf-8") for path in (ROOT / "flask_guard").rglob("*.py")}

    named = {name for text in sources.values() for name in re.findall(r'getLogger\("(flask_guard[.\w]*)"\)', text)}
    for path, text in sources.items():
        if "getLogger(__name__)" in text:
            named.add(".".join(path.relative_to(ROOT).with_suffix("").parts))
    assert {unquote(row[0]) for row in tables[1][1:]} == named


# What the guides quote of faults: the text in the table, and what brings it about -------------------------


def _start(**options: Any) -> None:
    Guard(Flask("app"), **options)


def _guard_twice() -> None:
    app = Flask("app")
    Guard(app)
    Guard(app)


def _rule_too_late() -> None:
    app = Flask("app")
    guard = Guard(app)
    guard.compile(app)
    guard.rules({"static": public(reason="assets")})


def _combine_with_text() -> None:
    text: Any = "editor"
    _ = role("admin") | text


def _make_pem() -> str:
    key = ed25519.Ed25519PrivateKey.generate()
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return key.private_bytes(*form).decode()


KEY_SET = "https://login.example.com/jwks"
ISSUER = {"issuer": "https://login.example.com", "jwks_url": KEY_SET}
FAULTS: dict[str, Callable[[], object]] = {
    "GUARD_JWT_SECRET_KEY and GUARD_JWT_PRIVATE_KEY are both set": lambda: _start(
        jwt_secret_key=secrets.token_urlsafe(48), jwt_private_key=_make_pem()
    ),
    "GUARD_JWT_SECRET_KEY is shorter than 32 bytes": lambda: _start(jwt_secret_key=secrets.token_urlsafe(9)),
    "GUARD_JWT_SECRET_KEY holds a PEM key": lambda: _start(jwt_secret_key=_make_pem()),
    "GUARD_JWT_JWKS_URL must be https in production": lambda: _start(jwt_jwks_url=KEY_SET.replace("https", "http")),
    "GUARD_JWT_PRIVATE_KEY is not a private key in PEM form": lambda: _start(jwt_private_key=_make_pem()[5:]),
    "GUARD_JWT_ISSUER must be set beside GUARD_JWT_ISSUERS": lambda: _start(
        jwt_secret_key=secrets.token_urlsafe(48), jwt_issuers=[ISSUER]
    ),
    "GUARD_API_KEYS, entry 1 (report): key is shorter than 32 bytes": lambda: _start(
        api_keys=[{"name": "report", "key": secrets.token_urlsafe(9)}]
    ),
    "Guard's own tables need SQLite or PostgreSQL": lambda: _start(database_url="mysql://db.example.com/notes"),
    "The database URL is not one that SQLAlchemy can read.": lambda: _start(database_url="db.example.com/notes"),
    "This application has a Guard already": _guard_twice,
    "guard.rules() came after the rules were compiled": _rule_too_late,
    "public() needs a reason": lambda: public(reason=""),
    "A policy combines with policies only": _combine_with_text,
}


@pytest.mark.parametrize("text", FAULTS)
def test_a_fault_that_a_guide_quotes_is_told_in_these_words(text: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(text)):
        FAULTS[text]()


def test_the_guides_quote_these_faults_and_no_others_of_a_start() -> None:
    guides = "".join(path.read_text("utf-8") for path in sorted((DOCS / "guides").glob("*.md")))
    listed = [row[0] for _, rows in read_tables(guides) if rows[0][0] == "The fault says" for row in rows[1:]]
    # Those that begin with dots are shown as a whole in the console block above them.
    of_a_start = {unquote(cell) for cell in listed if not cell.startswith(("`...", "`The pattern"))}

    assert of_a_start <= set(FAULTS)
    assert [text for text in FAULTS if f"`{text}" not in guides] == []
