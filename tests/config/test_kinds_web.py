"""Origins, hosts, methods, URLs with a secret, mail addresses, HSTS: what is read, and what is refused."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from limits._storage_scheme import SCHEMES
from limits.storage import storage_from_string

from flask_guard.config import kinds_web
from flask_guard.config.kinds_web import HSTS_DEFAULT
from flask_guard.config.secrets import Secret

from .loading import attempt

redis_url = kinds_web.secret_url("redis", "rediss", "unix")
mail_url = kinds_web.secret_url("smtp", "smtps")


@pytest.mark.parametrize(
    ("kind", "raw", "value"),
    [
        pytest.param(kinds_web.origins, "", (), id="no origin"),
        pytest.param(
            kinds_web.origins,
            "https://a.test, http://b.test:8080",
            ("https://a.test", "http://b.test:8080"),
            id="two origins",
        ),
        pytest.param(kinds_web.origins, "HTTPS://App.Test", ("https://app.test",), id="as a browser spells it"),
        pytest.param(
            kinds_web.origins,
            "https://a.test:443,http://a.test:80",
            ("https://a.test", "http://a.test"),
            id="default ports",
        ),
        pytest.param(kinds_web.origins, "http://a.test:443", ("http://a.test:443",), id="another scheme's port"),
        pytest.param(kinds_web.origins, ["*"], ("*",), id="every origin"),
        pytest.param(kinds_web.origins, "null", ("null",), id="null"),
        pytest.param(kinds_web.origins, "https://*.example.com", ("https://*.example.com",), id="subdomains"),
        pytest.param(kinds_web.origins, "http://[::1]:3000", ("http://[::1]:3000",), id="an IPv6 address"),
        pytest.param(kinds_web.origins, "capacitor://localhost", ("capacitor://localhost",), id="an app"),
        pytest.param(
            kinds_web.host_names, "API.Example.com,.example.com", ("api.example.com", ".example.com"), id="hosts"
        ),
        pytest.param(
            kinds_web.host_names,
            "localhost:5000,[::1]:80,10.0.0.1",
            ("localhost:5000", "[::1]:80", "10.0.0.1"),
            id="ports",
        ),
        pytest.param(kinds_web.http_methods, "get, Post", ("GET", "POST"), id="methods"),
        pytest.param(kinds_web.header_names, "Authorization,X-Key", ("Authorization", "X-Key"), id="headers"),
        pytest.param(
            kinds_web.redirect_uris,
            "https://a.test/x?y=1,http://localhost/",
            ("https://a.test/x?y=1", "http://localhost/"),
            id="URLs",
        ),
        pytest.param(
            kinds_web.redirect_uris,
            "com.example.app:/done,myapp://done",
            ("com.example.app:/done", "myapp://done"),
            id="schemes of apps",
        ),
        pytest.param(redis_url, "rediss://:pw@cache.test:6379/1", Secret("rediss://:pw@cache.test:6379/1"), id="redis"),
        pytest.param(redis_url, "unix:///run/redis.sock", Secret("unix:///run/redis.sock"), id="a socket"),
        pytest.param(redis_url, Secret("REDIS://cache"), Secret("redis://cache"), id="a Secret"),
        pytest.param(mail_url, "smtps://u:p@mail.test:465", Secret("smtps://u:p@mail.test:465"), id="mail"),
        pytest.param(kinds_web.storage_uri, "memory://", Secret("memory://"), id="memory"),
        pytest.param(
            kinds_web.storage_uri, "redis+sentinel://a:1,b:2/m", Secret("redis+sentinel://a:1,b:2/m"), id="sentinels"
        ),
        pytest.param(kinds_web.mail_address, "a@b.test", "a@b.test", id="an address"),
        pytest.param(kinds_web.mail_address, " Notes <no-reply@b.test> ", "Notes <no-reply@b.test>", id="with a name"),
        pytest.param(kinds_web.hsts, "true", HSTS_DEFAULT, id="HSTS"),
        pytest.param(kinds_web.hsts, False, None, id="no HSTS"),
        pytest.param(kinds_web.hsts, "max-age=0", "max-age=0", id="HSTS taken back"),
        pytest.param(
            kinds_web.hsts,
            "max-age=63072000; includeSubDomains; preload",
            "max-age=63072000; includeSubDomains; preload",
            id="preload",
        ),
    ],
)
def test_value_is_read(kind: Callable[[Any], Any], raw: Any, value: Any) -> None:
    assert kind(raw) == value


@pytest.mark.parametrize(
    ("kind", "raw", "said"),
    [
        pytest.param(kinds_web.origins, "a.test", "item 1 is none", id="an origin without a scheme"),
        pytest.param(
            kinds_web.origins, "https://a.test,https://b.test/", "item 2 is none", id="an origin with a slash"
        ),
        pytest.param(kinds_web.origins, "https://a.test/x", "without a path", id="an origin with a path"),
        pytest.param(kinds_web.origins, "https://u@a.test", "list of origins", id="an origin with a user"),
        pytest.param(kinds_web.origins, "https://a.*.test", "list of origins", id="a star inside"),
        pytest.param(kinds_web.origins, "https://*", "list of origins", id="a star for a host"),
        pytest.param(kinds_web.origins, "https://*a.test", "list of origins", id="a star that is no label"),
        pytest.param(kinds_web.origins, "https://a.test:0", "list of origins", id="port 0"),
        pytest.param(kinds_web.origins, "https://a.test:65536", "list of origins", id="port 65536"),
        pytest.param(kinds_web.origins, "https://", "list of origins", id="no host"),
        pytest.param(kinds_web.origins, "javascript://a", "list of origins", id="a script"),
        pytest.param(kinds_web.origins, "https://é.test", "list of origins", id="not punycode"),
        pytest.param(kinds_web.origins, 5, "comma-separated list", id="a number"),
        pytest.param(kinds_web.host_names, "https://a.test", "list of host names", id="a URL for a host"),
        pytest.param(kinds_web.host_names, "*", "list of host names", id="a star for a host name"),
        pytest.param(kinds_web.host_names, "a..b", "list of host names", id="an empty label"),
        pytest.param(kinds_web.host_names, "-a", "list of host names", id="a dash first"),
        pytest.param(kinds_web.host_names, "a:b", "list of host names", id="a port that is none"),
        pytest.param(kinds_web.http_methods, "FETCH", "list of HTTP methods (DELETE, GET", id="no method"),
        pytest.param(kinds_web.http_methods, "*", "list of HTTP methods", id="every method"),
        pytest.param(kinds_web.http_methods, "TRACE", "list of HTTP methods", id="a forbidden method"),
        pytest.param(kinds_web.header_names, "X Key", "name of an HTTP header", id="no header"),
        pytest.param(kinds_web.redirect_uris, "/done", "absolute URLs", id="a path"),
        pytest.param(kinds_web.redirect_uris, "//evil.test", "absolute URLs", id="no scheme"),
        pytest.param(kinds_web.redirect_uris, "https:///x", "absolute URLs", id="https without a host"),
        pytest.param(kinds_web.redirect_uris, "https://a.test#x", "absolute URLs", id="a fragment"),
        pytest.param(kinds_web.redirect_uris, "https://u:p@a.test/", "absolute URLs", id="a password"),
        pytest.param(kinds_web.redirect_uris, "JavaScript:alert(1)", "absolute URLs", id="a script as target"),
        pytest.param(kinds_web.redirect_uris, "data:text/html;x", "absolute URLs", id="data"),
        pytest.param(kinds_web.redirect_uris, "file:///etc/passwd", "absolute URLs", id="a file"),
        pytest.param(kinds_web.redirect_uris, "myapp:", "absolute URLs", id="a scheme alone"),
        pytest.param(kinds_web.redirect_uris, "https://a.test\\@b.test/", "absolute URLs", id="a backslash"),
        pytest.param(redis_url, "http://cache", "redis:// or rediss:// or unix://", id="no redis"),
        pytest.param(redis_url, "cache:6379", "must be a URL", id="no URL"),
        pytest.param(redis_url, "redis://", "must name a host or a path", id="no server"),
        pytest.param(redis_url, "redis://:pw@/", "must name a host or a path", id="a password for nobody"),
        pytest.param(mail_url, "mailto:a@b.test", "smtp:// or smtps://", id="no mail server"),
        pytest.param(kinds_web.storage_uri, "async+redis://cache", "must be a URL", id="an asynchronous storage"),
        pytest.param(kinds_web.storage_uri, "postgresql://db", "must be a URL beginning", id="no storage"),
        pytest.param(kinds_web.mail_address, "a", "must be a mail address", id="no address"),
        pytest.param(kinds_web.mail_address, "a@b <c", "must be a mail address", id="half a bracket"),
        pytest.param(kinds_web.mail_address, "A <a@b.test", "must be a mail address", id="an open bracket"),
        pytest.param(kinds_web.mail_address, "a@b.test\nBcc: c@d.test", "control characters", id="a second header"),
        pytest.param(kinds_web.hsts, "", "true, false or a policy", id="empty HSTS"),
        pytest.param(kinds_web.hsts, "max-age=-1", "true, false or a policy", id="a negative age"),
        pytest.param(kinds_web.hsts, "includeSubDomains", "true, false or a policy", id="no age"),
        pytest.param(kinds_web.hsts, "max-age=1; max-age=2", "true, false or a policy", id="two ages"),
        pytest.param(kinds_web.hsts, "max-age=1; secure", "true, false or a policy", id="a directive nobody knows"),
        pytest.param(kinds_web.hsts, "max-age=63072000; preload", "beside preload", id="preload alone"),
        pytest.param(kinds_web.hsts, "max-age=60; includeSubDomains; preload", "beside preload", id="a short preload"),
    ],
)
def test_value_is_refused(kind: Callable[[Any], Any], raw: Any, said: str) -> None:
    with pytest.raises(ValueError, match="must") as caught:
        kind(raw)

    assert said in str(caught.value)


@pytest.mark.parametrize(
    "frame",
    ["https://u:{0}@a.test", "{0}", "redis://:{0}@", "redis://:{0} @h", "smtp://u:{0}@[h", "memory:{0}"],
)
@pytest.mark.parametrize(
    "kind",
    [kinds_web.origins, kinds_web.host_names, kinds_web.redirect_uris, redis_url, mail_url, kinds_web.storage_uri],
    ids=["origins", "host_names", "redirect_uris", "redis", "mail", "storage"],
)
def test_fault_does_not_quote_an_address_which_may_hold_a_password(kind: Callable[[Any], Any], frame: str) -> None:
    marker = f"Q{secrets.token_hex(8)}!"

    _value, fault = attempt(kind, frame.format(marker))

    assert fault is None or marker not in fault


def test_storages_are_those_that_the_limits_library_knows() -> None:
    assert set(kinds_web.STORAGE_SCHEMES) == {scheme for scheme in SCHEMES if not scheme.startswith("async+")}
    storage_from_string(kinds_web.storage_uri("memory://").reveal())


KINDS = {
    "origins": kinds_web.origins,
    "host_names": kinds_web.host_names,
    "http_methods": kinds_web.http_methods,
    "header_names": kinds_web.header_names,
    "redirect_uris": kinds_web.redirect_uris,
    "secret_url": redis_url,
    "storage_uri": kinds_web.storage_uri,
    "mail_address": kinds_web.mail_address,
    "hsts": kinds_web.hsts,
}
PIECES = st.lists(
    st.sampled_from(
        [
            "https",
            "http",
            "redis",
            "smtp",
            "://",
            ":",
            "/",
            ".",
            "*",
            "a",
            "b.test",
            "@",
            "[",
            "]",
            "::1",
            "80",
            ",",
            "#",
            "?",
            "<",
            ">",
            "\\",
            "é",
            "\x00",
            "-",
        ]
    )
)
ANYTHING = st.one_of(PIECES.map("".join), st.text(max_size=20), st.integers(), st.none(), st.lists(st.text(max_size=9)))


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
@given(raw=ANYTHING)
def test_whatever_comes_in_is_read_as_what_reads_as_itself_or_refused(kind: Callable[[Any], Any], raw: Any) -> None:
    value, fault = attempt(kind, raw)

    if fault is not None:
        assert fault.startswith("must")
    elif value is not None:
        assert kind(value) == value


@given(raw=PIECES.map("".join))
def test_no_origin_and_no_target_carries_a_user_or_a_line_end(raw: str) -> None:
    for kind in (kinds_web.origins, kinds_web.redirect_uris):
        items, fault = attempt(kind, raw)
        if fault is not None:
            continue
        assert not any(mark in item for item in items for mark in "\n\r \\<>")
        assert not any("@" in item.partition("://")[2].partition("/")[0] for item in items)
