"""The kinds of value that a setting may have, and how text becomes one.

Pure. A kind is a function from a raw value (text from the environment, anything from `app.config` or an
argument) to the typed value; it raises ValueError with words that fit after "NAME ".
"""

from __future__ import annotations

import base64
import ipaddress
import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import SplitResult, urlsplit

from .rate_text import parse_rate
from .secrets import Secret

Kind = Callable[[Any], Any]
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_TRUE = frozenset({"1", "true", "yes", "on"})
_FALSE = frozenset({"0", "false", "no", "off"})
# [0-9] and not \d, which takes the digits of every script; bounded, because int() itself refuses long ones.
_INTEGER = re.compile(r"-?[0-9]{1,18}\Z")
_SIZE = re.compile(r"([0-9]{1,15})\s*([kmg]?)(?:i?b)?\Z", re.IGNORECASE)
_SIZE_UNITS = {"": 1, "k": 1024, "m": 1024**2, "g": 1024**3}
# Far beyond any body, far below what a stream can be asked for.
_LARGEST_SIZE = 2**50
_DURATION = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,20})?)(ms|s|m|h|d|w)?\Z")
_DURATION_UNITS = {"ms": 0.001, "": 1, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
# A wait of more than 292 years overflows a lock's timeout, and a date past the year 9999 is none.
_LONGEST_S = 36500 * 86400
_ATTEMPTS = re.compile(r"([0-9]{1,9})/(.+)\Z")
_NOT_IN_URLS = re.compile(r"[\s\\<>\"]")
_URL_SAFE = str.maketrans("-_", "+/")
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+\Z")


def text(value: Any) -> str:
    """Text on one line, trimmed; not empty, because an empty issuer would silently check nothing."""
    line = one_line(value)
    if not line:
        raise ValueError("must not be empty")
    return line


def one_line(value: Any) -> str:
    """Text on one line, trimmed, perhaps empty."""
    if not isinstance(value, str):
        raise ValueError("must be text")
    if any(ord(character) < 32 or ord(character) == 127 for character in value):
        raise ValueError("must not contain control characters")
    # How Python shows bytes of the environment that are not UTF-8; no URL, log or header could hold them.
    if any("\ud800" <= character <= "\udfff" for character in value):
        raise ValueError("must be UTF-8")
    return value.strip()


def boolean(value: Any) -> bool:
    """true/false, yes/no, on/off, 1/0."""
    if isinstance(value, bool):
        return value
    word = str(value).strip().casefold()
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    raise ValueError("must be true or false")


def integer(*, least: int = 0) -> Kind:
    """A whole number, at least `least`."""

    def parse(value: Any) -> int:
        match = _INTEGER.match(str(value).strip())
        if match is None or isinstance(value, bool) or int(match[0]) < least:
            raise ValueError(f"must be a whole number, at least {least}")
        return int(match[0])

    return parse


def size_bytes(value: Any) -> int:
    """A size above zero, in bytes: 32768, 32K, 4M, 1G."""
    match = _SIZE.match(str(value).strip())
    if match is None or isinstance(value, (bool, float)):
        raise ValueError("must be a size such as 32K or 4M")
    size = int(match[1]) * _SIZE_UNITS[match[2].lower()]
    if size <= 0:
        raise ValueError("must be a size above zero")
    if size > _LARGEST_SIZE:
        raise ValueError("must be a size of 1048576G at most")
    return size


def duration_s(value: Any) -> float:
    """A duration, in seconds: 30, 30s, 15m, 720h, 30d; zero is allowed."""
    if isinstance(value, bool):
        raise ValueError("must be a duration such as 30s or 15m")
    match = _DURATION.match(str(value).strip())
    if match is None:
        raise ValueError("must be a duration such as 30s or 15m")
    seconds = float(match[1]) * _DURATION_UNITS[match[2] or ""]
    if seconds > _LONGEST_S:
        raise ValueError("must be a duration of 36500d at most")
    return seconds


def positive_duration_s(value: Any) -> float:
    """A duration above zero, in seconds."""
    seconds = duration_s(value)
    if seconds <= 0:
        raise ValueError("must be a duration above zero")
    return seconds


def words(value: Any) -> tuple[str, ...]:
    """A list: comma-separated text, or a list of texts."""
    items: Iterable[Any] = value.split(",") if isinstance(value, str) else value
    if not isinstance(items, (list, tuple, set, frozenset)) or not all(isinstance(item, str) for item in items):
        raise ValueError("must be a comma-separated list")
    return tuple(item for item in (one_line(item) for item in items) if item)


def some_words(value: Any) -> tuple[str, ...]:
    """A list of one word at least."""
    items = words(value)
    if not items:
        raise ValueError("must not be empty")
    return items


def word_set(value: Any) -> frozenset[str]:
    """A list whose order does not matter."""
    return frozenset(words(value))


def networks(value: Any) -> tuple[Network, ...]:
    """A list of networks in CIDR notation; an address stands for itself alone."""
    found = []
    for item in words(value):
        try:
            found.append(ipaddress.ip_network(item))
        except ValueError as exc:
            raise ValueError(f"must be a list of CIDR networks; {exc}") from exc
    return tuple(found)


def choice(*allowed: str) -> Kind:
    """One of the words, whatever the case."""

    def parse(value: Any) -> str:
        word = str(value).strip().casefold()
        if word not in allowed:
            raise ValueError(f"must be one of {', '.join(allowed)}")
        return word

    return parse


def url(*schemes: str) -> Kind:
    """An absolute URL of one of the schemes, without a user name or a fragment."""

    def parse(value: Any) -> str:
        address = text(value)
        parts = _split_url(address)
        if parts is None or parts.scheme not in schemes or not parts.hostname:
            raise ValueError(f"must be a URL beginning with {' or '.join(s + '://' for s in schemes)}")
        if "@" in parts.netloc or parts.fragment:
            raise ValueError("must not contain a user name, a password or a fragment")
        return parts.scheme + address[len(parts.scheme) :]  # HTTP:// would pass for something else than http://

    return parse


def _split_url(address: str) -> SplitResult | None:
    """Return the parts of a URL, None for what is none."""
    try:
        parts = urlsplit(address)
        return None if _NOT_IN_URLS.search(address) or parts.port == 0 else parts
    except ValueError:
        return None  # not passed on: the error quotes the authority, which may hold a password


def json_object(value: Any) -> dict[str, Any]:
    """A JSON object, or a dict."""
    parsed = _parse_json(value)
    if not isinstance(parsed, Mapping):
        raise ValueError("must be a JSON object")
    return dict(parsed)


def json_list(value: Any) -> list[dict[str, Any]]:
    """A JSON array of objects, or a list of dicts."""
    parsed = _parse_json(value)
    if not isinstance(parsed, (list, tuple)) or not all(isinstance(item, Mapping) for item in parsed):
        raise ValueError("must be a JSON array of objects")
    return [dict(item) for item in parsed]


def _parse_json(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value, object_pairs_hook=_unique_members)
    except (ValueError, RecursionError):
        raise ValueError("must be JSON, with no member twice") from None  # the error may quote a secret


def _unique_members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse an object that says one thing twice: readers differ on which of the two counts."""
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member is there twice")
    return members


def rate(value: Any) -> str:
    """A rate limit: "100/minute", "5 per hour; 1 per second"; or off."""
    limits = text(value)
    if limits.casefold() == "off":
        return "off"
    parse_rate(limits)
    return limits


def attempts(value: Any) -> tuple[int, float]:
    """A number of attempts in a duration, such as 5/15m; as (number, seconds)."""
    match = _ATTEMPTS.match(str(value).strip())
    if match is None or int(match[1]) < 1:
        raise ValueError("must be a number of attempts in a duration, such as 5/15m")
    return int(match[1]), positive_duration_s(match[2])


def path_prefix(value: Any) -> str:
    """A path prefix, brought to the form "/prefix" (or empty)."""
    prefix = one_line(value).strip("/")
    # Clients resolve dots and servers merge slashes, so such a path could not be reached as it stands.
    has_odd_segment = not {"", ".", ".."}.isdisjoint(prefix.split("/")) if prefix else False
    if has_odd_segment or any(mark in prefix for mark in "?#\\<> "):
        raise ValueError("must be a plain path such as /api")
    return f"/{prefix}" if prefix else ""


def paths(value: Any) -> tuple[str, ...]:
    """A list of one path at least, each brought to the form "/path"."""
    found = tuple(path_prefix(item) for item in some_words(value))
    if "" in found:
        raise ValueError("must name a path below /")
    return found


def header_name(value: Any) -> str:
    """The name of an HTTP header."""
    name = text(value)
    if not _HEADER_NAME.match(name):
        raise ValueError("must be the name of an HTTP header")
    return name


def environ_key(header: str) -> str:
    """Return a header's name as the WSGI environment spells it, where X-Key and X_KEY are one."""
    return "HTTP_" + header.upper().replace("-", "_")


def header_map(value: Any) -> dict[str, str | None]:
    """A map of header names to values, null to leave a header out. Values are one line of latin-1."""
    headers: dict[str, str | None] = {}
    for name, content in json_object(value).items():
        headers[header_name(name)] = None if content is None else require_header_value(content)
    return headers


def require_header_value(value: Any) -> str:
    """Return a header value that cannot break out of its line, or raise ValueError."""
    content = one_line(value)
    try:
        content.encode("latin-1")
    except UnicodeEncodeError:
        raise ValueError("must hold header values in latin-1") from None
    return content


def content_policy(value: Any) -> str:
    """auto, api, page, off, or a literal Content-Security-Policy."""
    policy = require_header_value(value)
    if policy.casefold() in ("auto", "api", "page", "off"):
        return policy.casefold()
    if not re.match(r"[a-z-]+(\s|;|\Z)", policy):
        raise ValueError("must be auto, api, page, off or a policy such as default-src 'self'")
    return policy


def pem_text(value: Any) -> str:
    """One or several PEM blocks; `\\n` stands for a line end where a variable holds only one line."""
    if not isinstance(value, str) or "-----BEGIN " not in value:
        raise ValueError("must be a key in PEM form")
    return value.replace("\\n", "\n")


def status_of_denial(value: Any) -> int:
    """403 or 200."""
    status = str(value).strip()
    if status not in ("200", "403"):
        raise ValueError("must be 403 or 200")
    return int(status)


def encryption_key(value: Any) -> Secret:
    """A key of 32 bytes, in hex, base64 or url-safe base64."""
    secret = secret_text(value)
    if len(decode_key(secret)) != 32:
        raise ValueError("must be exactly 32 bytes, in hex or base64")
    return secret


def decode_key(secret: Secret) -> bytes:
    """Return the bytes of a key in hex (64 digits), base64 or url-safe base64; b"" when it is neither."""
    encoded = secret.reveal()
    try:
        if len(encoded) == 64:
            return bytes.fromhex(encoded)
        # Strictly: without validate, characters that do not belong there are skipped, and the key is another.
        return base64.b64decode(encoded.translate(_URL_SAFE), validate=True)
    except ValueError:
        return b""


def secret_text(value: Any) -> Secret:
    """A secret. What strength it needs is said where it is declared."""
    if not isinstance(value, (str, Secret)):
        raise ValueError("must be text")
    secret = value if isinstance(value, Secret) else Secret(value)
    if not secret.reveal().strip():
        raise ValueError("must not be empty")
    return secret
