"""What buckets are called in stores that others can look into."""

from __future__ import annotations

import re
import secrets
from dataclasses import replace

from flask_guard.config.sections import RateStrategy
from flask_guard.limits.bucket_names import LETTERS, name_bucket, name_service, sum_charges
from flask_guard.limits.rates import Window

WINDOW = Window(scope="tier:anonymous", amount=100, seconds=60, label="anonymous")


def test_a_name_is_32_digits_that_show_nothing_of_the_subject() -> None:
    subject = secrets.token_hex(8)

    name = name_bucket(WINDOW, subject)

    assert re.fullmatch("[0-9a-f]{32}", name)
    assert subject not in name


def test_the_same_bucket_has_the_same_name_in_every_process() -> None:
    assert name_bucket(WINDOW, "192.0.2.1") == "4555da661d0777f71f7275333f7d21d1"


def test_the_label_is_not_part_of_the_name() -> None:
    assert name_bucket(WINDOW, "subject") == name_bucket(replace(WINDOW, label="other"), "subject")


BUCKETS = [
    ("ab", 1, 60, "c"),
    ("a", 1, 60, "bc"),
    ("a1", 1, 60, "c"),
    ("a", 11, 60, "c"),
    ("a", 1, 160, "c"),
    ("a", 1, 16, "0:c"),
    ("a", 1, 60, "c\ud800"),
    ("a", 1, 60, "c\udc00"),
    ("a", 1, 60, ""),
    ("", 1, 60, "a"),
    ("1:a", 1, 60, ""),
]


def test_different_buckets_have_different_names() -> None:
    names = {
        name_bucket(Window(scope=scope, amount=amount, seconds=seconds, label=""), subject)
        for scope, amount, seconds, subject in BUCKETS
    }

    assert len(names) == len(BUCKETS)


def test_strategies_have_letters_of_their_own() -> None:
    known: set[RateStrategy] = {"sliding-window", "fixed-window", "moving-window", "gcra"}

    assert set(LETTERS) == known
    assert len(set(LETTERS.values())) == 4


def test_a_service_without_a_name_adds_nothing_and_one_with_a_name_twelve_digits() -> None:
    assert name_service("") == ""
    assert re.fullmatch("[0-9a-f]{12}:", name_service("notes"))
    assert name_service("notes") != name_service("Notes")


def test_charges_of_one_bucket_are_added_up() -> None:
    other = replace(WINDOW, scope="tier:global")
    charges = [(WINDOW, "a", 2), (other, "all", 1), (replace(WINDOW, label="again"), "a", 3)]

    names, sums = sum_charges(charges, "prefix:")

    assert names[0] == names[2] == "prefix:" + name_bucket(WINDOW, "a")
    assert list(sums.values()) == [(replace(WINDOW, label="again"), 5), (other, 1)]
