"""An application on a real server, with nginx in front of it as the guide on proxies says, and clients that ask."""

from __future__ import annotations

import json
import os
import ssl
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPSConnection
from pathlib import Path
from typing import Any

from tests.services.ports import find_free_ports

from .nginx import Nginx, read_guide
from .processes import running

ROOT = Path(__file__).parents[2]
NAME = "api.test"
CLIENT = "127.0.0.2"
# Whom the outer proxies connect as to the inner one.
KNOWN_OUTER, UNKNOWN_OUTER = "127.0.0.3", "127.0.0.4"

_COMMANDS = {
    "gunicorn": ["gunicorn", "--worker-class=gthread", "--threads=4", "--log-level=error", "--bind={bind}"],
    "waitress": ["waitress", "--no-clear-untrusted-proxy-headers", "{listen}"],
}
Header = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Backend:
    """A kind of server. is_unix: it listens on a UNIX socket, where its peer has no address."""

    program: str
    is_unix: bool

    @property
    def trusted(self) -> str:
        """What names the proxy right in front of this server, for GUARD_TRUSTED_PROXIES."""
        return "unix" if self.is_unix else "127.0.0.1"

    @contextmanager
    def serving(self, folder: Path, **settings: str) -> Iterator[str]:
        """Serve `echo` with these settings for the time of the block, and yield its address."""
        port = find_free_ports(1)[0]
        bind = f"unix:{folder / 'app.sock'}" if self.is_unix else f"127.0.0.1:{port}"
        listen = f"--unix-socket={folder / 'app.sock'}" if self.is_unix else f"--listen={bind}"
        command = [part.format(bind=bind, listen=listen) for part in _COMMANDS[self.program]]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "GUARD_RATE_LIMIT_ANONYMOUS": "off", **settings}
        arguments = [sys.executable, "-m", *command, "tests.system.echo:app"]
        with running(arguments, folder=folder, ready=[bind], environment=environment):
            yield bind


@dataclass(frozen=True, slots=True)
class Answer:
    """body: parsed JSON, None where there is none."""

    status: int
    headers: dict[str, str]
    body: Any


@dataclass(frozen=True, slots=True)
class Front:
    """Ports of nginx, each with the application behind it: over http, over https, and over https by two hops.

    via_known, via_unknown: of two hops, the application trusts both, or the inner one alone.
    """

    http: int
    https: int
    via_known: int
    via_unknown: int
    authorities: ssl.SSLContext

    def ask(
        self, port: int, path: str = "/", *, headers: Sequence[Header] = (), method: str = "GET", client: str = CLIENT
    ) -> Answer:
        """Ask as a client at an address of loopback does."""
        source = (client, 0)
        host = "::1" if client == "::1" else "127.0.0.1"
        connection = (
            HTTPConnection(host, port, timeout=20, source_address=source)
            if port == self.http
            else HTTPSConnection(host, port, timeout=20, source_address=source, context=self.authorities)
        )
        try:
            connection.putrequest(method, path, skip_host=True)
            for name, value in (("Host", f"{NAME}:{port}"), *headers):
                connection.putheader(name, value)
            connection.endheaders()
            answer = connection.getresponse()
            received = {name.lower(): value for name, value in answer.getheaders()}
            body = json.load(answer) if "json" in received["content-type"] else None
            return Answer(answer.status, received, body)
        finally:
            connection.close()


@contextmanager
def fronting(nginx: Nginx, target: str) -> Iterator[Front]:
    """Run nginx in front of an address for the time of the block."""
    http, https, via_known, via_unknown, inner = ports = find_free_ports(5)
    # The inner hop hands on what the outer one says of scheme, port and host.
    handed_on = ["proxy_set_header X-Forwarded-Proto $http_x_forwarded_proto;"]
    handed_on += ["proxy_set_header X-Forwarded-Port $http_x_forwarded_port;"]
    inner_lines = [line for line in read_guide() if "-Proto" not in line and "-Port" not in line] + handed_on
    servers = [
        nginx.make_server(http, target),
        nginx.make_server(https, target, tls=True),
        nginx.make_server(inner, target, lines=inner_lines),
        *(
            nginx.make_server(port, f"127.0.0.1:{inner}", tls=True, lines=[*read_guide(), f"proxy_bind {address};"])
            for port, address in ((via_known, KNOWN_OUTER), (via_unknown, UNKNOWN_OUTER))
        ),
    ]
    context = ssl.create_default_context(cafile=str(nginx.certificate.path))
    with nginx.serving(servers, ports=ports):
        yield Front(http, https, via_known, via_unknown, context)
