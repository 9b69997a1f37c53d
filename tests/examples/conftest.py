"""What tests of several files need of the examples."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import Any

import pytest

from .support import EXAMPLES


@pytest.fixture(scope="module")
def notes() -> Iterator[Any]:
    """The package `notes`, imported as `flask --app examples/notes` does."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(EXAMPLES))
        yield importlib.import_module("notes")
