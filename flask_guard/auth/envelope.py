"""The outside of a bearer token: three segments, a header, a payload, each in the one form that we accept.

Pure: bytes in, values out. Relies on nothing but the standard library's JSON scanner.
Source: RFC 7515 (JWS, compact form), RFC 7519 (JWT), RFC 8725 (advice on both).
Rule: one token has one spelling. What could be read in two ways is refused, before a key is looked at.
"""

from __future__ import annotations

import json
import math
import re
from binascii import a2b_base64
from dataclasses import dataclass
from typing import Any, NoReturn

from ..errors import InvalidToken
from ..values import Claims, freeze_claims

# A token with a generous list of roles has 2 KiB; servers cut header lines at 8 KiB and above.
MAX_TOKEN_BYTES = 8 * 1024

_ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
# From base64url to base64; whatever is not of the first becomes a mark that is not of the second either.
_FOREIGN = bytes(octet for octet in range(256) if octet not in _ALPHABET)
_TO_BASE64 = bytes.maketrans(b"-_" + _FOREIGN, b"+/" + b"!" * len(_FOREIGN))
_PADDING = (b"", b"", b"==", b"=")
# What a last character may be when some of its bits are unused: those with these bits zero (RFC 4648, 3.5).
# Another one would be a second spelling of the same bytes.
_LAST = (frozenset(_ALPHABET), frozenset(b""), frozenset(b"AQgw"), frozenset(b"AEIMQUYcgkosw048"))

_JSON_SPACE = " \t\r\n"  # RFC 8259, section 2
_MAX_DEPTH = 64  # as the default of GUARD_MAX_JSON_DEPTH; issuers nest three levels
_JSON_TEXT = re.compile(r'"(?:[^"\\]|\\.)*"')
_BRACKET = re.compile(r"[\[\]{}]")

# Thumbprints, UUIDs, host-like names, and the base64 of AWS; no "..", which has no place in a name.
_KID = re.compile(r"(?!.*\.\.)[A-Za-z0-9._=:+/@-]{1,128}\Z")
# Headers that bring a key along, or ask for a treatment that we do not give (RFC 7515, 4.1; RFC 7797).
_REFUSED_MEMBERS = frozenset({"crit", "b64", "jku", "jwk", "x5u", "x5c"})


@dataclass(frozen=True, slots=True)
class Header:
    """What a header may say: who signed and how, and what kind of token this is.

    typ: lower case, without "application/"; None when there is none.
    """

    algorithm: str
    kid: str | None
    typ: str | None


def open_envelope(token: bytes) -> tuple[bytes, bytes, bytes, bytes]:
    """Return header segment, decoded payload, signing input, decoded signature; nothing is believed yet.

    Raises InvalidToken unless the token is three segments of canonical base64url.
    """
    signing_input, _, signature = token.rpartition(b".")
    header, _, payload = signing_input.partition(b".")
    return header, decode_segment(payload), signing_input, decode_segment(signature)


def decode_segment(segment: bytes) -> bytes:
    """Return the bytes of a segment. Raises ValueError or InvalidToken unless it is canonical base64url."""
    unused = len(segment) & 3
    if unused and segment[-1] not in _LAST[unused]:
        raise InvalidToken(detail="a segment is not canonical base64url")
    return a2b_base64(segment.translate(_TO_BASE64) + _PADDING[unused], strict_mode=True)


def parse_header(segment: bytes) -> Header:
    """Return the header. Raises InvalidToken for one that is ambiguous or asks for more than a key's id."""
    members = parse_object(decode_segment(segment))
    refused = _REFUSED_MEMBERS.intersection(members)
    if refused:
        raise InvalidToken(detail=f"the header has {', '.join(sorted(refused))}")
    algorithm, kid, typ = members.get("alg"), members.get("kid"), members.get("typ")
    if not isinstance(algorithm, str):
        raise InvalidToken(detail="the header has no alg")
    if "kid" in members and not (isinstance(kid, str) and _KID.match(kid)):
        raise InvalidToken(detail="the header's kid is not the name of a key")
    if "typ" in members and not isinstance(typ, str):
        raise InvalidToken(detail="the header's typ is not text")
    return Header(algorithm, kid, None if typ is None else normalize_typ(typ))


def normalize_typ(typ: str) -> str:
    """Media types compare without case, and "application/" may be left out (RFC 7515, section 4.1.9)."""
    return typ.lower().removeprefix("application/")


def parse_object(data: bytes) -> Claims:
    """Return the JSON object in a decoded segment, read-only. Raises InvalidToken or ValueError.

    Refused are repeated members at any depth, more than 64 levels, numbers that are no numbers, text that is
    not UTF-8, and lone surrogates, which no log or database could write down.
    """
    text = data.decode().strip(_JSON_SPACE)
    if text.count("{") + text.count("[") > _MAX_DEPTH:
        _require_flat(text)
    parsed, end = _DECODER.raw_decode(text)
    if type(parsed) is not Claims or end != len(text):
        raise InvalidToken(detail="a segment is not one JSON object")
    if "\\" in text and "\\u" in text:  # one character is found five times as fast as two
        json.dumps(parsed, ensure_ascii=False).encode()
    return parsed


def _read_only_object(members: list[tuple[str, Any]]) -> Claims:
    """Build an object frozen as `freeze_claims` would, without a second walk over it."""
    claims = Claims(members)
    if len(claims) != len(members):
        raise InvalidToken(detail="a member of an object is repeated")
    for name, value in members:
        if type(value) is list:
            frozen = freeze_claims(value) if list in map(type, value) else tuple(value)
            dict.__setitem__(claims, name, frozen)
    return claims


def _require_flat(text: str) -> None:
    """Refuse nesting that whoever handles the claims later might not survive."""
    depth = 0
    for bracket in _BRACKET.findall(_JSON_TEXT.sub("", text)):
        depth += 1 if bracket in "[{" else -1
        if depth > _MAX_DEPTH:
            raise InvalidToken(detail=f"a segment is nested deeper than {_MAX_DEPTH} levels")


def _refuse_constant(name: str) -> NoReturn:
    raise InvalidToken(detail=f"{name} is not a number of JSON")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise InvalidToken(detail="a number is out of range")
    return number


_DECODER = json.JSONDecoder(object_pairs_hook=_read_only_object, parse_constant=_refuse_constant, parse_float=_finite)
