"""What may be said about whose the rows of a table are, and what follows from it."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import (
    Column,
    Computed,
    Engine,
    ForeignKey,
    Integer,
    MetaData,
    String,
    Table,
    create_engine,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.pool import StaticPool

from flask_guard import Principal
from flask_guard.errors import TenancyError
from flask_guard.tenancy import engines
from flask_guard.tenancy.rules import (
    COMMANDS,
    ColumnCheck,
    RowPredicate,
    add_check,
    add_predicate,
    current_generation,
    find_owner_column,
    find_parent_column,
    find_protection,
    find_tenant_column,
    find_undeclared,
    is_protected_name,
    list_protected,
    require_recompile,
    require_root,
    rule_of,
)
from flask_guard.tenancy.scope import tenant_scope

from .ledger import Account, Base, Currency, odd

TENANT, OWNER = {"guard": "tenant"}, {"guard": "owner"}
ANN, BOB = Principal(id="ann", kind="user"), Principal(id="bob", kind="user")
ROOT = Principal(id="root", kind="user", roles=frozenset({"admin"}))


def make(*columns: Column[Any], name: str = "ruled", metadata: MetaData | None = None, **options: Any) -> Table:
    return Table(name, metadata or MetaData(), Column("id", Integer, primary_key=True), *columns, **options)


def whose(type_: Any = String) -> Column[Any]:
    return Column("tenant_id", type_, info=TENANT)


@pytest.fixture
def engine() -> Iterator[Engine]:
    engine = create_engine("sqlite://", poolclass=StaticPool)
    engines.install()
    yield engine
    engine.dispose()


# -- declarations


def test_a_column_declares_its_table() -> None:
    table = make(whose())

    assert table.info == {"guard": {"tenant": "tenant_id"}}
    assert find_tenant_column(table) is table.c.tenant_id
    assert is_protected_name("RULED")


def test_a_column_of_a_mixin_declares_each_class() -> None:
    class Tenanted:
        tenant_id: Mapped[str] = mapped_column(String, info=TENANT)

    class Root(DeclarativeBase):
        pass

    class One(Tenanted, Root):
        __tablename__ = "ruled_one"
        id: Mapped[int] = mapped_column(primary_key=True)

    class Two(Tenanted, Root):
        __tablename__ = "ruled_two"
        id: Mapped[int] = mapped_column(primary_key=True)

    columns = [find_tenant_column(model.__table__) for model in (One, Two)]  # type: ignore[arg-type]

    assert columns == [One.__table__.c.tenant_id, Two.__table__.c.tenant_id]


def test_a_column_that_comes_later_declares_its_table() -> None:
    table = make(name="ruled_later")
    assert find_protection(table) is None

    table.append_column(whose())

    assert find_protection(table) is not None


def test_a_copy_of_a_table_is_declared_like_it() -> None:
    copied = make(whose()).to_metadata(MetaData())

    assert find_tenant_column(copied) is copied.c.tenant_id


def test_a_table_declares_itself_by_its_info() -> None:
    table = make(Column("org", String), info={"guard": {"tenant": "org"}})

    assert find_tenant_column(table) is table.c.org


def test_a_table_may_have_a_tenant_and_an_owner() -> None:
    table = make(whose(), Column("owner_id", String, info=OWNER))

    assert table.info == {"guard": {"tenant": "tenant_id", "owner": "owner_id"}}
    assert find_owner_column(table) is table.c.owner_id


def test_the_key_of_a_column_may_differ_from_its_name() -> None:
    assert find_tenant_column(odd) is odd.c.whose


def test_rows_of_everybody_are_not_protected() -> None:
    assert rule_of(Currency.__table__) is not None
    assert find_protection(Currency.__table__) is None
    assert not is_protected_name("ledger_currencies")


@pytest.mark.parametrize(
    "declared",
    [{}, {"tenant": "tenant_id", "parent": "id"}, {"global": False}, {"tenants": "id"}, {"tenant": 1}, {"owner": None}],
    ids=str,
)
def test_a_declaration_that_means_nothing_is_refused(declared: dict[str, Any]) -> None:
    with pytest.raises(TenancyError, match=r"takes one of 'tenant', 'parent', 'global'"):
        make(info={"guard": declared})


@pytest.mark.parametrize("kind", ["tenant", "owner"])
def test_a_declared_column_must_be_there(kind: str) -> None:
    with pytest.raises(TenancyError, match="has no such column"):
        make(info={"guard": {kind: "nobody"}})


@pytest.mark.parametrize(
    "options",
    [{"onupdate": "x"}, {"server_onupdate": func.now()}, {"computed": True}],
    ids=["onupdate", "server_onupdate", "computed"],
)
def test_a_declared_column_may_not_change_by_itself(options: dict[str, Any]) -> None:
    computed = (Computed("'x'"),) if options.pop("computed", False) else ()

    with pytest.raises(TenancyError, match="change by itself"):
        make(Column("tenant_id", String, *computed, info=TENANT, **options))


# -- what is wrong at start


def test_a_metadata_without_tenants_needs_no_declarations() -> None:
    metadata = MetaData()
    make(name="free", metadata=metadata)

    assert find_undeclared(metadata) == []


def test_every_table_beside_a_protected_one_is_declared() -> None:
    metadata = MetaData()
    make(whose(), metadata=metadata)
    make(name="forgotten", metadata=metadata)
    make(name="shared", metadata=metadata, info={"guard": {"global": True}})

    faults = find_undeclared(metadata)

    assert len(faults) == 1
    assert faults[0].startswith("Nothing says whose the rows of the table 'forgotten' are")


def test_the_ledger_is_declared() -> None:
    assert find_undeclared(Base.metadata) == []


def test_parents_that_lead_nowhere_are_told() -> None:
    metadata = MetaData()
    make(whose(), metadata=metadata)
    parent = {"guard": {"parent": "up"}}
    make(Column("up", ForeignKey("ring_two.id")), name="ring_one", metadata=metadata, info=parent)
    make(Column("up", ForeignKey("ring_one.id")), name="ring_two", metadata=metadata, info=parent)
    make(name="everybodys", metadata=metadata, info={"guard": {"global": True}})
    make(Column("up", ForeignKey("everybodys.id")), name="lost", metadata=metadata, info=parent)
    make(Column("up", Integer), name="loose", metadata=metadata, info=parent)

    faults = "\n".join(find_undeclared(metadata))

    assert "in a circle: ring_one -> ring_two -> ring_one" in faults
    assert "The table 'lost' names a parent whose rows do not belong to a tenant" in faults
    assert "The table 'loose' names 'up' as the way to its parent, which is no foreign key" in faults


def test_a_path_of_parents_may_be_long() -> None:
    metadata = MetaData()
    make(whose(), name="deep0", metadata=metadata)
    for depth in (1, 2, 3):
        reference = Column("up", ForeignKey(f"deep{depth - 1}.id"))
        make(reference, name=f"deep{depth}", metadata=metadata, info={"guard": {"parent": "up"}})

    require_root(metadata.tables["deep3"])
    assert find_parent_column(metadata.tables["deep3"], "up") is metadata.tables["deep2"].c.id
    assert find_undeclared(metadata) == []


def test_protected_tables_are_listed_by_name() -> None:
    names = [table.fullname for table in list_protected()]

    assert names == sorted(names)
    assert {"ledger_accounts", "ledger_archive.ledger_entries", "ledger_companies", "ledger_entry_labels"} <= set(names)
    assert "ledger_currencies" not in names


# -- names


def test_a_table_without_a_declaration_has_the_rule_of_its_name() -> None:
    reflected = Table("Ledger_Accounts", MetaData(), Column("tenant_id", String))

    assert rule_of(reflected) is rule_of(Account.__table__)
    assert rule_of(Table("ledger_nothing", MetaData())) is None


def test_a_table_that_says_so_is_everybodys_whatever_its_name() -> None:
    table = Table("ledger_accounts", MetaData(), info={"guard": {"global": True}})

    assert find_protection(table) is None


# -- additions


def test_a_condition_is_added(engine: Engine) -> None:
    table = make(whose(), name="ruled_added")
    table.create(engine)
    add_predicate(table, RowPredicate(frozenset({"select"}), lambda from_: from_.c.id > 1))

    with tenant_scope("acme"), engine.connect() as connection:
        connection.execute(insert(table), [{"id": number, "tenant_id": "acme"} for number in (1, 2)])

        assert connection.execute(select(table.c.id)).scalars().all() == [2]
        assert connection.execute(update(table).values(id=table.c.id + 10)).rowcount == 2


def test_a_condition_protects_a_table_that_has_no_tenant(engine: Engine) -> None:
    table = make(name="ruled_public")
    table.create(engine)
    add_predicate(table, RowPredicate(COMMANDS, lambda from_: from_.c.id > 1))

    with engine.connect() as connection:
        connection.execute(insert(table), [{"id": 1}, {"id": 2}])

        assert connection.execute(select(table.c.id)).scalars().all() == [2]
    assert is_protected_name("ruled_public")


def test_a_check_is_added(engine: Engine) -> None:
    table = make(whose(), Column("level", Integer), name="ruled_checked")
    table.create(engine)

    def verify(values: list[object], _connection: Any) -> None:
        if any(value != 1 for value in values):
            raise TenancyError("no such level")

    add_check(table, ColumnCheck("level", verify, is_optional=True))

    with tenant_scope("acme"), engine.connect() as connection:
        connection.execute(insert(table), {"id": 1, "tenant_id": "acme", "level": 1})
        connection.execute(insert(table), {"id": 2, "tenant_id": "acme"})
        with pytest.raises(TenancyError, match="no such level"):
            connection.execute(update(table).values(level=2))


def test_what_was_compiled_is_given_up_when_a_rule_changes_that_it_was_compiled_with(engine: Engine) -> None:
    used, unused = make(whose(), name="ruled_used"), make(whose(), name="ruled_unused")
    used.create(engine)
    with tenant_scope("acme"), engine.connect() as connection:
        connection.execute(select(used))
    before = current_generation()

    require_recompile(unused)
    assert current_generation() == before

    require_recompile(used)
    assert current_generation() != before


def test_the_keys_of_tables_are_not_kept_alive_by_their_rules() -> None:
    table = make(whose(), Column("owner_id", String, info=OWNER), name="ruled_gone")
    gone = weakref.ref(table)

    del table
    gc.collect()

    assert gone() is None
    assert not is_protected_name("ruled_gone")
