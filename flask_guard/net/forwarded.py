"""What proxies write into a request about whoever is in front of them: X-Forwarded-* and Forwarded.

Pure. Sources: RFC 7239 (Forwarded), RFC 9110, section 5.6 (lists, tokens, quoted strings).
Rule: a list is read from its right end, where the nearest proxy wrote. What stands left was written by somebody
else, so nothing there, such as a quote that is never closed, may change how the right end is read. Of a longer
list than the bounds allow, the right end counts as if nothing stood left of it.
"""

from __future__ import annotations

import re
import string
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import Final

from ..config.sections import ForwardedHeader
from .hosts import is_port

# More proxies than anybody has in a row, and more text than they write.
MAX_ELEMENTS: Final = 32
MAX_CHARS: Final = 2048

_FOR: Final = "HTTP_X_FORWARDED_FOR"
_PROTO: Final = "HTTP_X_FORWARDED_PROTO"
_HOST: Final = "HTTP_X_FORWARDED_HOST"
_PORT: Final = "HTTP_X_FORWARDED_PORT"
_FORWARDED: Final = "HTTP_FORWARDED"
_X_FORWARDED: Final = (_FOR, _PROTO, _HOST, _PORT)
# All that is ever read, as the WSGI environment calls them.
READ_HEADERS: Final = (*_X_FORWARDED, _FORWARDED)

_SPACE: Final = " \t"
# RFC 9110, section 5.6.2.
_TCHAR: Final = "!#$%&'*+-.^_`|~" + string.digits + string.ascii_letters
_QUOTED_PAIR: Final = re.compile(r"\\(.)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class ForwardedElement:
    """What one proxy says. node: for whom it forwards, as it wrote it; proto and host: what it was asked for.

    Quotes are removed, nothing else is checked. None for what it does not say.
    """

    node: str | None = None
    proto: str | None = None
    host: str | None = None


@dataclass(frozen=True, slots=True)
class Claims:
    """What the nearest proxy says, unchecked: for whom it forwards, and which scheme, host and port were asked for.

    nodes: the elements of its list, the right-most first; None for one that names nobody or cannot be read.
    """

    nodes: Iterator[str | None] = field(default_factory=lambda: iter(()))
    proto: str | None = None
    host: str | None = None
    port: str | None = None


def read_claims(headers: Mapping[str, str], *, family: ForwardedHeader) -> Claims:
    """Return what the headers of one family claim; the other family is not looked at.

    headers: names as the WSGI environment has them. family: "auto" takes X-Forwarded-* where one of X-Forwarded-For,
    -Proto, -Host and -Port is there, else Forwarded.
    """
    if family != "forwarded" and any(name in headers for name in _X_FORWARDED):
        proto, host, port = (_last(headers[name]) if name in headers else None for name in (_PROTO, _HOST, _PORT))
        return Claims(iter(split_list(headers[_FOR]) if _FOR in headers else ()), proto, host, port)
    if family != "x-forwarded" and _FORWARDED in headers:
        elements = parse_forwarded(headers[_FORWARDED])
        nearest = next(elements)
        return Claims((each.node for each in chain([nearest], elements)), nearest.proto, nearest.host)
    return Claims()


def split_list(raw: str) -> list[str]:
    """Return the elements of a comma-separated header, the right-most first, without the space around them."""
    elements = raw[-MAX_CHARS:].rsplit(",", MAX_ELEMENTS)
    if len(elements) > MAX_ELEMENTS or len(raw) > MAX_CHARS:
        del elements[0]  # the rest of the list, or an element that may have been cut
    return [element.strip(_SPACE) for element in reversed(elements)]


def strip_port(node: str) -> str | None:
    """Return the address out of `IPv4[:port]`, `IPv6` or `[IPv6][:port]`; None for another form.

    Whether it is an address is not looked at. "2001:db8::1:80" is read as an address without a port.
    Source: RFC 7239, section 6; X-Forwarded-For has IPv6 addresses without brackets, too.
    """
    if node.startswith("["):
        address, bracket, rest = node[1:].partition("]")
        has_form = bracket and ":" in address and (not rest or (rest[0] == ":" and is_port(rest[1:])))
        return address if has_form else None
    if node.count(":") != 1:
        return node
    address, _colon, port = node.partition(":")
    return address if is_port(port) else None


def parse_forwarded(raw: str) -> Iterator[ForwardedElement]:
    """Yield the elements of a Forwarded header (RFC 7239, section 4), the right-most first.

    The first that is malformed is yielded with nothing in it, and is the last one. Malformed is, beside what breaks
    the grammar, an empty element or pair, and a parameter that stands in an element twice.
    """
    text = raw[-MAX_CHARS:]
    is_cut = len(raw) > MAX_CHARS
    for _ in range(MAX_ELEMENTS):
        read = _take_element(text)
        if read is None or (is_cut and not read[0]):
            yield ForwardedElement()
            return
        text, pairs = read
        yield ForwardedElement(pairs.get("for"), pairs.get("proto"), pairs.get("host"))
        if not text:
            return
        text = text[:-1]  # the comma


def _last(raw: str) -> str:
    return raw.rpartition(",")[2].strip(_SPACE)


def _take_element(text: str) -> tuple[str, dict[str, str]] | None:
    """Read the last element: what is left of it, with the comma at its end, and its parameters."""
    pairs: dict[str, str] = {}
    while True:
        pair = _take_pair(text.rstrip(_SPACE))
        if pair is None:
            return None
        text, name, value = pair
        if name in pairs:
            return None
        pairs[name] = value
        text = text.rstrip(_SPACE)
        if not text or text.endswith(","):
            return text, pairs
        if not text.endswith(";"):
            return None
        text = text[:-1]


def _take_pair(text: str) -> tuple[str, str, str] | None:
    """Read the last `name=value`: what is left of it, the name in lower case, the value."""
    read = _take_quoted(text) if text.endswith('"') else _take_token(text)
    if read is None or not read[0].endswith("="):
        return None
    named = _take_token(read[0][:-1])
    return None if named is None else (named[0], named[1].lower(), read[1])


def _take_token(text: str) -> tuple[str, str] | None:
    rest = text.rstrip(_TCHAR)
    return None if len(rest) == len(text) else (rest, text[len(rest) :])


def _take_quoted(text: str) -> tuple[str, str] | None:
    """Read the last quoted string: what is left of it, and what it says.

    A quote inside of one has an odd number of backslashes before it, and what begins one has none.
    """
    closing = len(text) - 1
    if _is_escaped(text, closing):
        return None
    opening = text.rfind('"', 0, closing)
    while opening > 0 and _is_escaped(text, opening):
        opening = text.rfind('"', 0, opening)
    return None if opening < 0 else (text[:opening], _QUOTED_PAIR.sub(r"\1", text[opening + 1 : closing]))


def _is_escaped(text: str, position: int) -> bool:
    start = position
    while start > 0 and text[start - 1] == "\\":
        start -= 1
    return (position - start) % 2 == 1
