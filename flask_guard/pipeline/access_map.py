"""The access map: who may call what, read from the plans that requests use, and its lock file.

A lock file is the map as it was agreed on. `compare` says what has changed since, and which of it opens.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ..net.fences import Fence
from .plan import Plan, PlanTable
from .rules import Access

LOCK_VERSION = 2
_OPENNESS = {Access.PUBLIC: 0, Access.OPTIONAL: 1, Access.AUTHENTICATED: 2}


@dataclass(frozen=True, slots=True)
class AccessRow:
    """One line of the map.

    requirement: the policy as text, empty for none. origin: where the access was set.
    replaced: the deciding steps that a function of the application stands in for.
    networks: whose addresses alone may ask. limits: those of the route's own. unlimited, no_csrf: why it is excepted.
    cors: the origins whose pages may read it in place of the common ones.
    is_enforced: False where nothing is refused (GUARD_DEFAULT_ACCESS=report-only).
    """

    endpoint: str
    method: str
    paths: tuple[str, ...]
    access: str
    requirement: str
    reason: str
    origin: str
    lifted: tuple[str, ...]
    max_body_bytes: int | None
    replaced: tuple[str, ...] = ()
    networks: tuple[str, ...] = ()
    limits: tuple[str, ...] = ()
    unlimited: str = ""
    no_csrf: str = ""
    cors: tuple[str, ...] = ()
    csp: str = ""
    is_enforced: bool = True

    @property
    def key(self) -> tuple[str, str]:
        return self.endpoint, self.method

    @property
    def asks(self) -> str:
        """What the route asks of a caller, in words."""
        words = [] if self.is_enforced else ["report-only"]
        if self.access != Access.AUTHENTICATED or not self.requirement:
            words.append(self.access)
        if self.requirement:
            words.append(self.requirement)
        if self.networks:
            words.append(f"from {' and '.join(self.networks)}")
        words += self.limits
        if self.no_csrf:
            words.append("no_csrf")
        if self.cors:
            words.append(f"cors({', '.join(self.cors)})")
        if self.csp:
            words.append(f"csp({self.csp})")
        return "; ".join([*words, *self.replaced])


def make_access_map(table: PlanTable) -> list[AccessRow]:
    """Return every endpoint and method, in the order of the endpoints' names."""
    rows = []
    for endpoint in table.endpoints:
        for plan in table.plans[endpoint.name].values():
            rows.append(_row(plan, endpoint.paths, table.is_enforced))
    return rows


def _row(plan: Plan, paths: Sequence[str], is_enforced: bool) -> AccessRow:
    return AccessRow(
        endpoint=plan.endpoint or "",
        method=plan.method,
        paths=tuple(paths),
        access=str(plan.access),
        requirement=plan.requirement.describe() if plan.requirement is not None else "",
        reason=plan.reason,
        origin=plan.origin,
        lifted=plan.lifted,
        max_body_bytes=plan.max_body_bytes,
        replaced=plan.replaced,
        networks=tuple(_show_fence(fence) for fence in plan.fences),
        limits=tuple(rule.describe() for rule, _methods in plan.limits),
        unlimited=plan.unlimited,
        no_csrf=plan.no_csrf,
        cors=_show_cors(plan),
        csp=plan.csp or "",
        is_enforced=is_enforced,
    )


def _show_fence(fence: Fence) -> str:
    return ", ".join(map(str, fence.networks)) + (" else 404" if fence.status == 404 else "")


def _show_cors(plan: Plan) -> tuple[str, ...]:
    """Return what a route's own cors() comes to, with the settings; empty without one."""
    if plan.cors is None or plan.cors_answers is None:
        return ()
    policy = plan.cors_answers.policy
    shown = [*(policy.origins or ("nobody",)), *(["with credentials"] if policy.credentials else [])]
    lists = {"methods": policy.methods, "headers": policy.headers, "expose": policy.expose}
    return (*shown, *(f"{name} {' '.join(values)}" for name, values in lists.items() if values))


def dump_lock(rows: Iterable[AccessRow]) -> str:
    """Return the lock file's text: one route a line, so that a review shows what changed."""
    lines = ",\n  ".join(json.dumps(asdict(row), ensure_ascii=False) for row in rows)
    return f'{{"version": {LOCK_VERSION}, "routes": [\n  {lines}\n]}}\n'


def parse_lock(text: str) -> list[AccessRow]:
    """Return the rows of a lock file. Raises ValueError when it is not one."""
    try:
        document = json.loads(text)
        if document["version"] != LOCK_VERSION:
            raise ValueError(f"version {document['version']!r} of the lock file is not known")
        return [_parse_row(entry) for entry in document["routes"]]
    except (KeyError, TypeError) as exc:
        raise ValueError("this is not a lock file of `flask guard routes --lock`") from exc


def _parse_row(entry: dict[str, Any]) -> AccessRow:
    Access(entry["access"])  # a word that is none would be compared as if it were
    lists = {name: tuple(entry.get(name, ())) for name in ("paths", "lifted", "replaced", "networks", "limits", "cors")}
    return AccessRow(**{**entry, **lists})


@dataclass(frozen=True, slots=True)
class Change:
    """One difference between the lock and the application. opens: it lets somebody in who was not before."""

    opens: bool
    text: str


def compare(locked: Iterable[AccessRow], current: Iterable[AccessRow]) -> list[Change]:
    """Return what differs, what opens first.

    A changed requirement counts as opening, and so does a policy that says other words: only a person can
    tell what it means. A policy that decides otherwise and describes itself as before is not noticed.
    """
    before = {row.key: row for row in locked}
    after = {row.key: row for row in current}
    changes = [_added(after[key]) for key in after.keys() - before.keys()]
    changes += [_removed(before[key]) for key in before.keys() - after.keys()]
    for key in before.keys() & after.keys():
        changes += _changed(before[key], after[key])
    return sorted(changes, key=lambda change: (not change.opens, change.text))


def _title(row: AccessRow) -> str:
    return f"{row.method} {' '.join(row.paths)} ({row.endpoint})"


def _added(row: AccessRow) -> Change:
    return Change(True, f"+ {_title(row)}: {row.asks}, a new route")


def _removed(row: AccessRow) -> Change:
    return Change(False, f"- {_title(row)}: {row.asks}, gone")


def _changed(before: AccessRow, after: AccessRow) -> list[Change]:
    title = f"~ {_title(after)}"
    changes = []
    if _asked(before) != _asked(after):
        changes.append(Change(_opens(before, after), f"{title}: was {_told(before)}, is {_told(after)}"))
    if before.paths != after.paths:
        is_new = not set(after.paths) <= set(before.paths)
        changes.append(Change(is_new, f"{title}: was at {' '.join(before.paths)}"))
    if before.max_body_bytes != after.max_body_bytes:
        now = "the default" if after.max_body_bytes is None else f"{after.max_body_bytes} bytes"
        changes.append(Change(_takes_more(before, after), f"{title}: takes bodies up to {now}"))
    return changes


def _asked(row: AccessRow) -> tuple[object, ...]:
    """What is compared: not the words, because a policy may describe itself by the word for an access."""
    return row.access, row.requirement, row.is_enforced, row.replaced, _edge_of(row)


def _told(row: AccessRow) -> str:
    return f"{row.asks}; unlimited" if row.unlimited else row.asks


def _edge_of(row: AccessRow) -> tuple[object, ...]:
    """What the edge asks of a caller before any credential counts."""
    return row.networks, row.limits, bool(row.unlimited), bool(row.no_csrf), row.cors, row.csp


def _opens(before: AccessRow, after: AccessRow) -> bool:
    if before.is_enforced != after.is_enforced:
        return before.is_enforced
    if _edge_of(before) != _edge_of(after) and not _only_closes(before, after):
        return True
    if after.replaced != before.replaced:
        return True  # also when the rules decide again: the function may have refused more than they do
    if before.requirement and before.requirement != after.requirement:
        return True
    return _OPENNESS[Access(after.access)] < _OPENNESS[Access(before.access)]


def _only_closes(before: AccessRow, after: AccessRow) -> bool:
    """Say whether the edge asks all that it did and perhaps more; anything else counts as opening."""
    keeps_fence = before.networks == after.networks or not before.networks
    keeps_limits = set(before.limits) <= set(after.limits) and bool(before.unlimited) >= bool(after.unlimited)
    keeps_browsers = bool(before.no_csrf) >= bool(after.no_csrf) and (before.cors, before.csp) == (
        after.cors,
        after.csp,
    )
    return keeps_fence and keeps_limits and keeps_browsers


def _takes_more(before: AccessRow, after: AccessRow) -> bool:
    """Say whether a route may take larger bodies than before; the default is not in the file, so it may."""
    if before.max_body_bytes is None or after.max_body_bytes is None:
        return True
    return after.max_body_bytes > before.max_body_bytes
