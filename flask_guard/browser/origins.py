"""Origins as browsers send them: the Origin header, and the origin of a Referer.

Pure, and never raises: what cannot be read is None, and the caller refuses.
Source: RFC 6454, section 7 (Origin); RFC 9110, section 10.1.3 (Referer).
Rule: the text is matched from its first to its last character. Looking for a part of it is how
`https://app.example.com.evil.example` and `https://app.example.com@evil.example` get in.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from ..net.hosts import is_port, join_port

# A host name has 253 characters at most (RFC 1035, section 2.3.4); scheme and port are short.
MAX_ORIGIN_CHARACTERS: Final = 300
# Browsers send the origin alone in the place of a longer Referer (Referrer Policy, "Determine request's Referrer").
MAX_REFERER_CHARACTERS: Final = 4096

# Browsers send names in ASCII (punycode), and with characters that RFC 1123 leaves out, such as the underscore.
_HOST: Final = r"[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*\.?|\[[0-9A-Fa-f:.]{2,45}\]"
_AUTHORITY: Final = rf"({_HOST})(?::([0-9]{{1,5}}))?"
_ORIGIN: Final = re.compile(rf"([A-Za-z][A-Za-z0-9+.-]*)://{_AUTHORITY}")
_URL: Final = re.compile(rf"([Hh][Tt][Tt][Pp][Ss]?)://{_AUTHORITY}(?:[/?#][\x21-\x7e]*)?")


def parse_origin(raw: str) -> str | None:
    """Return the value of an Origin header as scheme://host[:port], in lower case, the default port left out.

    None for whatever is not one such origin: several of them, user info, a path, `null`, `*`.
    """
    return _read_origin(raw) if len(raw) <= MAX_ORIGIN_CHARACTERS else None


def origin_of_url(raw_referer: str) -> str | None:
    """Return the origin of an absolute http or https URL, in the form of `parse_origin`.

    None for another scheme, user info, characters that no URL has, and anything else that is no such URL.
    """
    return _normalize(_URL.fullmatch(raw_referer)) if len(raw_referer) <= MAX_REFERER_CHARACTERS else None


@lru_cache(maxsize=256)
def _read_origin(raw: str) -> str | None:
    return _normalize(_ORIGIN.fullmatch(raw))


def _normalize(match: re.Match[str] | None) -> str | None:
    if match is None:
        return None
    scheme, host, port = match[1].lower(), match[2].lower(), match[3]
    return f"{scheme}://{join_port(host, port, scheme)}" if port is None or is_port(port) else None
