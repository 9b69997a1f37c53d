"""The kinds of value that name something on the network: origins, hosts, methods, URLs with a secret, mail.

Pure; see `kinds`. Rule: an item of a list is told by its position, because an address may hold a password.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Literal, cast
from urllib.parse import urlsplit

from .kinds import Kind, Network, boolean, header_name, networks, require_header_value, secret_text, text, words
from .secrets import Secret

# Letters, digits and dashes (RFC 1123, section 2.1), and the underscore of names inside of clusters.
_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME = rf"{_LABEL}(?:\.{_LABEL})*\.?"
_HOST = rf"(?:{_NAME}|\[[0-9a-f:.]{{2,45}}\])"
_PORT = r"(?::([0-9]{1,5}))?"
_SCHEME = r"[a-z][a-z0-9+.-]*"
_ORIGIN = re.compile(rf"({_SCHEME})://((?:\*\.)?{_HOST}){_PORT}\Z")
_ALLOWED_HOST = re.compile(rf"\.?{_HOST}{_PORT}\Z")
_DEFAULT_PORTS = {"http": "80", "https": "443"}
# What the Fetch standard lets a page send; TRACE, TRACK and CONNECT are forbidden methods there.
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "QUERY"})
# Schemes under which a browser runs or shows what the address itself says, or reads a file.
_NEVER_A_TARGET = frozenset({"javascript", "data", "vbscript", "blob", "file", "filesystem", "about", "view-source"})
_NOT_IN_URLS = re.compile(r"[\s\\<>\"]")
_ADDRESS = re.compile(r"(?:[^<>@]+<)?[^\s<>@]+@[^\s<>@]+(>)?\Z")
_HSTS_MAX_AGE = re.compile(r"max-age=\"?([0-9]{1,10})\"?\Z")
# A year, on subdomains too: what preloading asks for, and what most scanners do (hstspreload.org).
_HSTS_YEAR_S = 31536000
HSTS_DEFAULT = f"max-age={_HSTS_YEAR_S}; includeSubDomains"


def _each(value: Any, parse: Callable[[str], str | None], what: str) -> tuple[str, ...]:
    """Return the items of a list as `parse` gives them; it gives None for one that is not `what`."""
    found = []
    for position, item in enumerate(words(value), start=1):
        parsed = parse(item)
        if parsed is None:
            raise ValueError(f"must be a list of {what}; item {position} is none")
        found.append(parsed)
    return tuple(found)


def origins(value: Any) -> tuple[str, ...]:
    """A list of origins as browsers send them; https://*.example.com for subdomains, `*` for all, null."""
    return _each(value, _parse_origin, "origins such as https://app.example.com, without a path")


def exact_origins(value: Any) -> tuple[str, ...]:
    """A list of origins that may write: one by one, never a wildcard, `*` or null."""
    found = origins(value)
    for position, origin in enumerate(found, start=1):
        if "*" in origin or origin == "null":
            raise ValueError(f"must list origins one by one; item {position} stands for many")
    return found


def proxies(value: Any) -> tuple[Network | Literal["unix"], ...]:
    """A list of networks in CIDR notation, and `unix` for whoever connects through a UNIX socket."""
    items = words(value)
    named = networks([item for item in items if item.lower() != "unix"])
    return (*named, "unix") if any(item.lower() == "unix" for item in items) else named


def _parse_origin(item: str) -> str | None:
    if item in ("*", "null"):
        return item
    match = _ORIGIN.match(item.lower())
    if match is None or not _is_port(match[3]) or match[1] in _NEVER_A_TARGET:
        return None
    scheme, host, port = match.groups()
    # A browser leaves the default port out, so that with one it would match nothing.
    return f"{scheme}://{host}" + (f":{port}" if port and port != _DEFAULT_PORTS.get(scheme) else "")


def host_names(value: Any) -> tuple[str, ...]:
    """A list of host names, in lower case; a leading dot stands for subdomains, a port may follow."""
    return _each(value, _parse_host, "host names such as api.example.com or .example.com")


def _parse_host(item: str) -> str | None:
    match = _ALLOWED_HOST.match(item.lower())
    return None if match is None or not _is_port(match[1]) else item.lower()


def _is_port(port: str | None) -> bool:
    return port is None or 0 < int(port) < 65536


def http_methods(value: Any) -> tuple[str, ...]:
    """A list of HTTP methods, in capitals."""
    what = f"HTTP methods ({', '.join(sorted(_METHODS))})"
    return _each(value, lambda item: item.upper() if item.upper() in _METHODS else None, what)


def header_names(value: Any) -> tuple[str, ...]:
    """A list of names of HTTP headers."""
    return tuple(header_name(item) for item in words(value))


def redirect_uris(value: Any) -> tuple[str, ...]:
    """A list of absolute URLs, or addresses of an app's own scheme (RFC 8252, section 7.1)."""
    return _each(value, _parse_target, "absolute URLs such as https://app.example.com/done, without a fragment")


def _parse_target(item: str) -> str | None:
    try:
        parts = urlsplit(item)
        is_port = parts.port != 0
    except ValueError:
        return None
    if _NOT_IN_URLS.search(item) or not is_port or parts.fragment or "@" in parts.netloc:
        return None
    if parts.scheme in ("https", "http"):
        return item if parts.hostname else None
    is_target = parts.scheme and parts.scheme not in _NEVER_A_TARGET and (parts.netloc or parts.path)
    return item if is_target else None


def secret_url(*schemes: str) -> Kind:
    """A URL of one of the schemes that may hold a password, so that it is kept as a Secret.

    Of what follows the scheme only the presence is looked at: some take several hosts, some a path.
    """

    def parse(value: Any) -> Secret:
        scheme, rest = _split_secret_url(secret_text(value))
        if scheme not in schemes:
            raise ValueError(f"must be a URL beginning with {' or '.join(s + '://' for s in schemes)}")
        if not rest.rpartition("@")[2].strip("/"):
            raise ValueError("must name a host or a path")
        return Secret(f"{scheme}://{rest}")

    return parse


# Storages of one Redis or Valkey server, which our own script counts on.
ONE_SERVER_SCHEMES = ("redis", "rediss", "redis+unix", "valkey", "valkeys", "valkey+unix")
# Those of `limits.storage`, without the asynchronous ones; a test compares.
STORAGE_SCHEMES = (
    *ONE_SERVER_SCHEMES,
    *("redis+cluster", "redis+sentinel", "valkey+cluster", "valkey+sentinel"),
    *("memory", "memcached", "mongodb", "mongodb+srv"),
)
_storage_url = secret_url(*STORAGE_SCHEMES)


def storage_uri(value: Any) -> Secret:
    """Where limits are counted: memory:// for each process alone, or a server that all of them share."""
    secret = secret_text(value)
    in_memory = secret.reveal().strip().lower() == "memory://"
    return Secret("memory://") if in_memory else cast(Secret, _storage_url(secret))


def _split_secret_url(secret: Secret) -> tuple[str, str]:
    """Return the scheme, in lower case, and what follows `://`; ("", "") for what is no URL."""
    scheme, separator, rest = secret.reveal().strip().partition("://")
    return (scheme.lower(), rest) if separator and not _NOT_IN_URLS.search(rest) else ("", "")


def mail_address(value: Any) -> str:
    """A mail address: a@example.com, or Name <a@example.com>."""
    address = text(value)
    match = _ADDRESS.match(address)
    if match is None or ("<" in address) != (match[1] is not None):
        raise ValueError("must be a mail address such as Service <no-reply@example.com>")
    return address


def hsts(value: Any) -> str | None:
    """true for a year on subdomains too, false for none, or a literal Strict-Transport-Security (RFC 6797)."""
    try:
        return HSTS_DEFAULT if boolean(value) else None
    except ValueError:
        pass  # then it is a header's value, or nothing
    policy = require_header_value(value)
    directives = [directive.strip().lower() for directive in policy.split(";")]
    ages = [match for directive in directives if (match := _HSTS_MAX_AGE.match(directive))]
    others = [directive for directive in directives if not _HSTS_MAX_AGE.match(directive)]
    if len(ages) != 1 or not set(others) <= {"includesubdomains", "preload"} or len(others) != len(set(others)):
        raise ValueError("must be true, false or a policy such as max-age=31536000; includeSubDomains")
    if "preload" in others and ("includesubdomains" not in others or int(ages[0][1]) < _HSTS_YEAR_S):
        raise ValueError(f"must have includeSubDomains and a max-age of {_HSTS_YEAR_S} at least beside preload")
    return policy
