"""`/.well-known/jwks.json`: the public keys that check our tokens (RFC 7517)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from flask import Blueprint, jsonify
from flask.typing import ResponseReturnValue

# Verifiers keep the set for a while; a key that is new has to reach them before it signs.
CACHE_CONTROL = "public, max-age=300"


def make_key_set_blueprint(public_jwks: Callable[[], Mapping[str, Any]], *, prefix: str) -> Blueprint:
    """Return the endpoint as a blueprint."""
    blueprint = Blueprint("guard_keys", __name__, url_prefix=prefix or None)

    @blueprint.get("/.well-known/jwks.json")
    def jwks() -> ResponseReturnValue:
        answer = jsonify(public_jwks())
        answer.headers["Cache-Control"] = CACHE_CONTROL
        return answer

    return blueprint
