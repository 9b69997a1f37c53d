"""Every form of SELECT that the compiler must keep to the rows of one tenant, over the tables of the ledger."""

from __future__ import annotations

from typing import Any, cast

from sqlalchemy import (
    Integer,
    Select,
    Table,
    case,
    column,
    distinct,
    exists,
    func,
    lateral,
    literal,
    literal_column,
    or_,
    select,
    table,
    tablesample,
    text,
    true,
    tuple_,
    union,
    union_all,
    values,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.orm import with_polymorphic

from .ledger import Account, Company, Currency, Entry, Label, Old, Party, entry_labels, odd

accounts, entries, labels = (cast(Table, model.__table__) for model in (Account, Entry, Label))
a, b = accounts.alias("a"), accounts.alias("b")
e, f = entries.alias(), entries.alias()
own, old = select(entries).cte(), cast(Table, Old.__table__).alias()
tree = select(e.c.id, e.c.amount).where(e.c.amount == 0).cte("tree", recursive=True)
parties = with_polymorphic(Party, "*")
flat_parties = with_polymorphic(Party, "*", flat=True, aliased=True)
largest = lateral(select(func.max(e.c.amount).label("amount")).where(e.c.account_id == a.c.id))
numbers = values(column("n", Integer), name="numbers").data([(1,), (101,)])


def distinct_on(statement: Select[Any], by: Any) -> Select[Any]:
    if hasattr(postgresql, "distinct_on"):  # new in SQLAlchemy 2.1
        return statement.ext(postgresql.distinct_on(by))
    return statement.distinct(by)


SELECTS: dict[str, Any] = {
    "a table": select(entries),
    "a model": select(Entry.memo, Entry.amount),
    "an alias": select(e),
    "a named alias": select(a.c.name),
    "an alias of an alias": select(a.alias().c.name),
    "a count": select(func.count()).select_from(entries),
    "a table that only WHERE names": select(func.count()).where(entries.c.amount > 0),
    "two tables, comma between": select(accounts.c.name, entries.c.memo).where(accounts.c.id == entries.c.account_id),
    "a cross join": select(a.c.id, b.c.id).select_from(a.join(b, true())),
    "an inner join": select(accounts, entries).join(entries, accounts.c.id == entries.c.account_id),
    "a left join": select(accounts, entries).outerjoin(entries, accounts.c.id == entries.c.account_id),
    "a left join on nothing": select(a.c.id, e.c.id).select_from(a.outerjoin(e, literal(1) == 2)),
    "a left join whose missing side is counted": (
        select(accounts.c.id, func.count(entries.c.id))
        .outerjoin(entries, accounts.c.id == entries.c.account_id)
        .group_by(accounts.c.id)
    ),
    "a left join filtered for what is missing": (
        select(accounts.c.name).outerjoin(entries, accounts.c.id == entries.c.account_id).where(entries.c.id.is_(None))
    ),
    "a left join with an inner join on its right": select(a.c.id, e.c.id, f.c.id).select_from(
        a.outerjoin(e.join(f, e.c.id == f.c.id), a.c.id == e.c.account_id)
    ),
    "a left join with a left join on its right": select(a.c.id, e.c.id, b.c.id).select_from(
        a.outerjoin(e.outerjoin(b, e.c.account_id == b.c.id), a.c.id == e.c.account_id)
    ),
    "a left join with a left join on its left": select(e.c.id, a.c.id, f.c.id).select_from(
        e.outerjoin(a, a.c.id == e.c.account_id).outerjoin(f, f.c.account_id == a.c.id)
    ),
    "a left join to a table of everybody": select(accounts.c.id, Currency.code).select_from(
        accounts.outerjoin(Currency.__table__, Currency.code == "EUR")
    ),
    "a left join from a table of everybody": select(Currency.code, accounts.c.id).select_from(
        Currency.__table__.outerjoin(accounts, accounts.c.id == 101)
    ),
    "a full join": select(a.c.id, e.c.id).select_from(a.join(e, a.c.id == e.c.account_id, full=True)),
    "a full join of tables": select(accounts.c.id, entries.c.id).select_from(
        accounts.join(entries, accounts.c.id == entries.c.account_id, full=True)
    ),
    "a full join of joins": select(a.c.id, e.c.id, b.c.id, f.c.id).select_from(
        a.join(e, a.c.id == e.c.account_id).join(b.outerjoin(f, b.c.id == f.c.account_id), a.c.id == b.c.id, full=True)
    ),
    "a full join on the right of a left join": select(a.c.id, e.c.id, b.c.id).select_from(
        a.outerjoin(e.join(b, e.c.account_id == b.c.id, full=True), a.c.id == e.c.account_id)
    ),
    "a subquery in FROM": select(select(entries).subquery()),
    "a subquery with the name of its table": select(select(entries).subquery("ledger_entries")),
    "nested subqueries": select(select(select(entries.c.amount).subquery().c.amount).subquery()),
    "a nested subquery of the same table": select(e.c.id).where(
        e.c.amount == select(func.max(select(entries.c.amount).subquery().c.amount)).scalar_subquery()
    ),
    "a scalar subquery": select(select(func.count(entries.c.id)).scalar_subquery()),
    "a correlated scalar subquery": select(
        accounts.c.id,
        select(func.sum(entries.c.amount)).where(entries.c.account_id == accounts.c.id).scalar_subquery(),
    ),
    "a subquery of the same table that is not correlated": select(entries.c.id).where(
        entries.c.amount == select(func.max(entries.c.amount)).correlate(None).scalar_subquery()
    ),
    "EXISTS": select(accounts.c.id).where(exists().where(entries.c.account_id == accounts.c.id)),
    "NOT EXISTS": select(accounts.c.id).where(~exists().where(entries.c.account_id == accounts.c.id)),
    "EXISTS alone": select(exists(select(entries.c.id).where(entries.c.id == 101))),
    "IN a subquery": select(accounts.c.id).where(accounts.c.id.in_(select(entries.c.account_id))),
    "a tuple IN a subquery": select(accounts.c.id).where(
        tuple_(accounts.c.id, accounts.c.name).in_(select(b.c.id, b.c.name))
    ),
    "any()": select(Account.id).where(Account.entries.any(Entry.amount == 10)),
    "has()": select(Entry.id).where(Entry.account.has(Account.name.like("%0"))),
    "WITH": select(select(entries).cte("own")),
    "WITH, used twice": select(own.c.id, (again := own.alias()).c.id).where(own.c.id < again.c.id),
    "WITH RECURSIVE": select(
        tree.union_all(select(entries.c.id, entries.c.amount).where(entries.c.amount == tree.c.amount + 10))
    ),
    "UNION": union(select(accounts.c.id), select(entries.c.id)),
    "UNION ALL in FROM": select(union_all(select(accounts.c.id), select(entries.c.id)).subquery()),
    "DISTINCT": select(entries.c.memo).distinct(),
    "a distinct count": select(func.count(distinct(entries.c.memo))),
    "HAVING": select(entries.c.memo, func.count()).group_by(entries.c.memo).having(func.count() > 1),
    "a window": select(entries.c.id, func.row_number().over(order_by=entries.c.id.desc())),
    "a window of rows before": select(entries.c.id, func.lag(entries.c.memo).over(order_by=entries.c.id)),
    "CASE": select(case((exists().where(entries.c.amount == 20), "there"), else_="not there")),
    "a limit": select(entries.c.id).order_by(entries.c.id.desc()).limit(1).offset(1),
    "an OR in WHERE": select(entries.c.id).where(or_(entries.c.amount == 10, true())),
    "an OR in text": select(entries.c.id).where(text("amount = 10 OR 1 = 1")),
    "an OR in a literal column": select(entries.c.id).where(literal_column("1 = 1 OR 1 = 1")),
    "an OR in an operator": select(entries.c.id).where(entries.c.amount.op("= 1 OR 1 =", precedence=100)(1)),
    "an OR in text that joins": select(a.c.id, e.c.id).select_from(a.outerjoin(e, text("1 = 1 OR 1 = 1"))),
    "text in the columns": select(text("memo")).select_from(entries),
    "a table in a schema": select(Old.__table__),
    "a table in a schema, joined": select(Old.memo, Entry.memo).select_from(Old).join(Entry, Old.id == Entry.id),
    "a table in a schema, left joined": select(Entry.id, Old.id).select_from(Entry).outerjoin(Old, Old.id == Entry.id),
    "a table in a schema, under a name, fully joined": select(old.c.id, a.c.id).select_from(
        old.join(a, old.c.id == a.c.id, full=True)
    ),
    "a table that must be quoted": select(odd),
    "a table that must be quoted, left joined": select(a.c.id, odd.c.memo).select_from(a.outerjoin(odd, true())),
    "a table without a tenant of its own": select(entry_labels),
    "its alias": select(entry_labels.alias()),
    "it, joined to its parent": select(entry_labels.c.label_id, entries.c.memo).join(
        entries, entry_labels.c.entry_id == entries.c.id
    ),
    "it, left joined": select(labels.c.id, entry_labels.c.entry_id).outerjoin(
        entry_labels, entry_labels.c.label_id == labels.c.id
    ),
    "joined inheritance": select(Company.name, Company.number),
    "the child table alone": select(Company.__table__),
    "the base of a joined inheritance": select(Party.name),
    "a polymorphic entity": select(parties.name, parties.Company.number),
    "a flat polymorphic entity": select(flat_parties.name),
    "a reflected name": select(table("ledger_accounts", column("id"), column("tenant_id"), column("name"))),
    "LATERAL": select(a.c.id, largest.c.amount).select_from(a.join(largest, true())),
    "VALUES joined": select(numbers.c.n, accounts.c.name).join(accounts, accounts.c.id == numbers.c.n),
    "DISTINCT ON": distinct_on(select(entries.c.account_id, entries.c.id), entries.c.account_id).order_by(
        entries.c.account_id, entries.c.id
    ),
    "a GROUP BY of the primary key": select(accounts, func.count(entries.c.id))
    .join(entries, accounts.c.id == entries.c.account_id)
    .group_by(accounts.c.id),
    "TABLESAMPLE": select(tablesample(accounts, func.system(100)).c.name),
    "TABLESAMPLE of an alias": select(tablesample(a, func.system(100)).c.name),
    "ONLY": select(accounts.c.name).with_hint(accounts, "ONLY", "postgresql"),
    "a whole row": select(func.row_to_json(accounts.table_valued())),
    "FOR UPDATE": select(entries.c.id).with_for_update(),
    "FOR UPDATE OF": select(a.c.id, e.c.id).select_from(e.outerjoin(a, a.c.id == e.c.account_id)).with_for_update(of=e),
}
POSTGRESQL_ONLY = {
    "VALUES joined",
    "LATERAL",
    "DISTINCT ON",
    "TABLESAMPLE",
    "TABLESAMPLE of an alias",
    "ONLY",
    "a whole row",
    "FOR UPDATE",
    "FOR UPDATE OF",
}
