"""Parts of the `units` placer that need no systemd: names, properties, what `systemctl show` says."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import shutil
import socket
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.drivers.boot_socket import BootSocket, Given, unit_of_process
from appliance.drivers.launch_records import id_of, instance_id, unit_name
from appliance.drivers.unit_properties import MIB, properties
from appliance.model import Limits
from appliance.system import cgroups
from appliance.system.units import Systemctl, UnitsUnavailable, unit_of
from launcher.disk import use
from launcher.unit import ask, ask_at_ease
from tests.contract.rig import spec_of


@given(st.uuids())
def test_names_are_short_and_one_for_each_id(found: uuid.UUID) -> None:
    name = unit_name(str(found))
    assert len(f"wi-{name}") <= 31  # the longest name of a user
    assert name.isalnum() and name == name.lower()
    assert instance_id(name) == str(found)


@pytest.mark.parametrize(
    "odd", ["", "x", "a" * 25, "../escape", "BMHH6CQAABAABAAAAAAAAAAABI", "bmhh6cqaabaabaaaaaaaaaaabj", "é"]
)
def test_what_is_no_name_is_none(odd: str) -> None:
    assert id_of(odd) is None


@pytest.mark.parametrize(
    "odd", ["", "nobody", "0B0E7F0A-0000-4000-8000-00000000000A", "{0b0e7f0a-0000-4000-8000-00000000000a}"]
)
def test_only_the_usual_spelling_of_an_id_names_a_unit(odd: str) -> None:
    with pytest.raises(ValueError):
        unit_name(odd)


def _of(**limits: Any) -> list[str]:
    return properties(msgspec.structs.replace(spec_of(), limits=Limits(**limits)), [(12080, 13079), (3000, 3000)])


def test_limits_are_properties() -> None:
    said = _of(memory_mb=300, cpu_percent=50, tasks=80, devices=("/dev/ttyUSB0",), networks=("192.0.2.0/24",))
    assert f"MemoryMax={300 * MIB}" in said and f"MemoryHigh={270 * MIB}" in said
    assert "CPUQuota=50%" in said and "TasksMax=80" in said
    assert said.index("DeviceAllow=") < said.index("DeviceAllow=/dev/ttyUSB0 rw")
    assert said.index("IPAddressDeny=") < said.index("IPAddressDeny=any")
    assert "IPAddressAllow=192.0.2.0/24" in said and "IPAddressAllow=localhost" in said
    assert "SocketBindAllow=tcp:1" in said and "SocketBindDeny=12080-13079" in said


def test_a_limit_that_was_taken_back_is_gone() -> None:
    said = _of()
    assert "MemoryMax=50%" in said and "TasksMax=512" in said and "CPUQuota=" in said
    assert [word for word in said if word.startswith(("DeviceAllow", "IPAddress"))] == [
        "DeviceAllow=",
        "IPAddressAllow=",
        "IPAddressDeny=",
    ]


def test_ports_are_allowed_one_by_one_and_never_those_of_others() -> None:
    assert not any("1-65535" in word for word in _of())
    said = _of(ports=("tcp:1880", "udp:5000-5010", "1883"))
    for rule in ("tcp:1880", "udp:5000-5010", "1883", "tcp:1"):
        assert f"SocketBindAllow={rule}" in said
    assert said[-1] == "SocketBindDeny=1-65535"  # not `any`: whoever sends gets a port from the kernel, by asking for 0
    # What became Weir's after it was allowed stays shut.
    said = _of(ports=("2990-13100",))
    allowed = [word for word in said if word.startswith("SocketBindAllow=") and "tcp" not in word]
    assert allowed == [f"SocketBindAllow={each}" for each in ("", "2990-2999", "3001-12079", "13080-13100")]
    said = _of(ports=("own",))
    assert [word for word in said if word.startswith("SocketBindAllow=t")] == [
        "SocketBindAllow=tcp:1",
        "SocketBindAllow=tcp:2",
    ]
    assert said[-1] == "SocketBindDeny=1-65535"


def test_systemd_takes_the_most_rules_there_may_be(tmp_path: Path) -> None:
    """Its own parser says so: more than 128 of a kind, or a rule that it does not know, would be left out."""
    spec = spec_of()
    ranges = [(12080, 13079), (13080, 14079), (3000, 3000), (1883, 1883), (1884, 1884)]
    limits = Limits(ports=tuple(f"{kind}{low}-65535" for kind in ("", "tcp:", "udp:") for low in range(1, 6))[:16])
    said = properties(msgspec.structs.replace(spec, limits=limits), ranges)
    assert sum(word.startswith("SocketBindAllow=") for word in said) <= 128
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd here")
    (tmp_path / "try.service").write_text("\n".join(["[Service]", "ExecStart=/bin/true", *said, ""]))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--recursive-errors=no", str(tmp_path / "try.service")],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert "SocketBind" not in done.stderr and done.returncode == 0, done.stderr


def test_a_systemd_that_keeps_nobody_from_ports_is_told(tmp_path: Path) -> None:
    (tmp_path / "cgroup.controllers").write_text("cpuset cpu io memory pids\n")
    (told,) = cgroups.missing(tmp_path, features=lambda: "+SECCOMP -BPF_FRAMEWORK +ZSTD", libraries=tmp_path)
    assert told.startswith("lists of ports do not hold") and "BPF_FRAMEWORK" in told
    (told,) = cgroups.missing(tmp_path, features=lambda: "+SECCOMP +BPF_FRAMEWORK", libraries=tmp_path)
    assert told.startswith("lists of ports do not hold") and "libbpf1" in told
    (tmp_path / "lib/x86_64-linux-gnu").mkdir(parents=True)
    (tmp_path / "lib/x86_64-linux-gnu/libbpf.so.1").touch()
    assert cgroups.missing(tmp_path, features=lambda: "+SECCOMP +BPF_FRAMEWORK", libraries=tmp_path) == []


def test_what_systemctl_shows() -> None:
    shown = {"Id": "a.service", "ActiveState": "failed", "ExecMainCode": "2", "ExecMainStatus": "9", "MainPID": "0"}
    unit = unit_of({**shown, "Result": "signal", "InvocationID": "i"})
    assert (unit.exit_code, unit.runs, unit.main_pid) == (-9, False, 0)
    assert unit_of({**shown, "ExecMainCode": "1", "ExecMainStatus": "7"}).exit_code == 7
    assert unit_of({"Id": "a.service", "ActiveState": "activating"}).exit_code is None
    assert unit_of({"Id": "a.service", "ActiveState": "deactivating"}).runs


def test_a_systemctl_that_fails_says_why(tmp_path: Path) -> None:
    fake = tmp_path / "fake"
    fake.write_text("#!/bin/sh\necho 'Failed to start x: Access denied' >&2\necho 'See: man' >&2\nexit 4\n")
    fake.chmod(0o755)
    with pytest.raises(UnitsUnavailable, match="^Failed to start x: Access denied$"):
        Systemctl((str(fake),)).start("x.service")
    with pytest.raises(UnitsUnavailable, match="can't be run"):
        Systemctl((str(tmp_path / "absent"),)).show("x.service")


async def test_the_kernel_says_who_asks_on_the_boot_socket(tmp_path: Path) -> None:
    asked: list[tuple[int, int]] = []

    async def give(pid: int, uid: int) -> Given | None:
        asked.append((pid, uid))
        return Given('{"ticket": "t"}', {"A": "b"}) if len(asked) < 3 else None

    socket_ = BootSocket(tmp_path / "boot.sock", give)
    await socket_.open()
    try:
        assert (await ask_at_ease(str(socket_.path))).boot == '{"ticket": "t"}'
        assert (await asyncio.to_thread(ask, str(socket_.path))).env == {"A": "b"}
        with pytest.raises(ValueError):  # nothing is said to a stranger
            await ask_at_ease(str(socket_.path))
        assert asked == [(os.getpid(), os.getuid())] * 3
        assert socket_.path.stat().st_mode & 0o777 == 0o666
    finally:
        await socket_.close()
    with pytest.raises(OSError):
        await ask_at_ease(str(socket_.path))


async def test_a_connection_that_says_nothing_holds_up_nobody(tmp_path: Path) -> None:
    async def give(pid: int, uid: int) -> Given | None:
        return Given("now")

    boot = BootSocket(tmp_path / "boot.sock", give)
    await boot.open()
    idle = [socket.socket(socket.AF_UNIX) for _ in range(40)]
    try:
        for each in idle:
            each.setblocking(False)
            each.connect(str(boot.path))
        assert (await ask_at_ease(str(boot.path))).boot == "now"
    finally:
        for each in idle:
            each.close()
        await boot.close()


def test_no_unit_is_found_for_a_process_outside() -> None:
    assert unit_of_process(os.getpid(), "weir-launcher") is None
    assert unit_of_process(2**22 + 1, "weir-launcher") is None


def test_another_program_gets_its_secrets_on_a_pipe_and_in_its_environment(tmp_path: Path) -> None:
    """A launcher that is not ours, started by the unit's own command line."""

    async def give(pid: int, uid: int) -> Given | None:
        return Given('{"ticket": "secret"}\n', {"TOKEN": "hidden"})

    show = "import json,os; print(json.dumps([os.read(3, 100).decode(), dict(os.environ)]))"
    launch = {"argv": [sys.executable, "-I", "-c", show], "env": {"PLAIN": "1"}, "boot_socket": str(tmp_path / "s")}
    (tmp_path / "launch.json").write_text(json.dumps(launch))

    async def run() -> bytes:
        boot = BootSocket(tmp_path / "s", give)
        await boot.open()
        try:
            started = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "launcher",
                "--unit",
                str(tmp_path / "launch.json"),
                stdout=asyncio.subprocess.PIPE,
            )
            return (await started.communicate())[0]
        finally:
            await boot.close()

    line, env = json.loads(asyncio.run(run()))
    assert line == '{"ticket": "secret"}\n'
    assert env["PLAIN"] == "1" and env["TOKEN"] == "hidden" and "HOME" not in env


def test_memory_that_the_kernel_does_not_count_is_told_to_the_letter(tmp_path: Path) -> None:
    """Raspberry Pi OS starts so."""
    (tmp_path / "cgroup.controllers").write_text("cpuset cpu io pids\n")
    assert cgroups.memory_off(tmp_path)
    assert "cgroup_enable=memory" in cgroups.missing(tmp_path, features=str)[0]
    (tmp_path / "cgroup.controllers").write_text("cpuset cpu io memory pids\n")
    assert cgroups.missing(tmp_path, features=str) == []
    (tmp_path / "cgroup.controllers").unlink()
    (tmp_path / "cgroups").write_text("#name\thierarchy\tnum\tenabled\ncpu\t1\t1\t1\npids\t2\t1\t1\nmemory\t0\t1\t0\n")
    first, second = cgroups.missing(tmp_path, tmp_path, features=str)
    assert "no limit of memory" in first and "version 2" in second


async def test_the_disk_is_measured_also_where_a_flow_shut_the_door(tmp_path: Path) -> None:
    (tmp_path / "hidden").mkdir()
    (tmp_path / "hidden" / "fill").write_bytes(b"x" * 300_000)
    os.link(tmp_path / "hidden" / "fill", tmp_path / "again")
    (tmp_path / "hidden").chmod(0)
    (tmp_path / "out").symlink_to("/usr")
    with (tmp_path / "gone").open("wb") as held:
        held.write(b"x" * 200_000)
        held.flush()
        (tmp_path / "gone").unlink()
        found = await use(tmp_path)
    assert 490_000 < found.usedBytes < 5_000_000 and found.whole


async def test_what_can_not_be_looked_at_now_is_not_taken_for_hidden(tmp_path: Path) -> None:
    """An instance is suspended for what it hides, so it must not be for a want of descriptors, or a file that moved."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = os.dup(0)
    os.close(lowest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, hard))
    try:
        with pytest.raises(OSError, match="Too many open files"):
            await use(tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    (tmp_path / "was-a-directory").touch()
    assert (await use(tmp_path / "was-a-directory")).whole


def test_a_unit_that_waits_for_others_is_about_to_start() -> None:
    shown = {"Id": "a.service", "ActiveState": "inactive", "MainPID": "0"}
    assert unit_of({**shown, "Job": "71"}).starting
    assert unit_of({**shown, "ActiveState": "activating"}).starting
    assert not unit_of({**shown, "Job": "0"}).starting and not unit_of(shown).starting
    assert not unit_of({**shown, "ActiveState": "deactivating", "Job": "72"}).starting
    assert not unit_of({**shown, "ActiveState": "activating", "MainPID": "7"}).starting
