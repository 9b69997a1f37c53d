"""The list that a file of leak paths fills: a name, what is tried, and what it needs."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

from .world import World

Attack = Callable[[World], Any]
# tenant: an attribute that holds the tenant's id, outside of the primary key; column: one that may be changed.
Need = Literal["tenant", "column", "one table"]


@dataclass(frozen=True, slots=True)
class Path:
    """One way to another tenant's data.

    attack: tries it as one's own tenant; what it returns is searched for the other's. It may be refused.
    by_constraint: a constraint of the database may be what refuses it.
    """

    name: str
    attack: Attack
    needs: frozenset[Need] = frozenset()
    dialects: frozenset[str] = frozenset()
    by_constraint: bool = False


class Paths(list[Path]):
    """The paths of a file, in its order."""

    def add(
        self, name: str, *needs: Need, dialects: Iterable[str] = (), by_constraint: bool = False
    ) -> Callable[[Attack], Attack]:
        def register(attack: Attack) -> Attack:
            self.append(Path(name, attack, frozenset(needs), frozenset(dialects), by_constraint))
            return attack

        return register
