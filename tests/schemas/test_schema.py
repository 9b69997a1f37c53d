"""GuardSchema: nothing unknown comes in, at any depth, and every fault of a body is told at once."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from marshmallow import EXCLUDE, INCLUDE, RAISE, Schema, ValidationError, fields, post_load, validate, validates_schema

from flask_guard import ConfigError
from flask_guard.errors import FieldForbidden
from flask_guard.schemas import GuardSchema, Immutable, ReadOnly, WritableBy, WriteOnly, strip_unknown_fields
from flask_guard.schemas.pointers import MAX_FAULTS, flatten_messages

from .support import acting_as, faults_of


class Lax(Schema):
    """A plain schema that lets everything in."""

    name = fields.String()

    class Meta:
        unknown = INCLUDE


class Deep(Schema):
    """A plain schema around another one."""

    inner = fields.Nested(Lax)


class Guarded(GuardSchema):
    name = fields.String()


UNKNOWN = ["Unknown field."]
NESTINGS: list[Any] = [
    pytest.param(lambda: fields.Nested(Lax), {"name": "a", "evil": 1}, {"evil": UNKNOWN}, id="a plain class"),
    pytest.param(lambda: fields.Nested(Lax()), {"name": "a", "evil": 1}, {"evil": UNKNOWN}, id="a plain instance"),
    pytest.param(lambda: fields.Nested(Guarded), {"name": "a", "evil": 1}, {"evil": UNKNOWN}, id="a guarded class"),
    pytest.param(lambda: fields.Nested(lambda: Lax()), {"name": "a", "evil": 1}, {"evil": UNKNOWN}, id="a lambda"),
    pytest.param(
        lambda: fields.Nested({"name": fields.String()}), {"name": "a", "evil": 1}, {"evil": UNKNOWN}, id="a dict"
    ),
    pytest.param(
        lambda: fields.Nested(Lax, many=True),
        [{"name": "a"}, {"name": "b", "evil": 1}],
        {1: {"evil": UNKNOWN}},
        id="many",
    ),
    pytest.param(
        lambda: fields.List(fields.Nested(Lax)), [{"name": "a", "evil": 1}], {0: {"evil": UNKNOWN}}, id="a list"
    ),
    pytest.param(
        lambda: fields.Dict(values=fields.Nested(Lax)),
        {"key": {"name": "a", "evil": 1}},
        {"key": {"evil": UNKNOWN}},
        id="the values of a dict",
    ),
    pytest.param(
        lambda: fields.Nested(Deep), {"inner": {"name": "a", "evil": 1}}, {"inner": {"evil": UNKNOWN}}, id="two deep"
    ),
    pytest.param(
        lambda: fields.Tuple((fields.Nested(Lax),)), [{"name": "a", "evil": 1}], {0: {"evil": UNKNOWN}}, id="a tuple"
    ),
]


@pytest.mark.parametrize(("nesting", "value", "faults"), NESTINGS)
def test_an_unknown_member_is_refused_at_every_depth(nesting: Callable[[], Any], value: Any, faults: Any) -> None:
    schema = GuardSchema.from_dict({"child": nesting()})()

    assert faults_of(schema, {"child": value, "other": 1}) == {"child": faults, "other": UNKNOWN}


@pytest.mark.parametrize(("nesting", "value", "faults"), NESTINGS)
@pytest.mark.parametrize("way", ["meta", "instance", "call"])
def test_an_unknown_member_is_stripped_at_every_depth(
    nesting: Callable[[], Any], value: Any, faults: Any, way: str
) -> None:
    class Outer(GuardSchema):
        child = nesting()

        class Meta:
            unknown = EXCLUDE if way == "meta" else RAISE

    schema = Outer(unknown=EXCLUDE) if way == "instance" else Outer()

    loaded = schema.load({"child": value, "other": 1}, unknown=EXCLUDE if way == "call" else None)

    assert "evil" not in str(loaded)
    assert "'a'" in str(loaded)
    assert "other" not in loaded


def test_a_plucked_member_is_loaded_by_its_name_alone() -> None:
    class Outer(GuardSchema):
        child = fields.Pluck(Lax, "name", many=True)

    assert Outer().load({"child": ["a"]}) == {"child": [{"name": "a"}]}
    assert faults_of(Outer(), {"child": [{"name": "a", "evil": 1}]}) == {
        "child": {0: {"name": ["Not a valid string."]}}
    }


def test_a_nested_field_may_say_otherwise() -> None:
    class Outer(GuardSchema):
        child = fields.Nested(Deep, unknown=EXCLUDE)

    assert Outer().load({"child": {"evil": 1, "inner": {"name": "a", "evil": 1}}}) == {
        "child": {"inner": {"name": "a"}}
    }
    assert faults_of(Outer(), {"child": {}, "other": 1}) == {"other": UNKNOWN}


def test_a_plain_instance_that_is_nested_stays_as_it_was() -> None:
    lax = Lax()

    class Outer(GuardSchema):
        child = fields.Nested(lax)

    faults_of(Outer(), {"child": {"name": "a\0"}})

    assert lax.load({"name": "a\0", "more": 1}) == {"name": "a\0", "more": 1}


def test_a_schema_that_nests_itself_is_loaded_to_the_end() -> None:
    class Tree(GuardSchema):
        name = fields.String()
        children = fields.List(fields.Nested(lambda: Tree()))

    body = {"name": "a", "children": [{"name": "b", "children": [{"name": "c", "evil": 1}]}]}

    assert faults_of(Tree(), body) == {"children": {0: {"children": {0: {"evil": UNKNOWN}}}}}


@pytest.mark.parametrize(
    "load",
    [
        pytest.param(lambda: Guarded().load({}, unknown=INCLUDE), id="load"),
        pytest.param(lambda: Guarded(unknown=INCLUDE).load({}), id="the instance"),
        pytest.param(lambda: Guarded().loads("{}", unknown=INCLUDE), id="loads"),
    ],
)
def test_include_is_refused_when_it_is_asked_for(load: Callable[[], Any]) -> None:
    with pytest.raises(ConfigError, match="INCLUDE"):
        load()


def test_all_faults_of_a_body_are_in_one_answer_with_their_pointers() -> None:
    class Body(GuardSchema):
        title = fields.String(required=True)
        size = fields.Integer(data_key="a/b")
        lines = fields.List(fields.Nested(Guarded))

    faults = faults_of(Body(), {"a/b": "x", "lines": [{}, {"name": 1, "evil": 2}], "more": 1})

    assert {fault.pointer for fault in flatten_messages(faults)} == {
        "/title", "/a~1b", "/lines/1/name", "/lines/1/evil", "/more",
    }  # fmt: skip


def test_an_answer_names_a_bounded_number_of_faults() -> None:
    faults = flatten_messages(faults_of(Guarded(), {f"m{number}": 1 for number in range(100_000)}))

    assert len(faults) == MAX_FAULTS + 1
    assert faults[-1].message == f"There are more faults than the first {MAX_FAULTS}."


def test_many_and_partial_work_as_in_marshmallow() -> None:
    class Body(GuardSchema):
        title = fields.String(required=True)
        name = fields.String(required=True)

    assert faults_of(Body(many=True), [{"title": "a", "name": "b"}, {"title": "a"}]) == {
        1: {"name": ["Missing data for required field."]}
    }
    assert Body(partial=True).load({"title": "a"}) == {"title": "a"}
    assert Body().load({"title": "a"}, partial=("name",)) == {"title": "a"}


def test_hooks_of_the_schema_run_as_in_marshmallow() -> None:
    class Body(GuardSchema):
        title = fields.String()

        @validates_schema
        def check(self, data: Any, **_: Any) -> None:
            if data.get("title") == "no":
                raise ValidationError("Not this one.", "title")

        @post_load
        def wrap(self, data: Any, **_: Any) -> Any:
            return ("made", data)

    assert Body().load({"title": "yes"}) == ("made", {"title": "yes"})
    assert faults_of(Body(), {"title": "no"}) == {"title": ["Not this one."]}


def test_what_is_read_only_is_dropped_and_what_is_immutable_is_dropped_on_an_update() -> None:
    class Body(GuardSchema):
        id = ReadOnly(fields.Integer())
        owner = Immutable(fields.String())
        title = fields.String()

    body = {"id": 7, "owner": "me", "title": "a"}

    assert Body().load(body) == {"owner": "me", "title": "a"}
    assert Body().load([body], many=True) == [{"owner": "me", "title": "a"}]
    for load in (
        lambda: Body(partial=True).load(body),
        lambda: Body().load(body, partial=True),
        lambda: Body(is_update=True).load(body),
        lambda: Body().load(body, existing={"owner": "you"}),
    ):
        assert load() == {"title": "a"}
    assert body == {"id": 7, "owner": "me", "title": "a"}


def test_on_an_update_what_is_immutable_is_neither_asked_for_nor_set_to_its_default() -> None:
    class Inner(GuardSchema):
        kind = Immutable(fields.String(required=True))
        size = fields.Integer()

    class Note(GuardSchema):
        owner = Immutable(fields.String(required=True, data_key="ownerName"))
        state = Immutable(fields.String(load_default="open"))
        title = fields.String(required=True)
        inner = fields.Nested(Inner)

    sent = {"ownerName": "eve", "state": "closed", "title": "x", "inner": {"kind": "y", "size": 1}}

    changes = {"title": "x", "inner": {"size": 1}}
    assert Note(is_update=True).load(sent) == changes
    assert Note().load(sent, existing={"owner": "ann", "state": "closed"}) == changes
    assert Note(is_update=True, many=True).load([sent, sent]) == [changes, changes]
    assert Note(is_update=True).validate({}) == {"title": ["Missing data for required field."]}
    assert Note().load({"ownerName": "ann", "title": "x"}) == {"owner": "ann", "state": "open", "title": "x"}


def test_on_an_update_what_somebody_may_not_write_is_left_as_it_is() -> None:
    class User(GuardSchema):
        name = fields.String(required=True)
        role = WritableBy(fields.String(load_default="member"), "owner")
        rank = WritableBy(fields.Integer(required=True), "owner")

    changing = User().for_update()

    with acting_as("guest"):
        assert changing.load({"name": "x"}) == {"name": "x"}
        with pytest.raises(FieldForbidden):
            changing.load({"name": "x", "rank": None})
    with acting_as("owner"):
        assert changing.load({"name": "x", "rank": 1}) == {"name": "x", "rank": 1, "role": "member"}
        assert faults_of(changing, {"name": "x"}) == {"rank": ["Missing data for required field."]}
    assert faults_of(User(), {"name": "x"}) == {"rank": ["Missing data for required field."]}


def test_a_schema_for_texts_reads_them_at_any_place_and_leaves_the_other_as_it_is() -> None:
    class Page(GuardSchema):
        size = ReadOnly(fields.Integer())
        count = WriteOnly(fields.Integer(data_key="n"))
        tags = fields.List(fields.Boolean())

    page = Page(exclude=("size",))
    texts = page.for_texts()

    assert texts.load({"n": "1", "tags": ["yes", "0"]}) == {"count": 1, "tags": [True, False]}
    assert texts.dump({"count": 1, "size": 2, "tags": []}) == {"tags": []}
    assert faults_of(texts, {"size": "1"}) == {"size": ["Unknown field."]}
    assert faults_of(page, {"n": "1"}) == {"n": ["Not a valid integer."]}


def test_of_many_bodies_no_more_are_looked_at_than_an_answer_tells_of() -> None:
    seen: list[str] = []

    class Line(GuardSchema):
        name = fields.String(required=True, validate=seen.append)

    lines = [*[{}] * 300, {"name": "late"}]

    assert len(faults_of(Line(many=True), lines)) == MAX_FAULTS + 1
    assert seen == []
    assert len(faults_of(Line(many=True), lines[-250:])) == MAX_FAULTS + 1
    assert Line(many=True).load([{"name": "x"}] * 300)


def test_a_field_that_a_hook_renames_is_still_dropped() -> None:
    class Camel(GuardSchema):
        created_by = ReadOnly(fields.String())

        def on_bind_field(self, field_name: str, field_obj: Any) -> None:
            head, *tail = field_name.split("_")
            field_obj.data_key = head + "".join(part.title() for part in tail)

    assert Camel().load({"createdBy": "me"}) == {}
    assert faults_of(Camel(), {"created_by": "me"}) == {"created_by": UNKNOWN}


@pytest.mark.parametrize(
    "body",
    [None, [], "text", 1, True, [[]], [{}]],
    ids=["null", "a list", "a text", "a number", "a truth", "lists", "a list of one"],
)
def test_what_is_no_object_is_refused(body: Any) -> None:
    assert faults_of(Guarded(), body) == {"_schema": ["Invalid input type."]}


@pytest.mark.parametrize(
    "body",
    [
        pytest.param({"text": "a" * 4_000_000}, id="a long text"),
        pytest.param({"text": "\u0344" * 1_000_000}, id="a text that grows when it is composed"),
        pytest.param({"number": 10**4000}, id="a long integer"),
        pytest.param({"amount": "1E+1000000"}, id="an exponent"),
        pytest.param({"amount": "9" * 100_000}, id="a long decimal"),
        pytest.param({"ratio": 10**400}, id="an integer that is no float"),
        pytest.param({"mail": "a@" + "a." * 100_000}, id="a long address"),
        pytest.param({"link": "http://" + "a." * 100_000}, id="a long URL"),
        pytest.param({f"m{number}": 0 for number in range(100_000)}, id="unknown members"),
    ],
)
def test_a_bomb_is_refused_at_once(body: dict[str, Any]) -> None:
    class Target(GuardSchema):
        text = fields.String()
        number = fields.Integer()
        amount = fields.Decimal(places=2)
        ratio = fields.Float()
        mail = fields.Email()
        link = fields.Url()

    schema = Target()
    began_ns = time.process_time_ns()

    faults_of(schema, body)

    assert (time.process_time_ns() - began_ns) / 1e6 < 50


def test_what_a_schema_does_not_know_can_be_stripped_alone() -> None:
    class Body(GuardSchema):
        id = ReadOnly(fields.Integer())
        name = fields.String(data_key="label")
        child = fields.Nested(Guarded)
        rows = fields.List(fields.Nested(Guarded))
        map = fields.Dict(values=fields.Nested(Guarded))
        tags = fields.Pluck(Guarded, "name", many=True)

    child = {"name": 3, "evil": 1}
    body = {"id": 1, "label": "x", "name": "y", "child": child, "rows": [child], "map": {"k": child}, "tags": ["t"]}
    before = copy.deepcopy(body)

    assert strip_unknown_fields(Body(), body) == {
        "label": "x", "child": {"name": 3}, "rows": [{"name": 3}], "map": {"k": {"name": 3}}, "tags": ["t"],
    }  # fmt: skip
    assert strip_unknown_fields(Body(), [body, "x"])[1] == "x"
    assert body == before


def test_validators_of_marshmallow_are_all_asked() -> None:
    class Body(GuardSchema):
        name = fields.String(validate=[validate.Length(min=3), validate.OneOf(["abc"])])

    assert len(faults_of(Body(), {"name": "x"})["name"]) == 2


def test_the_faults_of_a_mapping_are_where_they_are_in_the_body() -> None:
    class Body(GuardSchema):
        map = fields.Dict(keys=fields.String(validate=validate.Length(max=2)), values=fields.Nested(Guarded))
        plain = fields.Dict(keys=fields.String(validate=validate.Length(max=2)), values=fields.Integer())

    faults = faults_of(Body(), {"map": {"abc": {"evil": 1}, "d": 5}, "plain": {"abc": "x", "d": "y", "efg": 1}})

    assert {fault.pointer for fault in flatten_messages(faults)} == {
        "/map/abc", "/map/abc/evil", "/map/d", "/plain/abc", "/plain/d", "/plain/efg",
    }  # fmt: skip


def test_a_nested_schema_is_strict_for_the_first_thread_and_every_other() -> None:
    class Slow(Lax):
        def _init_fields(self) -> None:
            time.sleep(0.01)
            super()._init_fields()

    class Outer(GuardSchema):
        child = fields.Nested(Slow)

    schema = Outer()
    with ThreadPoolExecutor(8) as pool:
        faults = list(pool.map(lambda _: schema.validate({"child": {"evil": 1, "name": "a\0"}}), range(8)))

    assert faults == [{"child": {"evil": UNKNOWN, "name": ["May not contain NUL."]}}] * 8
