"""What never comes out is known to whoever writes something down."""

from __future__ import annotations

import gc

from flask_guard.logs.scrub import MASK, scrub_members
from flask_guard.withheld import is_write_only, list_withheld, list_write_only, withhold


def test_the_members_of_a_model_add_up() -> None:
    class Model:
        pass

    withhold(Model, write_only=["genome"])
    withhold(Model, hidden=["shade"])

    assert list_withheld(Model) == {"genome", "shade"}
    assert list_withheld(int) == frozenset()


def test_a_write_only_name_is_masked_in_logs_and_a_hidden_one_is_not() -> None:
    class Model:
        pass

    assert scrub_members({"fingerprint_scan": "x"}) == {"fingerprint_scan": "x"}

    withhold(Model, write_only=["fingerprint_scan"], hidden=["shade_of_it"])

    assert scrub_members({"fingerprint_scan": "x", "shade_of_it": "y"}) == {
        "fingerprint_scan": MASK,
        "shade_of_it": "y",
    }


def test_a_name_stays_a_secret_when_its_model_is_gone() -> None:
    class Model:
        pass

    withhold(Model, write_only=["vanished_secret"])
    del Model
    gc.collect()

    assert is_write_only("vanished_secret")
    assert "vanished_secret" in list_write_only()
