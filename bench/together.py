"""Ten instances started at once beside ten plain Node-REDs started at once."""

from __future__ import annotations

import json
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from statistics import median

from bench.plain import Plain, answered_at, flow_of
from bench.report import Figure
from tests.support import built_stack, stack_cache
from tests.system.box import Box

INSTANCES = 10
RUNS = 3
NODES = 200
ASKED_EVERY_S = 0.05  # ten who ask all the time would slow down what they measure
DEADLINE_S = 180


def ten_at_once() -> list[Figure]:
    """From the first start to the last answer of an editor; instances from suspended, so launchers too."""
    plain_s: list[float] = []
    ours_s: list[float] = []
    with tempfile.TemporaryDirectory(prefix="weir-bench-") as scratch, ThreadPoolExecutor(INSTANCES) as askers:
        plain = [Plain(built_stack(), Path(scratch) / f"plain-{n}", NODES) for n in range(INSTANCES)]
        box, ports = _box(Path(scratch))
        try:
            _plain_start_s(plain[:1], askers)  # warms the page cache for both
            for _ in range(RUNS):
                _all(box, "suspend", "suspended")
                plain_s.append(_plain_start_s(plain, askers))
                began = time.monotonic()
                _act(box, "start")
                ours_s.append(_last_answer(ports, askers) - began)
                _wait(box, "running")
        finally:
            box.down()
    reference = median(plain_s)
    return [
        Figure("ten plain node red.js started at once, all answer", plain_s),
        Figure("ten instances started at once, all answer", ours_s, limit=1.15 * reference, reference=reference),
    ]


def _box(scratch: Path) -> tuple[Box, list[int]]:
    """A box of ten instances that run, and the loopback ports of their Node-REDs."""
    box = Box(scratch / "h", stack_cache())
    with (box.home / "config.toml").open("a") as config:
        config.write('[first]\ninstance = ""\n')
    flow = scratch / "flows.json"
    flow.write_text(json.dumps(flow_of(NODES)))
    box.up()
    for number in range(INSTANCES):
        box.cli("instance", "create", f"ten-{number}", "--flows", str(flow), "--wait")
    return box, [each["ports"]["node_red"] for each in _instances(box)]


def _plain_start_s(plain: list[Plain], askers: ThreadPoolExecutor) -> float:
    with ExitStack() as running:
        began = time.monotonic()
        for each in plain:
            running.enter_context(each.running())
        return _last_answer([each.port for each in plain], askers) - began


def _last_answer(ports: list[int], askers: ThreadPoolExecutor) -> float:
    return max(askers.map(partial(answered_at, deadline_s=DEADLINE_S, every_s=ASKED_EVERY_S), ports))


def _instances(box: Box) -> list[dict[str, dict[str, int]]]:
    with box.api() as api:
        return list(api.get("/instances").json()["instances"])


def _act(box: Box, action: str) -> None:
    with box.api() as api:
        for instance in _instances(box):
            api.post(f"/projects/{instance['id']}/actions/{action}").raise_for_status()


def _all(box: Box, action: str, state: str) -> None:
    _act(box, action)
    _wait(box, state)


def _wait(box: Box, state: str) -> None:
    end = time.monotonic() + DEADLINE_S
    while {str(each["meta"]["state"]) for each in _instances(box)} != {state}:
        if time.monotonic() > end:
            raise TimeoutError(f"not all instances are {state} after {DEADLINE_S} s")
        time.sleep(0.1)
