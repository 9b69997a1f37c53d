"""What somebody probably meant who wrote a name that nobody knows. One wording for the whole kit."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def did_you_mean(name: object, known: Iterable[str]) -> str:
    """Return " Did you mean x?" for the nearest of the known names, whatever the case; "" when none is near."""
    spelt = {candidate.casefold(): candidate for candidate in known}
    near = difflib.get_close_matches(str(name).casefold(), spelt, n=1, cutoff=0.6)
    return f" Did you mean {spelt[near[0]]}?" if near else ""
