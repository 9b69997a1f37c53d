"""JSON as a security boundary reads it: one meaning for every body, and a bound on what reading may cost.

Pure. Relies on Python's json for the grammar (RFC 8259) and refuses what it lets through: other encodings
than UTF-8, a key given twice, NaN and Infinity, numbers that overflow, lone surrogates, deep nesting.
Rule: a refusal names the rule that was broken and never a key or a value of the body.
"""

from __future__ import annotations

import json
import math
import re
from itertools import accumulate
from typing import Any, Final, NoReturn

from ..errors import EmptyBody, InvalidJson

OBJECT_ONLY: Final = frozenset({"object"})

_WHITESPACE: Final = b" \t\n\r"  # RFC 8259, section 2
_BOM: Final = b"\xef\xbb\xbf"

# For the depth, only quotes and brackets count, and an object nests like an array.
_NOT_STRUCTURE: Final = bytes(set(range(256)) - set(b'"[]{}'))
_TO_ARRAYS: Final = bytes.maketrans(b"{}", b"[]")
_TO_STEPS: Final = bytes.maketrans(b"[]", b"\x01\xff")  # +1 and -1 as signed bytes

# A \u escape of one half of a surrogate pair without its other half (RFC 8259, section 8.2).
_LONE_SURROGATE: Final = re.compile(
    rb"\\u[dD][89abAB]..(?!\\u[dD][c-fC-F])|(?<!\\u[dD][89abAB]..)\\u[dD][c-fC-F]", re.DOTALL
)

# What nearly every client sends, spared the parsing.
_COMMON_TYPES: Final = frozenset({"application/json", "application/json; charset=utf-8"})
_NAME: Final = r"[A-Za-z0-9!#$%&'*+.^_`|~-]++"  # RFC 9110, section 5.6.2
_MEDIA_TYPE: Final = re.compile(rf"[ \t]*+({_NAME})/({_NAME})")
_PARAMETER: Final = re.compile(
    rf'[ \t]*+;[ \t]*+(?:({_NAME})=({_NAME}|"(?:[^"\\\x00-\x08\x0a-\x1f\x7f]|\\[\t -~])*+"))?+'
)


def parse_json(data: bytes, *, max_depth: int, top_level: frozenset[str] = OBJECT_ONLY) -> Any:
    """Return the value of a JSON text.

    max_depth: the deepest nesting of objects and arrays; `{}` has depth 1.
    top_level: what the whole may be, some of "object", "array", "scalar".
    Raises EmptyBody when there is nothing but white space, InvalidJson for everything else that is wrong.
    Takes time linear in the length of `data`, whatever it holds.
    """
    text = _decode(data)
    _refuse_what_python_accepts(data, max_depth=max_depth)
    # Each error is dropped as a cause: it holds the whole body.
    try:
        value = _DECODER.decode(text)
    except json.JSONDecodeError as exc:
        raise InvalidJson(detail=f"{exc.msg} at character {exc.pos}") from None
    except RecursionError:
        raise _refused("it is nested deeper than this service can read") from None
    except ValueError:
        raise _refused("a number has too many digits") from None
    _require_kind(value, top_level)
    return value


def is_json_media_type(content_type: str | None) -> bool:
    """Tell whether a Content-Type is `application/json` or `application/*+json`, in UTF-8.

    The value is parsed, not searched: `text/plain; x=application/json` is plain text. A charset other than
    utf-8 and parameters that cannot be read make it false (RFC 9110, section 8.3; RFC 8259, section 8.1).
    """
    if content_type in _COMMON_TYPES:
        return True
    match = _MEDIA_TYPE.match(content_type or "")
    if match is None or not _is_json_name(match[1].lower(), match[2].lower()):
        return False
    return _has_utf8_parameters(match.string, match.end())


def _is_json_name(type_name: str, subtype: str) -> bool:
    return type_name == "application" and (subtype == "json" or (subtype.endswith("+json") and len(subtype) > 5))


def _has_utf8_parameters(content_type: str, position: int) -> bool:
    while match := _PARAMETER.match(content_type, position):
        position = match.end()
        if match[1] and match[1].lower() == "charset" and _unquote(match[2]).lower() != "utf-8":
            return False
    return not content_type[position:].strip(" \t")


def _unquote(value: str) -> str:
    return re.sub(r"\\(.)", r"\1", value[1:-1]) if value.startswith('"') else value


def _decode(data: bytes) -> str:
    if not data.strip(_WHITESPACE):
        raise EmptyBody
    if data.startswith(_BOM):
        raise _refused("it begins with a byte order mark")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as exc:
        position = exc.start
    raise _refused("it is not UTF-8", detail=f"not UTF-8 at byte {position}")


def _refuse_what_python_accepts(data: bytes, *, max_depth: int) -> None:
    if b"\\" in data:
        # Escaped backslashes first: each of those that remain then begins the escape that it seems to begin.
        data = data.replace(b"\\\\", b"//")
        if _LONE_SURROGATE.search(data):
            raise _refused("a text holds half of a surrogate pair")
        data = data.replace(b'\\"', b"//")
    if _is_deeper(data, max_depth):
        raise _refused(f"it is nested deeper than {max_depth}")


def _is_deeper(data: bytes, max_depth: int) -> bool:
    """Tell whether brackets outside of strings nest deeper than `max_depth`. `data` has no escaped quotes.

    In text that is no JSON the answer is right up to the first fault, where the parser stops too.
    """
    structure = data.translate(_TO_ARRAYS, _NOT_STRUCTURE)
    # Two quotes in a row end one string and begin the next, or the other way round: nothing is between them,
    # so dropping them leaves every other byte inside or outside as it was.
    outside = b"".join(structure.replace(b'""', b"").split(b'"')[::2])
    if len(outside) <= max_depth:
        return False
    if b"[" * (max_depth + 1) in outside:
        return True
    return max(accumulate(memoryview(outside.translate(_TO_STEPS)).cast("b"))) > max_depth


def _require_kind(value: Any, top_level: frozenset[str]) -> None:
    kind = "object" if isinstance(value, dict) else "array" if isinstance(value, list) else "scalar"
    if kind not in top_level:
        wanted = " or ".join(sorted(top_level))
        raise InvalidJson(f"The body must be a JSON {wanted}.", detail=f"the body is a JSON {kind}")


def _refused(rule: str, *, detail: str = "") -> InvalidJson:
    return InvalidJson(f"The JSON body is refused: {rule}.", detail=detail)


def _distinct_members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise _refused("a key is given twice")
    return members


def _finite_number(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise _refused("a number is too large")
    return number


def _refuse_constant(_name: str) -> NoReturn:
    raise _refused("NaN and Infinity are not JSON")


_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_distinct_members, parse_float=_finite_number, parse_constant=_refuse_constant
)
