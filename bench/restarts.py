"""A restart and a kill of Node-RED under load, with and without a spare, beside a plain start of the same run."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from statistics import median
from typing import Any

from bench.load import Load, summary
from bench.plain import Plain
from bench.report import Figure
from bench.start import NODES, running_box
from tests.support import built_stack
from tests.system.box import Box

RUNS = 5
NAME = "bench"
PATH = "/"  # the editor's page: what the plain start is measured by
SPARE_S = 14.0  # ten seconds after the start the spare is loaded


def restarts() -> list[Figure]:
    """Seconds; failed requests as a number."""
    plain_s: list[float] = []
    restart_s: list[float] = []
    kill_s: list[float] = []
    spare_s: list[float] = []
    with running_box(NAME) as (box, scratch):
        plain = Plain(built_stack(), Path(scratch) / "plain", NODES)
        plain.start_s()  # warms the page cache for both
        url = f"http://127.0.0.1:{box.instance(NAME)['ports']['node_red']}{PATH}"
        failed_restart = failed_before = 0
        for _ in range(RUNS):
            plain_s.append(plain.start_s())
            failed, waited_s = _restart(box, url)
            failed_restart += failed
            restart_s.append(waited_s)
            failed, answered_s = _kill(box, url)
            failed_before += failed
            kill_s.append(answered_s)
        _want_spare(box)
        for _ in range(RUNS):
            plain_s.append(plain.start_s())
            _restarted(box)
            time.sleep(SPARE_S)
            failed, answered_s = _kill(box, url)
            failed_before += failed
            spare_s.append(answered_s)
    reference = median(plain_s)
    return [
        Figure("plain node red.js, 200 nodes, start to editor answers", plain_s),
        Figure("restart under load, failed requests", [float(failed_restart)], limit=0.0, unit=""),
        Figure("restart under load, longest wait", restart_s, limit=0.6 * reference, reference=reference),
        Figure("kill -9 Node-RED, answers again", kill_s, limit=reference + 0.2, reference=reference),
        Figure("kill -9 Node-RED with a spare, answers again", spare_s, limit=0.6 * reference, reference=reference),
        Figure("kill -9 Node-RED, failed requests not in flight", [float(failed_before)], limit=0.0, unit=""),
    ]


def _restart(box: Box, url: str) -> tuple[int, float]:
    """Failed requests, and the longest that one waited."""
    with Load(url) as load:
        load.wait_answers(50)
        began = time.monotonic()
        _restarted(box)
        load.wait_answers(50)
    print(f"  restart: {summary(load.requests)}", file=sys.stderr)
    return len(load.failed()), load.longest_s(began)


def _kill(box: Box, url: str) -> tuple[int, float]:
    """Failed requests that were not under way at the kill, and seconds until the first answer after it."""
    pid = _seen(box)["node_red_pid"]
    with Load(url) as load:
        load.wait_answers(50)
        killed = time.monotonic()
        os.kill(pid, signal.SIGKILL)
        load.wait_answers(50)
    print(f"  kill: {summary(load.requests)}", file=sys.stderr)
    return len(load.failed()) - len(load.failed_in_flight(killed)), load.first_answer_s(killed + 0.005)


def _restarted(box: Box) -> None:
    """Also makes the next crash the first in a row."""
    box.cli("instance", "restart", NAME, "--wait")


def _want_spare(box: Box) -> None:
    box.cli("instance", "set", NAME, "hot-spare=on")


def _seen(box: Box) -> dict[str, Any]:
    return next(each for each in box.status()["instances"] if each["name"] == NAME)
