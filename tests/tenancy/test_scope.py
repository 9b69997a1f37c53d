"""`tenant_scope` binds a tenant for a block, and for nobody else."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Any

import pytest

from flask_guard.tenancy.scope import find_identity, tenant_scope
from flask_guard.values import NO_TENANT, Tenant


def find_scoped_tenant() -> Tenant | None:
    return find_identity().tenant or None


def test_no_scope_binds_nothing() -> None:
    assert find_scoped_tenant() is None


@pytest.mark.parametrize("tenant", ["acme", Tenant("acme"), Tenant("acme", name="Acme")])
def test_scope_binds_the_tenant_until_the_block_ends(tenant: str | Tenant) -> None:
    with tenant_scope(tenant) as bound:
        assert bound.id == "acme"
        assert find_scoped_tenant() is bound

    assert find_scoped_tenant() is None


def test_inner_scope_stands_above_the_outer() -> None:
    with tenant_scope("outer"):
        with tenant_scope("inner"):
            assert find_scoped_tenant() == Tenant("inner")
        assert find_scoped_tenant() == Tenant("outer")


def test_error_ends_the_scope() -> None:
    with pytest.raises(RuntimeError), tenant_scope("acme"):
        raise RuntimeError

    assert find_scoped_tenant() is None


@pytest.mark.parametrize("tenant", ["", " ", None, 5, Tenant(""), NO_TENANT, Tenant(5), b"acme"], ids=repr)  # type: ignore[arg-type]
def test_tenant_without_an_id_is_refused_and_binds_nothing(tenant: Any) -> None:
    with tenant_scope("outer"):
        with pytest.raises(ValueError, match="needs the id of a tenant"):
            tenant_scope(tenant).__enter__()
        assert find_scoped_tenant() == Tenant("outer")


def test_threads_do_not_share_a_scope() -> None:
    barrier = threading.Barrier(4)

    def work(name: str) -> str:
        before = find_scoped_tenant()
        with tenant_scope(name):
            barrier.wait()
            found = find_scoped_tenant()
            barrier.wait()
        assert before is None
        assert found is not None
        return found.id

    with tenant_scope("main"), ThreadPoolExecutor(4) as pool:
        assert list(pool.map(work, "abcd")) == list("abcd")
        assert find_scoped_tenant() == Tenant("main")


def test_coroutines_do_not_share_a_scope() -> None:
    async def work(name: str) -> str:
        with tenant_scope(name):
            await asyncio.sleep(0)
            found = find_scoped_tenant()
        assert found is not None
        return found.id

    async def both() -> list[str]:
        return list(await asyncio.gather(work("a"), work("b")))

    assert asyncio.run(both()) == ["a", "b"]
    assert find_scoped_tenant() is None


def test_copied_context_carries_the_scope() -> None:
    with tenant_scope("acme"):
        context = copy_context()

    assert context.run(find_scoped_tenant) == Tenant("acme")
