"""The reference pages say what the code has, all of it and nothing else: each is compared both ways."""

from __future__ import annotations

import importlib.util
import inspect
import pkgutil
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from types import ModuleType
from typing import Any, get_type_hints

import click
import pytest
from werkzeug.exceptions import HTTPException

import flask_guard
import flask_guard.csp
import flask_guard.db
import flask_guard.policies
import flask_guard.queries
from flask_guard import Guard, Policy, Secret
from flask_guard.authz import policies
from flask_guard.checks import registry
from flask_guard.cli.main import guard as guard_group
from flask_guard.cli.main import main as main_group
from flask_guard.config.settings import DOMAIN_KEYS_PREFIX, all_options
from flask_guard.errors import GuardError, Refusal
from flask_guard.pipeline import answers, cors_rule
from flask_guard.pipeline.context import RequestContext
from flask_guard.pipeline.decorators import RuleDecorators
from flask_guard.pipeline.desks import ApiKeyDesk, TokenDesk
from flask_guard.pipeline.steps import ORDER
from flask_guard.values import ApiKeyRecord, Decision, Level, Principal, Tenant

from .pages import DOCS, ROOT, read_tables, table_under, unquote

PACKAGE = ROOT / "flask_guard"


def _page(name: str) -> str:
    return (DOCS / "reference" / name).read_text("utf-8")


def _first_cells(page: str, heading: str) -> list[str]:
    return [unquote(row[0]) for row in table_under(_page(page), heading)]


def _signature(function: Callable[..., Any]) -> str:
    """Return the parameters as the pages spell them: no self, no annotations, double quotes.

    `*misplaced` takes what belongs to no parameter, to say so; a reason that is "" is asked for.
    """
    signature = inspect.signature(function)
    shown = [
        parameter.replace(annotation=inspect.Parameter.empty)
        for parameter in signature.parameters.values()
        if parameter.name != "self"
    ]
    bare = signature.replace(parameters=shown, return_annotation=inspect.Signature.empty)
    return str(bare).replace("'", '"').replace("*misplaced", "*").replace('reason=""', "reason")


def _public_members(cls: type) -> dict[str, Any]:
    return {name: member for name, member in vars(cls).items() if not name.startswith("_")}


def _spell(name: str, member: Any) -> str:
    return name if isinstance(member, property) else name + _signature(member)


# options.md ----------------------------------------------------------------------------------------------


def _make_reference() -> Any:
    spec = importlib.util.spec_from_file_location("make_reference", DOCS / "make_reference.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_options_page_is_what_the_program_writes() -> None:
    assert _page("options.md") == _make_reference().make_page(), "run `python docs/make_reference.py`"


def test_the_options_page_has_every_option_once() -> None:
    rows = [row for _, table in read_tables(_page("options.md")) for row in table[1:]]

    named = {unquote(row[0]): (unquote(row[1]), unquote(row[3]), row[4], row[5], row[6]) for row in rows}
    declared = {
        name: (
            option.argument,
            option.default or "",
            "yes" if option.secret else "",
            "yes" if option.effective else "no",
            option.meaning,
        )
        for name, option in all_options().items()
    }
    del named[f"{DOMAIN_KEYS_PREFIX}<DOMAIN>"]
    assert len(rows) == len(named) + 1
    assert named == declared


# errors.md -----------------------------------------------------------------------------------------------


def _import_everything() -> None:
    for module in pkgutil.walk_packages(flask_guard.__path__, "flask_guard."):
        if "migrations" not in module.name:
            importlib.import_module(module.name)


def _below(cls: type[Any]) -> Iterator[type[Any]]:
    for subclass in cls.__subclasses__():
        if subclass.__module__.startswith("flask_guard."):
            yield subclass
            yield from _below(subclass)


def test_the_errors_page_has_every_refusal() -> None:
    _import_everything()
    rows = table_under(_page("errors.md"), "Refusals")

    shown = [(unquote(code), int(status), title, public) for code, status, title, public, _ in rows]
    coded = {(cls.code, int(cls.status), cls.title, cls.public) for cls in _below(Refusal) if hasattr(cls, "code")}
    assert sorted(shown) == sorted(coded)
    assert all(when for *_, when in rows)


def test_the_errors_page_has_the_codes_that_are_not_named_after_their_status() -> None:
    rows = table_under(_page("errors.md"), "Errors of views and of Flask")

    assert [int(status) for status, _ in rows] == sorted({*answers._KINDS, *answers._WORDS})
    assert [unquote(code) for _, code in rows] == [_code_of(int(status)) for status, _ in rows]
    assert (_code_of(405), _code_of(499)) == ("method_not_allowed", "http_499")


def _code_of(status: int) -> str:
    error = HTTPException()
    error.code = status
    return answers.from_http_error(error, request_id="").code


def test_the_errors_page_names_the_classes_that_are_no_refusals() -> None:
    names = _first_cells("errors.md", "Errors in Python")

    others = [cls for cls in _below(GuardError) if cls.__module__.startswith("flask_guard.errors.")]
    assert set(names) == {cls.__name__ for cls in others if not issubclass(cls, Refusal)} | {"GuardError", "Refusal"}


# cli.md --------------------------------------------------------------------------------------------------


def _commands(prefix: str, group: click.Group) -> Iterator[tuple[str, click.Command]]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from _commands(f"{prefix} {name}", command)
        else:
            yield f"{prefix} {name}", command


COMMANDS = dict(
    [*_commands("flask guard", guard_group), *_commands("flask-guard", main_group), ("flask-guard", main_group)]
)


def test_the_commands_page_has_every_command() -> None:
    assert {heading for heading, _ in read_tables(_page("cli.md"))} == set(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_the_commands_page_has_every_option_of_a_command(name: str) -> None:
    table = table_under(_page("cli.md"), name)
    rows = {unquote(row[0]): (row[1], row[2]) for row in table}
    assert len(rows) == len(table)

    parameters = {_name_of(parameter): parameter for parameter in COMMANDS[name].params if parameter.name != "help"}
    assert set(rows) == set(parameters)
    for shown, parameter in parameters.items():
        takes, meaning = rows[shown]
        assert meaning == (getattr(parameter, "help", None) or "")
        assert _describe_type(parameter) in takes


def _name_of(parameter: click.Parameter) -> str:
    if isinstance(parameter, click.Option):
        return parameter.opts[0]
    return parameter.metavar or str(parameter.name).upper()


def _describe_type(parameter: click.Parameter) -> str:
    """Return what must stand in the column "takes", among other words."""
    if isinstance(parameter.type, click.Choice):
        return ", ".join(f"`{choice}`" for choice in parameter.type.choices)
    if isinstance(parameter, click.Option) and parameter.multiple:
        return "several times"
    return "required" if parameter.required else ""


# checks.md, steps.md -------------------------------------------------------------------------------------


def test_the_checks_page_has_every_id() -> None:
    _import_everything()
    sources = "".join(path.read_text("utf-8") for path in PACKAGE.rglob("*.py"))
    rows = table_under(_page("checks.md"), "Checks")

    ids = [unquote(row[0]) for row in rows]
    assert ids == sorted(set(re.findall(r'"(FG-[A-Z]+-\d+)"', sources)))
    assert set(registry._checks) <= set(ids)
    levels = {str(level) for level in Level}
    assert all(set(row[1].split(", ")) <= levels for row in rows)


def test_the_steps_page_has_the_steps_in_their_order() -> None:
    assert _first_cells("steps.md", "Steps") == list(ORDER)


def test_the_steps_page_has_what_a_function_is_registered_with() -> None:
    assert _first_cells("steps.md", "Register a function") == list(inspect.signature(Guard.register).parameters)[1:]


def test_the_steps_page_has_the_whole_context() -> None:
    members = {*RequestContext.__slots__, *(_public_members(RequestContext).keys() - RequestContext.__slots__)}

    assert sorted(_first_cells("steps.md", "The context")) == sorted(members)


# policies.md ---------------------------------------------------------------------------------------------


def _decorators() -> dict[str, Any]:
    """Return the methods of Guard that write a rule: what they return takes a target and returns it."""
    return {
        name: member
        for name, member in _public_members(RuleDecorators).items()
        if getattr(member, "__annotations__", {}).get("return") == "Callable[[Target], Target]"
    }


def test_the_policies_page_has_every_decorator() -> None:
    shown = _first_cells("policies.md", "Decorators")

    assert sorted(shown) == sorted(f"guard.{name}{_signature(member)}" for name, member in _decorators().items())


def test_the_policies_page_has_every_word() -> None:
    shown = {unquote(row[0]): row[1] for row in table_under(_page("policies.md"), "Words")}

    words = {}
    for name in flask_guard.policies.__all__:
        word = getattr(flask_guard.policies, name)
        if inspect.isclass(word):
            words[name] = "class"
        else:
            is_policy = get_type_hints(word)["return"] is Policy
            words[name + _signature(word)] = "policy" if is_policy else "rule"
    assert shown == words


def test_the_policies_page_has_every_option_of_cors() -> None:
    assert _first_cells("policies.md", "Options of cors") == list(cors_rule._OPTIONS)


def test_the_policies_page_has_every_reason() -> None:
    shown = dict(table_under(_page("policies.md"), "Reasons"))

    found = re.findall(r'Decision\(False, "(\w+)"\)', Path(policies.__file__).read_text("utf-8"))
    assert sorted(unquote(reason) for reason in shown) == sorted(found)
    assert {unquote(policy) for policy in shown.values()} <= set(flask_guard.policies.__all__)


# python.md -----------------------------------------------------------------------------------------------


def test_the_python_page_has_every_public_name() -> None:
    assert sorted(_first_cells("python.md", "flask_guard")) == flask_guard.__all__


def test_the_python_page_has_every_argument_of_guard() -> None:
    parameters = list(inspect.signature(Guard.__init__).parameters.values())[1:]

    assert _first_cells("python.md", "Guard") == [str(p).partition(":")[0] for p in parameters]


@pytest.mark.parametrize("module", [flask_guard.csp, flask_guard.queries], ids=lambda module: module.__name__)
def test_the_python_page_has_every_name_of_a_module(module: ModuleType) -> None:
    assert sorted(_first_cells("python.md", module.__name__)) == sorted(module.__all__)


def test_the_python_page_has_every_name_of_flask_guard_db_with_its_arguments() -> None:
    members = {name: getattr(flask_guard.db, name) for name in flask_guard.db.__all__}

    shown = _first_cells("python.md", "flask_guard.db")
    assert sorted(shown) == sorted(
        name if inspect.isclass(member) else name + _signature(member) for name, member in members.items()
    )


@pytest.mark.parametrize(
    ("heading", "members"),
    [
        ("guard.tokens", _public_members(TokenDesk)),
        ("guard.api_keys", _public_members(ApiKeyDesk)),
        ("Policy", _public_members(Policy)),
        ("Secret", _public_members(Secret)),
    ],
)
def test_the_python_page_has_every_method(heading: str, members: Mapping[str, Any]) -> None:
    assert _first_cells("python.md", heading) == [_spell(name, member) for name, member in members.items()]


def test_the_python_page_has_every_method_of_guard_that_is_no_decorator() -> None:
    others = _public_members(Guard)

    shown = _first_cells("python.md", "Methods of Guard")
    assert sorted(shown) == sorted(_spell(name, member) for name, member in others.items())


@pytest.mark.parametrize("cls", [Principal, Tenant, Decision, ApiKeyRecord], ids=lambda cls: cls.__name__)
def test_the_python_page_has_every_field(cls: type) -> None:
    properties = [name for name, member in _public_members(cls).items() if isinstance(member, property)]

    assert _first_cells("python.md", cls.__name__) == [field.name for field in fields(cls)] + properties
