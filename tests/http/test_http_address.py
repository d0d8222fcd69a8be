"""The address that a server prints can be opened, on whatever networks it listens."""

import socket
from urllib.parse import urlsplit

import pytest

from groundup.http import run_server
from groundup.http.run_server import address_of, listen, network_address


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "localhost"])
def test_the_printed_address_can_be_opened(host: str) -> None:
    with listen(host, 0) as listening:
        parts = urlsplit(address_of(listening, host))
        assert parts.hostname not in ("0.0.0.0", None) and parts.port == listening.getsockname()[1]
        socket.create_connection((parts.hostname, parts.port), timeout=10).close()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_what_is_sent_to_a_client_waits_for_no_acknowledgement(host: str) -> None:
    with (
        listen(host, 0) as listening,
        socket.create_connection(listening.getsockname()[:2], timeout=10),
        listening.accept()[0] as accepted,
    ):
        assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_a_server_for_all_networks_prints_its_address_in_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Probe(socket.socket):
        def connect(self, address: object) -> None:
            pass

        def getsockname(self) -> tuple[str, int]:
            return "198.51.100.7", 50000

    monkeypatch.setattr(run_server.socket, "socket", Probe)
    assert network_address("0.0.0.0") == "198.51.100.7"


def test_a_machine_in_no_network_prints_its_own_address(monkeypatch: pytest.MonkeyPatch) -> None:
    class Unreachable(socket.socket):
        def connect(self, address: object) -> None:
            raise OSError("Network is unreachable")

    monkeypatch.setattr(run_server.socket, "socket", Unreachable)
    assert network_address("0.0.0.0") == "127.0.0.1" and network_address("::") == "::1"
