"""A Limiter that the application made itself: how its refusals are told, and what an outage of its storage is."""

from __future__ import annotations

import time
from typing import Any

import pytest
from flask import Flask, Response, make_response
from flask_limiter import Limiter, RateLimitExceeded
from limits._storage_scheme import SCHEMES
from limits.errors import StorageError
from limits.storage import MemoryStorage

from flask_guard.errors import RateLimited, RateLimitUnavailable, Refusal
from flask_guard.pipeline.foreign_limiter import (
    as_refusal,
    find_unread_settings,
    foreign_limiters,
    name_storage_failures,
)
from flask_guard.pipeline.limiter import make_limiter
from flask_guard.pipeline.limiter_commands import Counting

from .writing import Writer


class StorageDown(Exception):
    """What the storage of these tests raises, as a driver would."""


class FailingStorage(MemoryStorage):
    """Counts in memory until it is down."""

    is_down = False

    @property
    def base_exceptions(self) -> type[Exception]:
        return StorageDown

    def incr(self, *args: Any, **options: Any) -> int:
        if FailingStorage.is_down:
            raise StorageDown("secret-host:6379")
        return super().incr(*args, **options)

    def get_expiry(self, key: str) -> float:
        if FailingStorage.is_down:
            raise StorageDown("secret-host:6379")
        return super().get_expiry(key)


@pytest.fixture(autouse=True)
def storage_is_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SCHEMES, "guardtest", FailingStorage)
    monkeypatch.setattr(FailingStorage, "is_down", False)


def make_app(**options: Any) -> tuple[Flask, Limiter]:
    app = Flask("app")
    limiter = Limiter(lambda: "ada", app=app, storage_uri="guardtest://", **options)
    app.add_url_rule("/", "index", limiter.limit("2 per 30 seconds")(lambda: "served"))
    return app, limiter


def refusals_of(app: Flask) -> list[Refusal | None]:
    """Have the application answer with what `as_refusal` returns, and note it, as Guard's error handler does."""
    found: list[Refusal | None] = []

    def answer(error: Exception) -> Any:
        refusal = as_refusal(error)
        found.append(refusal)
        return make_response(refusal.text, refusal.status, refusal.headers()) if refusal else error

    app.register_error_handler(429, answer)
    app.register_error_handler(StorageError, answer)
    return found


def ask(app: Flask, times: int) -> list[int]:
    client = app.test_client()
    return [client.get("/").status_code for _ in range(times)]


def test_a_breach_is_told_as_ours_with_the_seconds_to_wait() -> None:
    app, _limiter = make_app()
    refusals = refusals_of(app)

    assert ask(app, 3) == [200, 200, 429]

    (refusal,) = refusals
    assert isinstance(refusal, RateLimited)
    assert refusal.text == RateLimited.public
    assert "2 per 30 second" in refusal.detail
    assert 28 <= refusal.retry_after_s <= 31


def test_the_seconds_to_wait_are_those_of_the_limit_that_was_passed() -> None:
    app, limiter = make_app(default_limits=["1000/day"])
    app.add_url_rule(
        "/two", "two", limiter.limit("1 per 20 seconds")(limiter.limit("1000/hour")(lambda: "")), methods=["POST"]
    )
    refusals = refusals_of(app)
    client = app.test_client()

    assert [client.post("/two").status_code for _ in range(2)] == [200, 429]

    (refusal,) = refusals
    assert isinstance(refusal, RateLimited)
    assert 18 <= refusal.retry_after_s <= 21


def test_what_the_application_says_of_a_limit_is_told() -> None:
    app, limiter = make_app()
    app.add_url_rule("/x", "x", limiter.limit("1/hour", error_message="One export an hour.")(lambda: ""))
    refusals = refusals_of(app)

    assert [app.test_client().get("/x").status_code for _ in range(2)] == [200, 429]
    assert [refusal.text for refusal in refusals if refusal] == ["One export an hour."]


def test_an_answer_of_the_application_stays_its_own() -> None:
    app, _limiter = make_app(on_breach=lambda limit: Response("slow", status=420))
    refusals = refusals_of(app)

    assert ask(app, 3) == [200, 200, 420]
    assert all(refusal is None for refusal in refusals)


def test_a_breach_that_no_limiter_knows_of_waits_for_its_whole_window() -> None:
    app, limiter = make_app()
    with app.test_request_context("/"):
        (limit,) = list(next(iter(limiter.limit_manager._decorated_limits.values()))[0])
        refusal = as_refusal(RateLimitExceeded(limit))

    assert isinstance(refusal, RateLimited)
    assert refusal.retry_after_s == 30


def test_a_storage_that_fails_after_the_breach_leaves_the_whole_window() -> None:
    app, _limiter = make_app()
    waits: list[int] = []

    def fail_late(error: Exception) -> Any:
        FailingStorage.is_down = True
        refusal = as_refusal(error)
        assert isinstance(refusal, RateLimited)
        waits.append(refusal.retry_after_s)
        return "late", 429

    app.register_error_handler(429, fail_late)

    assert ask(app, 3) == [200, 200, 429]
    assert waits == [30]


def test_everything_else_is_not_ours() -> None:
    assert as_refusal(ValueError("x")) is None
    assert as_refusal(StorageDown("x")) is None


def test_a_storage_that_is_down_is_a_refusal_that_tells_nothing() -> None:
    app, _limiter = make_app()
    name_storage_failures(app)
    refusals = refusals_of(app)
    FailingStorage.is_down = True

    answer = app.test_client().get("/")

    (refusal,) = refusals
    assert isinstance(refusal, RateLimitUnavailable)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
    assert "secret-host" not in answer.text + refusal.detail
    assert isinstance(refusal.__cause__, StorageError)
    FailingStorage.is_down = False
    assert ask(app, 1) == [200]


def test_an_outage_inside_of_an_internal_error_is_found() -> None:
    error = RuntimeError("wrapped")
    error.original_exception = StorageError(StorageDown("x"))  # type: ignore[attr-defined]

    assert isinstance(as_refusal(error), RateLimitUnavailable)


@pytest.mark.parametrize("kind", [StorageDown, StorageError], ids=["the driver's", "the library's"])
def test_an_application_that_handles_the_outage_goes_on_handling_it(kind: type[Exception]) -> None:
    app, limiter = make_app(storage_options={"wrap_exceptions": kind is StorageError})
    app.register_error_handler(kind, lambda error: ("mine", 503))
    name_storage_failures(app)
    FailingStorage.is_down = True

    assert app.test_client().get("/").text == "mine"
    assert limiter.storage.wrap_exceptions is (kind is StorageError)


def test_a_handler_for_everything_does_not_hide_an_outage() -> None:
    app, limiter = make_app()
    app.register_error_handler(Exception, lambda error: ("everything", 500))
    name_storage_failures(app)

    assert limiter.storage.wrap_exceptions is True


@pytest.mark.parametrize(
    "options",
    [{"swallow_errors": True}, {"in_memory_fallback_enabled": True}],
    ids=["swallowed", "counted in memory"],
)
def test_a_policy_of_the_application_for_outages_stays(options: dict[str, Any]) -> None:
    app, _limiter = make_app(**options)
    name_storage_failures(app)
    FailingStorage.is_down = True

    assert ask(app, 1) == [200]


def test_guards_own_limiter_is_not_foreign() -> None:
    app, limiter = make_app()
    counting: Any = Counting(None, "memory://", None)  # type: ignore[arg-type]
    make_limiter(Writer().write).attach(app, counting)

    assert foreign_limiters(app) == [limiter]
    assert foreign_limiters(Flask("other")) == []


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        pytest.param(
            "RATELIMIT_STORAGE_URI",
            "RATELIMIT_STORAGE_URI is set, but the application has no Limiter that reads it; "
            "under Guard use GUARD_RATE_LIMIT_STORAGE_URI.",
            id="with a counterpart",
        ),
        pytest.param(
            "RATELIMIT_META",
            "RATELIMIT_META is set, but the application has no Limiter that reads it.",
            id="without one",
        ),
    ],
)
def test_a_setting_that_no_limiter_reads_is_told(name: str, sentence: str) -> None:
    app = Flask("app")
    app.config[name] = "redis://:secret@host"

    assert find_unread_settings(app) == [sentence]


def test_settings_are_not_told_of_where_a_limiter_reads_them_or_is_switched_off() -> None:
    app, _limiter = make_app()
    app.config["RATELIMIT_DEFAULT"] = "5/minute"
    switched_off = Flask("app")
    switched_off.config |= {"RATELIMIT_ENABLED": False, "RATELIMIT_DEFAULT": "5/minute"}
    Limiter(lambda: "ada", app=switched_off)

    assert find_unread_settings(app) == find_unread_settings(switched_off) == []


def test_the_wait_is_told_in_time_of_now() -> None:
    """A window that is nearly over asks for a second, not for its length."""
    app, _limiter = make_app()
    refusals = refusals_of(app)
    app.add_url_rule("/s", "s", _limiter.limit("1/second")(lambda: ""))
    client, until = app.test_client(), time.monotonic() + 5

    while not refusals and time.monotonic() < until:
        client.get("/s")

    assert isinstance(refusals[0], RateLimited)
    assert refusals[0].retry_after_s == 1
