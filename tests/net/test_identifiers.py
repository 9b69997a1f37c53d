"""Which request ids and trace ids are taken over, and what is made when there is none."""

from __future__ import annotations

import re
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flask_guard.net.identifiers import choose_request_id, make_request_id, parse_traceparent

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = "00f067aa0ba902b7"


@pytest.mark.parametrize("raw", ["a", "0", "-", "A.b_c-9", "x" * 128, "....", "f47ac10b-58cc-4372-a567-0e02b2c3d479"])
def test_a_well_formed_id_of_the_client_is_taken(raw: str) -> None:
    assert choose_request_id(raw) == raw


@pytest.mark.parametrize(
    "raw",
    [
        None,
        "",
        "x" * 129,
        "a b",
        "abc\n",
        "\nabc",
        "abc\r\nSet-Cookie: a=b",
        "abc\x00",
        "\x1b[31mabc",
        "é",
        "\u0661",
        "a,b",
        "a/b",
        '{"a":1}',
        "${jndi:ldap://x}",
    ],
    ids=ascii,
)
def test_any_other_is_replaced_by_a_new_one(raw: str | None) -> None:
    chosen = choose_request_id(raw)

    assert chosen != raw
    assert uuid.UUID(chosen).version == 4


@given(raw=st.text(max_size=140))
def test_what_is_chosen_can_stand_in_a_header_and_a_line(raw: str) -> None:
    assert re.fullmatch(r"[A-Za-z0-9._-]{1,128}", choose_request_id(raw))


def test_a_new_id_is_a_uuid_of_version_4_in_canonical_form() -> None:
    for made in (make_request_id() for _ in range(2000)):
        parsed = uuid.UUID(made)

        assert str(parsed) == made
        assert (parsed.version, parsed.variant) == (4, uuid.RFC_4122)


def test_every_bit_of_a_new_id_varies_but_those_of_version_and_variant() -> None:
    ids = [uuid.UUID(make_request_id()).int for _ in range(500)]

    constant = [bit for bit in range(128) if len({number >> bit & 1 for number in ids}) == 1]

    assert len(set(ids)) == 500
    # version: bits 76 to 79; variant: bits 62 and 63 (RFC 9562, section 4)
    assert constant == [62, 63, 76, 77, 78, 79]


@pytest.mark.parametrize(
    "raw",
    [
        f"00-{TRACE}-{PARENT}-01",
        f"00-{TRACE}-{PARENT}-00",
        f"00-{TRACE}-{PARENT}-ff",
        f"01-{TRACE}-{PARENT}-01",
        f"cc-{TRACE}-{PARENT}-01-what-the-future-brings",
        f"fe-{TRACE}-{PARENT}-01-",
    ],
)
def test_the_trace_id_of_a_valid_header_is_returned(raw: str) -> None:
    assert parse_traceparent(raw) == TRACE


@pytest.mark.parametrize(
    "raw",
    [
        None,
        "",
        "00",
        TRACE,
        f"ff-{TRACE}-{PARENT}-01",
        f"00-{'0' * 32}-{PARENT}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{PARENT}-01",
        f"00-{TRACE}-{PARENT.upper()}-01",
        f"0A-{TRACE}-{PARENT}-01",
        f"00-{TRACE}-{PARENT}-0A",
        f"00-{TRACE}-{PARENT}-01-more",
        f"00-{TRACE}-{PARENT}-01-",
        f"00-{TRACE}-{PARENT}-01\n",
        f" 00-{TRACE}-{PARENT}-01",
        f"00-{TRACE}-{PARENT}-01 ",
        f"cc-{TRACE}-{PARENT}-01.more",
        f"cc-{TRACE}-{PARENT}-01more",
        f"cc-{TRACE}-{PARENT}-01-a\n-b",
        f"00-{TRACE[:-1]}-{PARENT}-01",
        f"00-{TRACE}0-{PARENT}-01",
        f"00-{TRACE[:-1]}g-{PARENT}-01",
        f"00-{TRACE}-{PARENT}",
        f"00-{TRACE}-{PARENT}-1",
        f"00_{TRACE}_{PARENT}_01",
        f"00-{TRACE}-{PARENT}-01,00-{TRACE}-{PARENT}-01",
    ],
    ids=ascii,
)
def test_a_header_that_is_not_valid_gives_no_trace_id(raw: str | None) -> None:
    assert parse_traceparent(raw) is None


@given(raw=st.text(alphabet="0123456789abcdefABCDEF-\n", max_size=70))
def test_a_trace_id_is_32_hex_digits_or_none(raw: str) -> None:
    found = parse_traceparent(raw)

    assert found is None or re.fullmatch("[0-9a-f]{32}", found)
