"""Fences: networks that a route is for, judged on the client's address.

Pure. Rule: an address that is none, such as that of a UNIX socket's peer, is inside of no network.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from ..config.kinds import Network, networks
from ..errors import ConfigError
from .addresses import NetworkSet


@dataclass(frozen=True, slots=True)
class Fence:
    """networks: whose addresses may pass. status: what the others get, 403 or 404."""

    networks: tuple[Network, ...]
    status: int
    _inside: NetworkSet = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_inside", NetworkSet(self.networks))

    def find_fault(self, address: str) -> str | None:
        """Return in words, for the log, why an address may not pass; None for one that may."""
        if address in self._inside:
            return None
        return f"{address or 'a peer without an address'} is outside of {self.describe()}"

    def describe(self) -> str:
        return f"require_network({', '.join(map(str, self.networks))})"


def make_fence(cidrs: Iterable[str], *, status: int) -> Fence:
    """Return the fence around these networks. Raises ConfigError for none, for what is no CIDR and for a status."""
    try:
        found = networks(list(cidrs))
    except ValueError as exc:
        raise ConfigError(f"require_network(): {exc}.") from exc
    if not found:
        raise ConfigError("require_network() needs one network at least, such as '10.0.0.0/8'.")
    if status not in (403, 404):
        raise ConfigError(f"require_network() refuses with 403 or 404, not {status!r}.")
    return Fence(found, status)
