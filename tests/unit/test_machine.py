"""What is told of the machine: heat, throttling, certificates, and what is urgent about them in words."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from appliance.config import Home
from appliance.schema.backups import Backup, Backups, BackupSchedule
from appliance.schema.box import HostCertificate, HostDisk, HostUnit, Machine
from appliance.schema.broker import BrokerStatus
from appliance.services import machine
from appliance.system import tls, vitals
from tui import hostwords, repairs
from tui.signs import Kind


@pytest.fixture
def sys_(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(vitals, "SYS", tmp_path)
    return tmp_path


def _pi(root: Path, text: str) -> None:
    file = root / "devices/platform/soc/soc:firmware/get_throttled"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def test_a_raspberry_pi_tells_why_it_is_slow(sys_: Path) -> None:
    assert vitals.throttling() == vitals.Throttling()
    _pi(sys_, "50005\n")
    found = vitals.throttling()
    assert found.now == ("too little voltage", "throttled")
    assert found.since_start == ("too little voltage", "throttled")
    _pi(sys_, "80000\n")
    assert vitals.throttling() == vitals.Throttling((), ("soft temperature limit",))
    _pi(sys_, "nonsense")
    assert vitals.throttling() == vitals.Throttling()


def test_other_processors_count_when_they_were_too_hot(sys_: Path) -> None:
    file = sys_ / "devices/system/cpu/cpu0/thermal_throttle/package_throttle_count"
    file.parent.mkdir(parents=True)
    file.write_text("0\n")
    assert vitals.throttling() == vitals.Throttling()
    file.write_text("12\n")
    assert vitals.throttling().since_start == ("too hot",)


def test_the_machine_is_read_with_its_certificates(tmp_path: Path) -> None:
    home, now = Home(tmp_path), datetime.now(UTC)
    assert machine.read(home, now).certificates == []
    tls.ensure(home, [tls.AcceptedName("box.example"), tls.AcceptedName("192.0.2.7")])
    (found, authority) = machine.read(home, now).certificates
    assert (found.what, set(found.names)) == ("certificate", {"box.example", "192.0.2.7"})
    assert 300 < found.days_left < 400 and authority.days_left > 3000
    (home.tls / "box.crt").write_text("broken")
    assert [each.what for each in machine.read(home, now).certificates] == ["authority"]


def test_what_is_urgent_stands_out() -> None:
    calm = _calm()

    def loud(each: Machine) -> set[str]:
        return {label for label, _, style in hostwords.of_machine(each) if style in (Kind.BAD, Kind.CHANGING)}

    assert loud(calm) == set()
    assert loud(replace(calm, load=[2.5, 0, 0])) == {"processors"}
    assert loud(replace(calm, memory_available_bytes=50)) == {"memory"}
    assert loud(replace(calm, disks=[HostDisk(path="/", total_bytes=9, free_bytes=9, read_only=True)])) == {"disk"}
    assert loud(replace(calm, disks=[HostDisk(path="/", total_bytes=100, free_bytes=4, read_only=False)])) == {"disk"}
    assert loud(replace(calm, temperature_c=91.0, temperature_limit_c=80.0, sensor="cpu")) == {"temperature"}
    assert loud(replace(calm, throttled=["throttled"])) == {"slowed down"}
    assert loud(replace(calm, was_throttled=["throttled"])) == {"slowed down"}
    assert loud(replace(calm, clock_synced=False)) == {"clock"}
    ending = [HostCertificate(what="certificate", until="2027-01-01T00:00:00+00:00", days_left=3)]
    assert loud(replace(calm, certificates=ending)) == {"certificate"}


def test_repairs_are_offered_for_problems_of_instances_only() -> None:
    from appliance.schema.box import Problem

    told = Problem(key="", title="", cause="", evidence="", next_step="", since="")
    assert repairs.offered(replace(told, key="disk_full")) is None
    assert repairs.offered(replace(told, key="instance_safe:1")) is None  # about none: nothing to restart
    found = repairs.offered(replace(told, key="instance_safe:1", about="1"))
    assert found is not None and found.actions == ("restart",)
    kept = repairs.offered(replace(told, key="deploy_kept:1", about="1"))
    assert kept is not None and (kept.place, kept.actions) == ("kept", ())


def test_units_backups_and_the_broker_in_words() -> None:
    now = datetime(2026, 11, 24, 12, tzinfo=UTC)
    listed = [("weir.service", "active", "running"), ("weir-launcher@a.service", "active", "running")]
    calm = _calm()
    (told,) = [each for each in hostwords.of_machine(calm) if each[0] == "units"]
    assert told[2] == "dim"
    units = [HostUnit(*each) for each in [*listed, ("weir-backup.timer", "active", "waiting")]]
    (told,) = [each for each in hostwords.of_machine(replace(calm, units=units)) if each[0] == "units"]
    assert told == ("units", "weir run, 1 launcher, 1 timer; none failed", "plain")
    bad = [*units, HostUnit("weir-nginx.service", "failed", "failed")]
    (told,) = [each for each in hostwords.of_machine(replace(calm, units=bad)) if each[0] == "units"]
    assert told == ("units", "failed: weir-nginx.service", Kind.BAD)

    plan = BackupSchedule()
    assert hostwords.of_backups(Backups(0, [], plan), now)[0][2] == Kind.CHANGING
    made = _backup(made_at="2026-11-24T09:00:00.000Z")
    due = replace(plan, every="day", next_at="2026-11-25T04:30+02:00")
    (told,) = hostwords.of_backups(Backups(1, [made], due), now)
    assert told[1] == "the newest of 1 is 3h old, never proven; the next one 2026-11-25 02:30 UTC"
    (told,) = hostwords.of_backups(Backups(1, [replace(made, verify_error="wrong key")], due), now)
    assert told[2] == Kind.BAD and "wrong key" in told[1]

    (told,) = hostwords.of_broker(BrokerStatus(enabled=False, running=False))
    assert "switched off" in told[1]
    up = BrokerStatus(enabled=True, running=True, pid=7, clients=2, connected=1, url="mqtt://127.0.0.1:1883")
    told, url = hostwords.of_broker(up)
    assert told[1:] == ("running, pid 7; 2 instances may log in, 1 connection", "plain") and url[1] == up.url
    told, why = hostwords.of_broker(replace(up, running=False, message="its port is taken", url=""))
    assert told[2] == Kind.BAD and why[1] == "its port is taken"


def _backup(**fields: str) -> Backup:
    return Backup(
        id="b1",
        scheduled=False,
        file="/x",
        size_bytes=1,
        packages=False,
        passphrase=True,
        recipients=[],
        version="0",
        schema="1",
        instances=1,
        files=1,
        lacks=[],
        took_s=1.0,
        **fields,
    )


def _calm() -> Machine:
    return Machine(
        system="Linux",
        cpus=2,
        load=[0.1, 0.1, 0.1],
        memory_total_bytes=1000,
        memory_available_bytes=500,
        swap_total_bytes=0,
        swap_free_bytes=0,
        disks=[HostDisk(path="/", total_bytes=1000, free_bytes=500, read_only=False)],
        certificates=[HostCertificate(what="certificate", until="2027-01-01T00:00:00+00:00", days_left=200)],
        uptime_s=timedelta(days=3).total_seconds(),
        clock_synced=True,
    )
