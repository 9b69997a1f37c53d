"""Reads a `.env` file: `NAME=value` lines, as far as development needs them.

Quotes around a value and a leading `export` are dropped, `#` begins a comment line. Nothing is expanded.
"""

from __future__ import annotations

from pathlib import Path


def read_dotenv(path: Path) -> dict[str, str]:
    """Return the variables of the file, none when there is no such file or it cannot be read."""
    try:
        lines = path.read_text("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError):
        return {}
    pairs = (line.removeprefix("export ").partition("=") for line in map(str.strip, lines) if line[:1] != "#")
    return {name.strip(): _unquote(value.strip()) for name, separator, value in pairs if separator}


def _unquote(value: str) -> str:
    if len(value) >= 2 and value[0] == value[-1] and value[0] in "'\"":
        return value[1:-1]
    return value
