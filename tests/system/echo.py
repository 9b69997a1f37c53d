"""What the tests behind nginx serve: it tells what of a request is believed. Settings come from the environment."""

from __future__ import annotations

from pathlib import Path

from flask import Flask, jsonify, request
from flask.typing import ResponseReturnValue

from flask_guard import Guard

app = Flask(__name__, instance_path=str(Path("instance").absolute()))
guard = Guard(app)


@app.route("/", methods=["GET", "POST"])
@guard.public(reason="test")
def tell() -> ResponseReturnValue:
    return jsonify(
        address=request.remote_addr,
        scheme=request.scheme,
        host=request.host,
        port=request.environ["SERVER_PORT"],
        headers=sorted(name.lower() for name in dict(request.headers)),
    )


@app.get("/twice")
@guard.public(reason="test")
@guard.limit("2/hour", by="address")
def twice() -> ResponseReturnValue:
    return ""
