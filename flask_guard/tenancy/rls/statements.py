"""The statements that put tables under row security, in the order in which they are run, and take them out of it.

Rule: each may be run again, and none asks what is there, so the list is a script. Run it in one transaction, as the
owner of the tables: until it is committed, others see the policies of before.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator

from sqlalchemy import MetaData

from .native import list_functions, quote, quote_text
from .wanted import NativePolicy, WantedTable, list_tables, want_table


def make_sql(metadata: MetaData) -> list[str]:
    """Return everything for the models of a MetaData: the functions first, then the tables by name."""
    return [*list_functions(), *(line for table in list_tables(metadata) for line in protect(want_table(table)))]


def protect(table: WantedTable) -> Iterator[str]:
    """Yield what puts one table under row security. Policies of other names on it stay."""
    name = table.full_name
    yield f"ALTER TABLE {name} ENABLE ROW LEVEL SECURITY"
    yield f"ALTER TABLE {name} FORCE ROW LEVEL SECURITY"
    for policy in table.policies:
        yield from replace_policy(name, policy)
    yield f"REVOKE TRUNCATE ON TABLE {name} FROM PUBLIC"
    if table.index:
        columns = ", ".join(map(quote, table.index))
        yield f"CREATE INDEX IF NOT EXISTS {quote(index_name(table))} ON {name} ({columns})"


def unprotect(full_name: str, names: Iterable[str]) -> Iterator[str]:
    """Yield what takes a table out of row security and drops policies of it."""
    yield from drop_policies(full_name, names)
    yield f"ALTER TABLE {full_name} NO FORCE ROW LEVEL SECURITY"
    yield f"ALTER TABLE {full_name} DISABLE ROW LEVEL SECURITY"


def drop_policies(full_name: str, names: Iterable[str]) -> Iterator[str]:
    for name in names:
        yield f"DROP POLICY IF EXISTS {quote(name)} ON {full_name}"


def replace_policy(full_name: str, policy: NativePolicy) -> Iterator[str]:
    yield from drop_policies(full_name, [policy.name])
    kind = "RESTRICTIVE" if policy.restrictive else "PERMISSIVE"
    using = "" if policy.using is None else f"\n    USING ({policy.using})"
    check = "" if policy.check is None else f"\n    WITH CHECK ({policy.check})"
    yield f"CREATE POLICY {quote(policy.name)} ON {full_name} AS {kind} FOR {policy.command.upper()}{using}{check}"
    table, name = quote_text(full_name), quote_text(policy.name)
    yield f"SELECT guard.seal({table}, {name}, '{policy.digest}')"


def index_name(table: WantedTable) -> str:
    """Return the name of the index that a table lacks."""
    plain = f"guard_{table.name}_{'_'.join(table.index)}"
    if len(plain.encode()) <= 63:
        return plain
    return f"guard_{hashlib.sha256(plain.encode()).hexdigest()[:32]}"
