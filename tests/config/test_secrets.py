"""Secrets never print, come from where they are said to come from, and are judged without being quoted."""

from __future__ import annotations

import copy
import io
import json
import logging
import os
import pickle
import pprint
import secrets
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flask_guard.config.secrets import (
    KNOWN_WEAK,
    MAX_SECRET_FILE_BYTES,
    Secret,
    SecretFault,
    find_weakness,
    read_secret_file,
    resolve_reference,
)

# Secret: what it shows ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Holder:
    secret: Secret


def traceback_with_locals(secret: Secret) -> str:
    try:
        raise ValueError(f"{secret}")
    except ValueError as exc:
        return "".join(traceback.TracebackException.from_exception(exc, capture_locals=True).format())


def logged(secret: Secret) -> str:
    stream = io.StringIO()
    logger = logging.Logger("tests.secrets")
    logger.addHandler(logging.StreamHandler(stream))
    logger.warning("%s %r %s", secret, secret, {"secret": secret})
    return stream.getvalue()


@pytest.mark.parametrize(
    "show",
    [
        pytest.param(str, id="str"),
        pytest.param(repr, id="repr"),
        pytest.param(ascii, id="ascii"),
        pytest.param(format, id="format"),
        pytest.param(lambda secret: f"{secret!s:>20} {secret:.2}", id="f-string with a width"),
        pytest.param(lambda secret: "%s %r" % (secret, secret), id="percent"),  # noqa: UP031
        pytest.param("{0} {0!r} {0:^9}".format, id="str.format"),
        pytest.param(lambda secret: str([secret, {"a": secret}]), id="in a list and a dict"),
        pytest.param(lambda secret: repr(Holder(secret)), id="repr of a dataclass"),
        pytest.param(pprint.pformat, id="pprint"),
        pytest.param(lambda secret: json.dumps({"a": secret}, default=str), id="json with default=str"),
        pytest.param(traceback_with_locals, id="traceback with locals"),
        pytest.param(logged, id="logging"),
    ],
)
def test_secret_prints_as_stars(show: Callable[[Secret], str]) -> None:
    marker = secrets.token_hex(16)

    shown = show(Secret(marker))

    assert "**" in shown
    assert marker not in shown
    assert marker[:6] not in shown


@pytest.mark.parametrize(
    ("take", "error"),
    [
        pytest.param(json.dumps, TypeError, id="json"),
        pytest.param(copy.copy, TypeError, id="copy"),
        pytest.param(copy.deepcopy, TypeError, id="deepcopy"),
        pytest.param(lambda secret: copy.deepcopy({"a": [secret]}), TypeError, id="deepcopy of a dict"),
        *(pytest.param(lambda s, p=p: pickle.dumps(s, p), TypeError, id=f"pickle {p}") for p in range(6)),
        pytest.param(hash, TypeError, id="hash"),
        pytest.param(vars, TypeError, id="vars"),
        pytest.param(bytes, TypeError, id="bytes"),
        pytest.param(iter, TypeError, id="iter"),
        pytest.param(len, TypeError, id="len"),
        pytest.param(lambda secret: "a" + secret, TypeError, id="joined to text"),
    ],
)
def test_secret_cannot_be_taken_along(take: Callable[[Any], Any], error: type[Exception]) -> None:
    marker = secrets.token_hex(16)

    with pytest.raises(error) as caught:
        take(Secret(marker))

    assert marker not in str(caught.value)


def test_secret_is_read_by_reveal_alone() -> None:
    marker = secrets.token_hex(16)

    assert Secret(marker).reveal() == marker
    assert Secret("\u00e9").reveal_bytes() == b"\xc3\xa9"


def test_secrets_compare_by_their_text_and_with_nothing_else() -> None:
    marker = secrets.token_hex(16)

    assert Secret(marker) == Secret(marker)
    assert Secret(marker) != Secret(marker + "a")
    assert Secret("\udcff") == Secret("\udcff")
    assert Secret(marker) != marker


@pytest.mark.parametrize("value", [b"bytes", None, 5, Secret("a")], ids=["bytes", "None", "int", "Secret"])
def test_secret_holds_text_only(value: Any) -> None:
    with pytest.raises(TypeError, match="a Secret holds text"):
        Secret(value)


# References ---------------------------------------------------------------------------------------------


def test_reference_to_the_environment_is_followed_once() -> None:
    environ = {"FIRST": "env:SECOND", "SECOND": "value"}

    assert resolve_reference("env:FIRST", environ) == "env:SECOND"


@pytest.mark.parametrize("scheme", ["file:", "FILE:", " File:", "file://"])
def test_reference_to_a_file_is_followed_whatever_its_case(scheme: str, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("value\n")

    assert resolve_reference(f"{scheme}{tmp_path / 'secret'}", {}) == "value"


@pytest.mark.parametrize("text", ["plain", "a:b", "postgresql://u@h/d", "memory://", "environment:x", ""])
def test_other_text_stands_for_itself(text: str) -> None:
    assert resolve_reference(text, {}) == text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("env:MISSING", "the environment variable MISSING, which is not set", id="no variable"),
        pytest.param("env:", "which is not set", id="no name"),
        pytest.param("vault:kv/app#key", "vault: source, which this version cannot read", id="vault"),
        pytest.param("Vault:kv/app#key", "vault: source, which this version cannot read", id="Vault"),
        pytest.param("aws-sm:app#key", "aws-sm: source, which this version cannot read", id="aws-sm"),
        pytest.param("file:/nowhere/at/all", "the file /nowhere/at/all, which cannot be read (No such", id="no file"),
        pytest.param("file:", "cannot be read", id="no path"),
        pytest.param("file:/a\x00b", "what cannot be a path", id="NUL in a path"),
    ],
)
def test_reference_that_leads_nowhere_is_refused(text: str, said: str) -> None:
    with pytest.raises(SecretFault) as caught:
        resolve_reference(text, {})

    assert said in str(caught.value)


@pytest.mark.parametrize("frame", ["env:{}=", "file:{}", "vault:kv#{}", "aws-sm:{}"])
def test_refused_reference_is_not_quoted_where_it_may_be_the_secret_itself(frame: str) -> None:
    marker = secrets.token_hex(16)

    with pytest.raises(SecretFault) as caught:
        resolve_reference(frame.format(marker), {})

    assert marker not in "".join(traceback.format_exception(caught.value))


# Files --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "text"),
    [
        pytest.param(b"value", "value", id="as it is"),
        pytest.param(b"value\n", "value", id="one newline is cut"),
        pytest.param(b"value\r\n", "value", id="one newline of Windows is cut"),
        pytest.param(b"value\n\n", "value\n", id="only one"),
        pytest.param(b"value\r", "value\r", id="a carriage return alone is part of it"),
        pytest.param(b" value ", " value ", id="blanks are part of it"),
        pytest.param("é".encode(), "é", id="UTF-8"),
        pytest.param(b"a" * MAX_SECRET_FILE_BYTES, "a" * MAX_SECRET_FILE_BYTES, id="the largest"),
    ],
)
def test_file_is_read_without_its_last_newline(data: bytes, text: str, tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_bytes(data)

    assert read_secret_file(str(path)) == text


@pytest.mark.parametrize(
    ("data", "said"),
    [
        pytest.param(b"\xff\xfe", "not UTF-8", id="not text"),
        pytest.param(b"a" * (MAX_SECRET_FILE_BYTES + 1), "larger than 64 KiB", id="too large"),
        pytest.param("é".encode() * MAX_SECRET_FILE_BYTES, "larger than 64 KiB", id="cut inside a character"),
    ],
)
def test_file_that_is_no_secret_is_refused(data: bytes, said: str, tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_bytes(data)

    with pytest.raises(SecretFault, match=said) as caught:
        read_secret_file(str(path))

    assert str(path) in str(caught.value)


def test_fault_of_an_unreadable_file_quotes_none_of_its_bytes(tmp_path: Path) -> None:
    marker = secrets.token_hex(16)
    path = tmp_path / "secret"
    path.write_bytes(marker.encode() + b"\xff")

    with pytest.raises(SecretFault) as caught:
        read_secret_file(str(path))

    assert marker not in "".join(traceback.format_exception(caught.value))


def test_folder_and_endless_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SecretFault, match="cannot be read"):
        read_secret_file(str(tmp_path))
    with pytest.raises(SecretFault, match="larger than 64 KiB"):
        read_secret_file("/dev/zero")


def test_file_behind_a_swapped_symlink_is_read_anew(tmp_path: Path) -> None:
    """Kubernetes renews a mounted secret by swapping the link `..data`; times may be the same."""
    for version in ("old", "new"):
        (tmp_path / version).mkdir()
        (tmp_path / version / "key").write_text(f"{version} value\n")
        os.utime(tmp_path / version / "key", (0, 0))
    (tmp_path / "..data").symlink_to("old")
    (tmp_path / "key").symlink_to("..data/key")
    before = read_secret_file(str(tmp_path / "key"))

    (tmp_path / "..data_tmp").symlink_to("new")
    (tmp_path / "..data_tmp").rename(tmp_path / "..data")

    assert before == "old value"
    assert read_secret_file(str(tmp_path / "key")) == "new value"


# Strength -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("short", "is shorter than 32 bytes", id="short"),
        pytest.param("change" + "-me-" * 8, "looks like a placeholder", id="a placeholder"),
        pytest.param("my-very-long-" + "secret-for-" + "this-service", "looks like a placeholder", id="a word"),
        pytest.param("a" * 64, "repeats too few characters", id="one letter"),
        pytest.param("ab12" * 16, "repeats too few characters", id="four letters"),
        pytest.param("k3J9x" * 8, "repeats one piece", id="one piece again and again"),
        pytest.param("abcdefghijklmnopqrstuvwxyz0123456789", "is a sequence", id="the alphabet"),
        pytest.param("9876543210zyxwvutsrqponmlkjihgfedcba", "is a sequence", id="the alphabet backwards"),
        pytest.param("0123456789" * 4, "repeats one piece", id="digits in a row"),
    ],
)
def test_weak_secret_is_told_from_a_strong_one(text: str, said: str) -> None:
    weakness = find_weakness(Secret(text), min_bytes=32)

    assert weakness == said


@pytest.mark.parametrize("word", sorted(KNOWN_WEAK))
@pytest.mark.parametrize("spell", [str, str.upper, lambda word: "-".join(word), lambda word: f"{word}!!"])
def test_well_known_word_is_weak_however_it_is_spelled(word: str, spell: Callable[[str], str]) -> None:
    assert find_weakness(Secret(spell(word)), min_bytes=0) == "is a well-known example"


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda: secrets.token_hex(16), id="16 bytes in hex"),
        pytest.param(lambda: secrets.token_hex(8), id="8 bytes in hex"),
        pytest.param(lambda: secrets.token_urlsafe(32), id="32 bytes in base64"),
        pytest.param(lambda: secrets.token_urlsafe(48), id="what keygen makes"),
        pytest.param(lambda: secrets.token_bytes(32).decode("latin-1"), id="32 bytes"),
    ],
)
def test_random_secret_is_strong(make: Callable[[], str]) -> None:
    found = [find_weakness(Secret(make()), min_bytes=16) for _ in range(300)]

    assert found == [None] * 300


@given(text=st.text(max_size=40), least=st.integers(0, 64))
def test_a_weakness_never_quotes_the_secret(text: str, least: int) -> None:
    weakness = find_weakness(Secret(text), min_bytes=least)

    said = {
        None,
        "is a well-known example",
        f"is shorter than {least} bytes",
        "looks like a placeholder",
        "repeats too few characters",
        "repeats one piece",
        "is a sequence",
    }
    assert weakness in said


def test_length_is_counted_in_bytes() -> None:
    text = "\u00e9\u00fc\u00e8\u00f1\u00e5\u00f8\u00e4\u00ef" + secrets.token_hex(8)

    assert find_weakness(Secret(text), min_bytes=32) is None
    assert find_weakness(Secret(text), min_bytes=33) == "is shorter than 33 bytes"
