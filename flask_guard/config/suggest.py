"""What somebody probably meant who wrote a name that nobody knows. One wording for the whole kit."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

# What a member's name may look like to be quoted: a key in its place must not be.
_QUOTABLE = re.compile(r"[A-Za-z0-9_.-]{1,20}")


def tell_unknown_member(name: object, known: Iterable[str]) -> str:
    """Return the sentence about a member that nobody knows, without quoting what may be a secret in the wrong place."""
    names = ", ".join(known)
    if not isinstance(name, str) or not _QUOTABLE.fullmatch(name):
        return f"has a member that is none of {names}."
    return f"{name} is not a member.{did_you_mean(name, known) or f' They are {names}.'}"


def did_you_mean(name: object, known: Iterable[str]) -> str:
    """Return " Did you mean x?" for the nearest of the known names, whatever the case; "" when none is near."""
    spelt = {candidate.casefold(): candidate for candidate in known}
    near = difflib.get_close_matches(str(name).casefold(), spelt, n=1, cutoff=0.6)
    return f" Did you mean {spelt[near[0]]}?" if near else ""
