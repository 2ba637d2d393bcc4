"""The system below Weir: what is read of the kernel, and when it is a trouble."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

import pytest
from msgspec.structs import replace

from appliance.schema.operations import DiskWear, Wear, WearReport
from appliance.services.health import memory, system, wear
from appliance.services.health.system import SystemCheck, SystemReadings
from appliance.system import kernel
from appliance.system.kernel import Descriptors
from appliance.system.vitals import Memory, Throttling

GIB = 2**30
WELL = SystemReadings(Throttling(), Descriptors(1000, 100_000, 50, 1024), True, ("192.0.2.1",), (), False, None)


class Check:
    """The check with a clock that the test moves."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.check = SystemCheck(lambda: self.now, lambda: WELL)

    def keys(self, seen: SystemReadings, later_s: float = 60.0) -> list[str]:
        self.now += later_s
        return [trouble.key for trouble in self.check.judge(seen)]


def test_a_board_that_slows_down_for_a_while_is_a_trouble() -> None:
    check, slow = Check(), replace(WELL, throttling=Throttling(now=("too little voltage", "throttled")))
    assert check.keys(WELL) == []
    assert check.keys(slow) == [], "a moment is none"
    assert check.keys(slow) == ["throttled"]
    assert check.keys(replace(WELL, throttling=Throttling((), ("throttled",)))) == [], "it is over"
    assert "power supply" in system.slowed(["too little voltage"]).next_step
    assert "air" in system.slowed(["soft temperature limit"]).next_step


@pytest.mark.parametrize("short", [Descriptors(99_000, 100_000, 50, 1024), Descriptors(1000, 100_000, 1000, 1024)])
def test_few_descriptors_are_a_trouble_until_there_is_room(short: Descriptors) -> None:
    check = Check()
    assert check.keys(replace(WELL, descriptors=short)) == ["descriptors_low"]
    assert check.keys(replace(WELL, descriptors=Descriptors(80_000, 100_000, 50, 1024))) == ["descriptors_low"]
    assert check.keys(WELL) == []
    assert check.keys(replace(WELL, descriptors=None)) == []


def test_silent_name_servers_failed_units_and_limits_that_nobody_enforces(tmp_path: Path) -> None:
    check = Check()
    silent = replace(WELL, names=False)
    assert check.keys(silent) == check.keys(silent) == []
    assert check.keys(silent, 180) == ["dns_silent"]
    assert check.keys(replace(WELL, names=None)) == [], "the network is unplugged: nobody is expected to answer"
    failed = replace(WELL, failed=("weir-nginx.service", "weir-backup.service"))
    assert check.keys(failed) == ["unit_failed:weir-nginx.service", "unit_failed:weir-backup.service"]
    assert "journalctl -u weir-nginx.service" in system.failed_unit("weir-nginx.service").next_step
    assert check.keys(replace(WELL, unlimited=True)) == ["memory_unlimited"]
    line = tmp_path / "cmdline.txt"
    assert f"{line}: cgroup_enable=memory cgroup_memory=1" in system.unlimited(line).next_step
    assert "update-grub" in system.unlimited(None).next_step


def test_memory_limits_are_found_on_both_kinds_of_cgroups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel, "SYS", tmp_path / "sys")
    monkeypatch.setattr(kernel, "PROC", tmp_path / "proc")
    assert not kernel.limits_memory()
    (tmp_path / "proc").mkdir()
    table = "#subsys_name\thierarchy\tnum_cgroups\tenabled\ncpu\t3\t9\t1\nmemory\t{}\t9\t{}\n"
    (tmp_path / "proc/cgroups").write_text(table.format(4, 1))
    assert kernel.limits_memory()
    (tmp_path / "proc/cgroups").write_text(table.format(0, 0))  # as Raspberry Pi OS boots
    assert not kernel.limits_memory()
    controllers = tmp_path / "sys/fs/cgroup/cgroup.controllers"
    controllers.parent.mkdir(parents=True)
    controllers.write_text("cpuset cpu io memory pids\n")
    assert kernel.limits_memory()
    controllers.write_text("cpuset cpu io pids\n")
    (tmp_path / "proc/cgroups").write_text(table.format(0, 0))
    assert not kernel.limits_memory()


def test_the_command_line_of_a_raspberry_pi_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel, "BOOT", tmp_path)
    assert kernel.command_line_file() is None
    (tmp_path / "cmdline.txt").touch()
    assert kernel.command_line_file() == tmp_path / "cmdline.txt"
    (tmp_path / "firmware").mkdir()
    (tmp_path / "firmware/cmdline.txt").touch()
    assert kernel.command_line_file() == tmp_path / "firmware/cmdline.txt"


def test_routes_and_name_servers_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel, "PROC", tmp_path)
    monkeypatch.setattr(kernel, "ETC", tmp_path)
    (tmp_path / "net").mkdir()
    head = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\n"
    (tmp_path / "net/route").write_text(f"{head}eth0\t0000A8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\n")
    (tmp_path / "net/ipv6_route").write_text(f"{'0' * 32} 00 {'0' * 32} 00 {'0' * 32} ffffffff 1 0 00200200 lo\n")
    assert not kernel.has_route()
    (tmp_path / "net/route").write_text(f"{head}eth0\t00000000\t0100A8C0\t0003\t0\t0\t0\t00000000\n")
    assert kernel.has_route()
    assert kernel.name_servers() == []
    (tmp_path / "resolv.conf").write_text("# nameserver 1\nsearch x\nnameserver 192.0.2.1\nnameserver 2001:db8::1\n")
    assert kernel.name_servers() == ["192.0.2.1", "2001:db8::1"]


def test_any_answer_of_a_name_server_will_do_but_silence_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel, "NAME_SERVER_S", 0.2)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        port = server.getsockname()[1]
        assert not kernel.answers(["127.0.0.1"], port), "it is silent"
        server.recv(512)

        def refuse() -> None:
            question, peer = server.recvfrom(512)
            server.sendto(question[:2] + b"\x81\x05" + question[4:], peer)

        monkeypatch.setattr(kernel, "NAME_SERVER_S", 5.0)
        thread = threading.Thread(target=refuse)
        thread.start()
        assert kernel.answers(["127.0.0.1"], port)
        thread.join()
    assert not kernel.answers([], 53)


def test_descriptors_are_counted() -> None:
    before = kernel.descriptors()
    with socket.socket():
        assert kernel.descriptors().own == before.own + 1
    assert 0 < before.own < before.own_most and 0 < before.open < before.most


def test_full_swap_is_a_trouble_only_while_memory_is_short() -> None:
    now = [0.0]
    check = memory.MemoryCheck(lambda: now[0])

    def keys(available: float, swap: float) -> list[str]:
        now[0] += 60
        reading = Memory(4 * GIB, int(available * GIB), GIB, int(swap * GIB), 0)
        return [trouble.key for trouble in check.take(reading)]

    assert keys(3.0, 0.0) == keys(3.0, 0.0) == [], "what nobody needs lies there"
    assert keys(0.5, 0.05) == []
    assert keys(0.5, 0.05) == ["swap_low"]
    assert keys(0.5, 0.15) == ["swap_low"], "not well yet"
    assert keys(0.5, 0.5) == []


def test_only_cards_wear_out_quickly() -> None:
    card = DiskWear(device="mmcblk0", card=True, size_bytes=32 * GIB, per_day_bytes=30 * GIB, days=3, years=1.5)
    loud = Wear(id="i", name="plant", per_day_bytes=3 * GIB, today_bytes=0, days=3.0)
    quiet = replace(loud, id="j", per_day_bytes=GIB)

    def keys(disk: DiskWear | None, *instances: Wear) -> list[str]:
        return [trouble.key for trouble in wear.judge(WearReport(disk=disk, instances=list(instances)))]

    assert keys(card, loud, quiet) == ["wear_high", "wear_instance:i"]
    assert keys(replace(card, years=5.0), quiet) == []
    assert keys(replace(card, years=None), replace(loud, days=0.1)) == [], "too little was measured"
    assert keys(replace(card, card=False), loud) == keys(None, loud) == []
