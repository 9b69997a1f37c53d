"""Who sent a request: the address, scheme and host that everything else believes.

`ClientReader.read` is called by the edge, once for a request and before anything else looks at the environment.
Sources: RFC 7239, and for X-Forwarded-* what proxies do.
Rule: only a trusted proxy is believed, and of a list only what it wrote itself or another trusted proxy did: from
the right, up to the first address that is not trusted. What is believed is written into the environment, and
every forwarded header is taken out of it, so that no view believes more.
"""

from __future__ import annotations

import logging
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, collapse_addresses, ip_address
from operator import itemgetter
from typing import Any, Final, Literal, TypeVar

from ..config.kinds import Network
from ..config.sections import ForwardedHeader
from ..values import Client
from .forwarded import READ_HEADERS, Claims, read_claims, strip_port
from .hosts import is_port, join_port, parse_host, port_of, split_port

logger = logging.getLogger("flask_guard.net")

# Where the environment keeps the forwarded headers that were taken out, and what they replaced.
FORWARDED_KEY: Final = "flask_guard.forwarded"

# What limits count a peer without an address by, and how a setting names it.
UNIX: Final = "unix"

# The headers that are taken out of the environment, and with them every other that has the mark in its name, such as
# X-Forwarded-Prefix and X-Original-Forwarded-For.
FORWARDED_HEADERS: Final = frozenset(
    {
        *READ_HEADERS,
        "HTTP_CF_CONNECTING_IP",
        "HTTP_CLIENT_IP",
        "HTTP_TRUE_CLIENT_IP",
        "HTTP_X_CLIENT_IP",
        "HTTP_X_CLUSTER_CLIENT_IP",
        "HTTP_X_REAL_IP",
    }
)
_MARK: Final = "FORWARDED"
_FOR, _PROTO, _HOST, _PORT, _FORWARDED = READ_HEADERS

# They are about the peer; REMOTE_HOST is what waitress sets.
_OF_THE_PEER: Final = ("REMOTE_PORT", "REMOTE_HOST")
_SCHEMES: Final = ("http", "https")

_LAST: Final = {4: 2**32 - 1, 6: 2**128 - 1}
_MAX_REMEMBERED: Final = 4096
_MAX_REMEMBERED_CHARS: Final = 1024
_MAX_NAME_CHARS: Final = 64
_MAX_SHOWN_CHARS: Final = 60

_UNKNOWN: Final = "Forwarded headers from %(peer)s are ignored: GUARD_TRUSTED_PROXIES does not name it."
_LOST: Final = (
    "Forwarded headers from %(peer)s, which is no public address, are ignored, because no proxy is trusted. Every "
    "client looks like the proxy then: if it is yours, name it or its network, GUARD_TRUSTED_PROXIES=%(peer)s."
)

_PASSED: Final = "It is a trusted proxy, so whom it names is looked at."
_STRANGER: Final = "It is not a trusted proxy, so it is the client, and nobody that it may name is believed."
_ENDED: Final = "It is a trusted proxy, but no address stands left of it, so it is taken for the client."
_NO_ADDRESS: Final = "This is not an address, so the walk ends before it."
_LEFT: Final = "It stands left of where the walk ended, so anybody may have written it."

IPAddress = IPv4Address | IPv6Address
Key = TypeVar("Key")
Value = TypeVar("Value")


def parse_address(text: str) -> IPAddress | None:
    """Return an IP address, IPv4-mapped IPv6 as IPv4; None for anything else, a zone id or a port included."""
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv4Address):
        return address
    return None if address.scope_id is not None else address.ipv4_mapped or address


def network_of(address: IPAddress | None) -> str:
    """Return what limits count a client by: IPv4 itself, IPv6 its /64, "unix" without an address."""
    if address is None:
        return UNIX
    return str(address) if address.version == 4 else str(IPv6Network((int(address) >> 64 << 64, 64)))


class NetworkSet:
    """Some networks, made once for being asked often; how many there are hardly matters."""

    __slots__ = ("_answers", "_ranges")

    def __init__(self, networks: Iterable[Network]) -> None:
        found = [_unwrap(network) for network in networks]
        self._ranges = {
            4: [_range(each) for each in collapse_addresses(n for n in found if isinstance(n, IPv4Network))],
            6: [_range(each) for each in collapse_addresses(n for n in found if isinstance(n, IPv6Network))],
        }
        self._answers: dict[str, bool] = {}

    def __contains__(self, address: str) -> bool:
        """Say whether the text is an address inside of one of the networks."""
        answer = self._answers.get(address)
        if answer is None:
            parsed = parse_address(address)
            answer = parsed is not None and self.holds(parsed)
            if len(address) <= _MAX_NAME_CHARS:
                _remember(self._answers, address, answer, at_most=_MAX_REMEMBERED)
        return answer

    @property
    def is_universal(self) -> bool:
        """Say whether every address of IPv4, or every one of IPv6, is inside."""
        return any(last - first == most for version, most in _LAST.items() for first, last in self._ranges[version])

    def holds(self, address: IPAddress) -> bool:
        """Say whether the address is inside of one of the networks."""
        ranges = self._ranges[address.version]
        number = int(address)
        position = bisect_right(ranges, number, key=itemgetter(0)) - 1
        return position >= 0 and number <= ranges[position][1]


def _unwrap(network: Network) -> Network:
    """Return a network of IPv4-mapped addresses as the IPv4 network that addresses are looked for in."""
    first = network.network_address
    if isinstance(first, IPv4Address) or first.ipv4_mapped is None:
        return network
    return IPv4Network((int(first.ipv4_mapped), network.prefixlen - 96))  # RFC 4291, section 2.5.5.2


def _range(network: Network) -> tuple[int, int]:
    return int(network.network_address), int(network.broadcast_address)


@dataclass(frozen=True, slots=True)
class Hop:
    """One station of a request, for `whoami`.

    address: its canonical address, "unix" for a UNIX socket, or what stood in its place, in ASCII and shortened.
    why: a sentence on what was made of it.
    """

    address: str
    is_trusted: bool
    is_client: bool
    why: str


@dataclass(frozen=True, slots=True)
class _Step:
    """One station of the walk. text: its address, or what stands in its place, for people.

    address: None for a UNIX socket, too; is_good tells it from what is no address.
    """

    text: str
    address: IPAddress | None
    is_good: bool
    is_trusted: bool


@dataclass(frozen=True, slots=True)
class _Belief:
    """What is believed of a request; the names of its environment that this changes, and those that it removes."""

    client: Client
    changes: Mapping[str, str]
    removed: tuple[str, ...]


class ClientReader:
    """Reads the client of a request, for one list of trusted proxies.

    trusted: networks of proxies, and "unix" for whoever connects through a UNIX socket. family: the headers that
    they write; "auto" reads X-Forwarded-For, -Proto, -Host and -Port where one of them is there, else Forwarded.
    The two are never merged. A proxy has to replace or take out what clients send under the names that are read.

    The peer and its scheme are what the server says, by whatever it was told itself: the PROXY protocol, or as in
    gunicorn 27 the X-Forwarded-Proto of a peer in its `forwarded_allow_ips`, which are loopback and UNIX sockets.
    May be used by many threads.
    """

    def __init__(self, trusted: Iterable[Network | Literal["unix"]] = (), *, family: ForwardedHeader = "auto") -> None:
        self.trusted = tuple(trusted)
        self.family = family
        self._networks = NetworkSet(each for each in self.trusted if each != UNIX)
        self._beliefs: dict[tuple[str | None, ...], _Belief] = {}
        self._harmless: set[str] = set()
        self._untold = {logging.WARNING, logging.ERROR}

    def read(self, environ: dict[str, Any]) -> Client:
        """Return the client of a request and write what is believed of it into its environment.

        Afterwards REMOTE_ADDR, wsgi.url_scheme, HTTP_HOST and SERVER_PORT are what the client asked with, in canonical
        form; a Host that is none stays. REMOTE_PORT and REMOTE_HOST are gone when they were a proxy's, and forwarded
        headers always are: `flask_guard.forwarded` has them then, with the REMOTE_ADDR, wsgi.url_scheme and HTTP_HOST
        of before. Reading twice changes nothing.
        """
        if _FOR in environ or not self._harmless.issuperset(environ):
            sent = self._take_out(environ)
            if sent:
                return self._read_forwarded(environ, sent)
        key = (environ.get("REMOTE_ADDR"), environ.get("wsgi.url_scheme"), environ.get("HTTP_HOST"))
        belief = self._beliefs.get(key) or self._learn(key, environ, {})
        if belief.changes:
            environ.update(belief.changes)
        return belief.client

    def get_client(self, environ: Mapping[str, Any]) -> Client:
        """Return what `read` would, without writing, remembering or logging anything."""
        return self._judge(environ, environ).client

    def explain(self, environ: Mapping[str, Any]) -> list[Hop]:
        """Return the stations of a request from the peer to the left, of an environment read already or not."""
        environ = environ.get(FORWARDED_KEY, environ)
        nodes = read_claims(environ, family=self.family).nodes
        walked = list(self._walk(_parse_peer(environ), nodes))
        client = _find_last(walked)
        hops = [Hop(step.text, step.is_trusted, step is client, _tell_why(step, client)) for step in walked]
        left = map(self._look_at, nodes)
        return hops + [Hop(step.text, step.is_trusted, False, _LEFT) for step in left]

    def _take_out(self, environ: dict[str, Any]) -> dict[str, str]:
        """Remove the forwarded headers and return them; names of others are remembered, to be passed over next time."""
        sent = {}
        for name in environ.keys() & FORWARDED_HEADERS:
            sent[name] = environ.pop(name)
        if not self._harmless.issuperset(environ):
            sent |= {name: environ.pop(name) for name in [*environ] if _MARK in name and name.startswith("HTTP_")}
            if len(self._harmless) >= _MAX_REMEMBERED:
                self._harmless.clear()
            self._harmless.update(name for name in environ if len(name) <= _MAX_NAME_CHARS)
        return sent

    def _read_forwarded(self, environ: dict[str, Any], sent: dict[str, str]) -> Client:
        peer, scheme, host = environ.get("REMOTE_ADDR"), environ.get("wsgi.url_scheme"), environ.get("HTTP_HOST")
        environ[FORWARDED_KEY] = {**sent, "REMOTE_ADDR": peer, "wsgi.url_scheme": scheme, "HTTP_HOST": host}
        get = sent.get
        key = (peer, scheme, host, get(_FOR), get(_PROTO), get(_HOST), get(_PORT), get(_FORWARDED))
        belief = self._beliefs.get(key) or self._learn(key, environ, sent)
        environ.update(belief.changes)
        for name in belief.removed:
            environ.pop(name, None)
        return belief.client

    def _learn(self, key: tuple[str | None, ...], environ: Mapping[str, Any], sent: Mapping[str, Any]) -> _Belief:
        """Judge a request that was not seen before, and remember the answer unless it is long or incomplete."""
        belief = self._judge(environ, sent)
        if sent:
            self._tell_ignored(_parse_peer(environ))
        # Without a Host header the answer depends on more than the key.
        if "HTTP_HOST" in environ and sum(map(len, filter(None, key))) <= _MAX_REMEMBERED_CHARS:
            _remember(self._beliefs, key, belief, at_most=_MAX_REMEMBERED)
        return belief

    def _judge(self, environ: Mapping[str, Any], sent: Mapping[str, str]) -> _Belief:
        peer = _parse_peer(environ)
        claims = read_claims(sent, family=self.family) if self._trusts(peer) else Claims()
        address = _find_last(list(self._walk(peer, claims.nodes))).address
        scheme = _choose_scheme(claims, environ)
        host = _choose_host(claims, environ, scheme)
        client = Client("" if address is None else str(address), network_of(address), scheme, host)
        believed = {"REMOTE_ADDR": client.address, "wsgi.url_scheme": scheme, "HTTP_HOST": host}
        changes = {name: value for name, value in believed.items() if value not in (None, environ.get(name))}
        if host is not None and (claims.proto or claims.host or claims.port):
            changes["SERVER_PORT"] = port_of(host, scheme)
        return _Belief(client, changes, () if address == peer else _OF_THE_PEER)

    def _walk(self, peer: IPAddress | None, nodes: Iterator[str | None]) -> Iterator[_Step]:
        """Yield the peer and whom the proxies name, as far as each before it is trusted; only the last may be bad."""
        step = _Step(_show(peer), peer, True, self._trusts(peer))
        yield step
        if not step.is_trusted:
            return
        for node in nodes:
            step = self._look_at(node)
            yield step
            if not step.is_trusted:
                return

    def _look_at(self, node: str | None) -> _Step:
        bare = None if node is None else strip_port(node)
        address = None if bare is None else parse_address(bare)
        if address is None:
            text = ascii(node)[1:-1][:_MAX_SHOWN_CHARS] if node else "(unreadable)"
            return _Step(text, None, False, False)
        return _Step(str(address), address, True, self._networks.holds(address))

    def _trusts(self, peer: IPAddress | None) -> bool:
        return UNIX in self.trusted if peer is None else self._networks.holds(peer)

    def _tell_ignored(self, peer: IPAddress | None) -> None:
        """Say once in a process that what a peer forwards is ignored; it may be a proxy that nobody has named."""
        if self._trusts(peer):
            return
        is_lost = not self.trusted and (peer is None or not peer.is_global)
        level, text = (logging.ERROR, _LOST) if is_lost else (logging.WARNING, _UNKNOWN)
        try:
            self._untold.remove(level)
        except KeyError:
            return
        logger.log(level, text, {"peer": _show(peer)})


def _show(peer: IPAddress | None) -> str:
    return UNIX if peer is None else str(peer)


def _parse_peer(environ: Mapping[str, Any]) -> IPAddress | None:
    """Return the address of the peer, None for one without: a server says "", nothing or a word for a UNIX socket.

    Its zone id is dropped. It is the server that says it, not somebody far away who could choose any.
    """
    return parse_address((environ.get("REMOTE_ADDR") or "").partition("%")[0])


def _choose_scheme(claims: Claims, environ: Mapping[str, Any]) -> str:
    claimed = (claims.proto or "").lower()
    if claimed in _SCHEMES:
        return claimed
    return "https" if environ.get("wsgi.url_scheme") == "https" else "http"


def _choose_host(claims: Claims, environ: Mapping[str, Any], scheme: str) -> str | None:
    host = parse_host(claims.host or "", scheme) or parse_host(_get_host(environ), scheme)
    if host is None or claims.port is None or not is_port(claims.port):
        return host
    return join_port(split_port(host)[0], claims.port, scheme)


def _get_host(environ: Mapping[str, Any]) -> str:
    """Return the Host header, else the address that the server says it listens on."""
    if "HTTP_HOST" in environ:
        return str(environ["HTTP_HOST"])
    name = environ.get("SERVER_NAME", "")
    return f"[{name}]:{environ.get('SERVER_PORT')}" if ":" in name else f"{name}:{environ.get('SERVER_PORT')}"


def _find_last(walked: Sequence[_Step]) -> _Step:
    """Return the last step that is good; the first always is, and all but the last are."""
    return walked[-1] if walked[-1].is_good else walked[-2]


def _tell_why(step: _Step, client: _Step) -> str:
    if not step.is_good:
        return _NO_ADDRESS
    if step is not client:
        return _PASSED
    return _ENDED if step.is_trusted else _STRANGER


def _remember(memory: dict[Key, Value], key: Key, value: Value, *, at_most: int) -> None:
    """Keep an answer; a memory that is full is emptied, because whoever fills it may choose the keys."""
    if len(memory) >= at_most:
        memory.clear()
    memory[key] = value
