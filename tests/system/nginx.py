"""Debian's nginx with a configuration of its own, in a temporary folder: the system's is not looked at."""

from __future__ import annotations

import os
import pwd
import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.docs.pages import DOCS, read_blocks

from .certificates import Certificate
from .processes import has_ipv6, running

# The workers run as whoever runs the tests; for others than root nginx passes over `user` with a word in its log.
_CONFIGURATION = """
user {user};
worker_processes 1;
daemon off;
pid nginx.pid;
error_log error.log;
events {{ worker_connections 256; }}
http {{
    access_log off;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    {servers}
}}
"""


class Nginx:
    """The program, the certificate that it shows, and a folder for what it writes."""

    def __init__(self, program: str, folder: Path, certificate: Certificate) -> None:
        self.certificate = certificate
        self._program = program
        self._folder = folder

    @contextmanager
    def serving(self, servers: Sequence[str], *, ports: Sequence[int]) -> Iterator[None]:
        """Run nginx for the time of the block. servers: what `make_server` returned, listening on all of the ports."""
        folder = Path(tempfile.mkdtemp(dir=self._folder))
        user = pwd.getpwuid(os.geteuid()).pw_name
        text = _CONFIGURATION.format(user=user, servers="\n".join(servers))
        (folder / "nginx.conf").write_text(text)
        command = [self._program, "-p", str(folder), "-c", "nginx.conf", "-e", "error.log"]
        with running(command, folder=folder, ready=[f"127.0.0.1:{port}" for port in ports]):
            yield

    def make_server(self, port: int, target: str, *, tls: bool = False, lines: Sequence[str] | None = None) -> str:
        """Return the configuration of a listener on loopback.

        target: where requests go, `127.0.0.1:port` or `unix:path`.
        lines: what stands in its location; by default the headers that the guide shows.
        """
        path = self.certificate.path
        secured = f"ssl_certificate {path}; ssl_certificate_key {path};" if tls else ""
        addresses = ["127.0.0.1", "[::1]"] if has_ipv6() else ["127.0.0.1"]
        listens = "".join(f"listen {address}:{port}{' ssl' if tls else ''}; " for address in addresses)
        inner = " ".join(read_guide() if lines is None else lines)
        return f"server {{ {listens} {secured} location / {{ proxy_pass http://{target}; {inner} }} }}"


def read_guide() -> list[str]:
    """Return the lines about headers in the configuration that the guide on proxies shows."""
    page = (DOCS / "guides" / "run-behind-a-proxy.md").read_text("utf-8")
    [shown] = [block.text for block in read_blocks(page) if block.language == "nginx"]
    lines = re.findall(r"proxy_set_header .*;", shown)
    assert lines, "the guide shows no header"
    return lines
