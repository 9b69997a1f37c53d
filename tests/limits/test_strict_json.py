"""Which JSON is read, which is refused and in what words, and what reading may cost."""

from __future__ import annotations

import inspect
import json
import sys
import threading
import time
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flask_guard.errors import EmptyBody, InvalidJson
from flask_guard.limits.strict_json import is_json_media_type, parse_json

ANY_KIND = frozenset({"object", "array", "scalar"})
FOUR_MEGABYTES = 4 * 1024 * 1024

TWICE = "The JSON body is refused: a key is given twice."
CONSTANT = "The JSON body is refused: NaN and Infinity are not JSON."
TOO_LARGE = "The JSON body is refused: a number is too large."
DIGITS = "The JSON body is refused: a number has too many digits."
SURROGATE = "The JSON body is refused: a text holds half of a surrogate pair."
NOT_UTF8 = "The JSON body is refused: it is not UTF-8."
BOM = "The JSON body is refused: it begins with a byte order mark."
INVALID = "The body is not valid JSON."
DEEP = "The JSON body is refused: it is nested deeper than 64."


def parse(data: bytes, *, max_depth: int = 64, top_level: frozenset[str] = ANY_KIND) -> Any:
    return parse_json(data, max_depth=max_depth, top_level=top_level)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=25,
)


@given(value=json_values, in_ascii=st.booleans(), indent=st.sampled_from([None, 0, 2]))
def test_it_agrees_with_python_on_whatever_python_writes(value: Any, in_ascii: bool, indent: int | None) -> None:
    data = json.dumps(value, ensure_ascii=in_ascii, indent=indent).encode()

    assert parse(data, max_depth=1000) == json.loads(data)


@given(data=st.binary(max_size=300))
def test_arbitrary_bytes_are_read_or_refused_and_nothing_else(data: bytes) -> None:
    try:
        parse(data, max_depth=4)
    except (InvalidJson, EmptyBody):
        return
    json.loads(data)


JSON_PIECES = [*b'"\\{}[]:, \t\n019.eE+-u', *b"dD8c", 0, 0x7F, 0xC3, 0xA9, 0xED, 0xA0, 0x80, 0xEF, 0xBB, 0xBF]


@given(data=st.lists(st.sampled_from(JSON_PIECES), max_size=60).map(bytes))
def test_bytes_that_look_like_json_are_read_as_python_reads_them_or_refused(data: bytes) -> None:
    try:
        value = parse(data, max_depth=4)
    except (InvalidJson, EmptyBody):
        return
    assert value == json.loads(data)


def depth_of(value: Any) -> int:
    if isinstance(value, (dict, list)):
        inner = value.values() if isinstance(value, dict) else value
        return 1 + max((depth_of(item) for item in inner), default=0)
    return 0


tricky_texts = st.lists(st.sampled_from(['"', "\\", "[", "]", "{", "}", "a", "\\u0022", "\n"]), max_size=8).map("".join)
nested_values = st.recursive(
    tricky_texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(tricky_texts, inner, max_size=3),
    max_leaves=30,
)


@given(value=nested_values, max_depth=st.integers(1, 5))
def test_the_depth_counts_brackets_and_none_that_stand_in_a_string(value: Any, max_depth: int) -> None:
    """Texts of quotes, backslashes and brackets are what could move the scan out of step with the parser."""
    data = json.dumps(value).encode()

    if depth_of(value) <= max_depth:
        assert parse(data, max_depth=max_depth) == value
    else:
        with pytest.raises(InvalidJson, match=f"nested deeper than {max_depth}"):
            parse(data, max_depth=max_depth)


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b'{"a": [1, -0.5, 1e3, true, null]}', {"a": [1, -0.5, 1000.0, True, None]}),
        (b' \t\r\n{"a": "\\u00e9\\n"} \n', {"a": "\u00e9\n"}),
        ('{"naïve": "\U0001f600"}'.encode(), {"naïve": "\U0001f600"}),
        (b'"\\ud83d\\ude00"', "\U0001f600"),
        (b'"\\uD83D\\uDE00\\ud83d\\ude00"', "\U0001f600\U0001f600"),
        (b'"\\\\ud83d"', "\\ud83d"),
        (b'"\\\\\\\\ude00 \\\\u"', "\\\\ude00 \\u"),
        (b'"\\u0000"', "\x00"),
        (b'[{"a": 1}, {"a": 2}]', [{"a": 1}, {"a": 2}]),
        (b'{"a": 1, "A": 2}', {"a": 1, "A": 2}),
        (b'{"a": {"a": 1}}', {"a": {"a": 1}}),
        (b'{"NaN": "Infinity"}', {"NaN": "Infinity"}),
        (b"1e-999", 0.0),
        (b"1.7976931348623157e308", 1.7976931348623157e308),
        (b"9" * 4300, int("9" * 4300)),
        (b'"' + b"9" * 10_000 + b'"', "9" * 10_000),
        (b'"' + b"[" * 10_000 + b'"', "[" * 10_000),
        (b"[" * 64 + b"]" * 64, json.loads("[" * 64 + "]" * 64)),
    ],
    ids=lambda value: ascii(value)[:24],
)
def test_what_is_json_is_read(data: bytes, value: Any) -> None:
    assert parse(data) == value


@pytest.mark.parametrize("data", [b"", b" ", b"\n\r\t "], ids=ascii)
def test_nothing_but_white_space_is_an_empty_body(data: bytes) -> None:
    with pytest.raises(EmptyBody) as caught:
        parse(data)

    assert caught.value.text == "A JSON body is required."


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b'{"secret-key": 1, "secret-key": 2}', TWICE),
        (b'{"secret-key": 1, "\\u0073ecret-key": 2}', TWICE),
        (b'[{"x": {"secret-key": 1, "b": 2, "secret-key": 1}}]', TWICE),
        (b'{"secret-key": NaN}', CONSTANT),
        (b"[Infinity]", CONSTANT),
        (b"[-Infinity]", CONSTANT),
        (b"[1e999]", TOO_LARGE),
        (b"[-1e999]", TOO_LARGE),
        (b"[" + b"9" * 400 + b".5]", TOO_LARGE),
        (b"[" + b"9" * 4301 + b"]", DIGITS),
        (b"[-" + b"9" * 1_000_000 + b"]", DIGITS),
        (b'["secret-key\\ud83d"]', SURROGATE),
        (b'["\\ude00"]', SURROGATE),
        (b'["\\uDE00\\uD83D"]', SURROGATE),
        (b'["\\ud83d\\ud83d\\ude00"]', SURROGATE),
        (b'["\\ud83d\\ude00\\ude00"]', SURROGATE),
        (b'["\\ud83d\\\\\\ude00"]', SURROGATE),
        (b'["\\\\ud83d\\ude00"]', SURROGATE),
        (b'["\\ud83dx\\ude00"]', SURROGATE),
        (b'["\\ud83d\\u0041"]', SURROGATE),
        (b'{"\\ud800": 1}', SURROGATE),
        (b'"\xed\xa0\x80"', NOT_UTF8),
        (b'"secret-key\xff"', NOT_UTF8),
        (b'"\xc0\xa2"', NOT_UTF8),
        ('{"secret-key": 1}'.encode("utf-16"), NOT_UTF8),
        ('{"secret-key": 1}'.encode("utf-32"), NOT_UTF8),
        ('{"secret-key": 1}'.encode("utf-16-le"), INVALID),
        ('{"secret-key": 1}'.encode("utf-8-sig"), BOM),
        (b"[" * 65 + b"]" * 65, DEEP),
        (b'{"secret-key":' * 65 + b"1" + b"}" * 65, DEEP),
        (b'[{"secret-key":' * 33 + b"1" + b"}]" * 33, DEEP),
        (b"[" * 200_000, DEEP),
        (b'{"a":' * 200_000, DEEP),
        (b'["\\"]' + b"[" * 100 + b'", ' + b"[" * 65, DEEP),
        (b'{"secret-key": 1', INVALID),
        (b'{"secret-key": 1}}', INVALID),
        (b"{'secret-key': 1}", INVALID),
        (b'{"secret-key": 01}', INVALID),
        (b'{"secret-key": 1,}', INVALID),
        (b'{"secret-key": \xef\xbc\x91}', INVALID),
        (b'"secret-key\n"', INVALID),
        (b'"secret-key\x00"', INVALID),
        (b'"\\x41"', INVALID),
        (b'"\\u12"', INVALID),
        (b"{} {}", INVALID),
        (b"// secret-key\n1", INVALID),
        (b"\x0c1", INVALID),
        ("\u00a01".encode(), INVALID),
        (b"]" * 1000 + b"[" * 60, INVALID),
    ],
    ids=lambda value: ascii(value)[:40],
)
def test_a_refusal_names_the_rule_and_nothing_of_the_body(data: bytes, text: str) -> None:
    with pytest.raises(InvalidJson) as caught:
        parse(data)

    refusal = caught.value
    assert refusal.text == text
    assert "secret-key" not in refusal.text + refusal.detail
    assert refusal.__cause__ is None
    assert refusal.__suppress_context__ or refusal.__context__ is None


@pytest.mark.parametrize(
    ("top_level", "data", "is_read"),
    [
        ({"object"}, b"{}", True),
        ({"object"}, b"[]", False),
        ({"object"}, b'"secret"', False),
        ({"object"}, b"null", False),
        ({"array"}, b"[]", True),
        ({"array"}, b"{}", False),
        ({"array", "object"}, b"{}", True),
        ({"array", "object"}, b"1", False),
        ({"scalar"}, b"null", True),
        ({"scalar"}, b"1.5", True),
        ({"scalar"}, b"true", True),
        ({"scalar"}, b"[]", False),
    ],
)
def test_the_whole_must_be_of_a_declared_kind(top_level: set[str], data: bytes, is_read: bool) -> None:
    if is_read:
        parse(data, top_level=frozenset(top_level))
        return
    with pytest.raises(InvalidJson) as caught:
        parse(data, top_level=frozenset(top_level))
    assert caught.value.text == f"The body must be a JSON {' or '.join(sorted(top_level))}."
    assert "secret" not in caught.value.detail


def test_an_object_is_the_only_kind_unless_more_is_declared() -> None:
    with pytest.raises(InvalidJson, match="the body is a JSON array"):
        parse_json(b"[]", max_depth=64)


@pytest.mark.parametrize("data", [b"[" * 200_000 + b"]" * 200_000, b'{"a":' * 200_000 + b"1" + b"}" * 200_000])
def test_a_depth_that_python_cannot_read_is_refused_whatever_the_setting(data: bytes) -> None:
    with pytest.raises(InvalidJson, match="nested deeper"):
        parse(data, max_depth=10**9)


def test_a_caller_deep_in_the_stack_gets_a_refusal_and_no_recursion_error() -> None:
    def descend(frames: int) -> str:
        if frames:
            return descend(frames - 1)
        try:
            return type(parse(b"[" * 64 + b"]" * 64)).__name__
        except InvalidJson as exc:
            return exc.text

    here = len(inspect.stack())
    outcomes = {descend(sys.getrecursionlimit() - here - left) for left in range(30, 120)}

    assert outcomes <= {"list", "The JSON body is refused: it is nested deeper than this service can read."}
    assert "list" in outcomes


def spend_cpu_s(data: bytes) -> float:
    started = time.process_time()
    with pytest.raises(InvalidJson):
        parse(data)
    return time.process_time() - started


BOMBS = {
    "open brackets": b"[",
    "closed brackets": b"]",
    "open objects": b'{"a":',
    "quotes": b'"',
    "backslashes": b"\\",
    "escaped quotes": b'\\"',
    "a bracket in each string": b'["["]',
    "strings of brackets": b'"][",][',
    "just too deep again and again": b"[" * 65 + b"]" * 65,
    "just deep enough, unpaired": b"[" * 64 + b"]" * 63,
    "high halves": b"\\ud83d",
    "pairs": b"\\ud83d\\ude00",
    "almost pairs": b"\\ud83d\\u",
    "digits": b"9",
    "minus": b"-",
    "exponents": b"1e",
    "white space and a bracket": b" [",
    "utf-8": "é".encode(),
    "control": b"\x00",
}


@pytest.mark.parametrize("piece", BOMBS.values(), ids=BOMBS)
def test_four_megabytes_of_anything_are_refused_within_a_second_of_cpu(piece: bytes) -> None:
    assert spend_cpu_s(piece * (FOUR_MEGABYTES // len(piece))) < 1


@pytest.mark.parametrize(
    "digits", [b"1" * FOUR_MEGABYTES + b".5", b"0." + b"1" * FOUR_MEGABYTES, b"1e" + b"9" * FOUR_MEGABYTES]
)
def test_a_number_of_four_megabytes_takes_less_than_a_second_of_cpu(digits: bytes) -> None:
    started = time.process_time()

    with suppress(InvalidJson):
        parse(digits)

    assert time.process_time() - started < 1


def test_threads_do_not_mix_up_their_bodies() -> None:
    wrong: list[Any] = []

    def work(number: int) -> None:
        data = json.dumps({f"key-{number}-{item}": [{"number": number}] for item in range(50)}).encode()
        wrong.extend(value for value in (parse(data) for _ in range(50)) if value != json.loads(data))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert wrong == []


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json",
        "Application/JSON",
        "application/json;",
        "application/json; charset=utf-8",
        'application/json;charset="UTF-8"',
        'application/json ; Charset="utf\\-8" ; profile="a;charset=latin-1"',
        "application/problem+json",
        "application/vnd.api+json; version=1",
        " application/json\t",
    ],
)
def test_these_media_types_are_json(content_type: str) -> None:
    assert is_json_media_type(content_type)


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "",
        "json",
        "application",
        "application/",
        "/json",
        "application/+json",
        "application/jsonp",
        "application/json5",
        "application/x-json",
        "application/json+xml",
        "text/json",
        "text/plain",
        "text/plain; x=application/json",
        "text/plain;application/json",
        "application/json, text/plain",
        "text/plain, application/json",
        "application/json text/plain",
        "application/json; charset=utf-16",
        "application/json; charset=latin-1",
        "application/json; charset=",
        "application/json; charset",
        "application/json; charset=utf-8; charset=utf-16",
        'application/json; charset="utf-8',
        "application/json; =utf-8",
        "application/json\x00",
        "application/json;\x0bcharset=utf-8",
        'application/json; x="\n"',
        "application/j\u017fon",
        "multipart/form-data; boundary=application/json",
        "*/*",
    ],
    ids=ascii,
)
def test_these_media_types_are_not_json(content_type: str | None) -> None:
    assert not is_json_media_type(content_type)


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json" + ";" * 200_000 + "x",
        "application/json" + " " * 200_000 + "x",
        "application/json;" + "a" * 200_000,
        'application/json;a="' + "\\" * 200_000,
        "a" * 200_000,
        "application/json" + ";a=b" * 50_000 + " x",
    ],
    ids=lambda value: value[:24],
)
def test_a_media_type_without_end_is_refused_in_no_time(content_type: str) -> None:
    started = time.process_time()

    assert not is_json_media_type(content_type)
    assert time.process_time() - started < 0.5
