"""The rule that keeps ports off the network, in the real kernel: between two network namespaces of the test."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from appliance.system import netguard
from appliance.system.netguard import Ports
from tests.support import ROOT

pytestmark = [pytest.mark.real, pytest.mark.timeout(60)]
PROGRAM = """
import asyncio, sys
from appliance.system import netguard
from appliance.system.netguard import Ports
table, verb = sys.argv[1:]
ports = [Ports(5000, 5009), Ports(6000, 6009)]
asyncio.run(netguard.ensure(table, ports) if verb == "ensure" else netguard.remove(table))
"""

LISTEN = """
import signal, socket
kept = [socket.create_server(("", port)) for port in (5003, 5010)]
print()
signal.pause()
"""


@pytest.fixture
def spaces() -> Iterator[tuple[str, str]]:
    """A namespace for the box and one for the network beside it, joined by a cable: 10.99.0.1 and 10.99.0.2."""
    if os.geteuid() != 0 or not shutil.which("ip") or not shutil.which("nft", path=f"{os.environ['PATH']}:/usr/sbin"):
        pytest.skip("needs root, iproute2 and nftables")
    box, beside = f"weir-box-{os.getpid()}", f"weir-net-{os.getpid()}"
    try:
        for name in (box, beside):
            _run("ip", "netns", "add", name)
        _run("ip", "-n", box, "link", "add", "cable", "type", "veth", "peer", "name", "cable", "netns", beside)
        for name, address in ((box, "10.99.0.1"), (beside, "10.99.0.2")):
            _run("ip", "-n", name, "address", "add", f"{address}/24", "dev", "cable")
            for device in ("cable", "lo"):
                _run("ip", "-n", name, "link", "set", device, "up")
        yield box, beside
    finally:
        for name in (box, beside):
            subprocess.run(["ip", "netns", "delete", name], check=False, capture_output=True)


def _run(*command: str) -> None:
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, f"{command}: {done.stderr}"


def _guard(space: str, verb: str) -> None:
    _run("ip", "netns", "exec", space, "env", f"PYTHONPATH={ROOT}", sys.executable, "-c", PROGRAM, "weir_test", verb)


def _reaches(space: str, address: str, port: int, *, own_port: int = 0) -> bool:
    code = f"import socket; socket.create_connection(('{address}', {port}), 0.5, ('', {own_port}))"
    done = subprocess.run(["ip", "netns", "exec", space, sys.executable, "-c", code], check=False, capture_output=True)
    return done.returncode == 0


@contextmanager
def _listening(space: str) -> Iterator[None]:
    server = subprocess.Popen(["ip", "netns", "exec", space, sys.executable, "-uc", LISTEN], stdout=subprocess.PIPE)
    assert server.stdout is not None
    try:
        assert server.stdout.readline()
        yield
    finally:
        server.kill()
        server.wait()
        server.stdout.close()


def test_guarded_ports_are_reached_from_the_machine_itself_only(spaces: tuple[str, str]) -> None:
    box, beside = spaces
    with _listening(box), _listening(beside):
        assert _reaches(beside, "10.99.0.1", 5003), "without the rule it is open"
        for _ in range(2):  # a second time changes nothing
            _guard(box, "ensure")
        assert not _reaches(beside, "10.99.0.1", 5003)
        assert _reaches(beside, "10.99.0.1", 5010), "another port is none of ours"
        assert _reaches(box, "10.99.0.1", 5003) and _reaches(box, "127.0.0.1", 5003)
        assert _reaches(box, "10.99.0.2", 5010, own_port=6003), "answers to the box's own connections are let in"
        for _ in range(2):
            _guard(box, "remove")
        assert _reaches(beside, "10.99.0.1", 5003)


def test_each_box_has_a_table_of_its_own() -> None:
    assert netguard.table_of(Path("/a")) != netguard.table_of(Path("/b"))
    assert "5000-5009" in netguard.rules("weir_x", [Ports(5000, 5009)])
    assert socket.has_ipv6 and "table inet weir_x" in netguard.rules("weir_x", [Ports(1, 2)])
