"""Secrets: values that never print, where they come from, and how strong they must be.

Rule: the text of a secret leaves this file only through `Secret.reveal`, and no error here contains it.
"""

from __future__ import annotations

import hmac
import itertools
import re
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

MAX_SECRET_FILE_BYTES = 64 * 1024

# Samples of documentation pages and the words people type to get going; compared without case and marks.
KNOWN_WEAK = frozenset(
    {
        *(
            "password",
            "passwd",
            "secret",
            "secretkey",
            "changeme",
            "changeit",
            "default",
            "letmein",
            "qwerty",
        ),
        *(
            "admin",
            "administrator",
            "test",
            "testing",
            "dev",
            "development",
            "devsecretkey",
            "0123456789abcdef",
        ),
        *("mysecret", "mysecretkey", "supersecret", "supersecretkey", "jwtsecret", "jwtsecretkey"),
        *("yoursecretkey", "yoursecretkeyhere", "youradminsecret"),
    }
)
_PLACEHOLDER = re.compile(
    r"change.?me|changethis|replace.?(me|this)|password|secret|example|placeholder|your[-_ ]|default|insecure"
    r"|not.?for.?production|do.?not.?use",
    re.IGNORECASE,
)
_MARKS = re.compile(r"[^a-z0-9]")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class Secret:
    """Text that prints as `***`, compares in constant time, and cannot be pickled.

    `reveal()` returns the text; it is the only way to it.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        if not isinstance(text, str):
            raise TypeError(f"a Secret holds text, not {type(text).__name__}")
        self._text = text

    def reveal(self) -> str:
        return self._text

    def reveal_bytes(self) -> bytes:
        return self._text.encode("utf-8", "surrogatepass")

    def __repr__(self) -> str:
        return "***"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return format("***", spec)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self.reveal_bytes(), other.reveal_bytes())

    __hash__ = None  # type: ignore[assignment]

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret cannot be pickled or copied")


class SecretFault(ValueError):
    """A secret's source cannot be read. The text names the source, never the value."""


def resolve_reference(text: str, environ: Mapping[str, str]) -> str:
    """Return what a secret's text refers to: `env:NAME`, `file:/path`, or the text itself.

    Raises SecretFault when the source is missing, unreadable or of a kind that this version has not.
    """
    scheme, separator, rest = text.strip().partition(":")
    # Whatever the case: a misspelt `File:` would make the path the secret.
    scheme = scheme.lower() if separator else ""
    if scheme == "env":
        if rest not in environ:
            shown = f" {rest}" if _VARIABLE.fullmatch(rest) else ""
            raise SecretFault(f"refers to the environment variable{shown}, which is not set")
        return environ[rest]
    if scheme == "file":
        return read_secret_file(rest)
    if scheme in ("vault", "aws-sm"):
        raise SecretFault(f"refers to a {scheme}: source, which this version cannot read")
    return text


def read_secret_file(path: str) -> str:
    """Return a file's text without one trailing newline (a mounted secret often ends in one).

    Raises SecretFault when it cannot be read, is larger than 64 KiB, or is not UTF-8.
    """
    try:
        with Path(path).open("rb") as file:
            data = file.read(MAX_SECRET_FILE_BYTES + 1)
    except OSError as exc:
        # from None: the error quotes the path, and `_shown` says why that must not be.
        raise SecretFault(f"refers to {_shown(path)}, which cannot be read ({exc.strerror})") from None
    except ValueError:  # NUL, or a lone surrogate
        raise SecretFault("refers to a file by what cannot be a path") from None
    if len(data) > MAX_SECRET_FILE_BYTES:
        raise SecretFault(f"refers to {_shown(path)}, which is larger than 64 KiB")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise SecretFault(f"refers to {_shown(path)}, which is not UTF-8") from None  # the error quotes bytes
    return text[:-2] if text.endswith("\r\n") else text.removesuffix("\n")


def _shown(path: str) -> str:
    """Return a path as a fault may quote it: a relative one may be the secret, in NAME_FILE by mistake."""
    return f"the file {path}" if Path(path).is_absolute() else "a file by a relative path"


def find_weakness(secret: Secret, *, min_bytes: int) -> str | None:
    """Return what is wrong with a secret, without a word of it, or None.

    Looks for shortness, known samples, placeholder words, repetition and sequences.
    """
    text = secret.reveal()
    if _MARKS.sub("", text.casefold()) in KNOWN_WEAK:
        return "is a well-known example"
    if len(secret.reveal_bytes()) < min_bytes:
        return f"is shorter than {min_bytes} bytes"
    if _PLACEHOLDER.search(text):
        return "looks like a placeholder"
    # Even 16 random hex digits show fewer than 5 different ones less than once in 100,000 times.
    if len(set(text)) < 5:
        return "repeats too few characters"
    if text in (text + text)[1:-1]:
        return "repeats one piece"
    if _is_sequence(text):
        return "is a sequence"
    return None


def _is_sequence(text: str) -> bool:
    """Say whether three of four characters are next to the one before, as in abcdef or 9876.

    16 random hex digits look like one less than once in 100,000 times, other texts far less often.
    """
    steps = [abs(ord(after) - ord(before)) <= 1 for before, after in itertools.pairwise(text)]
    return sum(steps) * 4 >= len(steps) * 3
