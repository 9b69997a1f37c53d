"""What is read as an origin, and what is not."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flask_guard.browser.origins import MAX_ORIGIN_CHARACTERS, MAX_REFERER_CHARACTERS, origin_of_url, parse_origin
from flask_guard.config.kinds_web import exact_origins

ORIGINS = {
    "plain": ("https://app.example.com", "https://app.example.com"),
    "http": ("http://app.example.com", "http://app.example.com"),
    "port": ("https://app.example.com:8443", "https://app.example.com:8443"),
    "default port of https": ("https://app.example.com:443", "https://app.example.com"),
    "default port of http": ("http://app.example.com:80", "http://app.example.com"),
    "the other scheme's default port": ("http://app.example.com:443", "http://app.example.com:443"),
    "upper case": ("HTTPS://App.Example.COM", "https://app.example.com"),
    "one label": ("http://localhost:5000", "http://localhost:5000"),
    "IPv4": ("http://127.0.0.1:8000", "http://127.0.0.1:8000"),
    "IPv6": ("https://[2001:DB8::1]:8443", "https://[2001:db8::1]:8443"),
    "IPv6, default port": ("https://[::1]:443", "https://[::1]"),
    "punycode": ("https://xn--bcher-kva.example", "https://xn--bcher-kva.example"),
    "dot at the end": ("https://app.example.com.", "https://app.example.com."),
    "underscore": ("https://my_app.example.com", "https://my_app.example.com"),
    "scheme of an app": ("capacitor://localhost", "capacitor://localhost"),
    "extension": ("moz-extension://0a1b-2c", "moz-extension://0a1b-2c"),
    "highest port": ("https://a:65535", "https://a:65535"),
}
NO_ORIGINS = {
    "empty": "",
    "null": "null",
    "star": "*",
    "wildcard": "https://*.example.com",
    "two": "https://a.example, https://b.example",
    "two by a space": "https://a.example https://b.example",
    "two without a space": "https://a.example,https://b.example",
    "user info": "https://app.example.com@evil.example",
    "user and password": "https://a:b@evil.example",
    "empty user info": "https://@app.example.com",
    "path": "https://app.example.com/",
    "query": "https://app.example.com?x",
    "fragment": "https://app.example.com#x",
    "backslash": "https://app.example.com\\evil",
    "no scheme": "app.example.com",
    "relative": "//app.example.com",
    "empty scheme": "://app.example.com",
    "scheme begins with a digit": "1https://app.example.com",
    "one slash": "https:/app.example.com",
    "no host": "https://",
    "port without host": "https://:443",
    "empty port": "https://app.example.com:",
    "port 0": "https://app.example.com:0",
    "leading zero": "https://app.example.com:0443",
    "port too high": "https://app.example.com:65536",
    "port of six digits": "https://app.example.com:100000",
    "port in other digits": "https://app.example.com:\u0664\u0664\u0663",
    "two ports": "https://app.example.com:443:443",
    "empty label": "https://app..example.com",
    "begins with a dot": "https://.example.com",
    "percent": "https://app%2eexample.com",
    "unicode host": "https://b\xfccher.example",
    "long s": "http\u017f://app.example.com",
    "kelvin sign": "https://\u212a.example.com",
    "space before": " https://app.example.com",
    "space after": "https://app.example.com ",
    "line end after": "https://app.example.com\n",
    "NUL": "https://app.example.com\x00.evil",
    "open bracket": "https://[::1",
    "text after the bracket": "https://[::1]evil",
    "zone of IPv6": "https://[fe80::1%25eth0]",
    "too long": "https://" + "a" * MAX_ORIGIN_CHARACTERS,
}
URLS = {
    "no path": ("https://app.example.com", "https://app.example.com"),
    "slash": ("https://app.example.com/", "https://app.example.com"),
    "path and query": ("https://app.example.com:8443/a/b?c=d@e:f", "https://app.example.com:8443"),
    "query at once": ("https://app.example.com?next=//evil.example", "https://app.example.com"),
    "fragment": ("http://app.example.com#x", "http://app.example.com"),
    "upper case, default port": ("HTTPS://App.Example.com:443/A", "https://app.example.com"),
    "IPv6": ("http://[::1]:5000/x", "http://[::1]:5000"),
    "longer host": ("https://app.example.com.evil.example/", "https://app.example.com.evil.example"),
    "longest": ("https://a/" + "x" * (MAX_REFERER_CHARACTERS - 10), "https://a"),
}
NO_URLS = {
    "empty": "",
    "about": "about:blank",
    "other scheme": "android-app://com.example/",
    "ftp": "ftp://app.example.com/",
    "javascript": "javascript://app.example.com/%0aalert(1)",
    "user info": "https://app.example.com@evil.example/",
    "user, password and port": "https://app.example.com:443@evil.example/",
    "backslash": "https://app.example.com\\@evil.example/",
    "relative": "/path",
    "scheme left out": "//app.example.com/",
    "no host": "https:///path",
    "port too high": "https://app.example.com:99999/",
    "space in the path": "https://app.example.com/a b",
    "line end": "https://app.example.com/\n",
    "control before": "\x01https://app.example.com/",
    "unicode host": "https://b\xfccher.example/",
    "too long": "https://a/" + "x" * (MAX_REFERER_CHARACTERS - 9),
}


@pytest.mark.parametrize(("raw", "expected"), ORIGINS.values(), ids=ORIGINS)
def test_an_origin_is_read_in_its_normal_form(raw: str, expected: str) -> None:
    assert parse_origin(raw) == expected


@pytest.mark.parametrize("raw", NO_ORIGINS.values(), ids=NO_ORIGINS)
def test_what_is_not_one_origin_is_none(raw: str) -> None:
    assert parse_origin(raw) is None


@pytest.mark.parametrize(("raw", "expected"), URLS.values(), ids=URLS)
def test_the_origin_of_a_url_is_what_stands_before_its_path(raw: str, expected: str) -> None:
    assert origin_of_url(raw) == expected


@pytest.mark.parametrize("raw", NO_URLS.values(), ids=NO_URLS)
def test_what_is_no_url_of_http_has_no_origin(raw: str) -> None:
    assert origin_of_url(raw) is None


@pytest.mark.parametrize(("raw", "expected"), ORIGINS.values(), ids=ORIGINS)
def test_an_origin_that_is_configured_equals_the_one_that_is_sent(raw: str, expected: str) -> None:
    assert exact_origins(raw) == (expected,)


def by_hand(raw: str, *, is_url: bool) -> str | None:
    """Read an origin without a regular expression."""
    limit = MAX_REFERER_CHARACTERS if is_url else MAX_ORIGIN_CHARACTERS
    if len(raw) > limit or not all("!" <= character <= "~" for character in raw):
        return None
    scheme, separator, rest = raw.partition("://")
    scheme = scheme.lower()
    if not separator or not scheme or scheme[0] not in string.ascii_lowercase:
        return None
    if is_url and scheme not in ("http", "https"):
        return None
    if set(scheme) - set(string.ascii_lowercase + string.digits + "+.-"):
        return None
    if is_url:
        rest = rest[: min((rest.index(end) for end in "/?#" if end in rest), default=len(rest))]
    host, port = by_hand_host(rest.lower())
    if host is None or port == "":
        return None
    if port is None or port == {"http": "80", "https": "443"}.get(scheme):
        return f"{scheme}://{host}"
    is_port = not set(port) - set(string.digits) and port[0] != "0" and len(port) < 6 and int(port) <= 65535
    return f"{scheme}://{host}:{port}" if is_port else None


def by_hand_host(authority: str) -> tuple[str | None, str | None]:
    if authority.startswith("["):
        address, closing, after = authority[1:].partition("]")
        is_address = closing and 2 <= len(address) <= 45 and not set(address) - set(string.hexdigits + ":.")
        if not is_address or (after and after[0] != ":"):
            return None, None
        return f"[{address}]", after[1:] if after else None
    host, separator, port = authority.partition(":")
    labels = host.removesuffix(".").split(".")
    if not all(label and not set(label) - set(string.ascii_lowercase + string.digits + "_-") for label in labels):
        return None, None
    return host, port if separator else None


PIECES = st.sampled_from(
    [
        *("http", "https", "HTTPS", "ftp", "capacitor", "://", ":/", "//", "app", "App.Example.com", "evil"),
        *(".", "..", "@", ":", ":443", ":80", ":0", ":65536", ":8443", "[::1]", "[", "]", "/", "?", "#", "\\"),
        *(",", " ", "\n", "%2e", "*", "null", "\xfc", "\u017f", "\x00", "_", "-", "1", "a" * 150, "/p" * 2100),
    ]
)
RAW = st.lists(PIECES, max_size=9).map("".join) | st.text(max_size=40)
WELL_BEGUN = st.builds(
    "{}://{}{}".format,
    st.sampled_from(["http", "https", "Http", "app+x"]),
    st.sampled_from(["a.example", "[::1]"]),
    RAW,
)


@given(raw=RAW | WELL_BEGUN)
def test_origins_are_read_as_by_hand(raw: str) -> None:
    assert parse_origin(raw) == by_hand(raw, is_url=False)


@given(raw=RAW | WELL_BEGUN)
def test_urls_are_read_as_by_hand(raw: str) -> None:
    assert origin_of_url(raw) == by_hand(raw, is_url=True)


@given(raw=RAW | WELL_BEGUN)
def test_what_was_read_reads_as_itself(raw: str) -> None:
    found = [origin for origin in (parse_origin(raw), origin_of_url(raw)) if origin is not None]

    assert [parse_origin(origin) for origin in found] == found
