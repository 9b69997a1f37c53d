"""What browsers report against a content security policy, and which change of the policy would allow it.

Pure: parsed JSON in, violations out. Anybody may send a report, and an honest one holds addresses of the visitor:
what is kept is printable ASCII of a bounded length, without queries, fragments, and parts of a path that look
like ids, addresses of people or tokens.
Source: Content Security Policy Level 3, section 5 (both forms of reports); Level 2, section 4.4 (the older form).
Rule: a member that a browser would not send is dropped; whatever is kept was matched as a whole.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from typing import Any, Final, NamedTuple

from ..errors import BadRequest
from ..values import CspViolation
from .csp import SOURCE_DIRECTIVES

MAX_REPORTS: Final = 20  # of one request; browsers send one, or the few of a page together

_MAX_LINE: Final = 2**31 - 1
_MAX_PATH: Final = 200

# Those that take sources, with two that older browsers knew; then the others that a browser reports on.
_SOURCE_DIRECTIVES: Final = SOURCE_DIRECTIVES | {"navigate-to", "prefetch-src"}
_OTHER_DIRECTIVES: Final = frozenset(
    {
        "block-all-mixed-content",
        "plugin-types",
        "require-trusted-types-for",
        "sandbox",
        "trusted-types",
        "upgrade-insecure-requests",
    }
)
_DIRECTIVES: Final = _SOURCE_DIRECTIVES | _OTHER_DIRECTIVES

# What extensions and the browser itself do in a page; their schemes end in "-extension" but for these.
_FOREIGN_SCHEMES: Final = frozenset({"chrome", "resource", "webkit-masked-url"})

_URL: Final = re.compile(
    r"(https?|wss?)://(?:[^/?#@\\]*+@)?+(\[[0-9a-f:.]{2,45}\]|[a-z0-9._-]{1,253})(?::([0-9]{1,5}))?+"
    r"(?![^/?#])([^?#]*)",
    re.IGNORECASE | re.ASCII,
)
_DEFAULT_PORTS: Final = {"http": "80", "https": "443", "ws": "80", "wss": "443"}
_WORD: Final = re.compile(r"([a-z][a-z0-9+.-]{0,31})(?::|\Z)", re.IGNORECASE | re.ASCII)

_UNPRINTABLE: Final = re.compile(r"[^!-~]")
_PATH_PARAMETER: Final = re.compile(r";[^/]*")  # such as ;jsessionid=...
_FILES: Final = (".css", ".js", ".mjs")
# A number, an address of a person, or what is too long or too mixed for a name: a UUID, a token.
_OPAQUE: Final = re.compile(
    r"[0-9]+|[^/]*(?:@|%40)[^/]*|[^/]*[0-9]{7}[^/]*|(?=[^/]*[0-9][^0-9/]+[0-9])[^/]{8,}"
    r"|(?=[^/]*(?:[0-9]|[a-z][^/]*[A-Z]))[^/]{16,}|[^/]{41,}"
)


class _Names(NamedTuple):
    """What one form of report calls its members."""

    directive: str
    older_directive: str
    blocked: str
    document: str
    source_file: str
    line: str


_CSP_REPORT: Final = _Names(
    "effective-directive", "violated-directive", "blocked-uri", "document-uri", "source-file", "line-number"
)
_REPORTING_API: Final = _Names(
    "effectiveDirective", "violatedDirective", "blockedURL", "documentURL", "sourceFile", "lineNumber"
)


class _Url(NamedTuple):
    """An address on the web. origin: in lower case, without the scheme's own port."""

    origin: str
    path: str


def read_violations(document: object) -> list[CspViolation]:
    """Return the violations of one request, MAX_REPORTS at most.

    document: the parsed JSON of `application/csp-report` (an object with a member "csp-report") or of
    `application/reports+json` (a list, of which other types than "csp-violation" are passed over).
    Raises BadRequest for anything else.
    """
    if isinstance(document, list):
        found = _read_list(document)
    elif isinstance(document, dict) and isinstance(document.get("csp-report"), dict):
        found = _read_each([document["csp-report"]], _CSP_REPORT)
    else:
        raise BadRequest(detail="neither an object with a csp-report nor a list of reports")
    return list(islice(found, MAX_REPORTS))


def _read_list(reports: list[Any]) -> Iterator[CspViolation]:
    bodies = (item.get("body") for item in reports if isinstance(item, dict) and item.get("type") == "csp-violation")
    return _read_each((body for body in bodies if isinstance(body, dict)), _REPORTING_API)


def _read_each(bodies: Any, names: _Names) -> Iterator[CspViolation]:
    for body in bodies:
        violation = _read_violation(body, names)
        if violation is not None:
            yield violation


def _read_violation(body: dict[str, Any], names: _Names) -> CspViolation | None:
    directive = _find_directive(_text(body, names.directive) or _text(body, names.older_directive))
    raw_document, raw_blocked, raw_source = (
        _text(body, name) for name in (names.document, names.blocked, names.source_file)
    )
    if directive is None or any(_is_foreign(raw) for raw in (raw_document, raw_blocked, raw_source)):
        return None
    page = _parse_url(raw_document)
    own_origin = page.origin if page else None
    document = _reduce_path(page.path, has_files=False) if page else _find_word(raw_document)
    blocked = _reduce_blocked(raw_blocked, directive=directive, own_origin=own_origin)
    if document is None or blocked is None:
        return None
    line = body.get(names.line)
    return CspViolation(
        directive=directive,
        blocked=blocked,
        document=document,
        disposition="report" if body.get("disposition") == "report" else "enforce",  # the older form has none
        source_file=_reduce_source(raw_source, own_origin=own_origin),
        line=line if type(line) is int and 0 < line <= _MAX_LINE else None,
    )


def _text(body: dict[str, Any], name: str) -> str:
    value = body.get(name)
    return value.strip() if isinstance(value, str) else ""


def _find_directive(raw: str) -> str | None:
    """Return the directive; older browsers send it with its sources."""
    name = raw.partition(" ")[0].lower()
    return name if name in _DIRECTIVES else None


def _is_foreign(raw: str) -> bool:
    word = _find_word(raw)
    return word is not None and (word in _FOREIGN_SCHEMES or word.endswith("-extension"))


def _find_word(raw: str) -> str | None:
    """Return a keyword, or the scheme of an address that is not one of the web."""
    match = _WORD.match(raw)
    word = match[1].lower() if match else None
    return None if word in _DEFAULT_PORTS else word


def _parse_url(raw: str) -> _Url | None:
    match = _URL.match(raw)
    if match is None:
        return None
    scheme, port = match[1].lower(), match[3]
    shown_port = "" if port in (None, _DEFAULT_PORTS[scheme]) else f":{port}"
    return _Url(f"{scheme}://{match[2].lower()}{shown_port}", match[4])


def _reduce_blocked(raw: str, *, directive: str, own_origin: str | None) -> str | None:
    if not raw:  # an inline script or style in the older form
        return "inline" if directive.startswith(("script-", "style-")) else "unknown"
    url = _parse_url(raw)
    if url is not None:
        return "self" if url.origin == own_origin else url.origin
    word = _find_word(raw)
    return "inline" if word == "self" else word  # Firefox's word for it before version 59


def _reduce_source(raw: str, *, own_origin: str | None) -> str | None:
    url = _parse_url(raw)
    if url is None:
        return _find_word(raw)
    path = _reduce_path(url.path)
    return path if url.origin == own_origin else url.origin + path


def _reduce_path(path: str, *, has_files: bool = True) -> str:
    segments = _UNPRINTABLE.sub("_", _PATH_PARAMETER.sub("", path)).split("/")
    kept = ("*" if _is_opaque(segment, has_files) else segment for segment in segments)
    return "/".join(kept)[:_MAX_PATH] or "/"


def _is_opaque(segment: str, has_files: bool) -> bool:
    return not (has_files and segment.endswith(_FILES)) and _OPAQUE.fullmatch(segment) is not None


# The change of the policy ------------------------------------------------------------------------------

# What a browser shows or plays, and does not run.
_PASSIVE: Final = frozenset({"img-src", "font-src", "media-src"})

_ADVICE: Final = {
    "eval": "Replace eval, new Function and timers that take text; never add 'unsafe-eval', which makes code of data.",
    "wasm-eval": "Add 'wasm-unsafe-eval' to script-src if the page uses WebAssembly of its own; never 'unsafe-eval'.",
    "trusted-types-policy": "Add the policy's name to trusted-types if the policy is yours.",
    "trusted-types-sink": "Pass the value through a Trusted Types policy before it gets to a sink such as innerHTML.",
    "unknown": "The browser did not say what it blocked; open the page and read the browser's console.",
}
_CONDITIONS: Final = {
    "base-uri": "if your pages may resolve their links against that site",
    "form-action": "if that site may get what your users enter",
    "frame-ancestors": "if that site may show your pages in a frame",
    "object-src": "if you trust whatever that site serves: plug-ins run as yours",
    "script-src": "if you trust whatever that site serves: its scripts run as yours",
    "worker-src": "if you trust whatever that site serves: its scripts run as yours",
}


def propose_change(directive: str, blocked: str) -> str:
    """Return, in a sentence, what would allow this, or what to do in its place when allowing it undoes the policy.

    directive, blocked: of a CspViolation.
    """
    if directive not in _SOURCE_DIRECTIVES:
        return f"{directive} lists no sources; decide whether the page or the policy is wrong."
    if blocked in _ADVICE:
        return _ADVICE[blocked]
    if blocked == "inline":
        return _advise_inline(directive)
    target = directive.removesuffix("-elem").removesuffix("-attr")
    if blocked == "self":
        return f"Add 'self' to {target}."
    if "://" in blocked:
        return _allow_origin(blocked, target)
    return _allow_scheme(f"{blocked}:", target)


def _advise_inline(directive: str) -> str:
    if directive.endswith("-attr"):
        return (
            f"Move what the attribute does into a file: a nonce does not cover attributes. Never add 'unsafe-inline' "
            f"to {directive.removesuffix('-attr')}, which allows injected ones too."
        )
    target = directive.removesuffix("-elem")
    return (
        f"Move it into a file, or give the element a nonce and send 'nonce-...' in {target}; never add "
        "'unsafe-inline', which allows injected ones too."
    )


def _allow_origin(origin: str, target: str) -> str:
    condition = _CONDITIONS.get(target, "if your pages are meant to use it")
    warning = " It is not encrypted: anybody on the way can change it." if origin.startswith(("http:", "ws:")) else ""
    return f"Add {origin} to {target} {condition}.{warning}"


def _allow_scheme(scheme: str, target: str) -> str:
    if target in _PASSIVE:
        return f"Add {scheme} to {target} if the page makes such addresses; it then allows all of them, injected too."
    or_nonce = ", or give the element a nonce" if target in ("script-src", "style-src") else ""
    return (
        f"Serve it from a file{or_nonce}; never add {scheme} to {target}, which allows whatever an attacker writes "
        "into such an address."
    )
