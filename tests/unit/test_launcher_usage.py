"""What the kernel counts for an instance: real processes, and cgroups of both versions as files."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from launcher.usage import Limits, Usage
from tests.support import eventually

SPIN = "while :; do :; done"
MIB = 1024 * 1024


@contextmanager
def running(script: str) -> Iterator[subprocess.Popen[bytes]]:
    """A shell in a session of its own, as Node-RED is; all that is in it is ended."""
    process = subprocess.Popen(["sh", "-c", script], start_new_session=True)
    try:
        yield process
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.fixture
def usage(tmp_path: Path) -> Usage:
    """Reads this process's own children, whatever cgroup the tests run in."""
    return Usage(cgroups=tmp_path / "none")


async def test_children_of_children_are_counted_while_they_run_and_after(usage: Usage) -> None:
    with running(f"({SPIN}) & wait") as shell:
        before = usage.read(shell.pid).cpu_s
        await eventually(lambda: usage.read(shell.pid).cpu_s > before + 0.3)
        assert psutil.Process(shell.pid).cpu_times().user < 0.2, "the shell itself waits"
        known = usage.read(shell.pid).cpu_s
    # Waited for by the shell or lost with it: what was counted never shrinks.
    assert usage.read(None).cpu_s >= known
    assert usage.read(shell.pid).memory_mb is None


async def test_memory_is_of_node_red_and_what_it_started_alone(usage: Usage) -> None:
    with running("sleep 60 & sleep 60 & wait") as other, running("sleep 60 & wait") as shell:

        def both() -> tuple[float | None, float]:
            tree = [psutil.Process(shell.pid), *psutil.Process(shell.pid).children(recursive=True)]
            return usage.read(shell.pid).memory_mb, sum(each.memory_info().rss for each in tree) / MIB

        def agreed() -> bool:  # not between the child's fork and its exec
            seen, counted = both()
            return counted > 2 and seen == pytest.approx(counted, rel=0.2)

        await eventually(lambda: len(psutil.Process(shell.pid).children()) == 1)
        await eventually(agreed)
        assert usage.peak_mb(shell.pid) == pytest.approx(psutil.Process(shell.pid).memory_info().rss / MIB, rel=0.5)
        assert usage.read(1).memory_mb is None, "no stranger's process"
        assert other.pid != shell.pid
    assert usage.peak_mb(shell.pid) == 0


async def test_steps_are_measured_in_real_time(usage: Usage) -> None:
    """Instance protocol L25: the rate is what psutil sees, however long the step was."""
    loop = asyncio.get_running_loop()
    with running(f"exec sh -c '{SPIN}'") as shell:
        at, before = loop.time(), usage.read(shell.pid).cpu_s
        measured = psutil.Process(shell.pid).cpu_times()
        await eventually(lambda: loop.time() - at > 0.7)
        took, seen = usage.read(shell.pid).cpu_s - before, psutil.Process(shell.pid).cpu_times()
        assert took == pytest.approx(seen.user + seen.system - measured.user - measured.system, abs=0.05)


def test_a_fork_bomb_is_looked_at_in_bounds(tmp_path: Path) -> None:
    proc = tmp_path / "proc"
    own = os.getpid()
    _process(proc, own, children=list(range(100_000, 103_000)))
    usage = Usage(proc, tmp_path / "none")
    assert usage.read(None).cpu_s == 0  # none of them can be read: all are gone
    assert len(usage._tree(own)) == 512


def test_what_nobody_waited_for_does_not_make_the_sum_shrink(tmp_path: Path) -> None:
    proc, own = tmp_path / "proc", os.getpid()
    _process(proc, own, children=[7])
    _process(proc, 7, ticks=500)
    usage = Usage(proc, tmp_path / "none")
    assert usage.read(7).cpu_s == 5
    _process(proc, own, children=[])
    assert usage.read(7).cpu_s == 5
    _process(proc, own, children=[8])
    _process(proc, 8, ticks=100)
    assert usage.read(8).cpu_s == 6, "what comes after is added"


@pytest.mark.parametrize("in_container", [False, True])
def test_own_cgroup_v2(tmp_path: Path, in_container: bool) -> None:
    proc, mount, own = tmp_path / "proc", tmp_path / "cgroup", os.getpid()
    _process(proc, own, children=[7])
    _process(proc, 7, ticks=500)
    path = "/weir-instances.slice/weir-launcher@x.service"
    _write(proc / "self/cgroup", f"0::{path}\n")
    directory = mount if in_container else mount / path.lstrip("/")
    _write(directory / "cgroup.procs", f"{own}\n7\n")
    _write(directory / "cpu.stat", "usage_usec 12500000\nuser_usec 1\n")
    _write(directory / "cpu.max", "50000 100000\n")
    _write(directory / "memory.max", f"{256 * MIB}\n")
    usage = Usage(proc, mount)
    assert usage.in_own_cgroup
    assert usage.read(7).cpu_s == 12.5, "what left the tree of processes is counted too"
    assert usage.limits() == Limits(50.0, 256.0)
    _write(directory / "cpu.max", "max 100000\n")
    _write(directory / "memory.max", "max\n")
    assert usage.limits() == Limits()


def test_own_cgroup_v1(tmp_path: Path) -> None:
    proc, mount, own = tmp_path / "proc", tmp_path / "cgroup", os.getpid()
    _process(proc, own)
    _write(proc / "self/cgroup", "5:cpu,cpuacct:/docker/abc\n4:memory:/docker/abc\n1:name=systemd:/docker/abc\n")
    for name in ("cpu,cpuacct", "memory"):  # the mount is the container's own
        _write(mount / name / "cgroup.procs", f"{own}\n")
    _write(mount / "cpu,cpuacct/cpuacct.usage", "3000000000\n")
    _write(mount / "cpu,cpuacct/cpu.cfs_quota_us", "200000\n")
    _write(mount / "cpu,cpuacct/cpu.cfs_period_us", "100000\n")
    _write(mount / "memory/memory.limit_in_bytes", "9223372036854771712\n")
    usage = Usage(proc, mount)
    assert usage.read(None).cpu_s == 3
    assert usage.limits() == Limits(200.0, None)
    _write(mount / "cpu,cpuacct/cpu.cfs_quota_us", "-1\n")
    assert usage.limits() == Limits()


def test_a_cgroup_with_strangers_in_it_is_not_ours(tmp_path: Path) -> None:
    """Under the `child` placer all launchers share the appliance's."""
    proc, mount, own = tmp_path / "proc", tmp_path / "cgroup", os.getpid()
    _process(proc, own, ticks=0)
    _write(proc / "self/cgroup", "0::/user.slice\n")
    _write(mount / "user.slice/cgroup.procs", f"{own}\n99\n")
    _write(mount / "user.slice/cpu.stat", "usage_usec 99000000\n")
    _write(mount / "user.slice/memory.max", "1000\n")
    usage = Usage(proc, mount)
    assert not usage.in_own_cgroup
    assert usage.limits() == Limits()
    assert usage.read(None).cpu_s == 0


def _process(proc: Path, pid: int, *, ticks: int = 0, children: list[int] | None = None) -> None:
    fields = ["S", "1", *["0"] * 9, str(ticks), "0", "0", "0", *["0"] * 20]
    _write(proc / f"{pid}/stat", f"{pid} (a) name) {' '.join(fields)}\n")
    _write(proc / f"{pid}/statm", "1000 500 0 0 0 0 0\n")
    _write(proc / f"{pid}/task/{pid}/children", " ".join(map(str, children or [])))


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
