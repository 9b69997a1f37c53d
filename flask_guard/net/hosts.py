"""The host that a request asks for: `Host` and `X-Forwarded-Host` to one canonical spelling.

Pure. Sources: RFC 9110, section 7.2 (Host); RFC 3986, section 3.2 (host and port); RFC 1123, section 2.1 (names).
Rule: two spellings of one host give the same text, and what is not plainly a host gives None; nothing is repaired.
"""

from __future__ import annotations

import re
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import Final

MAX_HOST_CHARS: Final = 255
# RFC 1035, section 2.3.4, as text and without the dot at the end.
_MAX_NAME_CHARS: Final = 253
_DEFAULT_PORTS: Final = {"http": "80", "https": "443"}
# The underscore is in no host name of the RFCs, but in those of services inside of clusters.
_LABEL: Final = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\Z")
_NUMBER: Final = re.compile(r"(?:[0-9]+|0x[0-9a-f]*)\Z")
_PORT: Final = re.compile(r"[1-9][0-9]{0,4}\Z")


def parse_host(raw: str, scheme: str) -> str | None:
    """Return `host[:port]` in canonical form, None for what is no host.

    raw: the value of the header. scheme: "http" or "https"; its default port is left out.
    Lower case; one dot at the end removed; an IPv6 address in brackets and in its shortest form. None for more
    than 255 characters, a user name, a path, a list, a zone id, a port outside of 1 to 65535, and a name that
    ends in a number without being an IPv4 address, because a browser would read one out of it ("127.1").
    Source of the last: WHATWG URL, section 3.5.
    """
    if len(raw) > MAX_HOST_CHARS or not raw.isascii():
        return None
    name, port = split_port(raw.lower())
    is_bracketed = name.startswith("[") and name.endswith("]")
    canonical = _parse_ipv6(name[1:-1]) if is_bracketed else _parse_name(name.removesuffix("."))
    if canonical is None or not (port is None or is_port(port)):
        return None
    return join_port(canonical, port, scheme)


def split_port(host: str) -> tuple[str, str | None]:
    """Return the host without its port, and the port; None when there is none."""
    if ":" not in host or host.endswith("]"):
        return host, None
    name, _colon, port = host.rpartition(":")
    return name, port


def join_port(name: str, port: str | None, scheme: str) -> str:
    """Return the host with its port, without it when it is the default of the scheme."""
    return name if port is None or port == _DEFAULT_PORTS.get(scheme) else f"{name}:{port}"


def port_of(host: str, scheme: str) -> str:
    """Return the port of a canonical host: its own, or the default of the scheme ("http" or "https")."""
    return split_port(host)[1] or _DEFAULT_PORTS[scheme]


def is_port(text: str) -> bool:
    """Say whether the text is a port, 1 to 65535 in ASCII digits without a zero in front."""
    return _PORT.match(text) is not None and int(text) < 65536


def _parse_name(name: str) -> str | None:
    labels = name.split(".")
    if len(name) > _MAX_NAME_CHARS or not all(map(_LABEL.match, labels)):
        return None
    return name if not _NUMBER.match(labels[-1]) or _is_ipv4(name) else None


def _is_ipv4(text: str) -> bool:
    try:
        IPv4Address(text)
    except AddressValueError:
        return False
    return True


def _parse_ipv6(text: str) -> str | None:
    if "%" in text:
        return None
    try:
        address = IPv6Address(text)
    except AddressValueError:
        return None
    if address.ipv4_mapped is None:
        return f"[{address.compressed}]"
    # As browsers write it; Python does from 3.13 on write the last part as an IPv4 address.
    number = int(address)
    return f"[::ffff:{number >> 16 & 0xFFFF:x}:{number & 0xFFFF:x}]"
