"""One Guard may serve several applications, one after the other or side by side."""

from __future__ import annotations

import gc
import logging
import weakref

import pytest
from flask import Blueprint, Flask

from flask_guard.authz import policies

from .writing import Writer, asks


def test_rules_of_another_application_of_the_same_guard_are_no_faults() -> None:
    first, second, writer = Flask("first"), Flask("second"), Writer()
    first.add_url_rule("/a", "a", writer.role("a")(lambda: ""))
    second.add_url_rule("/b", "b", writer.role("b")(lambda: ""))
    writer.match({"b": policies.role("c")})

    assert asks(writer.compile(first, [first, second]).plans["a"]["GET"]) == "authenticated role(a)"
    assert asks(writer.compile(second, iter([first, second])).plans["b"]["GET"]) == "authenticated role(c) & role(b)"


def test_rules_of_an_application_of_nobody_are_faults() -> None:
    first, second, writer = Flask("first"), Flask("second"), Writer()
    second.add_url_rule("/b", "b", writer.role("b")(lambda: ""))

    assert "which no application or blueprint routes" in writer.faults(first)[0]


def test_application_factory_called_fifty_times_leaves_no_false_faults(caplog: pytest.LogCaptureFixture) -> None:
    writer = Writer()
    applications: weakref.WeakSet[Flask] = weakref.WeakSet()

    def create_app(number: int) -> Flask:
        app = Flask(f"app{number}")
        applications.add(app)

        @app.get("/a")
        @writer.role("a")
        def index() -> str:
            return app.name  # a cycle, which only the collector breaks

        notes = writer.role("b")(Blueprint("notes", __name__))
        notes.add_url_rule("/n", "n", writer.public()(lambda: ""))
        app.register_blueprint(notes)
        return app

    gc.disable()  # so that what is gone stays unnoticed until somebody looks
    try:
        with caplog.at_level(logging.WARNING):
            for number in range(50):
                app = create_app(number)
                table = writer.compile(app, list(applications))
                assert asks(table.plans["index"]["GET"]) == "authenticated role(a)"
                assert table.findings == ()
        # One that was made and never compiled, then one more.
        create_app(50)
        applications.clear()
        last = create_app(51)
        assert writer.compile(last, [last]).findings == ()
    finally:
        gc.enable()
    assert caplog.records == []
