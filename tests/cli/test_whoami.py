"""`flask guard whoami`: the stations of a request that is made up, and whom it would be taken for."""

from __future__ import annotations

import json
from collections.abc import Callable
from ipaddress import ip_network
from types import SimpleNamespace

import pytest
from click.testing import Result
from flask import Flask

from flask_guard.cli.whoami import whoami
from flask_guard.net.addresses import ClientReader

Run = Callable[..., Result]


@pytest.fixture
def run() -> Run:
    """Call `run("--peer", "10.0.0.1")` and get click's Result; 10.0.0.0/8 and UNIX sockets are trusted."""

    def call(*arguments: str, reader: ClientReader | None = None) -> Result:
        app = Flask(__name__)
        reader = reader or ClientReader([ip_network("10.0.0.0/8"), "unix"])
        app.extensions["guard.runtime"] = SimpleNamespace(client_reader=reader)
        app.cli.add_command(whoami)
        return app.test_cli_runner().invoke(args=["whoami", *arguments])

    return call


def test_the_stations_are_told_from_the_peer_to_the_left(run: Run) -> None:
    result = run(
        *("--peer", "10.0.0.1", "--header", "X-Forwarded-For: 127.0.0.1, 2001:db8::5, 10.2.2.2"),
        *("--header", "X-Forwarded-Proto: https", "--header", "host:Shop.Example:8443"),
    )

    assert result.exit_code == 0
    assert result.stderr == ""
    assert result.stdout == (
        "trusted proxies: 10.0.0.0/8, unix\n"
        "headers read: auto\n"
        "\n"
        "hop  address      taken for  why\n"
        "---  -----------  ---------  "
        "----------------------------------------------------------------------------------------\n"
        "0    10.0.0.1     proxy      It is a trusted proxy, so whom it names is looked at.\n"
        "1    10.2.2.2     proxy      It is a trusted proxy, so whom it names is looked at.\n"
        "2    2001:db8::5  client     "
        "It is not a trusted proxy, so it is the client, and nobody that it may name is believed.\n"
        "3    127.0.0.1               It stands left of where the walk ended, so anybody may have written it.\n"
        "\n"
        "address: 2001:db8::5\n"
        "network: 2001:db8::/64\n"
        "scheme: https\n"
        "host: shop.example:8443\n"
    )


def test_the_same_as_json(run: Run) -> None:
    result = run("--peer", "unix", "--header", "Forwarded: for=203.0.113.9;proto=https", "--format", "json")

    facts = json.loads(result.stdout)
    assert [(hop["address"], hop["is_trusted"], hop["is_client"]) for hop in facts.pop("hops")] == [
        ("unix", True, False),
        ("203.0.113.9", False, True),
    ]
    assert facts == {
        "trusted_proxies": ["10.0.0.0/8", "unix"],
        "forwarded_header": "auto",
        "client": {"address": "203.0.113.9", "network": "203.0.113.9", "scheme": "https", "host": "localhost"},
    }


def test_by_default_somebody_on_this_machine_asks(run: Run) -> None:
    result = run(reader=ClientReader(family="forwarded"))

    assert "trusted proxies: none, GUARD_TRUSTED_PROXIES is empty\nheaders read: forwarded\n" in result.stdout
    assert result.stdout.endswith("address: 127.0.0.1\nnetwork: 127.0.0.1\nscheme: http\nhost: localhost\n")


def test_a_client_without_an_address_or_a_host_is_told(run: Run) -> None:
    result = run("--peer", "unix", "--header", "Host: a b")

    assert result.stdout.endswith("address: none\nnetwork: unix\nscheme: http\nhost: none\n")


def test_a_header_that_is_given_twice_is_joined(run: Run) -> None:
    result = run(
        *("--peer", "10.0.0.1", "--header", "X-Forwarded-For: 203.0.113.9", "--header", "x-forwarded-for:10.1.1.1"),
    )

    assert "\naddress: 203.0.113.9\n" in result.stdout


def test_asking_leaves_no_warning_behind(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    reader = ClientReader()

    run("--header", "X-Forwarded-For: 203.0.113.9", reader=reader)
    assert caplog.records == []

    reader.read({"REMOTE_ADDR": "10.0.0.1", "HTTP_HOST": "x", "HTTP_X_FORWARDED_FOR": "203.0.113.9"})
    assert len(caplog.records) == 1


@pytest.mark.parametrize(
    "peer", ["", "localhost", "10.0.0.1:80", "[::1]", "fe80::1%eth0", "10.0.0.0/8", "\x1b[31m"], ids=ascii
)
def test_a_peer_that_is_no_address_is_refused(run: Run, peer: str) -> None:
    result = run("--peer", peer)

    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.endswith(
        "Error: Invalid value for '--peer': must be an IP address, or unix for a UNIX socket.\n"
    )


@pytest.mark.parametrize(
    "header",
    [
        "",
        "X-Forwarded-For",
        ": x",
        "X Forwarded: x",
        "X_Forwarded_For: x",
        "X-Forwarded-For : x",
        "A: b\r\nC: d",
        "A: \u0661",
    ],
    ids=ascii,
)
def test_a_header_that_is_none_is_refused(run: Run, header: str) -> None:
    result = run("--header", header)

    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.endswith(
        "Error: Invalid value for '--header': must be a header such as 'X-Forwarded-For: 203.0.113.9'.\n"
    )
