"""Counting in Redis, Valkey or what speaks their protocol: one script call for all limits of a request.

One server; for a cluster or sentinels there is `limits.library`. Needs Redis 5 or newer, because the script asks for
the time before it writes. Every key expires when its window is as good as new; a server that is set up to drop keys
when its memory is full (`maxmemory-policy`) may forget counts before.
Rule: whatever is wrong with the server is StoreUnavailable, within the timeouts.
"""

from __future__ import annotations

import os
import struct
import threading
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from hashlib import sha1
from math import inf
from typing import Any, Final, Protocol, cast

from ..config.secrets import Secret
from ..config.sections import RateStrategy
from ..errors import ConfigError, StoreUnavailable
from ..limits.bucket_names import LETTERS, NAME_LENGTH, PREFIX, name_bucket, name_service, sum_charges
from ..limits.rates import Charge, Verdict, Window
from .redis_scripts import SCRIPTS

try:
    import redis
    from redis.backoff import NoBackoff
    from redis.exceptions import NoScriptError
    from redis.retry import Retry
except ModuleNotFoundError as exc:
    raise ConfigError('redis-py is not installed: pip install "flask-guard-kit[redis]"') from exc

# Ours, and what redis-py calls them.
_SCHEMES: Final = {
    "redis": "redis",
    "rediss": "rediss",
    "redis+unix": "unix",
    "valkey": "redis",
    "valkeys": "rediss",
    "valkey+unix": "unix",
}
_MICROSECONDS: Final = 1_000_000
_read_verdicts: Final = struct.Struct(">ddd").iter_unpack
_DELETED_AT_ONCE: Final = 1000


class RedisRates:
    """A RateStore on one server.

    url: `redis://user:password@host:port/db`, `rediss://` with TLS, `redis+unix:///path?db=0`; valkey in the place of
    redis is the same. Options of redis-py's connections may follow a question mark; they win over those given here.
    service: a name; services of different names count apart on one server.
    timeout_s: for an answer. connect_timeout_s: for a connection, and for one to become free while
    `max_connections` are in use. Looking up the host's name is bounded by neither.
    Raises ConfigError for an address that redis-py cannot use. The server is first asked by the first charge.
    """

    def __init__(
        self,
        url: Secret | str,
        strategy: RateStrategy,
        *,
        service: str = "",
        timeout_s: float = 0.1,
        connect_timeout_s: float = 0.05,
        max_connections: int = 64,
    ) -> None:
        self._prefix = f"{PREFIX}{LETTERS[strategy]}:{name_service(service)}"
        self._script = SCRIPTS[strategy].encode()
        self._digest = sha1(self._script, usedforsecurity=False).hexdigest().encode()
        self._pool = _make_pool(
            url, timeout_s=timeout_s, connect_timeout_s=connect_timeout_s, max_connections=max_connections
        )
        make = partial(self._pool.connection_class, **self._pool.connection_kwargs)
        self._connections = _Connections(make, size=self._pool.max_connections, wait_s=connect_timeout_s)

    def charge(self, charges: Sequence[Charge]) -> list[Verdict]:
        """Charge all or none (`RateStore`), in one round trip."""
        if not charges:
            return []
        names, sums = sum_charges(charges, self._prefix)
        limits = [
            number for window, cost in sums.values() for number in (window.amount, window.seconds * _MICROSECONDS, cost)
        ]
        try:
            answer = self._run(sums, struct.pack(f">{len(limits)}d", *limits))
            verdicts = [(room == 1, int(left), wait / _MICROSECONDS) for room, left, wait in _read_verdicts(answer)]
            if len(verdicts) != len(sums) or not all(wait < inf for _room, _left, wait in verdicts):
                raise ValueError("the answer is not that of the script")
        except (redis.RedisError, struct.error, TypeError, ValueError, OverflowError) as exc:
            raise _unavailable(exc) from exc
        if len(names) == len(sums):
            return verdicts
        of_bucket = dict(zip(sums, verdicts, strict=True))
        return [of_bucket[name] for name in names]

    def forget(self, window: Window, subject: str) -> None:
        """Forget what one subject has used of a window."""
        try:
            self._connections.ask(b"DEL", (self._prefix + name_bucket(window, subject)).encode())
        except redis.RedisError as exc:
            raise _unavailable(exc) from exc

    def reset(self) -> None:
        """Forget every count of this service and strategy. Walks through all keys of the database."""
        client = redis.Redis(connection_pool=self._pool)
        try:
            # Not a star: without a service's name that would be the names of all services.
            names = list(client.scan_iter(match=self._prefix + "?" * NAME_LENGTH, count=_DELETED_AT_ONCE))
            for first in range(0, len(names), _DELETED_AT_ONCE):
                client.unlink(*names[first : first + _DELETED_AT_ONCE])
        except redis.RedisError as exc:
            raise _unavailable(exc) from exc

    def after_fork(self) -> None:
        """Leave the parent's connections to the parent."""
        self._connections.drop()

    def _run(self, names: Iterable[str], packed: bytes) -> bytes:
        keys = [name.encode() for name in names]
        count = b"%d" % len(keys)
        try:
            answer = self._connections.ask(b"EVALSHA", self._digest, count, *keys, packed)
        except NoScriptError:  # the server is new, or was restarted
            answer = self._connections.ask(b"EVAL", self._script, count, *keys, packed)
        return cast(bytes, answer)


class _Connection(Protocol):
    """What is used of `redis.connection.AbstractConnection`. It connects when it is first asked."""

    def send_packed_command(self, command: Sequence[bytes], check_health: bool) -> None: ...

    def read_response(self) -> Any: ...


class _Connections:
    """At most `size` connections of redis-py, used straight.

    Of what a command costs this process, two thirds are its client and its pool (redis-py 8.1), and nothing that
    they do beside is needed here.
    """

    def __init__(self, make: Callable[[], _Connection], *, size: int, wait_s: float) -> None:
        self._make = make
        self._size = size
        self._wait_s = wait_s
        self.drop()

    def drop(self) -> None:
        """Begin with none. Those that belong to the parent of this process are closed here only."""
        self._free: list[_Connection] = []  # the one that was used last comes first
        self._slots = threading.Semaphore(self._size)
        self._pid = os.getpid()

    def ask(self, *words: bytes) -> Any:
        """Send a command and return the answer. Raises RedisError."""
        if self._pid != os.getpid():  # this process was forked off, and nobody said so
            self.drop()
        command = b"*%d\r\n" % len(words) + b"".join([b"$%d\r\n%b\r\n" % (len(word), word) for word in words])
        if not self._slots.acquire(timeout=self._wait_s):
            raise redis.ConnectionError("no connection became free")
        try:
            try:
                connection = self._free.pop()
            except IndexError:
                return self._ask(self._make(), command)
            try:
                return self._ask(connection, command)
            except redis.ConnectionError:  # closed while nobody used it, by a restart or for being idle
                return self._ask(self._make(), command)
        finally:
            self._slots.release()

    def _ask(self, connection: _Connection, command: bytes) -> Any:
        connection.send_packed_command([command], False)
        try:
            answer = connection.read_response()
        except redis.ResponseError:
            self._free.append(connection)
            raise
        self._free.append(connection)
        return answer


def _make_pool(
    url: Secret | str, *, timeout_s: float, connect_timeout_s: float, max_connections: int
) -> redis.ConnectionPool:
    """Return redis-py's idea of an address: how its connections are made. It connects to nothing yet."""
    scheme, _, rest = (url.reveal() if isinstance(url, Secret) else url).partition("://")
    known = _SCHEMES.get(scheme.lower())
    if known is None:
        raise ConfigError(f"Limits are counted by Redis at one of {', '.join(f'{name}://' for name in _SCHEMES)}.")
    options: dict[str, Any] = {
        "max_connections": max_connections,
        "protocol": 2,  # connects with one round trip less
        "retry": Retry(NoBackoff(), 0),
        "socket_timeout": timeout_s,
    }
    if known != "unix":
        options |= {"socket_connect_timeout": connect_timeout_s, "socket_keepalive": True}
    try:
        pool = redis.ConnectionPool.from_url(f"{known}://{rest}", **options)
        pool.connection_kwargs.pop("decode_responses", None)  # an answer is no text
        pool.connection_class(**pool.connection_kwargs)  # refuses unknown options
    except (ValueError, TypeError, redis.RedisError):
        # from None: the error quotes what it stumbled over, which may be a part of the password.
        raise ConfigError(f"The {scheme}:// address of the storage of limits cannot be used by redis-py.") from None
    return pool


def _unavailable(error: Exception) -> StoreUnavailable:
    return StoreUnavailable(f"Redis does not count: {type(error).__name__}: {error}")
