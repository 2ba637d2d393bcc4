"""A launcher and an appliance killed with -9: what clients notice, and how soon all is supervised again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import psutil

from bench.load import Load, summary
from bench.plain import flow_of
from bench.report import Figure
from tests.faults import flows
from tests.faults.journal import Journal
from tests.faults.load import Pulse
from tests.support import stack_cache
from tests.system.box import ROOT, Box

RUNS = 5
NODES = 200
INSTANCES = 3
ASKED_S = 0.02  # per client: enough to see any gap, light enough not to take the processor from what is measured
DEAD_S = 2.0  # the appliance stays away for this long
HEALTHY_S = 3.0


def launcher_kill() -> list[Figure]:
    """From `kill -9` of a launcher until another one supervises its Node-RED or a new one that answers."""
    supervised_s: list[float] = []
    outage_s: list[float] = []
    with _box(1) as (box, pulse), _load(box, "bench-0") as loads:
        for _ in range(RUNS):
            # A wish in between makes each kill the first of a launcher that did well; a row of them is held back.
            box.cli("instance", "restart", "bench-0", "--wait")
            time.sleep(HEALTHY_S)
            before = _shown(box)["bench-0"]
            killed = time.monotonic()
            os.kill(before["launcher_pid"], signal.SIGKILL)
            supervised_s.append(_until(partial(_supervised, box, before)) - killed)
            for load in loads:
                load.wait_answers(20)
            outage_s.append(max(load.outage_s(killed) for load in loads))
        _tell(loads)
        beside = float(len(pulse.beside))
    return [
        Figure("kill -9 launcher, supervised again", supervised_s, limit=3.0),
        Figure("kill -9 launcher, outage of its Node-RED", outage_s, limit=3.0),
        Figure("kill -9 launcher, second Node-REDs seen", [beside], limit=0.0, unit=""),
    ]


def appliance_kill() -> list[Figure]:
    """`kill -9` of the appliance under load on all instances, and its restart."""
    adopted_s: list[float] = []
    with _box(INSTANCES) as (box, pulse), ExitStack() as stack:
        loads = [each for name in _shown(box) for each in stack.enter_context(_load(box, name))]
        for _ in range(RUNS):
            before = _shown(box)
            appliance = psutil.Process(box.status()["appliance"]["pid"])
            appliance.kill()
            _until(partial(_dead, appliance))
            time.sleep(DEAD_S)
            began = time.monotonic()
            _serve(box)
            adopted_s.append(_until(partial(_adopted, box, _pids_of(before))) - began)
        for load in loads:
            load.wait_answers(20)
        _tell(loads)
        failed = float(sum(len(load.failed()) for load in loads))
        beside = float(len(pulse.beside))
    return [
        Figure("kill -9 appliance, failed requests to Node-REDs", [failed], limit=0.0, unit=""),
        Figure("kill -9 appliance, adopted after its restart", adopted_s, limit=2.0),
        Figure("kill -9 appliance, second Node-REDs seen", [beside], limit=0.0, unit=""),
    ]


@contextmanager
def _box(instances: int) -> Iterator[tuple[Box, Pulse]]:
    """A box whose only instances are `bench-0` and so on, of 200 nodes, an echo and a pulse."""
    with tempfile.TemporaryDirectory(prefix="weir-bench-") as scratch:
        box = Box(Path(scratch) / "h", stack_cache())
        with (box.home / "config.toml").open("a") as config:
            config.write('[first]\ninstance = ""\n')
        journal = Journal(Path(scratch) / "journal")
        pulse = Pulse(journal)
        box.up()
        try:
            for number in range(instances):
                name = f"bench-{number}"
                flow = Path(scratch) / f"{name}.json"
                flow.write_text(json.dumps([*flow_of(NODES), *flows.flows(name, pulse.url, 1)]))
                box.cli("instance", "create", name, "--flows", str(flow), "--wait")
            yield box, pulse
        finally:
            box.down()
            pulse.close()
            journal.close()


@contextmanager
def _load(box: Box, name: str) -> Iterator[list[Load]]:
    """Clients of an instance: at its loopback port, and through nginx."""
    instance = box.instance(name)
    direct = f"http://127.0.0.1:{instance['ports']['node_red']}/echo?n=1"
    public = f"{box.instance_url(name).rstrip('/')}/echo?n=1"
    with (
        Load(direct, kept=1, fresh=1, pause_s=ASKED_S) as near,
        Load(public, kept=1, fresh=1, ca=box.ca, pause_s=2 * ASKED_S) as far,
    ):
        near.wait_answers(20)
        far.wait_answers(20)
        yield [near, far]


def _shown(box: Box) -> dict[str, dict[str, Any]]:
    with box.api() as api:
        return {one["name"]: one for one in api.get("/box/status").json()["instances"]}


def _supervised(box: Box, before: dict[str, Any]) -> bool:
    """Another launcher, and a living Node-RED that it reports as running."""
    now = _shown(box)[before["name"]]
    other = now["launcher_pid"] not in (None, before["launcher_pid"])
    return other and now["state"] == "running" and psutil.pid_exists(now["node_red_pid"] or -1)


def _dead(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


def _adopted(box: Box, pids: dict[str, tuple[int, int]]) -> bool:
    return _pids(box) == pids


def _pids(box: Box) -> dict[str, tuple[int, int]] | None:
    """Of launcher and Node-RED by name; None while the appliance is away or not all run."""
    try:
        shown = _shown(box)
    except (httpx.HTTPError, ValueError, KeyError):
        return None
    return _pids_of(shown) if all(one["state"] == "running" for one in shown.values()) else None


def _pids_of(shown: dict[str, dict[str, Any]]) -> dict[str, tuple[int, int]]:
    return {name: (one["launcher_pid"], one["node_red_pid"]) for name, one in shown.items()}


def _serve(box: Box) -> None:
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "appliance", "serve", "--home", str(box.home)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        start_new_session=True,
    )
    process.returncode = 0  # ended by `down`, or killed; never waited for here


def _until(check: Callable[[], bool], deadline_s: float = 60) -> float:
    """The monotonic time at which `check` held. Raises TimeoutError."""
    end = time.monotonic() + deadline_s
    while not check():
        if time.monotonic() > end:
            raise TimeoutError(f"not within {deadline_s} s")
        time.sleep(0.02)
    return time.monotonic()


def _tell(loads: list[Load]) -> None:
    for load in loads:
        print(f"  {summary(load.requests)}", file=sys.stderr)
