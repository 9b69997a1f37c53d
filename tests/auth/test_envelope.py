"""One token has one spelling: what the outside of a token may look like, and what is refused before any key."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flask_guard.auth.envelope import (
    Header,
    decode_segment,
    normalize_typ,
    open_envelope,
    parse_header,
    parse_object,
)
from flask_guard.errors import InvalidToken
from flask_guard.values import Claims, freeze_claims
from tests.auth.forge import base64url, segment


def header_of(members: Any) -> Header:
    return parse_header(segment(members).encode())


# Segments ----------------------------------------------------------------------------------------------


@given(st.binary(max_size=64))
def test_a_segment_has_exactly_one_spelling(data: bytes) -> None:
    """Whatever else decodes leniently to the same bytes is refused."""
    spelling = base64url(data).encode()

    assert decode_segment(spelling) == data
    for other in (spelling + b"=", spelling + b"==", spelling + b"\n", b" " + spelling):
        with pytest.raises((InvalidToken, ValueError)):
            decode_segment(other)


@given(st.binary(min_size=1, max_size=32))
def test_stray_bits_at_the_end_are_refused(data: bytes) -> None:
    spelling = base64url(data).encode()
    alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    unused_bits = {0: 0, 2: 4, 3: 2}[len(spelling) % 4]

    for stray in range(1, 2**unused_bits):
        other = spelling[:-1] + bytes([alphabet[alphabet.index(spelling[-1]) + stray]])
        with pytest.raises(InvalidToken):
            decode_segment(other)


@pytest.mark.parametrize(
    "octet", [o for o in range(256) if not (chr(o).isascii() and chr(o).isalnum()) and o not in b"-_"]
)
def test_no_octet_outside_the_alphabet_is_read(octet: int) -> None:
    """Also + and / of the other alphabet, = within, and the dot."""
    for spelling in (b"AAAA", b"AAA", b"AA"):
        for position in range(len(spelling)):
            changed = spelling[:position] + bytes([octet]) + spelling[position + 1 :]
            with pytest.raises((InvalidToken, ValueError)):
                decode_segment(changed)


def test_one_character_over_is_no_segment() -> None:
    with pytest.raises(InvalidToken):
        decode_segment(b"AAAAA")


def test_a_token_is_taken_apart() -> None:
    token = f"{segment({'alg': 'HS256'})}.{segment({'sub': 'x'})}.{base64url(b'signature')}".encode()

    header, payload, signing_input, signature = open_envelope(token)

    assert header == token.split(b".")[0]
    assert (payload, signature) == (b'{"sub":"x"}', b"signature")
    assert signing_input == token.rpartition(b".")[0]


@pytest.mark.parametrize("token", [b"AAAA.AAAA.AAAA.AAAA", b"AAAA.AAAA.AAAA.", b".AAAA.AAAA.AAAA", b"AAAA.A.AAAA"])
def test_another_number_of_segments_is_refused(token: bytes) -> None:
    with pytest.raises((InvalidToken, ValueError)):
        open_envelope(token)


# Headers -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({"alg": "RS256"}, Header("RS256", None, None)),
        ({"alg": "RS256", "kid": "a", "typ": "JWT"}, Header("RS256", "a", "jwt")),
        ({"alg": "none"}, Header("none", None, None)),
        ({"alg": "RS256", "typ": "application/AT+JWT"}, Header("RS256", None, "at+jwt")),
        ({"alg": "RS256", "typ": "", "cty": "x", "x5t": "y"}, Header("RS256", None, "")),
        ('{\r\n "alg" : "RS256" }\n', Header("RS256", None, None)),
    ],
    ids=["least", "usual", "none is judged later", "media type", "empty typ is not absent", "white space"],
)
def test_a_header_is_read(members: Any, expected: Header) -> None:
    assert header_of(members) == expected


@pytest.mark.parametrize(
    "kid",
    [
        "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs",
        "6f1d3c1e-9a5b-4b0f-8c7d-2e1a0b9c8d7e",
        "abcdefGHIJKLM/+nopqr0123456789stuvwx+/yzAB=",
        "/begins/like/a/path",
        "bilbo.baggins@hobbiton.example",
        "2026:signing",
        "k" * 128,
    ],
)
def test_names_that_issuers_give_their_keys_are_accepted(kid: str) -> None:
    assert header_of({"alg": "RS256", "kid": kid}).kid == kid


@pytest.mark.parametrize(
    "kid",
    [
        "", "k" * 129, "../../etc/passwd", "a..b", "' OR 1=1 --", "a b", "a\n", "a\0b", "é", "a|b", "a?b", "a%2e",
        "\ud800", None, 7, True, ["a"], {"a": 1},
    ],
    ids=ascii,
)  # fmt: skip
def test_what_is_no_name_of_a_key_is_refused(kid: Any) -> None:
    with pytest.raises((InvalidToken, ValueError)):
        header_of({"alg": "RS256", "kid": kid})


@pytest.mark.parametrize("member", ["crit", "b64", "jku", "jwk", "x5u", "x5c"])
@pytest.mark.parametrize("value", [None, [], False, "https://attacker.example/keys"], ids=ascii)
def test_a_header_that_brings_its_key_or_asks_for_more_is_refused(member: str, value: Any) -> None:
    with pytest.raises(InvalidToken, match=f"the header has {member}"):
        header_of({"alg": "RS256", member: value})


@pytest.mark.parametrize("alg", [None, 0, True, [], ["RS256"], {"RS256": 1}], ids=ascii)
def test_alg_must_be_text(alg: Any) -> None:
    with pytest.raises(InvalidToken, match="no alg"):
        header_of({"alg": alg})


@pytest.mark.parametrize("typ", [None, 1, ["at+jwt"]], ids=ascii)
def test_typ_must_be_text(typ: Any) -> None:
    with pytest.raises(InvalidToken, match="typ is not text"):
        header_of({"alg": "RS256", "typ": typ})


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("JWT", "jwt"),
        ("AT+jwt", "at+jwt"),
        ("application/at+jwt", "at+jwt"),
        ("Application/JWT", "jwt"),
        ("x/jwt", "x/jwt"),
    ],
)
def test_types_compare_as_media_types(written: str, expected: str) -> None:
    assert normalize_typ(written) == expected


# Objects -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        '{"a":1,"a":1}', '{"a":1,"\\u0061":2}', '{"x":{"a":1,"a":2}}', '{"x":[[{"a":1,"a":2}]]}',
        '{"a":NaN}', '{"a":Infinity}', '{"a":-Infinity}', '{"a":1e400}', '{"a":[-1e400]}',
        "[]", '["a"]', "1", '"text"', "null", "true", "", " ", "{", '{"a":1}}', '{"a":1} {"b":2}', '{"a":1},',
        "{'a':1}",
        '{"a":01}', '{"a":"\n"}', '{"a":1}\0', '\ufeff{"a":1}', '\u00a0{"a":1}', '{"a":' + "9" * 5000 + "}",
        '{"a":"\\ud800"}', '{"\\udfff":1}', '{"a":["\\ud800\\u0041"]}',
    ],
    ids=lambda text: ascii(text)[:40],
)  # fmt: skip
def test_text_that_is_not_one_plain_object_is_refused(text: str) -> None:
    with pytest.raises((InvalidToken, ValueError)):
        parse_object(text.encode())


@pytest.mark.parametrize(
    "data", [b'{"a":"\xff"}', '{"a":1}'.encode("utf-16"), '{"a":1}'.encode("utf-32"), b'{"a":"\xed\xa0\x80"}']
)
def test_only_utf_8_is_read(data: bytes) -> None:
    with pytest.raises((InvalidToken, ValueError)):
        parse_object(data)


@pytest.mark.parametrize(
    "text", ['{"a":"\\ud83d\\ude00"}', '{"a":"😀"}', '{"a":"\\u00e9 \\\\ud800"}', ' {"a": 1.5e3}\r\n']
)
def test_text_that_can_be_written_down_again_is_read(text: str) -> None:
    assert parse_object(text.encode()) == json.loads(text)


@pytest.mark.parametrize(
    ("opening", "closing"), [('{"a":', "}"), ("[", "]"), ('{"a":[', "]}")], ids=["objects", "arrays", "both"]
)
@pytest.mark.parametrize("level", [65, 700, 2000])
def test_nesting_is_bounded(opening: str, closing: str, level: int) -> None:
    turns = level // (len(closing)) + 1

    with pytest.raises(InvalidToken, match="nested deeper than 64 levels"):
        parse_object(('{"x":' + opening * turns + "1" + closing * turns + "}").encode())


@pytest.mark.parametrize(
    "text",
    [
        '{"x":' + "[" * 63 + "]" * 63 + "}",
        '{"x":[' + ",".join(['{"roles":["a"]}'] * 100) + "]}",
        '{"x":"' + "[{" * 200 + '"}',
        '{"x":"\\"' + "[{" * 200 + '\\\\","y":[1]}',
    ],
    ids=["64 levels", "many, side by side", "in a text", "in a text with quotes"],
)
def test_brackets_that_are_not_nested_do_not_count(text: str) -> None:
    assert parse_object(text.encode()) == freeze_claims(json.loads(text))


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.text(max_size=4), _json, max_size=5))
def test_an_object_is_read_as_freeze_claims_makes_it(members: dict[str, Any]) -> None:
    parsed = parse_object(json.dumps(members).encode())

    assert parsed == freeze_claims(members)
    assert_read_only(parsed)


def assert_read_only(value: Any) -> None:
    assert type(value) not in (dict, list)
    children = value.values() if isinstance(value, dict) else value if isinstance(value, tuple) else ()
    for child in children:
        assert_read_only(child)


def test_a_read_object_cannot_be_changed() -> None:
    parsed = parse_object(b'{"realm":{"roles":["reader"]},"pairs":[[1,[2]]]}')

    assert type(parsed) is Claims
    assert parsed["pairs"] == ((1, (2,)),)
    for change in (
        lambda: parsed.update(x=1),
        lambda: parsed["realm"].clear(),
        lambda: parsed["realm"].__setitem__("roles", ("admin",)),
    ):
        with pytest.raises(TypeError):
            change()
