"""Start times: an instance beside a plain Node-RED, the appliance, and `./dev up` the second time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import httpx

from bench.plain import Plain, answered_at, flow_of
from bench.report import Figure
from tests.support import built_stack, stack_cache
from tests.system.box import ROOT, Box

RUNS = 7
NODES = 200


@contextmanager
def running_box(name: str) -> Iterator[tuple[Box, Path]]:
    """A box in a temporary directory with one instance `bench` of 200 nodes."""
    with tempfile.TemporaryDirectory(prefix="weir-bench-") as scratch:
        box = Box(Path(scratch) / "h", stack_cache())
        box.up()
        try:
            flows = Path(scratch) / "flows.json"
            flows.write_text(json.dumps(flow_of(NODES)))
            box.cli("instance", "create", name, "--flows", str(flows), "--wait")
            yield box, Path(scratch)
        finally:
            box.down()


class States(threading.Thread):
    """Listens to the box's event stream and notes when each state was shown."""

    def __init__(self, box: Box, instance_id: str) -> None:
        super().__init__(daemon=True)
        self.box, self.instance_id = box, instance_id
        self.shown: list[tuple[float, str]] = []
        self.ready = threading.Event()
        self.start()
        assert self.ready.wait(10), "the event stream did not open"

    def run(self) -> None:
        try:
            with self.box.api() as api, api.stream("GET", "/events", timeout=None) as stream:
                self.ready.set()
                for line in stream.iter_lines():
                    if line.startswith("data:") and self.instance_id in line:
                        body = json.loads(line[5:])
                        if "meta" in body:
                            self.shown.append((time.monotonic(), body["meta"]["state"]))
        except httpx.HTTPError:
            return

    def when(self, state: str, after: float, deadline_s: float = 20) -> float:
        end = time.monotonic() + deadline_s
        while time.monotonic() < end:
            for at, shown in self.shown:
                if shown == state and at >= after:
                    return at
            time.sleep(0.002)
        raise TimeoutError(f"{state} was not shown within {deadline_s} s: {self.shown[-5:]}")


def instance_start() -> list[Figure]:
    """Plain, from stopped and from suspended, interleaved."""
    plain_s: list[float] = []
    stopped_s: list[float] = []
    suspended_s: list[float] = []
    shown_s: list[float] = []
    with running_box("bench") as (box, scratch):
        plain = Plain(built_stack(), scratch / "plain", NODES)
        instance = box.instance("bench")
        states = States(box, instance["id"])
        plain.start_s()  # warms the page cache for both
        with box.api() as api:
            for _ in range(RUNS):
                plain_s.append(plain.start_s())
                for action, found in (("stop", stopped_s), ("suspend", suspended_s)):
                    began = time.monotonic()
                    api.post(f"/projects/{instance['id']}/actions/{action}").raise_for_status()
                    states.when({"stop": "stopped", "suspend": "suspended"}[action], began)
                    began = time.monotonic()
                    api.post(f"/projects/{instance['id']}/actions/start").raise_for_status()
                    answered = answered_at(instance["ports"]["node_red"])
                    found.append(answered - began)
                    shown_s.append(states.when("running", began) - answered)
    reference = median(plain_s)
    return [
        Figure("plain node red.js, 200 nodes, start to editor answers", plain_s),
        Figure("instance start from stopped", stopped_s, limit=reference + 0.2, reference=reference),
        Figure("instance start from suspended (launcher too)", suspended_s, limit=reference + 0.2, reference=reference),
        Figure("Node-RED answers to shown running", [max(0.0, s) for s in shown_s], limit=0.1),
    ]


def appliance_start() -> list[Figure]:
    """From the start of the process to the first answer, and `./dev up` on a box that runs."""
    started_s: list[float] = []
    again_s: list[float] = []
    status_s: list[float] = []
    with running_box("bench") as (box, _):
        for _ in range(RUNS):
            pid = box.status()["appliance"]["pid"]
            os.kill(pid, 15)
            _wait_gone(pid)
            began = time.monotonic()
            serve = subprocess.Popen(
                [sys.executable, "-m", "appliance", "serve", "--home", str(box.home)],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
            _wait_answer(box)
            started_s.append(time.monotonic() - began)
            began = time.monotonic()
            subprocess.run(
                [str(ROOT / "dev"), "up", "--home", str(box.home), "--detach"], check=True, capture_output=True
            )
            again_s.append(time.monotonic() - began)
            began = time.monotonic()
            box.cli("status")
            status_s.append(time.monotonic() - began)
        os.kill(serve.pid, 0)
        box.down()
        serve.wait(10)
    return [
        Figure("appliance start to first answer", started_s, limit=1.2),
        Figure("./dev up the second time", again_s, limit=5.0),
        Figure("weir status", status_s, limit=0.4),
    ]


def _wait_gone(pid: int) -> None:
    for _ in range(2000):
        if not Path(f"/proc/{pid}/stat").exists() or ") Z" in Path(f"/proc/{pid}/stat").read_text():
            return
        time.sleep(0.005)
    raise TimeoutError(f"the appliance {pid} did not stop")


def _wait_answer(box: Box) -> None:
    end = time.monotonic() + 30
    while time.monotonic() < end:
        try:
            with box.api() as api:
                if api.get("/box/status").status_code == 200:
                    return
        except httpx.HTTPError:
            time.sleep(0.005)
    raise TimeoutError("the appliance did not answer")
