"""What tests of limits share: an application's routes, and requests from an address."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import Flask

from flask_guard import Guard


def ask(app: Flask, path: str = "/closed", *, address: str = "192.0.2.1", method: str = "GET", **options: Any) -> Any:
    return app.test_client().open(path, method=method, environ_overrides={"REMOTE_ADDR": address}, **options)


def statuses(times: int, ask: Callable[[], Any]) -> list[int]:
    return [ask().status_code for _ in range(times)]


def open_public(app: Flask, guard: Guard) -> None:
    guard.public(reason="test")(app.get("/open", endpoint="open")(lambda: "open"))


def limited(*limits: Any, path: str = "/limited", **options: Any) -> Callable[[Flask, Guard], None]:
    def setup(app: Flask, guard: Guard) -> None:
        view = app.route(path, methods=["GET", "POST"], endpoint=path.strip("/"))(lambda: "")
        guard.public(reason="test")(view)
        for text in limits:
            guard.limit(text, **options)(view)

    return setup
