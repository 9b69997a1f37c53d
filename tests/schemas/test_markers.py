"""Markers: who may write a field, who may read it, what becomes of it."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from marshmallow import EXCLUDE, Schema, ValidationError, fields, post_load, validate, validates_schema

from flask_guard import ConfigError, Decision
from flask_guard.crypto.passwords import BCRYPT_MAX_BYTES, HashedText, PasswordTooLong
from flask_guard.errors import FieldForbidden, HashFailed
from flask_guard.schemas import (
    GuardSchema,
    Hashed,
    Hidden,
    ReadOnly,
    Redacted,
    WritableBy,
    WriteOnly,
)
from flask_guard.withheld import is_write_only, list_withheld

from .support import acting_as, faults_of, texts_in

SECRET = "correct horse battery"


class CountingHasher:
    """Marks texts instead of hashing them; counts how often."""

    def __init__(self) -> None:
        self.calls = 0

    def hash(self, password: str) -> str:
        self.calls += 1
        if len(password.encode()) > BCRYPT_MAX_BYTES:
            raise PasswordTooLong(BCRYPT_MAX_BYTES)
        return f"hash of {len(password)}"


class Account(GuardSchema):
    name = fields.String()
    passphrase = WriteOnly(fields.String(validate=validate.Length(min=3), data_key="passPhrase"))
    internal = Hidden(fields.String())


class Team(GuardSchema):
    members = fields.List(fields.Nested(Account))
    by_name = fields.Dict(values=fields.Nested(Account))
    first = fields.Nested(lambda: Account(many=True))


ROW = {"name": "ann", "passphrase": SECRET, "internal": SECRET}


# Never out ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "output",
    [
        pytest.param(lambda: Account().dump(ROW), id="dump"),
        pytest.param(lambda: Account().dumps([ROW], many=True), id="dumps of many"),
        pytest.param(lambda: Account(only=("name", "passphrase")).dump(ROW), id="only"),
        pytest.param(lambda: Account(load_only=("name",)).dump(ROW), id="another load_only"),
        pytest.param(lambda: Account(dump_only=("passphrase",)).dump(ROW), id="dump_only"),
        pytest.param(lambda: Team().dump({"members": [ROW], "by_name": {"a": ROW}, "first": [ROW]}), id="nested"),
        pytest.param(lambda: repr(Account()) + repr(Account().fields), id="repr"),
    ],
)
def test_what_is_write_only_or_hidden_is_in_no_output(output: Any) -> None:
    assert not [text for text in texts_in(output()) if SECRET in text]


def test_a_hidden_field_is_as_unknown_as_any_other() -> None:
    assert faults_of(Account(), {"internal": "x"}) == {"internal": ["Unknown field."]}
    assert Account(unknown=EXCLUDE).load({"internal": "x"}) == {}
    assert Account(only=("internal",)).load({}) == {}
    assert "internal" not in Account().fields


def test_a_message_about_a_write_only_value_does_not_quote_it() -> None:
    class Quoting(GuardSchema):
        pin = WriteOnly(fields.String(validate=validate.OneOf(["1"], error="{input} is none of {choices}")))
        secret_parts = WriteOnly(fields.List(fields.String(validate=validate.Equal("x", error="{input} is wrong"))))

    faults = faults_of(Quoting(), {"pin": SECRET, "secret_parts": [SECRET]})

    assert faults == {"pin": ["Invalid value."], "secret_parts": {0: ["Invalid value."]}}


def test_a_message_that_quotes_nothing_is_told() -> None:
    assert faults_of(Account(), {"passPhrase": "q"}) == {"passPhrase": ["Shorter than minimum length 3."]}


def test_the_error_of_a_body_does_not_hold_what_is_write_only() -> None:
    with pytest.raises(ValidationError) as caught:
        Team().load({"members": [{"passPhrase": SECRET, "name": 1}]})

    assert not [
        text for text in texts_in([caught.value.data, caught.value.valid_data, repr(caught.value)]) if SECRET in text
    ]


def test_logs_and_history_can_ask_what_never_comes_out() -> None:
    class Model:
        pass

    class OfModel(GuardSchema):
        recovery_phrase = WriteOnly(fields.String(attribute="phrase_text"))
        notes = Hidden(fields.String())

        class Meta:
            model = Model

    assert list_withheld(Model) == {"recovery_phrase", "phrase_text", "notes"}
    assert list_withheld(Account) == {"passphrase", "passPhrase", "internal"}
    assert is_write_only("recovery_phrase")
    assert not is_write_only("notes")
    assert OfModel().load({"recovery_phrase": "x"}) == {"phrase_text": "x"}


# Writing -----------------------------------------------------------------------------------------------------


class Profile(GuardSchema):
    name = fields.String(required=True)
    role = WritableBy(fields.String(allow_none=True), "admin", "owner")
    frozen = WritableBy(fields.String())


class Profiles(GuardSchema):
    rows = fields.List(fields.Nested(Profile))


@pytest.mark.parametrize(
    ("roles", "body", "pointers"),
    [
        pytest.param((), {"name": "a", "role": "x"}, ["/role"], id="nobody"),
        pytest.param(("editor",), {"name": "a", "role": None}, ["/role"], id="null is a write"),
        pytest.param(("editor",), {"name": 5, "role": 7, "evil": 1}, ["/role"], id="before any other fault"),
        pytest.param(("admin", "owner"), {"name": "a", "frozen": "x"}, ["/frozen"], id="no roles"),
        pytest.param(("editor",), {"role": "x", "frozen": "y"}, ["/role", "/frozen"], id="two"),
    ],
)
def test_who_lacks_the_role_is_told_which_field(roles: tuple[str, ...], body: Any, pointers: list[str]) -> None:
    with acting_as(*roles), pytest.raises(FieldForbidden) as caught:
        Profile().load(body)

    assert sorted(fault.pointer for fault in caught.value.errors) == sorted(pointers)
    assert caught.value.status == 403


def test_who_holds_the_role_writes_the_field() -> None:
    with acting_as("owner"):
        assert Profile().load({"name": "a", "role": None}) == {"name": "a", "role": None}


def test_a_field_of_a_nested_schema_is_named_by_its_place() -> None:
    with acting_as("editor"), pytest.raises(FieldForbidden) as caught:
        Profiles(many=True).load([{"rows": []}, {"rows": [{"name": "a"}, {"name": "a", "role": "x"}]}])

    assert [fault.pointer for fault in caught.value.errors] == ["/1/rows/1/role"]


def test_outside_of_a_request_nobody_holds_a_role() -> None:
    with pytest.raises(FieldForbidden):
        Profile().load({"name": "a", "role": "x"})


# Hashing -----------------------------------------------------------------------------------------------------


def _login_schema(hasher: Any) -> Any:
    class Login(GuardSchema):
        name = fields.String(required=True)
        password = Hashed(fields.String(allow_none=True), hasher=hasher)
        password_again = WriteOnly(fields.String())

        @validates_schema
        def check(self, data: Any, **_: Any) -> None:
            if "password_again" in data and data["password_again"] != data["password"]:
                raise ValidationError("Is not the same.", "password_again")

        @post_load
        def Amake(self, data: Any, **_: Any) -> Any:
            return dict(data)

    return Login()


def test_a_value_is_hashed_after_it_was_compared_and_before_it_is_used() -> None:
    hasher = CountingHasher()

    loaded = _login_schema(hasher).load({"name": "a", "password": SECRET, "password_again": SECRET})

    assert loaded["password"] == f"hash of {len(SECRET)}"
    assert hasher.calls == 1


@pytest.mark.parametrize("value", [None, ""], ids=["null", "empty"])
def test_what_is_nothing_is_not_hashed(value: Any) -> None:
    hasher = CountingHasher()

    assert _login_schema(hasher).load({"name": "a", "password": value})["password"] == value
    assert "password" not in _login_schema(hasher).load({"name": "a"})
    assert hasher.calls == 0


def test_a_faulty_body_costs_no_hash() -> None:
    hasher = CountingHasher()

    faults_of(_login_schema(hasher), {"password": SECRET})

    assert hasher.calls == 0


def test_a_hash_is_not_hashed_again_and_a_text_that_looks_like_one_is() -> None:
    hasher = CountingHasher()
    schema = _login_schema(hasher)
    once = schema.load({"name": "a", "password": SECRET})

    twice = schema.load(once)
    forged = schema.load({"name": "a", "password": "hash of 3"})

    assert twice["password"] is once["password"]
    assert isinstance(once["password"], HashedText)
    assert forged["password"] == f"hash of {len('hash of 3')}"


def test_a_value_that_cannot_be_hashed_whole_is_the_callers_fault() -> None:
    faults = faults_of(_login_schema(CountingHasher()), {"name": "a", "password": "é" * 37})

    assert faults == {"password": [f"Longer than {BCRYPT_MAX_BYTES} bytes."]}


def test_a_hasher_that_fails_gives_500_without_the_value(caplog: pytest.LogCaptureFixture) -> None:
    class Broken:
        def hash(self, password: str) -> str:
            raise RuntimeError(f"cannot hash {password}")

    with caplog.at_level(logging.DEBUG), pytest.raises(HashFailed) as caught:
        _login_schema(Broken()).load({"name": "a", "password": SECRET})

    assert caught.value.status == 500
    assert caught.value.__cause__ is None
    assert SECRET not in caught.value.detail + caught.value.text + caplog.text


def test_a_hash_is_never_shown() -> None:
    assert _login_schema(CountingHasher()).dump({"name": "a", "password": "hash"}) == {"name": "a"}


def test_argon2id_is_the_hash_of_who_names_none() -> None:
    class Login(GuardSchema):
        password = Hashed(fields.String())

    assert Login().load({"password": SECRET})["password"].startswith("$argon2id$v=19$m=65536,t=3,p=4$")


# Reading -----------------------------------------------------------------------------------------------------


def _own_row(principal: Any, obj: Any) -> Any:
    return obj["id"] == principal.id


class Person(GuardSchema):
    id = fields.String()
    salary = Redacted(fields.Integer(), visible_to=("hr", "boss"))
    phone = Redacted(fields.String(data_key="tel"), visible_to="hr", mask="***")
    email = Redacted(fields.String(), visible_to=_own_row)
    score = Redacted(fields.Integer(), visible_to=())


class Office(GuardSchema):
    people = fields.List(fields.Nested(Person))


class PlainOffice(Schema):
    people = fields.List(fields.Nested(Person))


PERSON = {"id": "u1", "salary": 5, "phone": "12", "email": "e@x", "score": 3}
MATRIX = [
    pytest.param((), "u2", {"id": "u1", "tel": "***"}, id="nobody"),
    pytest.param(("boss",), "u2", {"id": "u1", "salary": 5, "tel": "***"}, id="one of two roles"),
    pytest.param(("hr",), "u2", {"id": "u1", "salary": 5, "tel": "12"}, id="the other role"),
    pytest.param((), "u1", {"id": "u1", "tel": "***", "email": "e@x"}, id="the owner"),
    pytest.param(("hr",), "u1", {"id": "u1", "salary": 5, "tel": "12", "email": "e@x"}, id="both"),
]


@pytest.mark.parametrize(("roles", "reader", "shown"), MATRIX)
def test_a_reader_sees_what_is_theirs_to_see(roles: tuple[str, ...], reader: str, shown: Any) -> None:
    with acting_as(*roles, id=reader):
        assert Person().dump(PERSON) == shown
        assert Person(many=True).dump([PERSON, PERSON]) == [shown, shown]
        assert Office().dump({"people": [PERSON]}) == {"people": [shown]}
        assert PlainOffice().dump({"people": [PERSON]}) == {"people": [shown]}


def test_one_instance_serves_readers_in_turn() -> None:
    schema = Person()
    for _ in range(2):
        for case in MATRIX:
            roles, reader, shown = case.values
            with acting_as(*roles, id=reader):  # type: ignore[misc]
                assert schema.dump(PERSON) == shown


def test_outside_of_a_request_nobody_sees_what_is_redacted() -> None:
    assert Person().dump(PERSON) == {"id": "u1", "tel": "***"}


def _fail(principal: Any, obj: Any) -> Any:
    raise RuntimeError(f"no idea about {obj}")


@pytest.mark.parametrize(
    "sees",
    [
        pytest.param(_fail, id="raises"),
        pytest.param(lambda _p, _o: "yes", id="answers a text"),
        pytest.param(lambda _p, _o: 1, id="answers a number"),
        pytest.param(lambda _p, _o: None, id="answers nothing"),
        pytest.param(lambda _p, _o: Decision(False, "no"), id="decides against"),
    ],
)
def test_a_predicate_that_fails_redacts(sees: Any, caplog: pytest.LogCaptureFixture) -> None:
    schema = GuardSchema.from_dict({"pet": Redacted(fields.String(), visible_to=sees)})()

    with caplog.at_level(logging.ERROR):
        assert schema.dump([{"pet": SECRET}] * 3, many=True) == [{}, {}, {}]
    assert SECRET not in caplog.text
    assert len(caplog.records) <= 1


def test_a_decision_may_be_the_answer() -> None:
    schema = GuardSchema.from_dict(
        {"pet": Redacted(fields.String(), visible_to=lambda _p, _o: Decision(True, "yes"))}
    )()

    assert schema.dump({"pet": "cat"}) == {"pet": "cat"}


# Where markers mean nothing ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "marker", [ReadOnly, WriteOnly, Hidden, Hashed, WritableBy], ids=lambda marker: marker.__name__
)
def test_a_marked_field_refuses_a_schema_that_would_not_keep_it(marker: Any) -> None:
    class Plain(Schema):
        name = marker(fields.String())

    with pytest.raises(ConfigError, match=rf"name: {marker.__name__} means nothing in Plain"):
        Plain()


def test_a_marked_field_stays_what_it_is() -> None:
    marked = WriteOnly(fields.Email(required=True))

    assert isinstance(marked, fields.Email)
    assert type(marked).__name__ == "Email"
    assert isinstance(WriteOnly(fields.String), fields.String)


@pytest.mark.parametrize("value", [None, "name", Schema, 3], ids=["None", "a text", "a schema", "a number"])
def test_a_marker_wraps_nothing_but_a_field(value: Any) -> None:
    with pytest.raises(ConfigError, match="wraps a marshmallow field"):
        WriteOnly(value)


@pytest.mark.parametrize(
    ("build", "told"),
    [
        pytest.param(lambda: WritableBy(fields.String(), ""), "names of roles", id="an empty role"),
        pytest.param(lambda: Redacted(fields.String(), visible_to=[1]), "names of roles", id="a number"),  # type: ignore[list-item]
        pytest.param(
            lambda: Redacted(fields.String(), visible_to=lambda p: True), "the principal and the object", id="one"
        ),  # type: ignore[arg-type]
    ],
)
def test_a_marker_that_could_not_be_kept_is_refused(build: Any, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        build()


def test_an_async_predicate_is_refused() -> None:
    async def sees(principal: Any, obj: Any) -> bool:
        return False

    with pytest.raises(ConfigError, match="async"):
        Redacted(fields.String(), visible_to=sees)
