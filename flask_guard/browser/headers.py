"""The headers that every answer carries, errors, redirects and static files included.

Pure: settings in, header pairs out. The edge calls `HeaderSet.complete` when an answer starts, because an
after_request function is skipped when another one before it raises.
Rule: a header that the view set stays; whatever does not depend on the answer is computed in
HeaderSet.__init__. `docs/reference/headers.md` lists what is here, and a test compares the two.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal, get_args

from ..config.kinds import header_name, require_header_value
from ..config.sections import BrowserSettings
from ..errors import ConfigError

Pair = tuple[str, str]

DEFAULT_HEADERS: Final[tuple[Pair, ...]] = (
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    ("Referrer-Policy", "strict-origin-when-cross-origin"),
    ("Permissions-Policy", "geolocation=(), microphone=(), camera=(), payment=(), usb=()"),
    # 0, not "1; mode=block": the old filters could be made to cut scripts out of a page and so to leak.
    ("X-XSS-Protection", "0"),
)

CSP: Final = "Content-Security-Policy"

# An answer that is no page has nothing to load, to frame or to send.
API_POLICY: Final = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"

# Scripts come from files of ours: 'unsafe-inline' for scripts would let an injected one run.
PAGE_POLICY: Final = (
    "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: https:; "
    "font-src 'self' data:; connect-src 'self'; frame-ancestors 'none'; base-uri 'self'; form-action 'self'"
)

SERVICE_NAME: Final = "X-Service-Name"

# They name products and versions, for whoever looks for a known hole.
REMOVED_HEADERS: Final = ("Server", "X-Powered-By")

# For answers that hold a credential; each replaces what the view set (RFC 6749, section 5.1).
NO_STORE: Final[tuple[Pair, ...]] = (
    ("Cache-Control", "no-store, no-cache, must-revalidate, private"),
    ("Pragma", "no-cache"),
)

# For answers to authenticated requests, unless the view set a Cache-Control of its own.
NO_STORE_AUTHENTICATED: Final[Pair] = ("Cache-Control", "no-store")

_PAGE_TYPES: Final = frozenset({"text/html", "application/xhtml+xml"})

# The server's own business: hop-by-hop headers (PEP 3333, "Other HTTP Features") and the length of the body.
_FRAMING: Final = frozenset(
    {
        "connection",
        "content-length",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "te",  # codespell:ignore te
        "trailer",
        "trailers",
        "transfer-encoding",
        "upgrade",
    }
)

Mode = Literal["set", "append", "if-missing"]


@dataclass(frozen=True, slots=True)
class _Shape:
    """What the names of an answer's headers tell, whatever their values.

    content_type: the place of the Content-Type. present: the names in lower case. is_clean: none of them is
    one that the set would send or take away.
    """

    content_type: int | None
    present: frozenset[str]
    is_clean: bool


# Applications answer with few different sets of names; a view that makes them up is read anew each time.
_MAX_SHAPES = 256


class HeaderSet:
    """The security headers of one application, computed once.

    settings: GUARD_CSP chooses the policy; GUARD_HEADERS overrides, adds or (None) leaves out a header by its
    name in any case. service: GUARD_SERVICE_NAME.
    Raises ConfigError, listing every fault, for a header that cannot be sent.
    """

    __slots__ = ("_api", "_page", "_removed", "_shapes", "_unchanged", "_watched")

    def __init__(self, settings: BrowserSettings, service: str | None = None) -> None:
        fixed = _collect_fixed(settings.headers, service=service)
        api_policy, page_policy = _choose_policies(settings)
        self._api = _with_policy(fixed, api_policy)
        self._page = _with_policy(fixed, page_policy)
        # A 304 has no Content-Type, and its headers replace those of the cached answer (RFC 9111, section
        # 4.3.4): the policy of an API would break a cached page, so what depends on the type is left out.
        self._unchanged = self._api if api_policy == page_policy else _with_policy(fixed, None)
        self._removed = frozenset(name.lower() for name in REMOVED_HEADERS) - fixed.keys()
        self._watched = self._removed | {name.lower() for name, _value in self._api + self._page}
        self._shapes: dict[tuple[str, ...], _Shape] = {}

    def for_content_type(self, content_type: str | None) -> tuple[Pair, ...]:
        """Return the set for an answer of this media type: that of pages for HTML, else that of an API."""
        if content_type is not None and content_type.partition(";")[0].strip().lower() in _PAGE_TYPES:
            return self._page
        return self._api

    def complete(self, headers: list[Pair], extra: Iterable[Pair] = (), *, status: str = "200 OK") -> None:
        """Append to an answer's headers, in place, what they lack; take away what names our software.

        headers: as given to start_response, with status. extra: pairs of this request, such as its id; the
        view's own header wins over them, and they win over the set.
        """
        names = tuple([pair[0] for pair in headers])
        shape = self._shapes.get(names) or self._remember_shape(names)
        content_type = None if shape.content_type is None else headers[shape.content_type][1]
        is_unchanged = content_type is None and status.startswith("304")
        pairs = self._unchanged if is_unchanged else self.for_content_type(content_type)
        present = shape.present
        for pair in extra:
            lower = pair[0].lower()
            if lower not in present:
                present = present | {lower}
                headers.append(pair)
        if shape.is_clean and (present is shape.present or self._watched.isdisjoint(present)):
            headers += pairs
        else:
            self._complete_around(headers, pairs, present=present)

    def _remember_shape(self, names: tuple[str, ...]) -> _Shape:
        lower = [name.lower() for name in names]
        # Of several Content-Types the last one counts, as it did when they were read one by one.
        content_type = len(lower) - 1 - lower[::-1].index("content-type") if "content-type" in lower else None
        present = frozenset(lower)
        shape = _Shape(content_type, present, self._watched.isdisjoint(present))
        if len(self._shapes) < _MAX_SHAPES:
            self._shapes[names] = shape
        return shape

    def _complete_around(self, headers: list[Pair], pairs: tuple[Pair, ...], *, present: frozenset[str]) -> None:
        if not self._removed.isdisjoint(present):
            headers[:] = [pair for pair in headers if pair[0].lower() not in self._removed]
        headers += [pair for pair in pairs if pair[0].lower() not in present]


def _collect_fixed(configured: Mapping[str, str | None], *, service: str | None) -> dict[str, Pair]:
    """Return every header but the policy, by its name in lower case."""
    fixed = {name.lower(): (name, value) for name, value in DEFAULT_HEADERS}
    faults = []
    if service is not None:
        fixed[SERVICE_NAME.lower()] = (SERVICE_NAME, service)
        faults += [f"GUARD_SERVICE_NAME {fault}." for fault in _find_faults(SERVICE_NAME, service)]
    seen: set[str] = set()
    for name, value in configured.items():
        lower = name.lower()
        faults += [f"GUARD_HEADERS, {name!r}: {fault}." for fault in _find_faults(name, value or "")]
        if lower in seen:
            faults.append(f"GUARD_HEADERS, {name!r}: is given twice.")
        seen.add(lower)
        fixed.pop(lower, None)
        if value is not None:
            fixed[lower] = (name, value)
    if faults:
        raise ConfigError(*faults)
    return fixed


def _choose_policies(settings: BrowserSettings) -> tuple[str | None, str | None]:
    """Return the policy of API answers and that of pages; None for no policy beside GUARD_HEADERS."""
    if settings.csp == "off" or any(name.lower() == CSP.lower() for name in settings.headers):
        return None, None
    if settings.csp == "auto":
        return API_POLICY, PAGE_POLICY
    policy = {"api": API_POLICY, "page": PAGE_POLICY}.get(settings.csp, settings.csp)
    for fault in _find_faults(CSP, policy):
        raise ConfigError(f"GUARD_CSP {fault}.")
    return policy, policy


def _with_policy(fixed: Mapping[str, Pair], policy: str | None) -> tuple[Pair, ...]:
    return (*fixed.values(), (CSP, policy)) if policy is not None else tuple(fixed.values())


@dataclass(frozen=True, slots=True)
class HeaderRule:
    """One header that a route, a blueprint or the application adds to its answers.

    mode: "set" replaces what is there, "append" adds a line beside it, "if-missing" leaves it alone.
    Raises ConfigError for a name that is none, for a value that could break out of its line or is not
    latin-1, for a header that only the server may set, and for an unknown mode.
    """

    name: str
    value: str
    mode: Mode = "set"

    def __post_init__(self) -> None:
        faults = list(_find_faults(self.name, self.value))
        if self.mode not in get_args(Mode):
            faults.append(f"the mode must be one of {', '.join(get_args(Mode))}")
        if faults:
            raise ConfigError(*(f"The header {self.name!r}: {fault}." for fault in faults))


def apply_header_rules(headers: list[Pair], rules: Iterable[HeaderRule]) -> None:
    """Apply the rules to an answer's headers, in place and in their order."""
    for rule in rules:
        lower = rule.name.lower()
        if rule.mode == "set":
            headers[:] = [pair for pair in headers if pair[0].lower() != lower]
        elif rule.mode == "if-missing" and any(pair[0].lower() == lower for pair in headers):
            continue
        headers.append((rule.name, rule.value))


def _find_faults(name: str, value: str) -> Iterator[str]:
    """Yield what is wrong with a header that was configured, without its value: it may be a secret."""
    try:
        if header_name(name) != name:
            raise ValueError("must be the name of an HTTP header")
        if name.lower() in _FRAMING:
            raise ValueError("may only be set by the server")
    except ValueError as exc:
        yield str(exc)
    try:
        # Stripped, a value may hide what is not latin-1: U+2028 counts as white space.
        if require_header_value(value) != value:
            raise ValueError("must not begin or end with white space")
    except ValueError as exc:
        yield f"the value {exc}"
