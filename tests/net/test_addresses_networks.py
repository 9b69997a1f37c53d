"""Addresses inside and outside of networks, and what limits count an address by."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flask_guard.config.kinds import Network
from flask_guard.net.addresses import NetworkSet, network_of, parse_address

NETWORKS = tuple(map(ip_network, ["10.0.0.0/8", "192.0.2.7/32", "2001:db8::/32", "::ffff:198.51.100.0/120", "::1/128"]))

INSIDE = [
    "10.0.0.0",
    "10.255.255.255",
    "::ffff:10.1.2.3",
    "192.0.2.7",
    "2001:db8::",
    "2001:DB8:f::1",
    "198.51.100.9",
    "::1",
]
OUTSIDE = {
    "below": "9.255.255.255",
    "above": "11.0.0.0",
    "beside": "192.0.2.8",
    "IPv6 above": "2001:db9::",
    "IPv6 that is as small a number": "::a00:1",
    "IPv4 that is as small a number": "0.0.0.1",
    "mapped outside": "::ffff:11.0.0.1",
    "UNIX socket": "",
    "word": "localhost",
    "port": "10.0.0.1:80",
    "brackets": "[::1]",
    "zone": "2001:db8::1%eth0",
    "zero in front": "10.0.0.01",
    "space": " 10.0.0.1",
    "network": "10.0.0.0/8",
    "long": "1" * 10_000,
}


@pytest.mark.parametrize("address", INSIDE)
def test_an_address_is_inside(address: str) -> None:
    networks = NetworkSet(NETWORKS)

    assert [address in networks for _asked in ("anew", "again")] == [True, True]


@pytest.mark.parametrize("address", OUTSIDE.values(), ids=OUTSIDE)
def test_an_address_or_what_is_none_is_outside(address: str) -> None:
    networks = NetworkSet(NETWORKS)

    assert [address in networks for _asked in ("anew", "again")] == [False, False]
    assert address not in NetworkSet(())


def test_the_whole_of_ipv6_has_no_ipv4() -> None:
    networks = NetworkSet([ip_network("::/0")])

    assert "192.0.2.1" not in networks
    assert "::ffff:192.0.2.1" not in networks
    assert "2001:db8::1" in networks


def test_what_is_remembered_is_bounded() -> None:
    networks = NetworkSet(NETWORKS)

    for number in range(10_000):
        assert f"10.0.{number // 256}.{number % 256}" in networks
        assert f"{number}" * 100 not in networks

    assert len(networks._answers) <= 4096
    assert max(map(len, networks._answers)) <= 64


def is_mapped(address: object) -> bool:
    return getattr(address, "ipv4_mapped", None) is not None


addresses = st.ip_addresses().filter(lambda address: not is_mapped(address))
subnets = st.builds(
    lambda address, bits: ip_network(f"{address}/{min(bits, address.max_prefixlen)}", strict=False),
    addresses,
    st.integers(0, 128),
)


@given(networks=st.lists(subnets, max_size=12), address=addresses)
def test_it_is_what_the_networks_themselves_say(networks: list[Network], address: Any) -> None:
    edges = [edge for network in networks for edge in (network.network_address, network.broadcast_address)]

    for probe in [address, *(edge for edge in edges if not is_mapped(edge))]:
        inside = any(probe in network for network in networks if network.version == probe.version)
        assert (str(probe) in NetworkSet(networks)) == inside


KEYS = {
    "192.0.2.1": "192.0.2.1",
    "::ffff:192.0.2.1": "192.0.2.1",
    "2001:db8:0:1::1": "2001:db8:0:1::/64",
    "2001:DB8:0:1:ffff:ffff:ffff:ffff": "2001:db8:0:1::/64",
    "2001:db8:0:2::1": "2001:db8:0:2::/64",
    "::1": "::/64",
    "": "unix",
    "localhost": "unix",
}


@pytest.mark.parametrize(("address", "network"), KEYS.items(), ids=ascii)
def test_limits_count_ipv6_by_64_bits(address: str, network: str) -> None:
    assert network_of(parse_address(address)) == network


@given(address=st.ip_addresses(v=6).filter(lambda address: not is_mapped(address)))
def test_an_ipv6_address_is_inside_of_what_it_is_counted_by(address: Any) -> None:
    network = ip_network(network_of(address))

    assert network.prefixlen == 64
    assert address in network
