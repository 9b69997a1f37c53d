"""Plain http where https is asked for: a reader is sent to https, a writer is refused.

Pure. Rule: where a reader is sent comes from GUARD_PUBLIC_URL, or from a host that GUARD_ALLOWED_HOSTS names;
a host that anybody may have sent is no target.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from ..errors import HttpsRequired
from ..net.hosts import split_port
from ..values import Client

_READS = frozenset({"GET", "HEAD"})
# What a path may hold unescaped (RFC 3986, section 3.3).
_SAFE_IN_PATHS = "/:@!$&'()*+,;=~"
_SAFE_IN_QUERIES = _SAFE_IN_PATHS + "?%"


class HttpsRule:
    """How requests over plain http are answered.

    public_url: the service's own address, or None. has_allowed_hosts: requests of other hosts were refused before.
    """

    def __init__(self, *, public_url: str | None, has_allowed_hosts: bool) -> None:
        self._public_url = None if public_url is None else public_url.rstrip("/")
        self._has_allowed_hosts = has_allowed_hosts

    def require_target(self, environ: Mapping[str, Any], client: Client) -> str:
        """Return the https address of what a GET or HEAD asks for; raises HttpsRequired for everything else."""
        if environ["REQUEST_METHOD"] not in _READS:
            raise HttpsRequired(detail=f"{environ['REQUEST_METHOD'][:20]!r} over plain http")
        if self._public_url is not None:
            return self._public_url + resource_of(environ)
        if self._has_allowed_hosts and client.host is not None:
            # One port does not speak both, so the one that was asked for is none of https.
            return f"https://{split_port(client.host)[0]}{resource_of(environ, with_script_name=True)}"
        raise HttpsRequired(detail="plain http, and neither GUARD_PUBLIC_URL nor GUARD_ALLOWED_HOSTS says where to go")


def resource_of(environ: Mapping[str, Any], *, with_script_name: bool = False) -> str:
    """Return path and query of a request as they stand in a URL."""
    script_name = environ.get("SCRIPT_NAME", "") if with_script_name else ""
    path = quote((script_name + environ.get("PATH_INFO", "")).encode("latin-1"), safe=_SAFE_IN_PATHS)
    query = quote(environ.get("QUERY_STRING", "").encode("latin-1"), safe=_SAFE_IN_QUERIES)
    return f"/{path.lstrip('/')}" + (f"?{query}" if query else "")
