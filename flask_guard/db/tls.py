"""Whether the way to a PostgreSQL server leaves the machine, and is then encrypted.

Source: PostgreSQL documentation, libpq, "Parameter Key Words" and "SSL Support".
"""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address

from sqlalchemy import URL

# The other modes go on in plain text when the server, or somebody in between, does not offer TLS.
ENCRYPTED_MODES = frozenset({"require", "verify-ca", "verify-full"})


def is_remote(url: URL, environ: Mapping[str, str]) -> bool:
    """Say whether a server is on another machine, as far as its address tells; a name is, but for `localhost`."""
    hosts = [url.host, *_listed(url, "host"), *_listed(url, "hostaddr")]
    named = [host for entry in hosts if entry for host in entry.split(",") if host]
    if not named:
        named = [host for name in ("PGHOST", "PGHOSTADDR") for host in environ.get(name, "").split(",") if host]
    return any(not _is_local(host) for host in named)


def find_tls_mode(url: URL, environ: Mapping[str, str]) -> str | None:
    """Return the `sslmode` that somebody chose; None when nobody did."""
    chosen = _listed(url, "sslmode")
    return chosen[-1] if chosen else environ.get("PGSSLMODE") or None


def default_tls(url: URL, environ: Mapping[str, str]) -> dict[str, str]:
    """Return what libpq must be told so that nothing goes over a network in plain text unless somebody says so.

    Empty where the mode is chosen, also in a service file that is named, and for a server on this machine.
    """
    has_service = bool(_listed(url, "service")) or "PGSERVICE" in environ
    if url.get_backend_name() != "postgresql" or has_service or find_tls_mode(url, environ) is not None:
        return {}
    return {"sslmode": "require"} if is_remote(url, environ) else {}


def _listed(url: URL, name: str) -> list[str]:
    value = url.query.get(name, ())
    return [value] if isinstance(value, str) else list(value)


def _is_local(host: str) -> bool:
    """A path is a UNIX socket, and so is a name that begins with @."""
    if host.startswith(("/", "@")):
        return True
    try:
        return ip_address(host.strip("[]").partition("%")[0]).is_loopback
    except ValueError:
        return host.lower() == "localhost"
