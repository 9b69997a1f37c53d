"""Kinds: text from the environment, or anything from `app.config`, becomes one typed value or a clear no."""

from __future__ import annotations

import base64
import json
import math
import secrets
from collections.abc import Callable
from ipaddress import ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from limits import parse_many

from flask_guard.config import kinds
from flask_guard.config.secrets import Secret

from .loading import attempt

CENTURY_S = 36500 * 86400


def case(kind: Callable[[Any], Any], raw: Any, value: Any, fact: str) -> Any:
    return pytest.param(kind, raw, value, id=fact)


@pytest.mark.parametrize(
    ("kind", "raw", "value"),
    [
        case(kinds.text, "  billing  ", "billing", "text is trimmed"),
        case(kinds.text, "Zürich", "Zürich", "text may be of any script"),
        case(kinds.one_line, "", "", "one line may be empty"),
        case(kinds.boolean, "TRUE", True, "a boolean in capitals"),
        case(kinds.boolean, " on ", True, "a boolean with blanks"),
        case(kinds.boolean, 1, True, "a number as boolean"),
        case(kinds.boolean, False, False, "a boolean as it is"),
        case(kinds.boolean, "off", False, "off"),
        case(kinds.integer(), "64", 64, "a whole number"),
        case(kinds.integer(), 0, 0, "zero"),
        case(kinds.size_bytes, "32768", 32768, "bytes without a unit"),
        case(kinds.size_bytes, "32K", 32 * 1024, "kibibytes"),
        case(kinds.size_bytes, "4m", 4 * 1024**2, "a unit in lower case"),
        case(kinds.size_bytes, "1 GiB", 1024**3, "the long form of a unit"),
        case(kinds.size_bytes, 10, 10, "a number of bytes"),
        case(kinds.duration_s, "30", 30.0, "plain seconds"),
        case(kinds.duration_s, "30s", 30.0, "seconds"),
        case(kinds.duration_s, "15m", 900.0, "minutes"),
        case(kinds.duration_s, "720h", 2_592_000.0, "hours"),
        case(kinds.duration_s, "30d", 2_592_000.0, "days"),
        case(kinds.duration_s, "2w", 1_209_600.0, "weeks"),
        case(kinds.duration_s, "250ms", 0.25, "milliseconds"),
        case(kinds.duration_s, "1.5h", 5400.0, "a fraction"),
        case(kinds.duration_s, 0.1 + 0.2, 0.1 + 0.2, "a float with many digits"),
        case(kinds.duration_s, "0", 0.0, "zero seconds"),
        case(kinds.duration_s, "36500d", CENTURY_S, "the longest duration"),
        case(kinds.words, "a, b ,,c", ("a", "b", "c"), "a list with blanks and gaps"),
        case(kinds.words, ["a", " b"], ("a", "b"), "a list of texts"),
        case(kinds.words, "", (), "an empty list"),
        case(kinds.word_set, "b,a,b", frozenset({"a", "b"}), "a set"),
        case(kinds.networks, "10.0.0.0/8,::1", (ip_network("10.0.0.0/8"), ip_network("::1/128")), "networks"),
        case(kinds.choice("json", "text"), " JSON ", "json", "a choice in another case"),
        case(kinds.url("https"), "https://id.test/keys?x=1", "https://id.test/keys?x=1", "a URL"),
        case(kinds.url("http"), "HTTP://id.test/", "http://id.test/", "the scheme comes out in lower case"),
        case(kinds.url("https"), "https://[::1]:8443/", "https://[::1]:8443/", "a URL of an IPv6 address"),
        case(kinds.json_object, '{"a": 1}', {"a": 1}, "a JSON object"),
        case(kinds.json_object, {"a": 1}, {"a": 1}, "a dict"),
        case(kinds.json_list, '[{"a": 1}]', [{"a": 1}], "a JSON list"),
        case(kinds.json_list, ({"a": 1},), [{"a": 1}], "a tuple of dicts"),
        case(kinds.rate, "100/minute", "100/minute", "a rate"),
        case(kinds.rate, "5 per hour; 1 per 10 seconds", "5 per hour; 1 per 10 seconds", "two rates"),
        case(kinds.rate, "OFF", "off", "no rate"),
        case(kinds.attempts, "5/15m", (5, 900.0), "attempts"),
        case(kinds.path_prefix, "/api/", "/api", "a prefix with slashes"),
        case(kinds.path_prefix, "api/v1", "/api/v1", "a prefix without"),
        case(kinds.path_prefix, "/", "", "the root is no prefix"),
        case(kinds.paths, "livez,/healthz", ("/livez", "/healthz"), "paths"),
        case(kinds.header_name, "X-API-Key", "X-API-Key", "a header's name"),
        case(kinds.header_map, '{"X-A": "1", "Server": null}', {"X-A": "1", "Server": None}, "headers"),
        case(kinds.content_policy, "Page", "page", "a named policy"),
        case(kinds.content_policy, "default-src 'self'", "default-src 'self'", "a literal policy"),
        case(kinds.status_of_denial, 200, 200, "a status as number"),
    ],
)
def test_value_is_read(kind: Callable[[Any], Any], raw: Any, value: Any) -> None:
    assert kind(raw) == value


JSON_MEMBER_TWICE = '{"a": 1, "a": 2}'
DIGITS_OF_ANOTHER_SCRIPT = "\u0663\u0662"


@pytest.mark.parametrize(
    ("kind", "raw", "said"),
    [
        case(kinds.text, " ", "must not be empty", "blank text"),
        case(kinds.text, 5, "must be text", "a number as text"),
        case(kinds.text, "a\nb", "control characters", "two lines"),
        case(kinds.text, "a\x00", "control characters", "NUL"),
        case(kinds.boolean, "maybe", "must be true or false", "an undecided boolean"),
        case(kinds.boolean, "", "must be true or false", "an empty boolean"),
        case(kinds.boolean, 2, "must be true or false", "a number that is no boolean"),
        case(kinds.integer(), "1_000", "whole number", "an underscore, as Python would read it"),
        case(kinds.integer(), DIGITS_OF_ANOTHER_SCRIPT, "whole number", "digits of another script"),
        case(kinds.integer(), True, "whole number", "True is no number"),
        case(kinds.integer(), 3.0, "whole number", "a float"),
        case(kinds.integer(), "9" * 5000, "whole number", "more digits than int() takes"),
        case(kinds.integer(least=1), "0", "at least 1", "a number too small"),
        case(kinds.integer(), "-1", "at least 0", "a negative number"),
        case(kinds.size_bytes, "0", "above zero", "a size of zero"),
        case(kinds.size_bytes, "-1", "size such as", "a negative size"),
        case(kinds.size_bytes, "1.5M", "size such as", "a fraction of a byte"),
        case(kinds.size_bytes, True, "size such as", "True is no size"),
        case(kinds.size_bytes, "9" * 5000, "size such as", "a size without end"),
        case(kinds.size_bytes, "999999999999G", "at most", "a size that no stream takes"),
        case(kinds.size_bytes, DIGITS_OF_ANOTHER_SCRIPT, "size such as", "a size in another script"),
        case(kinds.duration_s, "15M", "duration such as", "M could be minutes or months"),
        case(kinds.duration_s, "-1s", "duration such as", "a negative duration"),
        case(kinds.duration_s, "1h30m", "duration such as", "a compound duration"),
        case(kinds.duration_s, math.inf, "duration such as", "infinity"),
        case(kinds.duration_s, math.nan, "duration such as", "not a number"),
        case(kinds.duration_s, "9" * 400, "duration such as", "digits that would overflow to infinity"),
        case(kinds.duration_s, "36501d", "at most", "more than 100 years"),
        case(kinds.duration_s, True, "duration such as", "True is no duration"),
        case(kinds.positive_duration_s, "0s", "above zero", "zero where it must be positive"),
        case(kinds.positive_duration_s, "0.0ms", "above zero", "zero in disguise"),
        case(kinds.words, {"a": 1}, "comma-separated list", "a dict as list"),
        case(kinds.words, [1], "comma-separated list", "a list of numbers"),
        case(kinds.words, "a\nb", "control characters", "a list over two lines"),
        case(kinds.some_words, " , ", "must not be empty", "a list of nothing"),
        case(kinds.networks, "10.0.0.1/8", "host bits", "an address that is not the network's"),
        case(kinds.networks, "proxy", "CIDR", "a name as network"),
        case(kinds.networks, "10.0.0.0/33", "CIDR", "a mask too long"),
        case(kinds.choice("a", "b"), "c", "must be one of a, b", "none of the choices"),
        case(kinds.url("https"), "http://id.test", "https://", "a scheme that is not accepted"),
        case(kinds.url("https"), "id.test/keys", "https://", "no scheme"),
        case(kinds.url("https"), "https:///keys", "https://", "no host"),
        case(kinds.url("https"), "https://id.test:port/", "https://", "a port that is no number"),
        case(kinds.url("https"), "https://id.test:99999/", "https://", "a port that cannot be"),
        case(kinds.url("https"), "https://a b.test/", "https://", "a blank in the host"),
        case(kinds.url("https"), "https://a.test\\@b.test/", "https://", "a backslash"),
        case(kinds.url("https"), "https://[::1/", "https://", "an open bracket"),
        case(kinds.url("https"), "https://a.test/#part", "fragment", "a fragment"),
        case(kinds.json_object, "[]", "must be a JSON object", "a list as object"),
        case(kinds.json_object, "{", "must be JSON", "half an object"),
        case(kinds.json_object, JSON_MEMBER_TWICE, "no member twice", "a member that is there twice"),
        case(kinds.json_object, "[" * 100_000, "must be JSON", "JSON nested without end"),
        case(kinds.json_list, '["a"]', "array of objects", "an array of texts"),
        case(kinds.json_list, "{}", "array of objects", "an object as array"),
        case(kinds.rate, "", "must not be empty", "an empty rate"),
        case(kinds.rate, "100", "must be a rate", "a rate without a period"),
        case(kinds.rate, "100/fortnight", "must be a rate", "a period nobody knows"),
        case(kinds.rate, "100/minute;off", "must be a rate", "a rate that is also off"),
        case(kinds.attempts, "0/15m", "number of attempts", "no attempt at all"),
        case(kinds.attempts, "5/0s", "above zero", "attempts in no time"),
        case(kinds.attempts, "9" * 5000 + "/1m", "number of attempts", "attempts without end"),
        case(kinds.path_prefix, "/a/../b", "plain path", "a path that climbs"),
        case(kinds.path_prefix, "/a/./b", "plain path", "a path with a dot"),
        case(kinds.path_prefix, "/a//b", "plain path", "an empty segment"),
        case(kinds.path_prefix, "/a?b", "plain path", "a query"),
        case(kinds.path_prefix, "/<int:a>", "plain path", "a converter"),
        case(kinds.paths, "/", "below /", "the root as path of a probe"),
        case(kinds.paths, "", "must not be empty", "no path"),
        case(kinds.header_name, "X Key", "name of an HTTP header", "a blank in a header's name"),
        case(kinds.header_name, "X-Key:", "name of an HTTP header", "a colon in a header's name"),
        case(kinds.header_map, '{"X": 1}', "must be text", "a number as header"),
        case(kinds.header_map, '{"X": "a\\r\\nSet-Cookie: b"}', "control characters", "a header of two lines"),
        case(kinds.header_map, '{"X": "\\u20ac"}', "latin-1", "a character that no header carries"),
        case(kinds.content_policy, "", "auto, api, page, off", "an empty policy"),
        case(kinds.content_policy, "Default 'self'", "auto, api, page, off", "no directive"),
        case(kinds.pem_text, "not a key", "PEM", "text that is no PEM"),
        case(kinds.status_of_denial, "404", "403 or 200", "another status"),
        case(kinds.secret_text, b"bytes", "must be text", "a secret in bytes"),
        case(kinds.secret_text, "", "must not be empty", "an empty secret"),
        case(kinds.secret_text, " \n", "must not be empty", "a secret of blanks"),
        case(kinds.secret_text, Secret(""), "must not be empty", "a Secret that is empty"),
    ],
)
def test_value_is_refused(kind: Callable[[Any], Any], raw: Any, said: str) -> None:
    with pytest.raises(ValueError, match="must") as caught:
        kind(raw)

    assert said in str(caught.value)


def test_pem_in_one_line_gets_its_line_ends_back() -> None:
    assert kinds.pem_text("-----BEGIN PUBLIC KEY-----\\nx") == "-----BEGIN PUBLIC KEY-----\nx"


# Keys ---------------------------------------------------------------------------------------------------

KEY = secrets.token_bytes(32)


@pytest.mark.parametrize(
    "encoded",
    [KEY.hex(), base64.b64encode(KEY).decode(), base64.urlsafe_b64encode(KEY).decode()],
    ids=["hex", "base64", "url-safe base64"],
)
def test_encryption_key_is_read_in_each_encoding(encoded: str) -> None:
    secret = kinds.encryption_key(encoded)

    assert kinds.decode_key(secret) == KEY


@pytest.mark.parametrize(
    "encoded",
    [
        pytest.param(secrets.token_bytes(31).hex(), id="31 bytes in hex"),
        pytest.param(base64.b64encode(secrets.token_bytes(33)).decode(), id="33 bytes in base64"),
        pytest.param(base64.b64encode(KEY).decode()[:20] + "!" + base64.b64encode(KEY).decode()[20:], id="junk"),
        pytest.param("\u00e9" * 44, id="not ASCII"),
        pytest.param("z" * 64, id="64 characters that are not hex"),
    ],
)
def test_encryption_key_of_another_length_is_refused_without_a_word_of_it(encoded: str) -> None:
    with pytest.raises(ValueError, match="exactly 32 bytes") as caught:
        kinds.encryption_key(encoded)

    assert encoded[:10] not in str(caught.value)


# What a fault does not say ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "frame"),
    [
        pytest.param(kinds.json_object, '{{"a": "{0}"', id="half an object"),
        pytest.param(kinds.json_object, '{{"a": "{0}", "a": "{0}"}}', id="a member twice"),
        pytest.param(kinds.json_list, '["{0}"]', id="a list of texts"),
        pytest.param(kinds.url("https"), "https://user:{0}@host.test/", id="a password in a URL"),
        pytest.param(kinds.url("https"), "https://user:{0}@[host/", id="a password in a broken URL"),
        pytest.param(kinds.url("https"), "https://user:{0}\u2100@host/", id="an authority that NFKC changes"),
        pytest.param(kinds.url("https"), "https://[{0}]/", id="brackets around no address"),
        pytest.param(kinds.pem_text, "{0}", id="no PEM"),
        pytest.param(kinds.integer(), "{0}", id="no number"),
        pytest.param(kinds.encryption_key, "{0}", id="no key"),
        pytest.param(kinds.header_map, '{{"X": "{0}\\n"}}', id="a header of two lines"),
    ],
)
def test_fault_does_not_quote_the_value(kind: Callable[[Any], Any], frame: str) -> None:
    marker = f"q{secrets.token_hex(8)}q"

    with pytest.raises(ValueError, match="must") as caught:
        kind(frame.format(marker))

    assert marker not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


# Properties ---------------------------------------------------------------------------------------------

TEXT_KINDS = {
    "text": kinds.text,
    "boolean": kinds.boolean,
    "integer": kinds.integer(least=0),
    "size_bytes": kinds.size_bytes,
    "duration_s": kinds.duration_s,
    "positive_duration_s": kinds.positive_duration_s,
    "words": kinds.words,
    "some_words": kinds.some_words,
    "networks": kinds.networks,
    "choice": kinds.choice("a", "b"),
    "url": kinds.url("https", "http"),
    "json_object": kinds.json_object,
    "json_list": kinds.json_list,
    "rate": kinds.rate,
    "attempts": kinds.attempts,
    "path_prefix": kinds.path_prefix,
    "paths": kinds.paths,
    "header_name": kinds.header_name,
    "header_map": kinds.header_map,
    "content_policy": kinds.content_policy,
    "pem_text": kinds.pem_text,
    "status_of_denial": kinds.status_of_denial,
    "encryption_key": kinds.encryption_key,
    "secret_text": kinds.secret_text,
}
TRICKY = st.text(alphabet="0123456789 smhdwKMG./-_:;,|%[]{}\"'\\<>@#?\n\x00\u0663é\ud800perdayofinut", max_size=40)
ANYTHING = st.one_of(
    TRICKY,
    st.text(max_size=30),
    st.integers(),
    st.floats(),
    st.booleans(),
    st.none(),
    st.binary(max_size=8),
    st.lists(st.text(max_size=5), max_size=3),
    st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=3),
)


@pytest.mark.parametrize("kind", TEXT_KINDS.values(), ids=TEXT_KINDS)
@given(raw=ANYTHING)
def test_whatever_comes_in_is_read_or_refused_with_a_value_error(kind: Callable[[Any], Any], raw: Any) -> None:
    value, fault = attempt(kind, raw)

    assert value is not None if fault is None else fault.startswith("must")


@pytest.mark.parametrize(
    "kind",
    [kinds.words, kinds.path_prefix, kinds.duration_s, kinds.size_bytes, kinds.boolean, kinds.rate, kinds.url("http")],
    ids=["words", "path_prefix", "duration_s", "size_bytes", "boolean", "rate", "url"],
)
@given(raw=TRICKY)
def test_what_was_read_reads_as_itself(kind: Callable[[Any], Any], raw: str) -> None:
    try:
        value = kind(raw)
    except ValueError:
        return

    assert kind(value) == value


@given(number=st.integers(0, 10**12), unit=st.sampled_from(["", "K", "M", "G"]))
def test_size_is_the_number_times_its_unit(number: int, unit: str) -> None:
    size = number * 1024 ** " KMG".index(unit or " ")
    if not 0 < size <= 2**50:
        with pytest.raises(ValueError, match="must be a size"):
            kinds.size_bytes(f"{number}{unit}")
    else:
        assert kinds.size_bytes(f"{number}{unit}") == size


@given(seconds=st.floats(0, CENTURY_S, allow_nan=False).map(lambda value: round(value, 6)))
def test_duration_is_finite_and_exact_in_seconds(seconds: float) -> None:
    written = format(seconds, "f")

    assert kinds.duration_s(written) == float(written)


@given(
    amount=st.integers(1, 10**6),
    multiple=st.one_of(st.none(), st.integers(1, 99)),
    between=st.sampled_from(["/", " / ", " per "]),
    period=st.sampled_from(["second", "minute", "hour", "day", "month", "year", "Minutes"]),
)
def test_accepted_rate_is_one_that_the_limits_library_reads(
    amount: int, multiple: int | None, between: str, period: str
) -> None:
    rate = kinds.rate(f"{amount}{between}{multiple or ''} {period}".replace("/ ", "/"))

    (limit,) = parse_many(rate)
    assert limit.amount == amount
    assert limit.multiples == (multiple or 1)


@given(raw=TRICKY.filter(lambda text: any(c.isdigit() for c in text)))
def test_no_rate_is_accepted_that_the_limits_library_cannot_read(raw: str) -> None:
    try:
        rate = kinds.rate(raw)
    except ValueError:
        return

    assert rate == "off" or parse_many(rate)


@given(value=st.dictionaries(st.text(max_size=5), st.integers(), max_size=5))
def test_json_object_comes_back_as_written(value: dict[str, int]) -> None:
    assert kinds.json_object(json.dumps(value)) == value
