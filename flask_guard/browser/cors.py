"""Cross-origin requests: whose pages may read our answers in a browser, and what a preflight may ask for.

Pure: values in, a verdict out; the header pairs are made in `pipeline.cors_answers`.
Source: the Fetch standard, "HTTP CORS protocol" and "CORS-preflight fetch".
Rule: an origin is compared as a whole and in one form, or is no origin. Whatever does not depend on the request
is computed in CorsPolicy.__post_init__.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from ..config import kinds, kinds_web
from ..errors import ConfigError, CorsHeaderDenied, CorsMethodDenied, CorsOriginDenied
from .headers import Pair
from .origins import parse_origin

# What an answer depends on (RFC 9110, section 12.5.5): a cache must not hand one site's answer to another.
VARY: Final = "Origin"
PREFLIGHT_VARY: Final = "Origin, Access-Control-Request-Method, Access-Control-Request-Headers"

_SUBDOMAIN = "*."
_LABELS = r"(?:[a-z0-9_-]+\.)+"
_TOP_LEVEL = re.compile(r"[^:]+://\*\.(?!localhost\b)[^.:]+\.?(?::[0-9]+)?")
_FORMS: tuple[tuple[str, Callable[[Any], Any]], ...] = (
    ("origins", kinds_web.origins),
    ("methods", kinds_web.http_methods),
    ("headers", kinds_web.header_names),
    ("expose", kinds_web.header_names),
    ("max_age_s", kinds.duration_s),
)
_STANDS_FOR_ALL = {
    "*": "* stands for every site",
    "null": "null stands for every site, because each of them can open a frame whose origin it is",
}


@dataclass(frozen=True, slots=True)
class CorsPolicy:
    """Which pages may read the answers of one or more routes.

    origins: in the form of `kinds_web.origins`: exact ones; `https://*.example.com` for the subdomains, at any
    depth, of that scheme and port, never for the domain itself; `*` for everybody; `null`. None: nobody.
    credentials: pages may send cookies along. methods: in capitals. headers, expose: names of headers that pages
    may send, and may read. max_age_s: how long a browser may remember a preflight.
    expression: matches the whole of a listed origin, and nothing else.
    Raises ConfigError, listing every fault, for what is not of its form or would open too much.
    """

    origins: tuple[str, ...]
    credentials: bool
    methods: tuple[str, ...]
    headers: tuple[str, ...]
    expose: tuple[str, ...]
    max_age_s: float
    expression: re.Pattern[str] = field(init=False, repr=False, compare=False)
    _headers: frozenset[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # What contradicts what can be told only of values that are of their form.
        if faults := list(_find_malformed(self)) or list(_find_contradictions(self)):
            raise ConfigError(*faults)
        object.__setattr__(self, "expression", _compile(self.origins))
        object.__setattr__(self, "_headers", frozenset(name.lower() for name in self.headers))

    @property
    def is_for_all(self) -> bool:
        return "*" in self.origins

    @property
    def exact_origins(self) -> tuple[str, ...]:
        """Those of the listed origins that stand for one site each."""
        return tuple(origin for origin in self.origins if "*" not in origin and origin != "null")

    def allows(self, origin: str) -> bool:
        """Say whether pages of this origin, a raw header value, may read answers. Never raises."""
        return self.find_allowed(origin) is not None

    def find_allowed(self, raw_origin: str) -> str | None:
        """Return the origin in the form that it is listed in, `*` where everybody is; None if it is not listed."""
        if self.is_for_all:
            return "*"
        origin = "null" if raw_origin == "null" else parse_origin(raw_origin)
        return origin if origin is not None and self.expression.match(origin) else None

    def require_preflight(self, origin: str, method: str, requested_headers: str | None) -> None:
        """Refuse a preflight that asks for too much; the arguments are the raw values of its headers.

        A method is compared as it is: browsers bring DELETE, GET, HEAD, OPTIONS, POST and PUT to capitals and
        send `patch` as a page spelled it (Fetch, "normalize a method"). GET, HEAD and POST are no exception.
        A browser asks for a header that is safe by name (Accept, Accept-Language, Content-Language, Content-Type,
        Range) only when its value is not, such as a Content-Type of JSON ("CORS-unsafe request-header names"), so
        each name that is asked for must be in the policy.
        Raises CorsOriginDenied, CorsMethodDenied, and CorsHeaderDenied also for what is no list of names.
        """
        if not self.allows(origin):
            raise CorsOriginDenied(detail=f"origin {parse_origin(origin) or 'that cannot be read'} is not listed")
        if method not in self.methods:
            raise CorsMethodDenied(self.methods, detail=f"method {method[:40]!a} asked for by a preflight")
        for name in requested_headers.split(",") if requested_headers else ():
            if name.strip(" \t").lower() not in self._headers:
                raise CorsHeaderDenied(detail=f"header {name[:80]!a} asked for by a preflight")


def merge_vary(headers: list[Pair], value: str) -> None:
    """Add names of request headers to the Vary of an answer, in place; one that is there is not repeated."""
    places = [place for place, (name, _value) in enumerate(headers) if len(name) == 4 and name.lower() == "vary"]
    if not places:
        headers.append(("Vary", value))
        return
    present = {item.strip().lower() for place in places for item in headers[place][1].split(",")}
    missing = [item for item in value.split(", ") if item.lower() not in present]
    if missing and "*" not in present:
        name, existing = headers[places[0]]
        headers[places[0]] = (name, ", ".join([existing, *missing] if existing else missing))


def _find_malformed(policy: CorsPolicy) -> Iterator[str]:
    for name, parse in _FORMS:
        given = getattr(policy, name)
        try:
            if parse(given) != given:
                raise ValueError("must be in its normal form")
        except ValueError as exc:
            yield f"{_name(name)} {exc}."


def _find_contradictions(policy: CorsPolicy) -> Iterator[str]:
    for origin, reason in _STANDS_FOR_ALL.items():
        if policy.credentials and origin in policy.origins:
            yield f"{_name('origins')} must list origins one by one with credentials: {reason}."
    for origin in policy.origins:
        if policy.credentials and _TOP_LEVEL.fullmatch(origin):
            yield f"{_name('origins')} must not have a wildcard over a top-level domain with credentials."
    if not policy.methods:
        yield f"{_name('methods')} must name a method; to let nobody in, list no origins."
    for name in ("headers", "expose"):
        if "*" in getattr(policy, name):
            yield f"{_name(name)} must name headers one by one: * is every header to a browser."


def _name(name: str) -> str:
    return f"GUARD_CORS_{name.removesuffix('_s').upper()}, or what cors() says instead,"


def _compile(origins: tuple[str, ...]) -> re.Pattern[str]:
    """Return an expression for the whole of a listed origin. With none listed it matches nothing."""
    listed = []
    for origin in origins:
        scheme, is_wildcard, domain = origin.partition("://" + _SUBDOMAIN)
        listed.append(re.escape(f"{scheme}://") + _LABELS + re.escape(domain) if is_wildcard else re.escape(origin))
    return re.compile(rf"(?:{'|'.join(listed)})\Z" if listed else r"(?!)")
