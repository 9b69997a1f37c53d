"""Forwarded, fuzzed: whatever is well formed is read back, and nothing on the left changes the right end."""

from __future__ import annotations

import string

from hypothesis import given
from hypothesis import strategies as st

from flask_guard.net.forwarded import MAX_ELEMENTS, ForwardedElement, parse_forwarded, split_list

TCHAR = "!#$%&'*+-.^_`|~" + string.digits + string.ascii_letters
# What the grammar is made of, so that broken quotes and escapes are frequent.
anything = st.text(alphabet='",;=\\ \tfor:[]_1.ä', max_size=60) | st.text(max_size=60)
tokens = st.text(alphabet=TCHAR, min_size=1, max_size=8)
contents = st.text(
    alphabet=st.characters(min_codepoint=0x20, max_codepoint=0xFF, exclude_characters="\x7f"), max_size=8
)


@st.composite
def quoted(draw: st.DrawFn) -> tuple[str, str]:
    """A value as it is written and what it says: quotes and backslashes escaped, others now and then."""
    said = draw(contents)
    written = "".join("\\" + char if char in '"\\' or draw(st.booleans()) else char for char in said)
    return f'"{written}"', said


values = tokens.map(lambda token: (token, token)) | quoted()
cases = st.sampled_from([str.lower, str.upper, str.title])


@st.composite
def elements(draw: st.DrawFn) -> tuple[str, ForwardedElement]:
    names = draw(st.lists(st.sampled_from(["for", "proto", "host", "by", "ext"]), min_size=1, unique=True))
    pairs = {name: draw(values) for name in names}
    written = ";".join(f"{draw(cases)(name)}={value}" for name, (value, _said) in pairs.items())
    said = {name: value for name, (_written, value) in pairs.items()}
    return written, ForwardedElement(said.get("for"), said.get("proto"), said.get("host"))


@given(listed=st.lists(elements(), min_size=1, max_size=6), comma=st.sampled_from([",", ", ", " \t,"]))
def test_what_is_well_formed_is_read_back(listed: list[tuple[str, ForwardedElement]], comma: str) -> None:
    raw = comma.join(written for written, _said in listed)

    assert list(parse_forwarded(raw)) == [said for _written, said in reversed(listed)]


@given(left=anything, listed=st.lists(elements(), min_size=1, max_size=4))
def test_nothing_on_the_left_changes_what_proxies_wrote(left: str, listed: list[tuple[str, ForwardedElement]]) -> None:
    raw = ",".join([left, *(written for written, _said in listed)])

    assert list(parse_forwarded(raw))[: len(listed)] == [said for _written, said in reversed(listed)]


@given(raw=anything)
def test_any_text_has_a_nearest_element_and_no_more_than_the_bound(raw: str) -> None:
    assert 1 <= len(list(parse_forwarded(raw))) <= MAX_ELEMENTS


@given(left=anything, right=st.lists(st.text(alphabet="1a.:", min_size=1), min_size=1, max_size=8))
def test_nothing_on_the_left_changes_the_right_end_of_a_list(left: str, right: list[str]) -> None:
    assert split_list(",".join([left, *right]))[: len(right)] == right[::-1]
