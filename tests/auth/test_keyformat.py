"""What a key looks like: recognised to the last character without asking anybody, and never quoted."""

from __future__ import annotations

import string
import uuid
import zlib
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from flask_guard.auth import keyformat
from flask_guard.auth.keyformat import (
    client_tenant,
    find_key_id,
    is_client_key,
    is_key_id,
    is_uuid_like,
    make_client_key,
    make_key_id,
    make_service_key,
    require_roles,
    require_scopes,
    require_text,
    require_word,
)

BASE62 = string.digits + string.ascii_letters


def make_key() -> str:
    return make_service_key(make_key_id())


def test_a_service_key_has_its_form() -> None:
    key = make_key()

    mark, key_id, secret, check = key.split("_")
    assert (mark, len(key_id), len(secret), len(check), len(key)) == ("fgk", 16, 43, 6, 71)
    assert set(key_id + secret + check) <= set(BASE62)
    assert find_key_id(key) == key_id


def test_the_check_is_the_crc_32_of_all_before_it() -> None:
    """A scanner of source code, written by others, can tell a key from a lookalike."""
    body, _, check = make_key().rpartition("_")

    digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    number = 0
    for digit in check:
        number = number * 62 + digits.index(digit)
    assert number == zlib.crc32(body.encode())


def test_keys_and_ids_do_not_repeat() -> None:
    keys = [make_key() for _ in range(1000)]

    assert len({key.split("_")[1] for key in keys}) == 1000
    assert len({key.split("_")[2] for key in keys}) == 1000


@pytest.mark.parametrize("number", [0, 1, 2**256 - 1], ids=["zero", "one", "all ones"])
def test_every_value_of_32_bytes_fits(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    monkeypatch.setattr("secrets.token_bytes", lambda size: number.to_bytes(size, "big"))

    key = make_key()

    assert len(key) == 71
    assert find_key_id(key) is not None


@given(position=st.integers(0, 70), character=st.characters())
@example(position=70, character="\n")
@example(position=4, character="\u0663")  # a digit to str.isdigit and to \d
@example(position=20, character="\uff3f")  # a wide low line
def test_a_key_with_one_other_character_is_refused(position: int, character: str) -> None:
    key = make_key()
    changed = key[:position] + character + key[position + 1 :]

    assert (find_key_id(changed) is None) == (changed != key)


@given(st.text())
@example("")
@example("fgk_")
@example("fgk_" * 1000)
@example("\ud800")
@example("fgk_" + "0" * 16 + "_" + "0" * 43 + "_000000")
def test_no_text_is_taken_for_a_key_by_chance(text: str) -> None:
    assert find_key_id(text) is None
    assert find_key_id(f"fgk_{text}") is None


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(str.swapcase, id="case swapped"),
        pytest.param(str.upper, id="upper case"),
        pytest.param(str.lower, id="lower case"),
        pytest.param(lambda key: key + "\n", id="line end"),
        pytest.param(lambda key: " " + key, id="blank before"),
        pytest.param(lambda key: key + "\0", id="NUL"),
        pytest.param(lambda key: key * 2, id="twice"),
        pytest.param(lambda key: key[:-1], id="cut off"),
        pytest.param(lambda key: key.replace("_", "-"), id="dashes"),
        pytest.param(lambda key: key.rpartition("_")[0], id="without the check"),
    ],
)
def test_another_spelling_of_a_key_is_no_key(change: Any) -> None:
    assert find_key_id(change(make_key())) is None


def test_what_follows_a_key_does_not_count_as_part_of_one() -> None:
    """Even with a check that is right for the whole."""
    body = make_key() + "x"

    assert find_key_id(f"{body}_{keyformat._check_of(body)}") is None


def test_an_id_is_told_from_a_key() -> None:
    assert is_key_id(make_key_id())
    assert not is_key_id(make_key())
    assert not is_key_id("")
    assert not is_key_id(make_key_id() + "\n")
    assert not is_key_id("\0" * 16)


CLIENT = "0f0e9a52-7c0b-4a4e-9a43-3c8f6a1f2b3d"


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(CLIENT.upper(), id="upper case"),
        pytest.param(CLIENT[:-1] + "D", id="one upper-case digit"),
        pytest.param("{" + CLIENT + "}", id="braces"),
        pytest.param("(" + CLIENT + ")", id="parentheses"),
        pytest.param("urn:uuid:" + CLIENT, id="urn"),
        pytest.param("URN:UUID:" + CLIENT, id="urn in upper case"),
        pytest.param("uuid:" + CLIENT, id="uuid:"),
        pytest.param("urn:uuid:{" + CLIENT + "}", id="urn and braces"),
        pytest.param(CLIENT.replace("-", ""), id="32 digits"),
        pytest.param(CLIENT[:8] + CLIENT[9:], id="a dash less"),
        pytest.param("-" + CLIENT, id="a dash more"),
        pytest.param(CLIENT + "\n", id="line end"),
        pytest.param(" " + CLIENT, id="blank before"),
        pytest.param("00000000-0000-0000-0000-000000000000", id="nil"),
        pytest.param("ffffffff-ffff-ffff-ffff-ffffffffffff", id="max"),
        pytest.param(str(uuid.uuid1()), id="version 1"),
        pytest.param(str(uuid.uuid3(uuid.NAMESPACE_DNS, "x")), id="version 3"),
        pytest.param(str(uuid.uuid5(uuid.NAMESPACE_DNS, "x")), id="version 5"),
        pytest.param("01936a1c-7c0b-7a4e-9a43-3c8f6a1f2b3d", id="version 7"),
        pytest.param("0f0e9a52-7c0b-4a4e-7a43-3c8f6a1f2b3d", id="variant NCS"),
        pytest.param("0f0e9a52-7c0b-4a4e-ca43-3c8f6a1f2b3d", id="variant Microsoft"),
        pytest.param("0f0e9a52-7c0b-4a4e-ea43-3c8f6a1f2b3d", id="variant future"),
    ],
)
def test_a_uuid_in_another_spelling_or_version_is_a_uuid_but_no_client_key(text: str) -> None:
    assert is_uuid_like(text)
    assert not is_client_key(text)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "-",
            "{}",
            "urn:uuid:",
            CLIENT[:-1],
            CLIENT + "0",
            CLIENT.replace("f", "g"),
            "0" * 31,
            "0" * 33,
        ),
        *("\u0660" * 32, "0_" * 16, "0x" + "0" * 30, "-" * 100_000, CLIENT + "-" * 100),
    ],
)
def test_what_nobody_reads_as_a_uuid(text: str) -> None:
    assert not is_uuid_like(text)
    assert not is_client_key(text)


@given(st.uuids(version=4))
def test_every_random_uuid_is_a_client_key_in_one_spelling(key: uuid.UUID) -> None:
    assert is_client_key(str(key))
    assert is_uuid_like(str(key))
    assert not is_client_key(key.hex)


@given(st.text())
def test_a_client_key_is_what_the_uuid_module_prints(text: str) -> None:
    try:
        canonical = str(uuid.UUID(text)) == text and uuid.UUID(text).version == 4
    except ValueError:
        canonical = False

    assert is_client_key(text) == canonical


def test_a_client_keys_tenant_says_nothing_about_the_key() -> None:
    key = make_client_key()

    tenant = client_tenant(key)

    assert len(tenant) == 32
    assert set(tenant) <= set("0123456789abcdef")
    assert tenant == client_tenant(key)
    assert tenant != client_tenant(make_client_key())
    assert tenant not in keyformat.digest_of(key)  # who sees rows cannot find the key's record, nor back


@pytest.mark.parametrize(
    ("values", "words"),
    [
        pytest.param("notes:read", "must be a list of texts", id="one text, not its letters"),
        pytest.param(b"notes", "must be a list of texts", id="bytes"),
        pytest.param(None, "must be a list of texts", id="none"),
        pytest.param(5, "must be a list of texts", id="a number"),
        pytest.param([""], "1 to 100 characters", id="empty"),
        pytest.param(["x" * 101], "1 to 100 characters", id="too long"),
        pytest.param([" x"], "1 to 100 characters", id="blank before"),
        pytest.param([None], "printable", id="none in the list"),
        pytest.param([["x"]], "printable", id="a list in the list"),
        pytest.param(["a\nb"], "printable", id="line end"),
        pytest.param(["a\0b"], "printable", id="NUL"),
        pytest.param(["a\u202eb"], "printable", id="right-to-left mark"),
        pytest.param(["a\ud800"], "printable", id="lone surrogate"),
    ],
)
@pytest.mark.parametrize("require", [require_roles, require_scopes], ids=["roles", "scopes"])
def test_roles_and_scopes_of_the_wrong_form_are_refused(require: Any, values: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        require(values)


@pytest.mark.parametrize("scope", ["notes:read admin", "größe", 'a"b', "a\\b", "a\u00a0b"])
def test_a_scope_is_a_scope_token(scope: str) -> None:
    """A blank would make two scopes of one where scopes are joined (RFC 6749, section 3.3)."""
    with pytest.raises(ValueError, match=r"a scope must be|printable"):
        require_scopes([scope])


def test_good_words_pass() -> None:
    assert require_scopes(iter(["notes:*", "*", "notes:*"])) == {"notes:*", "*"}
    assert require_roles({"Größe", "two words"}) == {"Größe", "two words"}
    assert require_word("x" * 100, what="name") == "x" * 100
    assert require_text("", what="description") == ""
