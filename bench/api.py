"""The API beside a bare server that does only the same: deploys, reads, audit reports; and pages of a large box."""

from __future__ import annotations

import random
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from msgspec import Struct

from bench.furnish import RARE, Furnished, furnish
from bench.report import Figure
from bench.wire import Next, Rate, load, request
from tests.support import ROOT, free_port, stack_cache
from tests.system.box import Box

# Many short turns: whatever else the machine does meets both sides.
ROUNDS = 9
FOR_S = 0.7
INSTANCES = 500
ENTRIES = 1_000_000
FLOW_BYTES = 60_000
BODIES = 64  # different in every page of the database, and in length
PAGES = 300
PAGE_MS = 30.0
READY_S = 60.0


class Side(Struct, frozen=True):
    """A server under load: its port, and the id and token of each instance."""

    port: int
    instances: list[tuple[str, str]]


def api() -> list[Figure]:
    """Requests in a second as ratios to the bare server, and milliseconds."""
    with tempfile.TemporaryDirectory(prefix="weir-bench-") as scratch:
        home = Path(scratch) / "h"
        box = Box(home, stack_cache())
        with _up(box):
            box.cli("instance", "suspend", "first")
            pat = box.json("token", "create", "bench")["token"]
        # Both databases are as good as new when the two are compared.
        made = furnish(home / "state" / "weir.db", instances=BODIES, entries=0)
        with _up(box), _bare(Path(scratch)) as bare:
            figures = _compared(Side(_port(home), made.instances), bare)
        made = furnish(home / "state" / "weir.db", instances=INSTANCES, entries=ENTRIES)
        with _up(box):
            weir = Side(_port(home), made.instances)
            return figures + _pages(weir.port, made, pat) + _in_a_long_log(weir)


# -- the two servers -------------------------------------------------------------------------------------


@contextmanager
def _up(box: Box) -> Iterator[None]:
    box.up()
    try:
        yield
    finally:
        box.down()


def _port(home: Path) -> int:
    """Where the appliance of this home listens on loopback."""
    from appliance import config, ports
    from appliance.config import Home

    return ports.settle(Home(home), config.load(home)).listen.port


@contextmanager
def _bare(scratch: Path) -> Iterator[Side]:
    port = free_port()
    command = [sys.executable, "-m", "bench.bare", str(scratch / "bare.db"), str(port), str(BODIES)]
    server = subprocess.Popen(command, cwd=ROOT)
    try:
        _wait_open(port)
        yield Side(port, [(str(number), "none") for number in range(BODIES)])
    finally:
        server.kill()
        server.wait()


def _wait_open(port: int) -> None:
    end = time.monotonic() + READY_S
    while time.monotonic() < end:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.01)
    raise TimeoutError(f"nothing listens on {port}")


# -- what is asked ---------------------------------------------------------------------------------------


def _flows(chance: random.Random) -> bytes:
    """A JSON list of nodes, 58 to 62 kB of text that does not repeat."""
    wanted = FLOW_BYTES + chance.randrange(-2000, 2000)
    nodes = []
    while sum(len(node) + 1 for node in nodes) < wanted:
        nodes.append(f'{{"id":"{chance.randbytes(8).hex()}","type":"function","func":"{chance.randbytes(400).hex()}"}}')
    return f"[{','.join(nodes)}]".encode()


def _deploys(side: Side) -> Next:
    chance = random.Random(1)  # noqa: S311 - the same bodies each time
    bodies = [_flows(chance) for _ in range(BODIES)]
    heads = [(f"/storage/{instance_id}/flows", token) for instance_id, token in side.instances]

    def following(client: int, number: int) -> bytes:
        path, token = heads[client % len(heads)]
        return request("POST", path, token, bodies[(number + 7 * client) % BODIES])

    return following


def _reads(side: Side) -> Next:
    asked = [request("GET", f"/storage/{instance_id}/flows", token) for instance_id, token in side.instances]
    return lambda client, _: asked[client % len(asked)]


def _reports(side: Side) -> Next:
    """From all instances in turn: a single one may report only a few hundred at once."""

    def following(client: int, number: int) -> bytes:
        instance_id, token = side.instances[(client + 16 * number) % len(side.instances)]
        body = f'{{"event":"flows.set","type":"full","number":{number},"by":"{client}"}}'
        return request("POST", f"/logging/{instance_id}/audit", token, body.encode())

    return following


# -- figures ---------------------------------------------------------------------------------------------


def _compared(weir: Side, bare: Side) -> list[Figure]:
    figures: list[Figure] = []
    kinds: tuple[tuple[str, Callable[[Side], Next], int, float], ...] = (
        ("POST of 60 kB flows, 1 client", _deploys, 1, 0.5),
        ("POST of 60 kB flows, 16 clients", _deploys, 16, 0.5),
        ("POST of 60 kB flows, 64 clients", _deploys, 64, 0.5),
        ("GET of 60 kB flows, 16 clients", _reads, 16, 0.3),
        ("POST of an audit report, 16 clients", _reports, 16, 0.5),
    )
    for name, asks, clients, floor in kinds:
        ours, theirs = _interleaved((weir, bare), asks, clients)
        reference = sorted(rate.per_s for rate in theirs)[ROUNDS // 2]
        runs = [rate.per_s for rate in ours]
        figures.append(Figure(f"{name}, bare", [rate.per_s for rate in theirs], unit="/s"))
        figures.append(Figure(name, runs, floor=floor * reference, reference=reference, unit="/s"))
        if clients == 16 and asks is _deploys:
            p99 = [rate.percentile_ms(99) for rate in ours]
            figures.append(Figure(f"{name}, p99", p99, limit=100.0, unit="ms"))
    return figures


def _interleaved(sides: tuple[Side, Side], asks: Callable[[Side], Next], clients: int) -> tuple[list[Rate], list[Rate]]:
    """Each side in turn, after a short load that nobody counts."""
    asked = [asks(side) for side in sides]
    found: tuple[list[Rate], list[Rate]] = ([], [])
    for side, following in zip(sides, asked, strict=True):
        load(side.port, clients, following, 0.3)
    for _ in range(ROUNDS):
        for side, following, rates in zip(sides, asked, found, strict=True):
            rates.append(load(side.port, clients, following, FOR_S))
            if rates[-1].failed:
                raise ValueError(f"{rates[-1].failed} requests failed")
    return found


def _pages(port: int, made: Furnished, pat: str) -> list[Figure]:
    """One client that turns pages: p99 in milliseconds."""
    team = f"/api/v1/teams/{made.team_id}"
    asked = {
        f"team page with {INSTANCES} instances": f"{team}/projects",
        f"page of {ENTRIES:,} audit entries": f"{team}/audit-log",
        "the same, of one event": f"{team}/audit-log?event=crashed",
        "the same, of a rare event": f"{team}/audit-log?event={RARE}",
        "the same, of one person": f"{team}/audit-log?username={made.username}",
        "the same, of one person and a rare event": f"{team}/audit-log?username={made.username}&event={RARE}",
        "the same, the last page": f"{team}/audit-log?cursor=100",
        "the same, of an instance": f"/api/v1/projects/{made.instances[1][0]}/audit-log",
    }
    return [
        Figure(f"{name}, p99", [_page(port, path, pat).percentile_ms(99)], limit=PAGE_MS, unit="ms")
        for name, path in asked.items()
    ]


def _in_a_long_log(weir: Side) -> list[Figure]:
    load(weir.port, 16, _reports(weir), 0.3)
    runs = [load(weir.port, 16, _reports(weir), FOR_S).per_s for _ in range(ROUNDS)]
    return [Figure(f"POST of an audit report, 16 clients, {ENTRIES:,} entries there", runs, unit="/s")]


def _page(port: int, path: str, pat: str) -> Rate:
    asked = request("GET", path, pat)
    load(port, 1, lambda *_: asked, 0.3)
    rate = load(port, 1, lambda *_: asked, FOR_S)
    if rate.failed:
        raise ValueError(f"{path} was refused")
    return rate
