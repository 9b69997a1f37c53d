"""What a view reads of headers that Werkzeug alone fails on."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask, Request, request

from flask_guard.pipeline.header_request import use_readable_headers


def ask(host: str, **headers: str) -> Any:
    app = Flask("app")
    use_readable_headers(app)
    environ = {"HTTP_HOST": host, "SCRIPT_NAME": "/app", **headers}
    return app.test_request_context("/p\xe9?q=1", environ_overrides=environ)


@pytest.mark.parametrize(
    ("host", "shown"),
    [
        ("xn--a", "xn--a"),
        ("xn--strae-oqa.de:8080", "xn--strae-oqa.de:8080"),
        ("xn--mnchen-3ya.de", "m\xfcnchen.de"),
        ("localhost", "localhost"),
    ],
)
def test_an_address_is_shown_in_unicode_where_the_host_has_a_name_in_it(host: str, shown: str) -> None:
    with ask(host):
        assert request.url == f"http://{shown}/app/p\xe9?q=1"
        assert request.base_url == f"http://{shown}/app/p\xe9"
        assert request.root_url == f"http://{shown}/app/"
        assert request.host_url == f"http://{shown}/"


@pytest.mark.parametrize(
    ("header", "user"), [("Basic \xe9", None), ("Basic YQ", None), ("Basic YWRhOng=", "ada"), ("", None)]
)
def test_credentials_that_cannot_be_read_are_none(header: str, user: str | None) -> None:
    with ask("localhost", HTTP_AUTHORIZATION=header):
        authorization = request.authorization

    assert (authorization.username if authorization else None) == user


def test_the_class_of_the_application_stays_and_is_extended_once() -> None:
    class OwnRequest(Request):
        own = True

    app = Flask("app")
    app.request_class = OwnRequest

    use_readable_headers(app)
    extended = app.request_class
    use_readable_headers(app)

    assert issubclass(extended, OwnRequest)
    assert app.request_class is extended
