"""A .env file is read line by line; one that is not there, or is none, says nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from flask_guard.config.dotenv import read_dotenv


@pytest.mark.parametrize(
    ("line", "value"),
    [
        pytest.param("A=1", "1", id="plain"),
        pytest.param(" A = 1 ", "1", id="blanks"),
        pytest.param("export A=1", "1", id="export"),
        pytest.param('A="1 2"', "1 2", id="double quotes"),
        pytest.param("A='1'", "1", id="single quotes"),
        pytest.param("A=\"1'", "\"1'", id="quotes that do not match"),
        pytest.param("A='", "'", id="half a quote"),
        pytest.param("A=b=c", "b=c", id="equals sign in the value"),
        pytest.param("A=$HOME", "$HOME", id="nothing is expanded"),
        pytest.param("A=x#y", "x#y", id="a hash in the value"),
        pytest.param("A=", "", id="empty"),
        pytest.param("# B=1\nA=1", "1", id="after a comment"),
        pytest.param("\ufeffA=1", "1", id="after a byte order mark"),
        pytest.param("A=0\nA=1", "1", id="the last one counts"),
    ],
)
def test_variable_is_read(line: str, value: str, tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_text(f"{line}\n", "utf-8")

    assert read_dotenv(path) == {"A": value}


@pytest.mark.parametrize(
    "data", [b"", b"no variable\n", b"# A=1\n", b"A=\xff\n"], ids=["empty", "no sign", "comment", "not text"]
)
def test_file_without_variables_says_nothing(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_bytes(data)

    assert read_dotenv(path) == {}


def test_file_that_is_not_there_says_nothing(tmp_path: Path) -> None:
    assert read_dotenv(tmp_path / ".env") == {}
    assert read_dotenv(tmp_path) == {}
