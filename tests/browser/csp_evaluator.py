"""Google's CSP Evaluator, recomputed: what it says of a content policy in the eyes of a browser with CSP 3.

Source: github.com/google/csp-evaluator, its default checks and their severities. Left out: Flash, and the checks of
spelling, which the policies under test pass to exist at all.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from urllib.parse import SplitResult, urlsplit


class Severity(IntEnum):
    HIGH = 10
    SYNTAX = 20
    MEDIUM = 30
    MEDIUM_MAYBE = 50
    INFO = 60


@dataclass(frozen=True)
class Finding:
    severity: Severity
    kind: str
    directive: str
    value: str = ""


Directives = dict[str, list[str]]

_SCRIPTS = ("script-src", "script-src-attr", "script-src-elem")
_CAUSE_XSS = (*_SCRIPTS, "object-src", "base-uri")
_FALL_BACK = re.compile(r"[a-z-]+-src(-attr|-elem)?")
_HASH = re.compile(r"'sha(256|384|512)-.+'")
_NONCE = re.compile(r"'nonce-(.+)'")
_IP_ADDRESS = re.compile(r"\[.+\]|\d{1,3}(\.\d{1,3}){3}")
_DEPRECATED = ("reflected-xss", "referrer", "disown-opener")

# A few of allowlist_bypasses/angular.ts and jsonp.ts: files of these hosts let a page that allows them run anything.
_BYPASSES = tuple(
    urlsplit(address)
    for address in (
        "//ajax.googleapis.com/ajax/libs/angularjs/1.2.0rc1/angular-route.min.js",
        "//cdnjs.cloudflare.com/ajax/libs/angular.js/1.2.16/angular.min.js",
        "//cdn.jsdelivr.net/angularjs/1.1.2/angular.min.js",
        "//gstatic.com/fsn/angular_js-bundle1.js",
        "//www.google.com/tools/feedback/escalation-options",
        "//accounts.google.com/o/oauth2/revoke",
        "//www.googletagmanager.com/gtm/js",
        "//api.twitter.com/1/statuses/oembed.json",
        "//www.youtube.com/profile_style",
    )
)
_BYPASSES_WITH_EVAL = frozenset({"www.googletagmanager.com"})


def evaluate(policy: str) -> list[Finding]:
    """Return what the evaluator finds in the text of one policy."""
    written = _parse(policy)
    effective = _make_effective(written)
    return [*_check_scripts(effective), *_check_origins(effective), *_check_missing(effective), *_check_rest(effective)]


def _parse(policy: str) -> Directives:
    directives: Directives = {}
    for name, *values in filter(None, (part.split() for part in policy.split(";"))):
        directives.setdefault(name.lower(), values)
    return directives


def _script_source(directives: Directives) -> str:
    return "script-src" if "script-src" in directives else "default-src"


def _make_effective(written: Directives) -> Directives:
    """Return what a browser with CSP 3 reads: nonces outweigh 'unsafe-inline', 'strict-dynamic' outweighs hosts."""
    name = _script_source(written)
    values = written.get(name, [])
    if any(_NONCE.fullmatch(value) or _HASH.fullmatch(value) for value in values):
        values = [value for value in values if value != "'unsafe-inline'"]
    if "'strict-dynamic'" in values:
        values = [value for value in values if value[0] == "'" and value not in ("'self'", "'unsafe-inline'")]
    return {**written, name: values} if name in written else written


def _effective_names(directives: Directives, names: tuple[str, ...]) -> list[str]:
    found = [name if name in directives or not _FALL_BACK.fullmatch(name) else "default-src" for name in names]
    return [name for name in dict.fromkeys(found) if name in directives]


def _check_scripts(directives: Directives) -> Iterator[Finding]:
    for name in _effective_names(directives, _SCRIPTS):
        if "'unsafe-inline'" in directives[name]:
            yield Finding(Severity.HIGH, "inline scripts", name)
        for keyword in ("'unsafe-eval'", "'unsafe-hashes'"):
            if keyword in directives[name]:
                yield Finding(Severity.MEDIUM_MAYBE, keyword, name)
    for name in _effective_names(directives, ("script-src", "script-src-elem")):
        if "'none'" not in directives[name]:
            yield from (_judge_host(name, value, directives[name]) for value in directives[name] if _is_host(value))


def _is_host(value: str) -> bool:
    return value == "'self'" or (value[0] != "'" and not value.endswith(":") and "." in value)


def _judge_host(name: str, value: str, values: list[str]) -> Finding:
    severity = Severity.MEDIUM_MAYBE
    if value != "'self'":
        allowed = urlsplit(f"//{_without_scheme(value).replace(':*', '')}")
        if any(
            _allows(allowed, known) and (known.netloc not in _BYPASSES_WITH_EVAL or "'unsafe-eval'" in values)
            for known in _BYPASSES
        ):
            severity = Severity.HIGH
    return Finding(severity, "allowed host", name, value)


def _allows(allowed: SplitResult, known: SplitResult) -> bool:
    host = allowed.netloc.lower()
    if not (known.netloc.endswith(host[1:]) if host.startswith("*.") else known.netloc == host):
        return False
    if allowed.path in ("", "/"):
        return True
    return known.path.startswith(allowed.path) if allowed.path.endswith("/") else known.path == allowed.path


def _without_scheme(value: str) -> str:
    return re.sub(r"^(\w[+\w.-]*:)?//", "", value)


def _check_origins(directives: Directives) -> Iterator[Finding]:
    for name in _effective_names(directives, _CAUSE_XSS):
        for value in directives[name]:
            if value in ("data:", "http:", "https:"):
                yield Finding(Severity.HIGH, "plain scheme", name, value)
            if _without_scheme(value) == "*":
                yield Finding(Severity.HIGH, "wildcard", name, value)


def _check_missing(directives: Directives) -> Iterator[Finding]:
    default = directives.get("default-src", [])
    if not directives.get("object-src", default):
        yield Finding(Severity.HIGH, "missing", "object-src")
    if not directives.keys() & {"script-src", "default-src"}:
        yield Finding(Severity.HIGH, "missing", "script-src")
    scripts = directives.get(_script_source(directives), [])
    has_nonce = any(_NONCE.fullmatch(value) for value in scripts)
    has_hash = any(_HASH.fullmatch(value) for value in scripts)
    if (has_nonce or (has_hash and "'strict-dynamic'" in scripts)) and "base-uri" not in directives:
        yield Finding(Severity.HIGH, "missing", "base-uri")


def _check_rest(directives: Directives) -> Iterator[Finding]:
    for name, values in directives.items():
        if name in _DEPRECATED:
            yield Finding(Severity.INFO, "deprecated", name)
        for value in values:
            nonce = _NONCE.fullmatch(value)
            if nonce and len(nonce[1]) < 8:
                yield Finding(Severity.MEDIUM, "short nonce", name, value)
            if nonce and not re.fullmatch(r"[A-Za-z0-9+/_-]+={0,2}", nonce[1]):
                yield Finding(Severity.INFO, "odd nonce", name, value)
            if value.startswith("http://"):
                yield Finding(Severity.MEDIUM, "http source", name, value)
            if _IP_ADDRESS.fullmatch(re.split(r"/|:\d+$|:\*$", _without_scheme(value))[0]):
                yield Finding(Severity.INFO, "address", name, value)
            if value in directives or value in _CAUSE_XSS:
                yield Finding(Severity.SYNTAX, "missing semicolon", name, value)
