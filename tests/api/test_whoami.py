"""`/guard/whoami`: the facts of the current request, from what the edge kept of it."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Any

import pytest
from flask import Flask, jsonify, request
from flask.testing import FlaskClient

from flask_guard.api.whoami import make_whoami_blueprint
from flask_guard.net.addresses import ClientReader

READER = ClientReader([ip_network("10.0.0.0/8")], family="x-forwarded")


def make_client(prefix: str = "") -> FlaskClient:
    """An application with the endpoint, behind an edge that only reads the client."""
    app = Flask(__name__)
    app.register_blueprint(make_whoami_blueprint(READER, prefix=prefix))
    app.add_url_rule("/seen", "seen", lambda: jsonify({**request.headers, "url": request.base_url}))
    inner = app.wsgi_app

    def edge(environ: dict[str, Any], start_response: Any) -> Any:
        READER.read(environ)
        return inner(environ, start_response)

    app.wsgi_app = edge  # type: ignore[method-assign]
    return app.test_client()


HEADERS = {
    "X-Forwarded-For": "127.0.0.1, 203.0.113.9",
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Host": "shop.example",
}


@pytest.mark.parametrize("prefix", ["", "/api"], ids=["no prefix", "prefix"])
def test_the_stations_are_those_before_the_edge_read_them(prefix: str) -> None:
    answer = make_client(prefix).get(
        f"{prefix}/guard/whoami", headers=HEADERS, environ_base={"REMOTE_ADDR": "10.0.0.1"}
    )

    facts = answer.get_json()
    assert [(hop["address"], hop["is_trusted"], hop["is_client"]) for hop in facts.pop("hops")] == [
        ("10.0.0.1", True, False),
        ("203.0.113.9", False, True),
        ("127.0.0.1", False, False),
    ]
    assert facts == {
        "trusted_proxies": ["10.0.0.0/8"],
        "forwarded_header": "x-forwarded",
        "client": {"address": "203.0.113.9", "network": "203.0.113.9", "scheme": "https", "host": "shop.example"},
    }
    assert answer.headers["Cache-Control"] == "no-store"


def test_a_direct_request_is_told_too() -> None:
    facts = make_client().get("/guard/whoami").get_json()

    assert [hop["address"] for hop in facts["hops"]] == ["127.0.0.1"]
    assert facts["client"]["host"] == "localhost"


def test_no_other_method_is_answered() -> None:
    assert make_client().post("/guard/whoami").status_code == 405


def test_a_view_sees_what_is_believed_and_no_forwarded_header() -> None:
    seen = make_client().get("/seen", headers=HEADERS, environ_base={"REMOTE_ADDR": "10.0.0.1"}).get_json()

    assert seen["url"] == "https://shop.example/seen"
    assert not any(name.startswith("X-") for name in seen)
