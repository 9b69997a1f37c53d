"""The headers that every answer carries, errors, redirects and static files included.

Pure: settings in, header pairs out. The edge calls `HeaderSet.complete` when an answer starts, because an
after_request function is skipped when another one before it raises.
Rule: a header that the view set stays; whatever does not depend on the answer is computed once, in
HeaderSet.__init__ and, for a route with its own content policy, in HeaderSet.prepare.
`docs/reference/headers.md` lists what is here, and a test compares the two.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from operator import itemgetter
from typing import Final, Literal, get_args
from urllib.parse import quote

from ..config.kinds import header_name, require_header_value
from ..config.sections import BrowserSettings
from ..errors import ConfigError
from .csp import REPORT_GROUP, ContentPolicy, as_policy, find_policy

Pair = tuple[str, str]
_get_name: Final = itemgetter(0)

DEFAULT_HEADERS: Final[tuple[Pair, ...]] = (
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    ("Referrer-Policy", "strict-origin-when-cross-origin"),
    ("Permissions-Policy", "geolocation=(), microphone=(), camera=(), payment=(), usb=()"),
    # 0, not "1; mode=block": the old filters could be made to cut scripts out of a page and so to leak.
    ("X-XSS-Protection", "0"),
    # It leaves CORS alone: browsers look at it for requests without CORS only (Fetch, "CORP check").
    ("Cross-Origin-Resource-Policy", "same-origin"),
)

# They say something about documents only.
PAGE_HEADERS: Final[tuple[Pair, ...]] = (
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Origin-Agent-Cluster", "?1"),
)

CSP: Final = "Content-Security-Policy"
CSP_REPORT_ONLY: Final = "Content-Security-Policy-Report-Only"
REPORTING_ENDPOINTS: Final = "Reporting-Endpoints"
HSTS: Final = "Strict-Transport-Security"

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

# For the answer to a logout. Not "cache": it can hold a browser up for seconds.
CLEAR_SITE_DATA: Final[Pair] = ("Clear-Site-Data", '"cookies", "storage"')

# What may be sent without a setting that names it, in lower case.
_OWN_NAMES: Final = frozenset(
    name.lower()
    for name in (
        *dict(DEFAULT_HEADERS + PAGE_HEADERS),
        *(CSP, CSP_REPORT_ONLY, REPORTING_ENDPOINTS, HSTS, SERVICE_NAME),
    )
)

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

# GUARD_HEADERS by the names in lower case.
_Configured = Mapping[str, tuple[str, str | None]]
# The content policy of answers that are no pages, and that of pages; None for none.
_Choice = tuple[ContentPolicy | None, ContentPolicy | None]


@dataclass(frozen=True, slots=True)
class _Shape:
    """What the names of an answer's headers, and of those of the request, tell, whatever their values.

    content_type: the place of the Content-Type. missing: the places of the request's headers that the answer has
    not yet; None when that is all of them. present: the names of both in lower case. is_clean: none of them is one
    that the set would send or take away.
    """

    content_type: int | None
    missing: tuple[int, ...] | None
    present: frozenset[str]
    is_clean: bool


@dataclass(frozen=True, slots=True)
class _Answer:
    """The set for one kind of answer.

    pairs: where no nonce was asked for. Where one was: steady, and policies, (name, text around the nonces) each.
    """

    pairs: tuple[Pair, ...]
    steady: tuple[Pair, ...]
    policies: tuple[tuple[str, tuple[str, ...]], ...]

    def with_nonce(self, nonce: str) -> tuple[Pair, ...]:
        source = f"'nonce-{nonce}'"
        return self.steady + tuple([(name, source.join(pieces)) for name, pieces in self.policies])


@dataclass(frozen=True, slots=True)
class _Answers:
    """The sets of answers that are no pages, of pages, and of a 304 without a Content-Type."""

    api: _Answer
    page: _Answer
    unchanged: _Answer


@dataclass(frozen=True, slots=True)
class PreparedPolicy:
    """All that is sent under one choice of a content policy, over http and over https.

    warnings: one sentence for each thing that browsers read otherwise than the policy seems to mean.
    """

    plain: _Answers
    secure: _Answers
    warnings: tuple[str, ...]


# Applications answer with few different sets of names; a view that makes them up is read anew each time.
_MAX_SHAPES = 256


class HeaderSet:
    """The security headers of one application, computed once.

    settings: GUARD_CSP, GUARD_CSP_REPORT_ONLY, GUARD_CSP_REPORTS and GUARD_HSTS; GUARD_HEADERS overrides, adds or
    (None) leaves out a header by its name in any case, on every answer. service: GUARD_SERVICE_NAME.
    report_path: where browsers send reports when GUARD_CSP_REPORTS is on.
    warnings: those of the two content policies, each with the name of its setting.
    Raises ConfigError, listing every fault, for a header that cannot be sent.
    """

    __slots__ = (
        "_common",
        "_configured",
        "_hsts",
        "_own",
        "_removed",
        "_report_only",
        "_report_path",
        "_shapes",
        "_watched",
        "warnings",
    )

    def __init__(
        self, settings: BrowserSettings, service: str | None = None, *, report_path: str = "/csp-reports"
    ) -> None:
        faults = list(_find_settings_faults(settings, service))
        enforced = _choose("GUARD_CSP", settings.csp, faults)
        self._report_only = _choose("GUARD_CSP_REPORT_ONLY", settings.csp_report_only or "off", faults)
        if faults:
            raise ConfigError(*faults)
        self._configured = {name.lower(): (name, value) for name, value in settings.headers.items()}
        self._common = DEFAULT_HEADERS + (((SERVICE_NAME, service),) if service is not None else ())
        self._hsts = ((HSTS, settings.hsts),) if settings.hsts is not None else ()
        self._report_path = quote(report_path) if settings.csp_reports else None
        self._own = self._prepare(enforced, self._configured)
        self.warnings = tuple(
            f"{setting}: {warning}"
            for setting, policy in (("GUARD_CSP", enforced[1]), ("GUARD_CSP_REPORT_ONLY", self._report_only[1]))
            if policy is not None
            for warning in policy.warnings
        )
        added = {lower for lower, (_name, value) in self._configured.items() if value is not None}
        self._removed = frozenset(name.lower() for name in REMOVED_HEADERS) - added
        self._watched = _OWN_NAMES | self._removed | added
        self._shapes: dict[tuple[tuple[str, ...], tuple[str, ...]], _Shape] = {}

    def prepare(self, value: str | ContentPolicy) -> PreparedPolicy:
        """Return what is sent by a route with a content policy of its own, whatever the media type of its answer.

        value: "api", "page", "off", the text of a policy, or what `csp` builds. The policy under trial
        (GUARD_CSP_REPORT_ONLY) stays. Raises ConfigError.
        """
        policy = find_policy(as_policy(value))
        others = {lower: pair for lower, pair in self._configured.items() if lower != CSP.lower()}
        return self._prepare((policy, policy), others)

    def complete(
        self,
        headers: list[Pair],
        extra: Sequence[Pair] = (),
        *,
        status: str = "200 OK",
        is_secure: bool = False,
        policy: PreparedPolicy | None = None,
        nonce: str | None = None,
    ) -> None:
        """Append to an answer's headers, in place, what they lack; take away what names our software.

        headers: as given to start_response, with status. extra: pairs of this request, such as its id; the
        view's own header wins over them, and they win over the set. is_secure: the client came over https.
        policy: that of the route, when it has its own. nonce: that of the answer, when its view asked for one.
        """
        key = tuple(map(_get_name, headers)), tuple(map(_get_name, extra))
        shape = self._shapes.get(key) or self._remember_shape(*key)
        prepared = policy or self._own
        answers = prepared.secure if is_secure else prepared.plain
        if shape.content_type is None:
            answer = answers.unchanged if status.startswith("304") else answers.api
        else:
            answer = answers.page if _is_page(headers[shape.content_type][1]) else answers.api
        headers += extra if shape.missing is None else [extra[place] for place in shape.missing]
        pairs = answer.pairs if nonce is None else answer.with_nonce(nonce)
        if shape.is_clean:
            headers += pairs
        else:
            self._complete_around(headers, pairs, present=shape.present)

    def _remember_shape(self, names: tuple[str, ...], extra: tuple[str, ...]) -> _Shape:
        lower = [name.lower() for name in names]
        # Of several Content-Types the last one counts, as it did when they were read one by one.
        content_type = len(lower) - 1 - lower[::-1].index("content-type") if "content-type" in lower else None
        present = set(lower)
        missing = []
        for place, name in enumerate(extra):
            if name.lower() not in present:
                present.add(name.lower())
                missing.append(place)
        shape = _Shape(
            content_type,
            missing=None if len(missing) == len(extra) else tuple(missing),
            present=frozenset(present),
            is_clean=self._watched.isdisjoint(present),
        )
        if len(self._shapes) < _MAX_SHAPES:
            self._shapes[names, extra] = shape
        return shape

    def _complete_around(self, headers: list[Pair], pairs: tuple[Pair, ...], *, present: frozenset[str]) -> None:
        if not self._removed.isdisjoint(present):
            headers[:] = [pair for pair in headers if pair[0].lower() not in self._removed]
        headers += [pair for pair in pairs if pair[0].lower() not in present]

    def _prepare(self, enforced: _Choice, configured: _Configured) -> PreparedPolicy:
        api, page = (self._policies(enforced[place], self._report_only[place]) for place in (0, 1))
        # A 304 has no Content-Type, and its headers replace those of the cached answer (RFC 9111, section 4.3.4):
        # the policy of an API would break a cached page, and so would another nonce than the page has.
        lasting = [(name, policy) for name, policy in api if (name, policy) in page and len(policy.pieces) == 1]
        kinds = ((self._common, api), (self._common + PAGE_HEADERS, page), (self._common, lasting))
        plain = _Answers(*(self._make_answer(pairs, policies, configured) for pairs, policies in kinds))
        secure = _Answers(*(self._make_answer(pairs + self._hsts, policies, configured) for pairs, policies in kinds))
        warnings = enforced[1].warnings if enforced[1] is not None else ()
        return PreparedPolicy(plain, secure if self._hsts else plain, warnings)

    def _policies(self, enforced: ContentPolicy | None, trial: ContentPolicy | None) -> list[tuple[str, ContentPolicy]]:
        """Return the policies of one kind of answer by the names of their headers, reports included."""
        path = self._report_path
        return [
            (name, policy if path is None else policy.reporting_to(path))
            for name, policy in ((CSP, enforced), (CSP_REPORT_ONLY, trial))
            if policy is not None
        ]

    def _make_answer(
        self, pairs: tuple[Pair, ...], policies: list[tuple[str, ContentPolicy]], configured: _Configured
    ) -> _Answer:
        sent = [(name, policy) for name, policy in policies if name.lower() not in configured]
        path = self._report_path
        if path is not None and any(policy.reports_to_us for _name, policy in sent):
            pairs += ((REPORTING_ENDPOINTS, f'{REPORT_GROUP}="{path}"'),)
        steady = (
            *(pair for pair in pairs if pair[0].lower() not in configured),
            *((name, value) for name, value in configured.values() if value is not None),
        )
        without_nonce = tuple((name, str(policy.without_nonce())) for name, policy in sent)
        return _Answer(steady + without_nonce, steady, tuple((name, policy.pieces) for name, policy in sent))


@lru_cache(maxsize=256)
def _is_page(content_type: str) -> bool:
    return content_type.partition(";")[0].strip().lower() in _PAGE_TYPES


def _choose(setting: str, value: str, faults: list[str]) -> _Choice:
    """Return the policies that a setting chooses; "auto" is the preset of each kind. Adds to the faults."""
    if value == "auto":
        return find_policy("api"), find_policy("page")
    try:
        policy = find_policy(as_policy(value))
    except ConfigError as exc:
        faults += [f"{setting}: {fault}" for fault in exc.faults]
        return None, None
    return policy, policy


def _find_settings_faults(settings: BrowserSettings, service: str | None) -> Iterator[str]:
    if service is not None:
        yield from (f"GUARD_SERVICE_NAME {fault}." for fault in _find_faults(SERVICE_NAME, service))
    if settings.hsts is not None:
        yield from (f"GUARD_HSTS {fault}." for fault in _find_faults(HSTS, settings.hsts))
    seen: set[str] = set()
    for name, value in settings.headers.items():
        yield from (f"GUARD_HEADERS, {name!r}: {fault}." for fault in _find_faults(name, value or ""))
        if name.lower() in seen:
            yield f"GUARD_HEADERS, {name!r}: is given twice."
        seen.add(name.lower())


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
