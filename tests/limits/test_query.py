"""How long an address may be, and what the query string of a list may ask for."""

from __future__ import annotations

import dataclasses
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.datastructures import MultiDict
from werkzeug.test import EnvironBuilder
from werkzeug.wrappers import Request

from flask_guard.errors import FieldFault, InvalidQuery, UriTooLong
from flask_guard.limits.query import ListQuery, check_url, parse_list_query

FILTERS = ("status", "owner", "a/b~c")
SORTS = ("created_at", "title")


def parse(query: str, **bounds: Any) -> ListQuery:
    """Parse as a view does, with what Werkzeug makes of the query string."""
    args = Request(EnvironBuilder(query_string=query).get_environ()).args
    return parse_list_query(args, **{"filters": FILTERS, "sorts": SORTS, **bounds})


def refuse(query: str, **bounds: Any) -> tuple[FieldFault, ...]:
    with pytest.raises(InvalidQuery) as caught:
        parse(query, **bounds)
    assert caught.value.text == "The query string does not have the required form."
    return caught.value.errors


@pytest.mark.parametrize(("path", "query"), [("", ""), ("/" + "a" * 9, ""), ("/", "a" * 9), ("/\xe9", "\xff" * 8)])
def test_an_address_up_to_the_limit_is_taken(path: str, query: str) -> None:
    check_url(path, query, max_bytes=10)


@pytest.mark.parametrize(("path", "query"), [("/" + "a" * 10, ""), ("/", "a" * 10), ("/aaaa", "a" * 6)])
def test_a_longer_address_is_refused(path: str, query: str) -> None:
    with pytest.raises(UriTooLong, match=r"^11 bytes, 10 accepted$") as caught:
        check_url(path, query, max_bytes=10)

    assert caught.value.text == "The address is longer than this service accepts."


def test_nothing_asked_for_is_the_first_page_in_no_order() -> None:
    assert parse("") == ListQuery(filters={}, sort=(), limit=50, offset=0)


def test_everything_asked_for_is_returned() -> None:
    query = parse("status=open&sort=-created_at,title&offset=40&limit=20&a/b~c=%C3%A9+%2B")

    assert query.filters == {"status": "open", "a/b~c": "é +"}
    assert query.sort == (("created_at", True), ("title", False))
    assert (query.limit, query.offset) == (20, 40)


def test_what_was_asked_for_cannot_be_changed() -> None:
    query = parse("status=open")

    with pytest.raises(dataclasses.FrozenInstanceError):
        query.limit = 10**9  # type: ignore[misc]
    with pytest.raises(TypeError):
        query.filters["owner"] = "eve"  # type: ignore[index]


@pytest.mark.parametrize("text", ["1", "200", "007"])
def test_a_limit_within_the_bounds_is_taken(text: str) -> None:
    assert parse(f"limit={text}").limit == int(text)


NO_NUMBERS = ["", "-1", "+1", "1.0", "1e2", "0x10", "1_0", " 1", "1\n", "abc", "\uff11", "\u0661", "²", "9" * 6000]


@pytest.mark.parametrize("text", ["0", "201", "1000000000", *NO_NUMBERS], ids=lambda text: ascii(text)[:12])
def test_any_other_limit_is_refused(text: str) -> None:
    assert refuse(urlencode({"limit": text})) in (
        (FieldFault("/limit", "Must be a whole number from 1 to 200."),),
        (FieldFault("/limit", "Must not hold control characters."),),
    )


@pytest.mark.parametrize("text", ["10001", *NO_NUMBERS], ids=lambda text: ascii(text)[:12])
def test_an_offset_beyond_the_bounds_is_refused(text: str) -> None:
    assert refuse(urlencode({"offset": text})) in (
        (FieldFault("/offset", "Must be a whole number from 0 to 10000."),),
        (FieldFault("/offset", "Must not hold control characters."),),
    )


def test_an_offset_at_its_bound_is_taken() -> None:
    assert parse("offset=10000").offset == 10_000


@pytest.mark.parametrize(
    "text",
    ["", ",", "title,", ",title", "title,,title", "title,title", "title,-title", "--title", "-", "Title", " title",
     "title ", "secret", "title,secret", "title;created_at", "title desc", "title\u2028"],
    ids=ascii,
)  # fmt: skip
def test_an_order_by_anything_but_the_names_is_refused(text: str) -> None:
    message = "Must be some of created_at, title, each once, with a minus for descending."

    assert refuse(urlencode({"sort": text})) == (FieldFault("/sort", message),)


def test_an_order_has_a_bound() -> None:
    names = [f"n{number}" for number in range(9)]

    assert len(parse(f"sort={','.join(names[:8])}", sorts=names).sort) == 8
    assert refuse(f"sort={','.join(names)}", sorts=names) == (FieldFault("/sort", "At most 8 names are accepted."),)


def test_a_list_in_no_order_has_no_such_parameter() -> None:
    message = "The parameters here are limit, offset, status, and no others."

    assert refuse("sort=", filters=["status"], sorts=[]) == (FieldFault("", message),)


def test_filters_have_a_bound() -> None:
    names = [f"f{number}" for number in range(33)]

    assert len(parse("&".join(f"{name}=1" for name in names[:32]), filters=names).filters) == 32
    faults = refuse("&".join(f"{name}=1" for name in names), filters=names)
    assert faults == (FieldFault("", "At most 32 filters are accepted."),)


@pytest.mark.parametrize("name", ["limit", "status", "sort"])
def test_a_parameter_given_twice_is_refused(name: str) -> None:
    """Whoever stands in front may read the first, and this service the last."""
    value = "title" if name == "sort" else "1"

    assert refuse(f"{name}={value}&{name}={value}") == (FieldFault(f"/{name}", "Must be given once."),)


@pytest.mark.parametrize("value", ["\0", "a\0b", "\n", "\x7f", "\x1b[0m"], ids=ascii)
def test_a_filter_with_a_control_character_is_refused(value: str) -> None:
    """PostgreSQL answers a NUL in a text with an error."""
    assert refuse(urlencode({"a/b~c": value})) == (FieldFault("/a~1b~0c", "Must not hold control characters."),)


def test_every_fault_is_told_and_nothing_that_was_sent() -> None:
    query = "limit=s3cret&offset=s3cret&sort=s3cret&status=s3cret&status=s3cret2&s3cret=1&s3cret[$ne]=1"

    faults = refuse(query)

    assert [fault.pointer for fault in faults] == ["/status", "", "/limit", "/offset", "/sort"]
    assert "s3cret" not in repr(faults)


@given(st.lists(st.tuples(st.text(max_size=8) | st.sampled_from([*FILTERS, "limit", "offset", "sort"]), st.text())))
def test_any_query_string_is_answered_or_refused(pairs: list[tuple[str, str]]) -> None:
    query = "&".join(f"{quote(name, errors='replace')}={quote(value, errors='replace')}" for name, value in pairs)

    try:
        answer: ListQuery | None = parse(query)
        faults: tuple[FieldFault, ...] = ()
    except InvalidQuery as refusal:
        answer, faults = None, refusal.errors

    if answer is None:
        assert 0 < len(faults) <= len(FILTERS) + 4
    else:
        assert set(answer.filters) <= set(FILTERS)
        assert 1 <= answer.limit <= 200
        assert 0 <= answer.offset <= 10_000


@pytest.mark.parametrize(
    "bounds",
    [{"filters": ["limit"]}, {"filters": ["sort"], "sorts": []}, {"page_size": 0}, {"page_size": 201}],
    ids=["a filter called limit", "a filter called sort", "empty pages", "pages above their maximum"],
)
def test_a_list_that_cannot_be_asked_for_is_the_mistake_of_its_author(bounds: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="a list cannot be asked for"):
        parse("", **bounds)


def test_a_dict_of_werkzeug_will_do() -> None:
    args = MultiDict([("owner", "ada")])

    assert parse_list_query(args, filters=["owner"], sorts=[]).filters == {"owner": "ada"}
