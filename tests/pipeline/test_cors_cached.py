"""A cache between us and browsers, as RFC 9111 describes it, never hands one origin's answer to another."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flask_guard.browser.cors import merge_vary
from flask_guard.pipeline.cors_answers import CorsAnswers
from tests.browser.cors_policies import APP, SUBDOMAINS, make_policy

Sent = list[tuple[str, str]]
Request = dict[str, str]

POLICIES = {
    "nobody": (),
    "one origin": (APP,),
    "several origins": (APP, "http://localhost:3000", "null"),
    "subdomains": (SUBDOMAINS,),
    "everybody": ("*",),
}
ORIGINS = [None, APP, "http://localhost:3000", "https://a.example.org", "https://b.example.org", "https://evil.example"]


class Cache:
    """Keeps answers to one URL. A stored one is for requests with the same values where its Vary says so.

    Source: RFC 9111, section 4.1. server: the application behind it.
    """

    def __init__(self, server: Callable[[Request], Sent]) -> None:
        self._server = server
        self._stored: list[tuple[Request, Sent]] = []

    def get(self, request: Request) -> Sent:
        for earlier, sent in self._stored:
            if self._fits(request, earlier, sent):
                return sent
        sent = self._server(request)
        self._stored.append((request, sent))
        return sent

    def _fits(self, request: Request, earlier: Request, sent: Sent) -> bool:
        names = [item.strip() for name, value in sent if name == "Vary" for item in value.split(",")]
        return "*" not in names and all(request.get(name) == earlier.get(name) for name in names)


def serve(answers: CorsAnswers, *, view_vary: str | None) -> Callable[[Request], Sent]:
    """Return an application whose view may depend on something else too."""

    def server(request: Request) -> Sent:
        sent: Sent = [] if view_vary is None else [("Vary", view_vary), ("X-Seen", request.get(view_vary, ""))]
        for name, value in answers.for_answer(request.get("Origin")):
            if name == "Vary":
                merge_vary(sent, value)
            else:
                sent.append((name, value))
        return sent

    return server


requests = st.builds(
    lambda origin, cookie: {name: value for name, value in (("Origin", origin), ("Cookie", cookie)) if value},
    st.sampled_from(ORIGINS) | st.text(max_size=3),
    st.sampled_from([None, "a=1", "a=2"]),
)


@pytest.mark.parametrize("view_vary", [None, "Cookie"])
@pytest.mark.parametrize("listed", POLICIES.values(), ids=POLICIES)
@given(asked=st.lists(requests, max_size=12))
def test_every_request_gets_the_answer_that_it_would_get_without_a_cache(
    listed: tuple[str, ...], view_vary: str | None, asked: list[Request]
) -> None:
    server = serve(CorsAnswers(make_policy(*listed)), view_vary=view_vary)
    cache = Cache(server)

    assert [cache.get(request) for request in asked] == [server(request) for request in asked]


@pytest.mark.parametrize("first", [None, "https://evil.example", "http://localhost:3000"])
def test_the_cache_would_mix_them_up_without_vary(first: str | None) -> None:
    """The opposite, so that a cache that keeps nothing apart cannot pass."""
    server = serve(CorsAnswers(make_policy(*POLICIES["several origins"])), view_vary=None)
    cache = Cache(lambda request: [pair for pair in server(request) if pair[0] != "Vary"])
    cache.get({"Origin": first} if first else {})

    sent = cache.get({"Origin": APP})

    assert ("Access-Control-Allow-Origin", APP) in server({"Origin": APP})
    assert ("Access-Control-Allow-Origin", APP) not in sent


def test_the_cache_serves_everybody_one_answer_where_everybody_is_allowed() -> None:
    cache = Cache(serve(CorsAnswers(make_policy("*")), view_vary=None))

    answers = [cache.get({"Origin": origin} if origin else {}) for origin in ORIGINS]

    assert all(sent is answers[0] for sent in answers)
