"""Identifiers: whole, ASCII, of their kind, as a function and as a decorator."""

from __future__ import annotations

from typing import Any

import pytest

from flask_guard import ConfigError
from flask_guard.errors import InvalidInput
from flask_guard.schemas import sanitize_input


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("user", "update@example.org"), ("user", "a.b_c+d-e"), ("user", "a" * 64), ("role", "super-admin_2"),
        ("permission", "p" * 128), ("label", "Laptop of Ann 2.0"), ("text", "a fine day, (really)"),
        ("text", "selection"),
    ],
)  # fmt: skip
def test_an_identifier_of_its_kind_is_returned_as_it_is(kind: str, value: str) -> None:
    assert sanitize_input(value, kind) == value


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("user", ""), ("user", "a" * 65), ("user", "a\n"), ("user", "ann\u00e9"), ("user", "\uff41"), ("user", "a b"),
        ("user", "a--b"), ("user", "a\0"), ("user", "../etc"), ("role", "a.b"), ("role", "r\n"), ("role", "a--b"),
        ("role", "r" * 65), ("permission", "notes:read"), ("permission", "p" * 129), ("label", "drop table"),
        ("label", "My SELECT"), ("label", "union"), ("label", "a\tb"), ("text", "DROP it"), ("text", "a;b"),
        ("text", "x /* y"), ("text", "x # y"), ("text", "' OR 1=1"), ("text", "1 or  1 = 1"), ("text", "a AND 1=1"),
        ("text", "<script>"), ("text", "JavaScript:x"), ("text", "\u00e9t\u00e9"), ("free_text", "< script src=x"),
        ("free_text", "javascript :x"), ("free_text", "a -- b"), ("free_text", "x' or '1'='1"), ("free_text", "a\0"),
        ("free_text", ""),
    ],
)  # fmt: skip
def test_what_is_not_of_its_kind_is_refused_by_field_and_rule(kind: str, value: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        sanitize_input(value, kind, field="a/b")

    [fault] = caught.value.errors
    assert caught.value.status == 400
    assert fault.pointer == "/a~1b"
    assert len(value) < 3 or value not in fault.message + caught.value.detail + caught.value.text


@pytest.mark.parametrize("value", [None, 5, b"ann", ["ann"], {"a": "b"}], ids=repr)
def test_what_is_no_text_is_refused(value: Any) -> None:
    with pytest.raises(InvalidInput):
        sanitize_input(value, "user")


def test_free_text_keeps_its_words_and_is_escaped() -> None:
    assert sanitize_input('select <b>me</b> & "you"\n', "free_text") == (
        "select &lt;b&gt;me&lt;/b&gt; &amp; &quot;you&quot;\n"
    )


def test_arguments_are_checked_by_name() -> None:
    @sanitize_input(name="user", field="label")
    def add(name: str, count: int = 1, *, field: str = "none") -> tuple[str, int, str]:
        return name, count, field

    assert add("ann", 2, field="of Ann") == ("ann", 2, "of Ann")
    assert add("ann") == ("ann", 1, "none")
    assert add.__name__ == "add"
    with pytest.raises(InvalidInput) as caught:
        add("ann", field="drop")
    assert [fault.pointer for fault in caught.value.errors] == ["/field"]


@pytest.mark.parametrize(
    "decorator", [sanitize_input("role"), sanitize_input(kind="role")], ids=["by position", "by name"]
)
def test_every_argument_is_checked_when_one_kind_is_given(decorator: Any) -> None:
    class Desk:
        @decorator
        def grant(self, role: str, *more: str, **named: str) -> tuple[Any, ...]:
            return (role, more, named)

    assert Desk().grant("a", "b", c="d") == ("a", ("b",), {"c": "d"})
    for args, kwargs in ((("a b",), {}), (("a", "b c"), {}), (("a",), {"c": "d e"}), ((5,), {})):
        with pytest.raises(InvalidInput):
            Desk().grant(*args, **kwargs)


@pytest.mark.parametrize(
    ("build", "told"),
    [
        pytest.param(lambda: sanitize_input("x", "usr"), "'usr' is no kind. Did you mean user?", id="a typo"),
        pytest.param(lambda: sanitize_input("ann"), "'ann' is no kind", id="a value without its kind"),
        pytest.param(lambda: sanitize_input(), "one kind for all", id="nothing"),
        pytest.param(lambda: sanitize_input("role", name="user"), "one kind for all", id="one and several"),
        pytest.param(lambda: sanitize_input("x", "user", name="user"), "a value with its kind", id="a value and kinds"),
        pytest.param(
            lambda: sanitize_input(nme="user")(lambda name: name), "argument nme. Did you mean name?", id="no argument"
        ),
    ],
)  # fmt: skip
def test_a_mistake_is_told_when_it_is_made(build: Any, told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        build()

    assert told in str(caught.value)
