"""Mozilla's HTTP Observatory, recomputed: the score and the grade of one answer over https.

Source: developer.mozilla.org/en-US/observatory/docs/tests_and_scoring and, for what that page leaves open,
the scanner itself (github.com/mdn/mdn-http-observatory, src/analyzer and src/grader).
Taken as given, because they are not in an answer's headers: plain http redirects to https, the host is not on the
preload list, and the page loads no script of another origin. One content policy is judged, not a combination.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

Pair = tuple[str, str]

# What each result adds to the score. Results that add nothing are left out.
MODIFIERS = {
    "csp-implemented-with-no-unsafe-default-src-none": 10,
    "csp-implemented-with-no-unsafe": 5,
    "csp-implemented-with-insecure-scheme-in-passive-content-only": -10,
    "csp-implemented-with-unsafe-eval": -10,
    "csp-implemented-with-unsafe-inline": -20,
    "csp-implemented-with-insecure-scheme": -20,
    "csp-header-invalid": -25,
    "csp-not-implemented": -25,
    "csp-not-implemented-but-reporting-enabled": -25,
    "cookies-secure-with-httponly-sessions-and-samesite": 5,
    "cookies-without-secure-flag-but-protected-by-hsts": -5,
    "cookies-session-without-secure-flag-but-protected-by-hsts": -10,
    "cookies-without-secure-flag": -20,
    "cookies-samesite-flag-invalid": -20,
    "cookies-anticsrf-without-samesite-flag": -20,
    "cookies-session-without-httponly-flag": -30,
    "cookies-session-without-secure-flag": -40,
    "cross-origin-resource-sharing-implemented-with-universal-access": -50,
    "referrer-policy-private": 5,
    "referrer-policy-unsafe": -5,
    "referrer-policy-header-invalid": -5,
    "hsts-implemented-max-age-less-than-six-months": -10,
    "hsts-not-implemented": -20,
    "hsts-header-invalid": -20,
    "x-content-type-options-not-implemented": -5,
    "x-content-type-options-header-invalid": -5,
    "x-frame-options-implemented-via-csp": 5,
    "x-frame-options-not-implemented": -20,
    "x-frame-options-header-invalid": -20,
    "corp-implemented-with-same-origin": 10,
    "corp-implemented-with-same-site": 10,
    "corp-header-invalid": -5,
}
_GRADES = (
    *((100, "A+"), (90, "A"), (85, "A-"), (80, "B+"), (70, "B"), (65, "B-")),
    *((60, "C+"), (50, "C"), (45, "C-"), (40, "D+"), (30, "D"), (25, "D-"), (0, "F")),
)
_LEAST_FOR_BONUS = 90
# The scanner takes 180 days for its six months.
_SIX_MONTHS_S = 15_552_000

_BROAD = frozenset(["ftp:", "http:", "https:", "*", "http://*", "http://*.*", "https://*", "https://*.*"])
_BROAD_OR_INLINE = _BROAD | {"'unsafe-inline'", "data:"}
_PASSIVE = ("img-src", "media-src")
_NONCE_OR_HASH = re.compile(r"'(nonce|sha256|sha384|sha512)-")

_PRIVATE_REFERRERS = frozenset(["no-referrer", "same-origin", "strict-origin", "strict-origin-when-cross-origin"])
_UNSAFE_REFERRERS = frozenset(["origin", "origin-when-cross-origin", "unsafe-url", "no-referrer-when-downgrade"])


@dataclass(frozen=True)
class Report:
    """results: one for each test."""

    score: int
    grade: str
    results: tuple[str, ...]


def judge(headers: Iterable[Pair], *, origin: str | None = None) -> Report:
    """Return the report on an answer over https. origin: what the request named in Origin, for the test of CORS."""
    answer: dict[str, list[str]] = {}
    for name, value in headers:
        answer.setdefault(name.lower(), []).append(value)
    hsts = _judge_hsts(answer)
    results = (
        _judge_csp(answer),
        hsts,
        _judge_cookies(answer, has_hsts=hsts == "hsts-implemented-max-age-at-least-six-months"),
        _judge_cors(answer, origin),
        _judge_referrer(answer),
        _judge_nosniff(answer),
        _judge_framing(answer),
        _judge_corp(answer),
    )
    added = [MODIFIERS.get(result, 0) for result in results]
    score = 100 + sum(number for number in added if number < 0)
    if score >= _LEAST_FOR_BONUS:
        score += sum(number for number in added if number > 0)
    score = max(score, 0)
    return Report(score, next(grade for least, grade in _GRADES if score >= least), results)


def _first(answer: dict[str, list[str]], name: str) -> str | None:
    return answer[name][0].strip().lower() if name in answer else None


def _parse_csp(policy: str) -> dict[str, set[str]] | None:
    """Return the sources by directive, None for a policy that the scanner calls invalid."""
    if len(policy.strip()) < 6:
        return None
    directives: dict[str, set[str]] = {}
    for name, *sources in filter(None, (part.split() for part in policy.lower().split(";"))):
        if name in directives:
            return None
        directives[name] = set(sources) or ({"'none'"} if name.endswith("-src") else set())
    return directives


def _judge_csp(answer: dict[str, list[str]]) -> str:
    policies = [policy for line in answer.get("content-security-policy", []) for policy in line.split(",")]
    if not policies:
        has_trial = "content-security-policy-report-only" in answer
        return "csp-not-implemented-but-reporting-enabled" if has_trial else "csp-not-implemented"
    if len(policies) > 1:
        raise ValueError("one policy is judged at a time")
    directives = _parse_csp(policies[0])
    return "csp-header-invalid" if directives is None else _judge_directives(directives)


def _judge_directives(directives: dict[str, set[str]]) -> str:
    def sources_of(name: str) -> set[str]:
        return set(directives.get(name, directives.get("default-src", {"*"})))

    script, style, objects = sources_of("script-src"), sources_of("style-src"), sources_of("object-src")
    for sources in (script, style):
        if any(_NONCE_OR_HASH.match(source) for source in sources):
            sources.discard("'unsafe-inline'")
    if "'strict-dynamic'" in script:
        if not any(_NONCE_OR_HASH.match(source) for source in script):
            return "csp-header-invalid"
        script = {source for source in script if source != "'self'" and not source.startswith(tuple(_BROAD))}
    active = script.union(*(given for name, given in directives.items() if name not in (*_PASSIVE, "script-src")))
    passive = set().union(*(directives.get(name, directives.get("default-src", set())) for name in _PASSIVE))
    found = {
        "csp-implemented-with-unsafe-inline": script & _BROAD_OR_INLINE or objects & _BROAD,
        "csp-implemented-with-insecure-scheme": _find_insecure(active),
        "csp-implemented-with-unsafe-eval": (script | style) & {"'unsafe-eval'"},
        "csp-implemented-with-insecure-scheme-in-passive-content-only": _find_insecure(passive),
        "csp-implemented-with-unsafe-inline-in-style-src-only": style & _BROAD_OR_INLINE,
        "csp-implemented-with-no-unsafe-default-src-none": directives.get("default-src") == {"'none'"},
    }
    return next((result for result, is_found in found.items() if is_found), "csp-implemented-with-no-unsafe")


def _find_insecure(sources: set[str]) -> set[str]:
    return {source for source in sources if source.startswith(("http:", "ftp:"))}


def _judge_hsts(answer: dict[str, list[str]]) -> str:
    value = _first(answer, "strict-transport-security")
    if value is None:
        return "hsts-not-implemented"
    ages = re.findall(r"(?:^|;)\s*max-age=(\d+)", value)
    if not ages or "," in value:
        return "hsts-header-invalid"
    is_long = int(ages[-1]) >= _SIX_MONTHS_S
    return f"hsts-implemented-max-age-{'at-least' if is_long else 'less-than'}-six-months"


def _judge_cookies(answer: dict[str, list[str]], *, has_hsts: bool) -> str:
    """Return the worst that is to be said of a cookie."""
    results = {result for cookie in answer.get("set-cookie", []) for result in _judge_cookie(cookie, has_hsts)}
    if not results:
        return "cookies-not-found"
    return min(sorted(results), key=lambda result: MODIFIERS.get(result, 0))


def _judge_cookie(cookie: str, has_hsts: bool) -> list[str]:
    pair, *attributes = (part.strip() for part in cookie.lower().split(";"))
    flags = dict((name, value) for name, _, value in (attribute.partition("=") for attribute in attributes))
    name, same_site = pair.partition("=")[0], flags.get("samesite")
    is_session = "login" in name or "sess" in name
    kind, shield = "session-" if is_session else "", "-but-protected-by-hsts" if has_hsts else ""
    found = {
        f"cookies-{kind}without-secure-flag{shield}": "secure" not in flags,
        "cookies-session-without-httponly-flag": is_session and "httponly" not in flags,
        "cookies-anticsrf-without-samesite-flag": "csrf" in name and same_site is None,
        "cookies-samesite-flag-invalid": same_site not in (None, "lax", "strict", "none")
        or (same_site == "none" and "secure" not in flags),
    }
    clean = "cookies-secure-with-httponly-sessions"
    best = clean if same_site is None else f"{clean}-and-samesite"
    return [result for result, is_found in found.items() if is_found] or [best]


def _judge_cors(answer: dict[str, list[str]], origin: str | None) -> str:
    allowed = _first(answer, "access-control-allow-origin")
    if allowed is None:
        return "cross-origin-resource-sharing-not-implemented"
    is_open = allowed == origin and _first(answer, "access-control-allow-credentials") == "true"
    access = "public" if allowed == "*" else "universal" if is_open else "restricted"
    return f"cross-origin-resource-sharing-implemented-with-{access}-access"


def _judge_referrer(answer: dict[str, list[str]]) -> str:
    if "referrer-policy" not in answer:
        return "referrer-policy-not-implemented"
    words = [word.strip().lower() for word in ",".join(answer["referrer-policy"]).split(",")]
    known = [word for word in words if word in _PRIVATE_REFERRERS | _UNSAFE_REFERRERS]
    if not known:
        return "referrer-policy-header-invalid"
    return "referrer-policy-private" if known[-1] in _PRIVATE_REFERRERS else "referrer-policy-unsafe"


def _judge_nosniff(answer: dict[str, list[str]]) -> str:
    value = _first(answer, "x-content-type-options")
    known = {None: "not-implemented", "nosniff": "nosniff"}
    return f"x-content-type-options-{known.get(value, 'header-invalid')}"


def _judge_framing(answer: dict[str, list[str]]) -> str:
    policy = _parse_csp(_first(answer, "content-security-policy") or "")
    if policy is not None and "frame-ancestors" in policy:
        return "x-frame-options-implemented-via-csp"
    value = _first(answer, "x-frame-options")
    if value is not None and value.startswith("allow-from"):
        return "x-frame-options-allow-from-origin"
    known = {None: "not-implemented", "deny": "sameorigin-or-deny", "sameorigin": "sameorigin-or-deny"}
    return f"x-frame-options-{known.get(value, 'header-invalid')}"


def _judge_corp(answer: dict[str, list[str]]) -> str:
    value = _first(answer, "cross-origin-resource-policy")
    if value is None:
        return "corp-not-implemented"
    known = ("same-origin", "same-site", "cross-origin")
    return f"corp-implemented-with-{value}" if value in known else "corp-header-invalid"
