"""Whatever a header holds: `allows` gives an answer, and a yes only for what another parser finds listed too."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.browser.cors_policies import make_policy

LISTED = (
    "https://app.example.com",
    "https://*.example.org",
    "http://*.example.net:8080",
    "http://localhost:3000",
    "https://[::1]:8443",
    "https://kiosk.example",
)
POLICY = make_policy(*LISTED)
DEFAULT_PORTS = {"http": 80, "https": 443}

schemes = st.sampled_from(["https", "http", "ftp", "HTTPS", "javascript", "file", ""])
hosts = st.sampled_from(
    [
        *("app.example.com", "example.org", "a.example.org", "A.B.example.org", "c.example.net", "localhost"),
        *("[::1]", "kiosk.example", "\N{KELVIN SIGN}iosk.example", "evil.com", "evil.com.example.org", "xexample.org"),
        *("a.example.org.evil.com", ".example.org", "a..example.org", "a.example.org.", "*.example.org", "null"),
    ]
)
ports = st.sampled_from(["", ":", ":80", ":443", ":3000", ":8080", ":8443", ":08080", ":0", ":99999", ":+443", ":4 3"])
well_shaped = st.builds("{}://{}{}".format, schemes, hosts, ports)
snippets = st.one_of(
    st.sampled_from(
        [
            *"\r\n\t\0 /\\?#@:,;*.[]%",
            "%2e",
            "evil.com",
            "user:pw@",
            "\ud800",
            "\N{LATIN SMALL LETTER LONG S}",
            "\N{IDEOGRAPHIC FULL STOP}",
            "null",
            "//",
        ]
    ),
    st.text(max_size=3),
)


@st.composite
def disturbed(draw: st.DrawFn) -> str:
    """An origin of the list, or nearly one, with something put into it."""
    origin = draw(st.one_of(st.sampled_from(LISTED), well_shaped))
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.integers(0, len(origin)))
        origin = origin[:place] + draw(snippets) + origin[place:]
    return origin


def is_covered(origin: str) -> bool:
    """The oracle: the standard library's idea of the three parts, held against its idea of those of the list."""
    try:
        parts = urlsplit(origin)
        port = parts.port or DEFAULT_PORTS.get(parts.scheme)
    except ValueError:
        return False
    return any(_covers(entry, parts.scheme, parts.hostname or "", port) for entry in LISTED)


def _covers(entry: str, scheme: str, host: str, port: int | None) -> bool:
    mine = urlsplit(entry.replace("*.", "", 1))
    if (scheme, port) != (mine.scheme, mine.port or DEFAULT_PORTS.get(mine.scheme)):
        return False
    if "*." not in entry:
        return host == mine.hostname
    return host.endswith(f".{mine.hostname}") and all(host.split("."))


@given(st.one_of(disturbed(), well_shaped, st.text()))
@example("https://a.example.org\n")
@example("https://evil.com/.example.org")
@example("https://\N{KELVIN SIGN}iosk.example")
def test_only_what_is_covered_is_allowed(origin: str) -> None:
    assert not POLICY.allows(origin) or is_covered(origin)


@given(st.one_of(disturbed(), st.text()))
def test_what_is_allowed_is_nothing_but_an_origin(origin: str) -> None:
    """No path, user or other leftover that another parser would read differently."""
    if POLICY.allows(origin):
        scheme, _, rest = origin.lower().partition("://")
        assert scheme in ("http", "https")
        assert rest.isascii()
        assert set(rest) <= set("abcdefghijklmnopqrstuvwxyz0123456789.-_[]:")


labels = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?", fullmatch=True)


@given(
    st.lists(labels, min_size=1, max_size=4), st.sampled_from(["https://{}.example.org", "http://{}.example.net:8080"])
)
def test_every_subdomain_of_a_wildcard_is_allowed(names: list[str], form: str) -> None:
    origin = form.format(".".join(names))

    assert POLICY.allows(origin)
    assert is_covered(origin)


@pytest.mark.parametrize("origin", [origin for origin in LISTED if "*" not in origin])
def test_every_exact_origin_is_allowed_and_covered(origin: str) -> None:
    assert POLICY.allows(origin)
    assert is_covered(origin)


@given(st.text())
def test_an_empty_policy_allows_nothing(origin: str) -> None:
    assert not make_policy().allows(origin)
