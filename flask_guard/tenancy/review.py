"""What a schema has that weakens the separation of tenants: in the models, and in the database as it is.

Pure but for `Inspector`, which reads the catalogue. Rule: what a database cannot be asked is no finding; each function
answers one question and yields a sentence for each place.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from sqlalchemy import Column, Engine, Inspector, Table, UniqueConstraint, inspect
from sqlalchemy.exc import SQLAlchemyError

from .rules import find_tenant_column, list_protected


def list_tenant_tables() -> list[Table]:
    """Return the tables that have a tenant column of their own."""
    return [table for table in list_protected() if find_tenant_column(table) is not None]


def find_narrow_uniques() -> Iterator[str]:
    """Yield what is unique across tenants: one tenant's value keeps others from it, and tells them of it."""
    for table in list_tenant_tables():
        tenant = find_tenant_column(table)
        uniques = [*_list_uniques(table), *(list(index.columns) for index in table.indexes if index.unique)]
        for columns in uniques:
            names = [column.name for column in columns]
            if names and tenant is not None and tenant.name not in names:
                yield f"{table.fullname}({', '.join(names)}) is unique among all tenants."


def find_nullable_tenants() -> Iterator[str]:
    """Yield the tenant columns that may be NULL: such a row is nobody's, and its references are not checked."""
    for table in list_tenant_tables():
        tenant = find_tenant_column(table)
        if tenant is not None and tenant.nullable:
            yield f"{table.fullname}.{tenant.name} may be NULL."


def find_missing_indexes() -> Iterator[str]:
    """Yield the tables without an index that begins with the tenant column, which every statement filters by."""
    for table in list_tenant_tables():
        tenant = find_tenant_column(table)
        indexes = [*(list(index.columns) for index in table.indexes), *_list_uniques(table), list(table.primary_key)]
        if tenant is not None and not any(columns and columns[0] is tenant for columns in indexes):
            yield f"{table.fullname} has no index that begins with {tenant.name}."


def find_narrow_keys(engine: Engine) -> Iterator[str]:
    """Yield the references of a database between tables of tenants that leave the tenant out."""
    inspector = _inspect(engine)
    if inspector is None:
        return
    by_name = {(table.schema, table.name): table for table in list_tenant_tables()}
    for (schema, name), table in by_name.items():
        tenant = find_tenant_column(table)
        if tenant is None or not inspector.has_table(name, schema=schema):
            continue
        keys = inspector.get_foreign_keys(name, schema=schema)
        with_tenant = [set(key["constrained_columns"]) for key in keys if tenant.name in key["constrained_columns"]]
        for key in keys:
            columns = set(key["constrained_columns"])
            is_between = (key["referred_schema"], key["referred_table"]) in by_name
            if is_between and tenant.name not in columns and not any(columns < others for others in with_tenant):
                yield f"{table.fullname}({', '.join(sorted(columns))}) refers to {key['referred_table']} of any tenant."


def find_views(engine: Engine) -> Iterator[str]:
    """Yield the views of a database that read a table of tenants: a view is not filtered."""
    inspector = _inspect(engine)
    if inspector is None:
        return
    words = re.compile("|".join(rf"\b{re.escape(table.name)}\b" for table in list_protected()) or r"(?!)", re.I)
    declared = {table.name for table in list_protected()}
    for view in inspector.get_view_names():
        found = words.search(inspector.get_view_definition(view) or "")
        if found and view not in declared:
            yield f"The view {view} reads {found.group()}."


def _list_uniques(table: Table) -> list[list[Column[Any]]]:
    return [list(item.columns) for item in table.constraints if isinstance(item, UniqueConstraint)]


def _inspect(engine: Engine) -> Inspector | None:
    try:
        return inspect(engine)
    except SQLAlchemyError:  # another check tells that it does not answer
        return None
