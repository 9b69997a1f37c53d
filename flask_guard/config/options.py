"""What an option is. The settings classes declare one on each of their fields.

    leeway_s: float = option("GUARD_JWT_LEEWAY", duration_s, "0s", "Tolerance for exp.")

One line is the declaration, the type, the default and the documentation: `docs/reference/options.md` is
made from it, and so is what the loader accepts.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from .kinds import Kind

PREFIX = "GUARD_"


@dataclass(frozen=True, slots=True)
class Option:
    """One setting: its name, how its text is read, its default as a user would write it, its meaning.

    effective: False while the feature that it sets is not in this version; setting it then warns at start.
    secret: it may also come as NAME_FILE or as a reference, and it is never printed.
    hidden_member: in a list of objects, the member that is a secret and may be a reference.
    """

    name: str
    kind: Kind
    default: str | None
    meaning: str
    secret: bool = False
    effective: bool = True
    hidden_member: str | None = None

    @property
    def argument(self) -> str:
        """The keyword of `Guard(app, ...)`: GUARD_JWT_LEEWAY is jwt_leeway."""
        return self.name.removeprefix(PREFIX).lower()


def option(
    name: str,
    kind: Kind,
    default: str | None,
    meaning: str,
    *,
    secret: bool = False,
    effective: bool = True,
    hidden_member: str | None = None,
) -> Any:
    """Declare a field of a settings class as an option. A secret one is left out of the class's repr."""
    declared = Option(PREFIX + name, kind, default, meaning, secret, effective, hidden_member)
    # A Secret would print as *** anyway; the JSON of issuers and keys is plain and holds secrets inside.
    return dataclasses.field(metadata={"option": declared}, repr=not secret)


def iterate_options(section: type) -> Iterator[tuple[str, Option]]:
    """Yield (field name, option) for each option of a settings class, in the order of declaration."""
    for field in dataclasses.fields(section):
        declared = field.metadata.get("option")
        if isinstance(declared, Option):
            yield field.name, declared
