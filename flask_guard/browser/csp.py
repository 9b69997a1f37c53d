"""Content policies: what a page may load, run, send and be framed by; read from text or built from sources.

Pure. The source 'nonce' is a placeholder: an answer whose view asked for a nonce gets it there, any other answer
is sent without the source. `headers` splits each policy around it once, at start.
Source: Content Security Policy Level 3 (W3C), sections 2.2 (syntax) and 2.3 (sources).
Rule: nothing gets into a policy that could end a source, a directive or the header.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from ..errors import ConfigError

SELF: Final = "'self'"
NONE: Final = "'none'"
NONCE: Final = "'nonce'"
STRICT_DYNAMIC: Final = "'strict-dynamic'"
UNSAFE_INLINE: Final = "'unsafe-inline'"

# An answer that is no page has nothing to load, to frame or to send.
API_POLICY: Final = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"

# Scripts come from files of ours: 'unsafe-inline' for scripts would let an injected one run.
PAGE_POLICY: Final = (
    "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: https:; "
    "font-src 'self' data:; connect-src 'self'; frame-ancestors 'none'; base-uri 'self'; form-action 'self'"
)

REPORT_GROUP: Final = "guard-csp"

# What csp() takes for a directive: its sources, one source, or True for a directive that stands alone.
Sources = Iterable[str] | bool

_Directives = tuple[tuple[str, tuple[str, ...]], ...]

# Those that take a list of sources.
SOURCE_DIRECTIVES: Final = frozenset(
    {
        "base-uri",
        "child-src",
        "connect-src",
        "default-src",
        "fenced-frame-src",
        "font-src",
        "form-action",
        "frame-ancestors",
        "frame-src",
        "img-src",
        "manifest-src",
        "media-src",
        "object-src",
        "script-src",
        "script-src-attr",
        "script-src-elem",
        "style-src",
        "style-src-attr",
        "style-src-elem",
        "worker-src",
    }
)
_STANDING_ALONE: Final = frozenset({"block-all-mixed-content", "sandbox", "upgrade-insecure-requests"})
_REPORTING: Final = frozenset({"report-to", "report-uri"})
_OTHERS: Final = frozenset({"require-trusted-types-for", "trusted-types", "webrtc"})
_KNOWN: Final = SOURCE_DIRECTIVES | _STANDING_ALONE | _REPORTING | _OTHERS

# CSP 3, "keyword-source"; 'inline-speculation-rules' is of the HTML standard.
_KEYWORDS: Final = frozenset(
    f"'{word}'"
    for word in [
        "self",
        "none",
        "nonce",
        "unsafe-inline",
        "unsafe-eval",
        "unsafe-hashes",
        "unsafe-allow-redirects",
        "unsafe-webtransport-hashes",
        "strict-dynamic",
        "report-sample",
        "report-sha256",
        "report-sha384",
        "report-sha512",
        "wasm-unsafe-eval",
        "trusted-types-eval",
        "inline-speculation-rules",
    ]
)
# Words in quotes of the directives that hold no sources.
_OTHER_KEYWORDS: Final[Mapping[str, frozenset[str]]] = {
    "require-trusted-types-for": frozenset({"'script'"}),
    "trusted-types": frozenset({NONE, "'allow-duplicates'"}),
    "webrtc": frozenset({"'allow'", "'block'"}),
}
_ALL_KEYWORDS: Final = _KEYWORDS.union(*_OTHER_KEYWORDS.values())
_NONCE_OR_HASH: Final = re.compile(r"'(?i:(nonce)|sha(?:256|384|512))-[A-Za-z0-9+/_-]+={0,2}'")

_NAME: Final = re.compile(r"[a-z0-9-]+")
# Visible ASCII but quotes, the comma (which begins another policy) and the semicolon.
_PLAIN_SOURCE: Final = re.compile(r"[!#-&(-+\--:<-~]+")
_TEXT: Final = re.compile(r"[ -~]*")

_NONCE_BYTES: Final = 16


def make_nonce() -> str:
    """Return 128 random bits as base64url without padding, which needs no escaping in HTML. For one answer only."""
    return secrets.token_urlsafe(_NONCE_BYTES)


@dataclass(frozen=True, slots=True)
class ContentPolicy:
    """A content policy that can be sent. `str()` is its text, with the placeholder where a nonce goes.

    directives: (name in lower case, sources) in order; keywords in lower case. `csp` and `parse_policy` make them.
    Raises ConfigError with every fault: a source that could break out of its place, a keyword that is none,
    'none' beside others, a directive twice, none at all.
    """

    directives: _Directives

    def __post_init__(self) -> None:
        if faults := tuple(_find_faults(self.directives)):
            raise ConfigError(*faults)

    def __str__(self) -> str:
        return "; ".join(" ".join((name, *sources)) for name, sources in self.directives)

    @property
    def warnings(self) -> tuple[str, ...]:
        """One sentence for each thing that browsers read otherwise than it was meant."""
        return tuple(_find_warnings(self.directives))

    @property
    def pieces(self) -> tuple[str, ...]:
        """The text around the placeholders: one piece more than there are of them."""
        return tuple(str(self).split(NONCE))

    @property
    def reports_to_us(self) -> bool:
        return ("report-to", (REPORT_GROUP,)) in self.directives

    def without_nonce(self) -> ContentPolicy:
        """Return the policy of an answer that has no nonce."""
        return ContentPolicy(tuple((name, _without_nonce(sources)) for name, sources in self.directives))

    def reporting_to(self, path: str) -> ContentPolicy:
        """Return the policy with its violations sent to the path, unless it says itself where they go.

        report-uri is for browsers without the Reporting API; the others ignore it beside report-to.
        """
        if _REPORTING & dict(self.directives).keys():
            return self
        return ContentPolicy((*self.directives, ("report-uri", (path,)), ("report-to", (REPORT_GROUP,))))


def _without_nonce(sources: tuple[str, ...]) -> tuple[str, ...]:
    if NONCE not in sources:
        return sources
    # Beside a nonce browsers ignore 'unsafe-inline'; left behind, it would let every inline script run.
    kept = tuple(source for source in sources if source not in (NONCE, UNSAFE_INLINE))
    # 'strict-dynamic' sets hosts aside, so that without a nonce or a hash nothing is let in.
    is_closed = STRICT_DYNAMIC in kept and not any(_NONCE_OR_HASH.fullmatch(source) for source in kept)
    return (NONE,) if is_closed or not kept else kept


def parse_policy(text: str) -> ContentPolicy:
    """Return the policy that the text of a header writes, in any spacing and case. Raises ConfigError."""
    if not _TEXT.fullmatch(text):
        raise ConfigError("A content policy must be one line of ASCII.")
    parts = filter(None, (part.split() for part in text.split(";")))
    return ContentPolicy(tuple((name.lower(), _normalize(sources)) for name, *sources in parts))


def csp(**directives: Sources) -> ContentPolicy:
    """Return a policy: csp(default_src=[SELF], script_src=[SELF, NONCE], upgrade_insecure_requests=True).

    False leaves a directive out; an empty list allows nothing. Raises ConfigError.
    """
    named = ((name.replace("_", "-").lower(), given) for name, given in directives.items())
    return ContentPolicy(tuple((name, _as_sources(name, given)) for name, given in named if given is not False))


def _as_sources(name: str, given: Sources) -> tuple[str, ...]:
    if given is True and name in _STANDING_ALONE:
        return ()
    if isinstance(given, str):
        return _normalize([given])
    if not isinstance(given, Iterable):
        raise ConfigError(f"The directive {name!a} takes a list of sources.")
    return _normalize(given)


def _normalize(sources: Iterable[str]) -> tuple[str, ...]:
    """Return the sources with the keywords, which have no case, in lower case; what is no text is a fault later."""
    return tuple(source.lower() if str(source).lower() in _ALL_KEYWORDS else source for source in sources)


def as_policy(value: object) -> str:
    """Return what a rule says in one form: "api", "page", "off", or the text of a policy. Raises ConfigError."""
    if isinstance(value, ContentPolicy):
        return str(value)
    word = value.strip().casefold() if isinstance(value, str) else ""
    if word in _PRESETS:
        return word
    # A lone word that is no directive is a preset misspelt; as a policy it would allow everything.
    if not isinstance(value, str) or (_NAME.fullmatch(word) and word not in _KNOWN):
        raise ConfigError(
            'A content policy is "api", "page", "off", a text such as "default-src https:", or built by csp().'
        )
    return str(parse_policy(value))


def find_policy(choice: str) -> ContentPolicy | None:
    """Return the policy that `as_policy` told; None for "off"."""
    return _PRESETS[choice] if choice in _PRESETS else parse_policy(choice)


def _find_faults(directives: _Directives) -> Iterator[str]:
    if not directives:
        yield 'A content policy needs a directive; "off" stands for none.'
    seen: set[str] = set()
    for name, sources in directives:
        if not _NAME.fullmatch(name):
            yield f"{name!a} is not the name of a directive."
        elif name in seen:
            yield f"The directive {name!a} is there twice; browsers read the first only."
        seen.add(name)
        if NONE in sources and len(sources) > 1:
            yield f"The directive {name!a} has 'none' beside other sources."
        for source in sources:
            if not _is_source(name, source):
                yield f"The directive {name!a} has {source!a}, which is not a source."


def _is_source(name: str, source: object) -> bool:
    if not isinstance(source, str):
        return False
    is_quoted = source in _OTHER_KEYWORDS.get(name, _KEYWORDS) or _NONCE_OR_HASH.fullmatch(source)
    return bool(is_quoted or _PLAIN_SOURCE.fullmatch(source))


def _find_warnings(directives: _Directives) -> Iterator[str]:
    for name, sources in directives:
        if name not in _KNOWN:
            yield f"The directive {name!r} is unknown: browsers ignore it."
        for source in sources:
            written = _NONCE_OR_HASH.fullmatch(source)
            if written and written[1]:
                yield f"The directive {name!r} has a nonce that never changes, so it protects nothing; write 'nonce'."
            if f"'{source}'" in _KEYWORDS or _NONCE_OR_HASH.fullmatch(f"'{source}'"):
                yield f"The directive {name!r} has {source!r} without quotes, which is a host."
            if source in _KNOWN:
                yield f"The directive {name!r} has {source!r} as a source; a semicolon is missing before it."


_PRESETS: Final[Mapping[str, ContentPolicy | None]] = {
    "api": parse_policy(API_POLICY),
    "page": parse_policy(PAGE_POLICY.replace("script-src 'self'", "script-src 'self' 'nonce'")),
    "off": None,
}
