"""Ports for servers that tests start.

Rule: never one that the system gives out by itself. Such a port is free at one moment and may belong to any
connection at the next, before the server that it was found for listens.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from random import SystemRandom

# Below the ranges of Linux (32768, net.ipv4.ip_local_port_range) and of IANA (49152, RFC 6335, section 6).
_RANGE = range(20_000, 32_000)


def find_free_port() -> int:
    """Return a loopback port that nobody listens on at this moment."""
    return find_free_ports(1)[0]


def find_free_ports(count: int) -> list[int]:
    """Return different loopback ports that nobody listens on at this moment."""
    with ExitStack() as stack:
        found = _find(stack)
        return [next(found) for _ in range(count)]


def _find(stack: ExitStack) -> Iterator[int]:
    # Each is held until the last is found, so that none is found twice.
    for port in SystemRandom().sample(_RANGE, k=len(_RANGE)):
        with suppress(OSError):
            stack.enter_context(socket.create_server(("127.0.0.1", port)))
            yield port
