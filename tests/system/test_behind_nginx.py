"""Behind nginx, configured as the guide says: who a client is taken for, whatever it says of itself."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from .behind import CLIENT, KNOWN_OUTER, NAME, UNKNOWN_OUTER, Backend, Front, Header, fronting
from .nginx import Nginx
from .processes import has_ipv6

pytestmark = pytest.mark.system

PUBLIC_URL = "https://public.test/notes"
HSTS = "strict-transport-security"
# Left of what nginx writes, or under names that it does not know.
CLAIMS: dict[str, list[Header]] = {
    "an address": [("X-Forwarded-For", "203.0.113.9")],
    "an address of a proxy": [("X-Forwarded-For", "203.0.113.9, 127.0.0.1")],
    "an address that is quoted": [("X-Forwarded-For", '"203.0.113.9')],
    "two lists": [("X-Forwarded-For", "203.0.113.9"), ("X-Forwarded-For", "203.0.113.8")],
    "a list of hundreds": [("X-Forwarded-For", "203.0.113.9, " * 300)],
    "an address with underscores": [("X_Forwarded_For", "203.0.113.9")],
    "a real address": [("X-Real-IP", "203.0.113.9")],
    "what others call it": [("CF-Connecting-IP", "203.0.113.9"), ("True-Client-IP", "203.0.113.9")],
    "Forwarded": [("Forwarded", "for=203.0.113.9;proto=https;host=evil.test")],
    "https": [("X-Forwarded-Proto", "https")],
    "http": [("X-Forwarded-Proto", "http")],
    "https under other names": [("X-Forwarded-Scheme", "https"), ("Front-End-Https", "on")],
    "a host": [("X-Forwarded-Host", "evil.test")],
    "a port": [("X-Forwarded-Port", "1")],
    "a prefix": [("X-Forwarded-Prefix", "/evil")],
    "all of them": [
        ("X-Forwarded-For", "203.0.113.9"),
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Host", "evil.test"),
        ("X-Forwarded-Port", "1"),
        ("Forwarded", "for=203.0.113.9"),
    ],
}


@pytest.fixture(
    scope="module",
    params=[
        Backend("gunicorn", False),
        Backend("gunicorn", True),
        Backend("waitress", False),
        Backend("waitress", True),
    ],
    ids=["gunicorn", "gunicorn on a UNIX socket", "waitress", "waitress on a UNIX socket"],
)
def backend(request: pytest.FixtureRequest) -> Backend:
    found: Backend = request.param
    return found


@contextmanager
def served(nginx: Nginx, backend: Backend, folders: pytest.TempPathFactory, **settings: str) -> Iterator[Front]:
    folder = folders.mktemp("served")
    with backend.serving(folder, **settings) as address, fronting(nginx, address) as front:
        yield front


@pytest.fixture(scope="module")
def trusting(nginx: Nginx, backend: Backend, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    """The application knows its proxies."""
    proxies = f"{backend.trusted},{KNOWN_OUTER}"
    with served(nginx, backend, tmp_path_factory, GUARD_TRUSTED_PROXIES=proxies, GUARD_HSTS="true") as front:
        yield front


@pytest.fixture(scope="module")
def alone(nginx: Nginx, backend: Backend, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    """Nobody told the application of a proxy."""
    with served(nginx, backend, tmp_path_factory) as front:
        yield front


@pytest.fixture(scope="module")
def secured(nginx: Nginx, backend: Backend, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    """The application asks for https."""
    settings = {"GUARD_REQUIRE_HTTPS": "true", "GUARD_PUBLIC_URL": PUBLIC_URL}
    with served(nginx, backend, tmp_path_factory, GUARD_TRUSTED_PROXIES=backend.trusted, **settings) as front:
        yield front


def assert_nothing_forwarded(headers: list[str]) -> None:
    left = [name for name in headers if "forward" in name or "real" in name or "-ip" in name]
    assert left == []


# Proxies that are known ---------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_view_sees_the_client_the_scheme_and_the_host(trusting: Front, scheme: str) -> None:
    port = getattr(trusting, scheme)

    seen = trusting.ask(port).body

    assert_nothing_forwarded(seen.pop("headers"))
    assert seen == {"address": CLIENT, "scheme": scheme, "host": f"{NAME}:{port}", "port": str(port)}


@pytest.mark.skipif(not has_ipv6(), reason="could not run: this machine has no ::1")
def test_a_client_of_ipv6_is_seen_as_such(trusting: Front) -> None:
    assert trusting.ask(trusting.http, client="::1").body["address"] == "::1"


@pytest.mark.parametrize("claim", CLAIMS)
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_what_a_client_says_of_itself_changes_nothing(trusting: Front, scheme: str, claim: str) -> None:
    port = getattr(trusting, scheme)

    honest, lying = trusting.ask(port), trusting.ask(port, headers=CLAIMS[claim])

    assert_nothing_forwarded(lying.body.pop("headers"))
    del honest.body["headers"]
    assert lying.body == honest.body


def test_gunicorn_refuses_a_client_that_contradicts_its_proxy(trusting: Front, backend: Backend) -> None:
    """It reads a third name for the scheme, which nginx hands on; for the others it is a name like any."""
    answer = trusting.ask(trusting.http, headers=[("X-Forwarded-Ssl", "on")])

    if backend.program == "gunicorn":
        assert answer.status == 400
    else:
        assert answer.body["scheme"] == "http"


def test_behind_two_proxies_the_client_is_in_front_of_both(trusting: Front) -> None:
    port = trusting.via_known

    seen = trusting.ask(port, headers=CLAIMS["all of them"]).body

    assert_nothing_forwarded(seen.pop("headers"))
    assert seen == {"address": CLIENT, "scheme": "https", "host": f"{NAME}:{port}", "port": str(port)}


def test_a_proxy_that_is_not_known_is_a_client(trusting: Front) -> None:
    assert trusting.ask(trusting.via_unknown, headers=CLAIMS["an address"]).body["address"] == UNKNOWN_OUTER


def test_each_client_has_a_limit_of_its_own_whatever_it_says(trusting: Front) -> None:
    def ask(client: str, number: int) -> int:
        claim = [("X-Forwarded-For", f"203.0.113.{number}")]
        return trusting.ask(trusting.http, "/twice", client=client, headers=claim).status

    first = [ask("127.0.0.5", number) for number in range(3)]
    second = [ask("127.0.0.6", number) for number in range(3)]

    assert (first, second) == ([200, 200, 429], [200, 200, 429])


def test_hsts_is_sent_over_https_only(trusting: Front) -> None:
    over_http = trusting.ask(trusting.http, headers=CLAIMS["https"])
    over_https = trusting.ask(trusting.https, headers=CLAIMS["http"])

    assert HSTS not in over_http.headers
    assert over_https.headers[HSTS].startswith("max-age=31536000")


# No proxy is known --------------------------------------------------------------------------------------


def test_without_a_known_proxy_nginx_is_the_client(alone: Front, backend: Backend) -> None:
    seen = alone.ask(alone.http, headers=CLAIMS["all of them"]).body

    assert_nothing_forwarded(seen["headers"])
    assert seen["address"] == ("" if backend.is_unix else "127.0.0.1")
    assert (seen["scheme"], seen["host"]) == ("http", NAME)


def test_without_a_known_proxy_only_gunicorn_tells_the_scheme(alone: Front, backend: Backend) -> None:
    """It believes loopback and UNIX sockets by itself, about nothing else."""
    seen = alone.ask(alone.https).body

    assert seen["scheme"] == ("https" if backend.program == "gunicorn" else "http")


def test_without_a_known_proxy_all_clients_share_a_limit(alone: Front) -> None:
    clients = ["127.0.0.5", "127.0.0.6", "127.0.0.7"]

    assert [alone.ask(alone.http, "/twice", client=client).status for client in clients] == [200, 200, 429]


# Https is required --------------------------------------------------------------------------------------


@pytest.mark.parametrize("claim", ["https", "https under other names", "Forwarded", "all of them"])
def test_plain_http_is_sent_to_the_public_address(secured: Front, claim: str) -> None:
    answer = secured.ask(secured.http, "/?a=%C3%A9&b=//evil.test", headers=CLAIMS[claim])

    assert answer.status == 308
    assert answer.headers["location"] == f"{PUBLIC_URL}/?a=%C3%A9&b=//evil.test"


def test_what_writes_over_plain_http_is_refused(secured: Front) -> None:
    answer = secured.ask(secured.http, method="POST", headers=CLAIMS["https"])

    assert (answer.status, answer.body["code"]) == (403, "https_required")


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_https_is_served(secured: Front, method: str) -> None:
    answer = secured.ask(secured.https, method=method, headers=CLAIMS["http"])

    assert (answer.status, answer.body["scheme"]) == (200, "https")
