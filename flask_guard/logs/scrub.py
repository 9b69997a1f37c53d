"""Masks credentials in what is about to be logged: by the name of a member, and by the look of a text.

Pure. Rule: every pattern takes time linear in the text, because clients choose parts of it; what is masked
is gone whole; and too much is masked rather than too little, since a masked `token_type` costs nothing.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Set
from typing import Any, Final

from ..withheld import is_write_only

MASK: Final = "***"

# A member is secret when its name, in lower case and without marks, contains one of the first or is one of
# the second.
_SECRET_PARTS: Final = re.compile(
    "password|passwd|passphrase|secret|token|apikey|authorization|cookie|credential|privatekey|sessionid"
    "|assertion|recoverycode|backupcode|authcode|authorizationcode|verificationcode|codeverifier|pepper"
)
_SECRET_NAMES: Final = frozenset({"code", "codes", "otp", "totp", "pin", "pwd", "jwt", "auth", "sid"})
_MARKS: Final = re.compile(r"[^a-z0-9]+")

# The same words where they stand in running text before `=` or `:`.
_TELLING_WORDS: Final = (
    r"passw(?:or)?d|passphrase|secret|token|api[-_]?key|credential|private[-_]?key|session[-_]?id|assertion"
    r"|recovery[-_]?code|code[-_]?verifier"
)
# After the word: the closing quote of a name, perhaps escaped, and the sign.
_SEPARATOR: Final = r"\\*+[\"']?[ \t]{0,8}(?:=>|[:=])[ \t]{0,8}"
_QUOTED: Final = r"b?\\*+(?:\"(?:[^\"\\\n]|\\.)*+\"?|'(?:[^'\\\n]|\\.)*+'?)"
_BRACKETED: Final = r"[\[({][^\])}\n]*+[\])}]?"
_VALUE: Final = rf"(?:(?:bearer|basic)[ \t]{{1,8}})?(?:{_QUOTED}|{_BRACKETED}|[^\s,;&\"':=]++)"

_RULES: Final = tuple(
    (re.compile(pattern, re.DOTALL), replacement)
    for pattern, replacement in (
        # A private key in PEM form, to its end or to the end of the text.
        (
            r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY-----(?:[^-]|-(?!----))*+"
            r"(?:-----END [A-Z0-9 ]{0,40}-----)?",
            MASK,
        ),
        # A header line, or a member of a printed mapping of headers.
        (
            rf"(?i)((?:authorization|cookie){_SEPARATOR})(?:(?>{_QUOTED})(?!{_SEPARATOR})|[^\r\n]++)",
            rf"\1{MASK}",
        ),
        # name=value. A value that a sign follows may itself be a name: what comes after the sign goes too.
        (
            rf"(?i)((?:{_TELLING_WORDS})[\w-]{{0,32}}{_SEPARATOR}){_VALUE}(?:{_SEPARATOR}(?:{_VALUE})?+)*+",
            rf"\1{MASK}",
        ),
        (r"(?i)\b(bearer|basic)[ \t]{1,8}[a-z0-9._~+/=-]{4,}+", rf"\1 {MASK}"),
        (r"(?i)([?&](?:code|otp|pin|sid)=)[^&\s\"'#]++", rf"\1{MASK}"),
        # A password in a URL.
        (r"(://[^\s/:@]{0,256}+:)[^\s/]{1,256}(?=@)", rf"\1{MASK}"),
        # A JWT or JWE, or a signed cookie: base64url of `{"` and what follows, even when it was cut.
        (r"eyJ[\w-]{8,}+(?:\.[\w-]*+)*+", MASK),
        # A service key; its first 16 characters alone are its public id.
        (r"fgk_[\w-]{17,}+", MASK),
    )
)
# Words that spare most texts all of the above: without one of them in it, in lower case, no rule applies.
# Looking for them one after another takes half as long as one expression for all.
_HINTS: Final = (
    "passw", "passphrase", "secret", "token", "key", "credential", "session", "assertion", "code", "authorization",
    "cookie", "bearer", "basic", "eyj", "fgk_", "://", "otp=", "pin=", "sid=",
)  # fmt: skip

# What of a value is looked at before the rest is left out; a log line is no place for more.
_MAX_DEPTH: Final = 8
_MAX_VALUES: Final = 1000
_MAX_HARMLESS: Final = 50
MAX_TEXT: Final = 16 * 1024

_MAX_INTEGER: Final = 2**64  # readers of JSON lose digits beyond 2**53, and Python refuses to print 4301
_LEFT_OUT: Final = "..."


def scrub_text(text: str) -> str:
    """Return the text with what looks like a credential masked; beyond `MAX_TEXT` characters it is cut."""
    text = cut_text(text)
    if not _has_hint(text):
        return text
    for pattern, replacement in _RULES:
        text = pattern.sub(replacement, text)
    return text


def _has_hint(text: str) -> bool:
    return any(map(text.lower().__contains__, _HINTS))


def is_harmless(text: str, members: Mapping[Any, Any], *, plain: Set[str]) -> bool:
    """Tell whether `scrub_text` and `scrub_members` would change nothing, for members that are few, short and flat.

    Nearly every access line is such a one, and asking takes a quarter of the time that scrubbing would.
    """
    if len(members) > _MAX_HARMLESS or not plain >= members.keys():
        return False
    texts = [text]
    for value in members.values():
        kind = type(value)
        if kind is str:
            texts.append(value)
        elif kind is int:
            if abs(value) >= _MAX_INTEGER:
                return False
        elif kind is not float or not math.isfinite(value):
            return False
    # A hint in one of them is one in all of them, joined by what no hint holds.
    joined = "\n".join(texts)
    return len(joined) <= MAX_TEXT and not _has_hint(joined)


def cut_text(text: str) -> str:
    """Return the first `MAX_TEXT` characters, with a note of how many were left out."""
    excess = len(text) - MAX_TEXT
    return text if excess <= 0 else f"{text[:MAX_TEXT]}... ({excess} characters more)"


def scrub_members(members: Mapping[Any, Any], *, plain: Set[str] = frozenset()) -> dict[str, Any]:
    """Return members as values that JSON can hold, those with a secret's name masked, their texts scrubbed.

    plain: names that are not judged, because their meaning is known. Depth, number and size are bounded;
    what JSON cannot hold is there by its repr.
    """
    return _Scrubber().scrub_mapping(members, plain=plain)


def is_secret_name(name: str) -> bool:
    """Tell whether a member of this name holds a credential: `X-API-Key`, `newPassword`, `code`.

    What a schema declares write-only is one too.
    """
    bare = _MARKS.sub("", name.lower())
    return bare in _SECRET_NAMES or _SECRET_PARTS.search(bare) is not None or is_write_only(name)


class _Scrubber:
    """One walk through a value, with what is left of its budget."""

    __slots__ = ("_values_left",)

    def __init__(self) -> None:
        self._values_left = _MAX_VALUES

    def scrub_mapping(
        self, members: Mapping[Any, Any], *, plain: Set[str] = frozenset(), depth: int = 0
    ) -> dict[str, Any]:
        scrubbed = {}
        for raw_name, value in members.items():
            name = raw_name if isinstance(raw_name, str) else describe(raw_name)
            if self._values_left <= 0:
                scrubbed[_LEFT_OUT] = _LEFT_OUT
                break
            if name in plain:
                scrubbed[name] = self._scrub(value, depth=depth)
            elif value is not None and is_secret_name(name):
                self._values_left -= 1
                scrubbed[scrub_text(name)] = MASK
            else:
                scrubbed[scrub_text(name)] = self._scrub(value, depth=depth)
        return scrubbed

    def _scrub(self, value: Any, *, depth: int) -> Any:
        self._values_left -= 1
        if isinstance(value, str):
            return scrub_text(value)
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, int) and abs(value) < _MAX_INTEGER:
            return int(value)
        if isinstance(value, float) and math.isfinite(value):
            return float(value)
        if isinstance(value, (Mapping, list, tuple, Set)):
            return self._scrub_container(value, depth=depth + 1)
        return scrub_text(describe(value))

    def _scrub_container(self, value: Any, *, depth: int) -> Any:
        if depth > _MAX_DEPTH:
            return _LEFT_OUT
        if isinstance(value, Mapping):
            return self.scrub_mapping(value, depth=depth)
        items: list[Any] = []
        for item in value:
            if self._values_left <= 0:
                items.append(_LEFT_OUT)
                break
            items.append(self._scrub(item, depth=depth))
        return items


def describe(value: object) -> str:
    """Return `repr(value)`, or the name of its type when that fails: logging must not."""
    try:
        return repr(value)
    except Exception:  # whatever a foreign __repr__ raises
        return f"<{type(value).__name__} without a repr>"
