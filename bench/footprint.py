"""What a box of five small instances takes while nothing happens: memory and CPU of our own processes."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from bench.report import Figure
from tests.support import stack_cache
from tests.system.box import Box

INSTANCES = 5
SETTLE_S = 20  # what starts up has come to rest
WATCH_S = 30
BARE = "import asyncio; asyncio.run(asyncio.sleep(600))"


def footprint() -> list[Figure]:
    """PSS in MB, CPU in percent of one core."""
    with tempfile.TemporaryDirectory(prefix="weir-bench-") as scratch:
        box = Box(Path(scratch) / "h", stack_cache())
        box.up()
        bare = subprocess.Popen([sys.executable, "-c", BARE])
        try:
            for number in range(1, INSTANCES):
                box.cli("instance", "create", f"idle-{number}", "--wait")
            time.sleep(SETTLE_S)
            return _measured(box, bare.pid)
        finally:
            bare.kill()
            bare.wait()
            box.down()


def _measured(box: Box, bare: int) -> list[Figure]:
    status = box.status()
    appliance = int(status["appliance"]["pid"])
    launchers = [int(each["launcher_pid"]) for each in status["instances"]]
    before = _cpu_s(appliance, *launchers)
    time.sleep(WATCH_S)
    busy = 100 * (_cpu_s(appliance, *launchers) - before) / WATCH_S
    reference = _pss_mb(bare)
    each = [_pss_mb(pid) for pid in launchers]
    return [
        Figure("bare asyncio process, PSS", [reference], unit="MB"),
        Figure("launcher with 5 instances, PSS", each, limit=min(14.0, reference + 3), unit="MB", reference=reference),
        Figure("appliance with 5 instances, PSS", [_pss_mb(appliance)], limit=65.0, unit="MB", reference=reference),
        Figure("idle CPU, appliance and 5 launchers", [busy], limit=0.5, unit="%"),
        Figure("Node-RED of an empty instance, PSS", [median(_node_red(status))], unit="MB"),
    ]


def _node_red(status: dict[str, list[dict[str, int]]]) -> list[float]:
    return [_pss_mb(int(each["node_red_pid"])) for each in status["instances"]]


def _pss_mb(pid: int) -> float:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    raise ValueError(f"no PSS for {pid}")


def _cpu_s(*pids: int) -> float:
    ticks = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")
