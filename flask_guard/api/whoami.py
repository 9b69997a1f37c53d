"""`/guard/whoami`: whom the current request is taken for, and why. For development only.

It tells who stands between a browser and the application, so it is not for everybody to read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from flask import Blueprint, jsonify, request
from flask.typing import ResponseReturnValue

from ..net.addresses import ClientReader


def describe_client(reader: ClientReader, environ: Mapping[str, Any]) -> dict[str, Any]:
    """Return, ready for JSON, who is trusted, the stations of a request from the peer to the left, and its client.

    environ: a WSGI environment, read by the reader already or not.
    """
    return {
        "trusted_proxies": [str(each) for each in reader.trusted],
        "forwarded_header": reader.family,
        "hops": [asdict(hop) for hop in reader.explain(environ)],
        "client": asdict(reader.get_client(environ)),
    }


def make_whoami_blueprint(reader: ClientReader, *, prefix: str) -> Blueprint:
    """Return the endpoint as a blueprint. reader: the one that the edge uses."""
    blueprint = Blueprint("guard_whoami", __name__, url_prefix=prefix or None)

    @blueprint.get("/guard/whoami")
    def whoami() -> ResponseReturnValue:
        answer = jsonify(describe_client(reader, request.environ))
        answer.headers["Cache-Control"] = "no-store"
        return answer

    return blueprint
