"""One database with the three roles for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .world import World, fill, make_world, remove_roles


@pytest.fixture
def bare_world(postgres_db: str) -> Iterator[World]:
    """The roles, and nothing in the database."""
    world = make_world(postgres_db)
    yield world
    remove_roles(world)


@pytest.fixture
def world(bare_world: World) -> World:
    """The tables of the models under row security, with rows of the tenants a and b."""
    fill(bare_world)
    return bare_world
