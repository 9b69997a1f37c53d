"""Redaction of plain data: every nesting, every list, streams; and never a leak because of an error."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from flask_guard.schemas import redact


@dataclass
class Person:
    name: str
    ssn: str


DATA = {"name": "a", "ssn": 1, "rows": [{"ssn": 2, "x": ({"ssn": 3},)}], "map": {"k": {"ssn": 4}}}


@pytest.mark.parametrize(
    ("data", "paths", "options", "redacted"),
    [
        pytest.param(DATA, "ssn", {}, {"name": "a", "rows": [{"x": [{}]}], "map": {"k": {}}}, id="everywhere"),
        pytest.param(
            DATA, ["rows.ssn"], {}, {"name": "a", "ssn": 1, "rows": [{"x": [{"ssn": 3}]}], "map": {"k": {"ssn": 4}}},
            id="a path through a list",
        ),
        pytest.param({"a": {"owner": {"e": 1}}, "owner": {"e": 2}}, "owner.e", {}, {"a": {"owner": {}}, "owner": {}},
                     id="a path that begins anywhere"),
        pytest.param([{"ssn": 1}], "ssn", {"mask": "***"}, [{"ssn": "***"}], id="a mask"),
        pytest.param([{"ssn": 1}], "ssn", {"mask": None}, [{"ssn": None}], id="null for a mask"),
        pytest.param([Person("a", "1")], "ssn", {}, [{"name": "a"}], id="a dataclass"),
        pytest.param({"ssn": {"deep": {"ssn": 1}}}, "ssn", {}, {}, id="with all that is in it"),
        pytest.param("ssn", "ssn", {}, "ssn", id="a text"),
        pytest.param({1: {"ssn": 1}}, "ssn", {}, {1: {}}, id="names that are no texts"),
    ],
)  # fmt: skip
def test_members_are_taken_out(data: Any, paths: Any, options: Any, redacted: Any) -> None:
    assert redact(data, paths, **options) == redacted


def test_the_data_stays_as_it_was() -> None:
    data = {"rows": [{"ssn": 1}]}

    redact(data, "ssn")

    assert data == {"rows": [{"ssn": 1}]}


def _fail(holder: Any) -> Any:
    raise KeyError("public")


@pytest.mark.parametrize(
    ("when", "is_redacted"),
    [
        pytest.param(lambda holder: not holder["public"], False, id="not meant"),
        pytest.param(lambda holder: holder["public"], True, id="meant"),
        pytest.param(_fail, True, id="an error"),
        pytest.param(lambda holder: None, True, id="no answer"),
        pytest.param(lambda holder: 0, True, id="a number"),
    ],
)
def test_a_predicate_has_to_say_no(when: Any, is_redacted: bool) -> None:
    assert ("ssn" not in redact({"ssn": 1, "public": True}, "ssn", when=when)) is is_redacted


def test_a_stream_is_redacted_as_it_flows() -> None:
    taken = []

    def rows() -> Iterator[Any]:
        for number in range(3):
            taken.append(number)
            yield {"n": number, "ssn": number}

    stream = redact(rows(), "ssn")

    assert next(stream) == {"n": 0}
    assert taken == [0]
    assert list(stream) == [{"n": 1}, {"n": 2}]


@pytest.mark.parametrize("paths", ["", ".", "a.", ["a", ""]], ids=repr)
def test_a_path_that_names_nothing_is_refused(paths: Any) -> None:
    with pytest.raises(ValueError, match="path"):
        redact({}, paths)
