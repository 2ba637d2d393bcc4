"""Upgrades on an installed box: one that holds, some that don't, one that the power ends, one without a network."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.appliance.machine import (
    RELEASES,
    SOURCE,
    deployer_on,
    in_use,
    install,
    status,
    stored_number,
    wait_running,
)
from tests.system.fresh_box import FreshBox

pytestmark = [pytest.mark.appliance, pytest.mark.timeout(1800)]

# Where a release goes wrong: as soon as it starts, or when it has changed the database.
BROKEN = "raise SystemExit('this release is broken')"
NEWER = '''
"""A schema of the test's own."""
from alembic import op
revision, down_revision = "9999", "{head}"
def upgrade() -> None:
    op.execute("CREATE TABLE tried (x INTEGER)")
'''


@pytest.fixture(scope="module")
def machine(installed: FreshBox) -> Iterator[FreshBox]:
    installed.push_checkout(SOURCE)
    yield installed


def pids(machine: FreshBox) -> tuple[int, int]:
    found = wait_running(machine, "first")
    return found["launcher_pid"], found["node_red_pid"]


def other_release(machine: FreshBox, version: str, change: str = "true") -> None:
    """Make the checkout on the machine another version, changed by a shell command."""
    machine.run(f"cd {SOURCE} && sed -i 's/^version = .*/version = \"{version}\"/' pyproject.toml && {change}")


def test_an_upgrade_keeps_instances_running(machine: FreshBox) -> None:
    before, was = pids(machine), in_use(machine)
    other_release(machine, "0.1.1")
    begun = time.monotonic()
    said = install(machine)
    print(f"\nupgrade: {time.monotonic() - begun:.0f} s")
    assert "upgraded to 0.1.1-" in said
    assert in_use(machine).startswith("0.1.1-") and pids(machine) == before
    listed = json.loads(machine.run("weir upgrade --json"))["releases"]
    assert {each["name"]: each["inUse"] for each in listed} == {was: False, in_use(machine): True}
    assert machine.run("systemctl --failed --no-legend; ls /opt/weir/upgrade.json 2>/dev/null; true") == ""


def test_back_to_a_release_that_is_there(machine: FreshBox) -> None:
    before, new = pids(machine), in_use(machine)
    other = next(each for each in machine.run(f"ls {RELEASES}").split() if each != new)
    machine.run(f"weir upgrade {other}", timeout_s=300)
    assert in_use(machine) == other and pids(machine) == before
    machine.run(f"weir upgrade {new}", timeout_s=300)
    assert in_use(machine) == new and pids(machine) == before
    assert "no release '0.0.9-00000000'" in machine.run("weir upgrade 0.0.9-00000000 2>&1", check=False)


def test_a_release_that_does_not_start_is_taken_back(machine: FreshBox) -> None:
    before, was = pids(machine), in_use(machine)
    other_release(machine, "0.1.2", f'sed -i "s/^async def serve/{BROKEN}\\nasync def serve/" appliance/main.py')
    said = install(machine, check=False)
    assert "does not hold" in said and f"going back to {was}" in said, said
    assert in_use(machine) == was and pids(machine) == before
    assert status(machine)["appliance"]["pid"] > 0


def test_a_release_that_changed_the_database_is_taken_back_with_it_but_for_deploys(machine: FreshBox) -> None:
    before, was = pids(machine), in_use(machine)
    versions = "appliance/store/migrations/versions"
    head = machine.run(f"ls {SOURCE}/{versions} | grep -oE '^v[0-9]{{4}}' | sort | tail -n 1").strip()[1:]
    machine.run(f"cat >{SOURCE}/{versions}/v9999_tried.py <<'X'\n{NEWER.format(head=head)}\nX")
    machine.run(f"cd {SOURCE} && sed -i 's/^HEAD = .*/HEAD = \"9999\"/' appliance/store/schema_version.py")
    machine.run("weir instance set first label=kept >/dev/null 2>&1; true")
    # It starts, changes the database, serves, and dies again and again.
    late = "loop = asyncio.get_running_loop(); loop.call_later(2, os._exit, 1)"
    other_release(
        machine,
        "0.1.3",
        f'sed -i "/{BROKEN}/d; s/^    ready.clear(home)/    {late}\\n    ready.clear(home)/" appliance/main.py',
    )
    deployer = deployer_on(machine, str(wait_running(machine, "first")["url"]), first_password(machine))
    deployer.start()
    said = install(machine, check=False)
    deployer.done.set()
    deployer.join(15)
    assert "the database is as it was" in said and f"going back to {was}" in said, said
    assert "with what was deployed since in first" in said, said
    assert deployer.acknowledged > 10
    eventually_stored(machine, deployer.acknowledged)
    print(f"\n{deployer.acknowledged} deploys acknowledged before, in and after the upgrade; the last one is there")
    assert in_use(machine) == was and pids(machine) == before
    assert machine.run("ls /var/lib/weir/state/backups/weir-failed-upgrade-*.db") != ""
    tables = "import sqlite3; print(sqlite3.connect('/var/lib/weir/state/weir.db').execute("
    tables += "'SELECT version_num FROM alembic_version').fetchone()[0])"
    assert machine.run(f'python3 -c "{tables}"').strip() == head


def test_a_power_cut_in_an_upgrade_ends_with_the_release_that_works(machine: FreshBox) -> None:
    was = in_use(machine)
    broken = next(each for each in machine.run(f"ls {RELEASES}").split() if each.startswith("0.1.2-"))
    journal = {"before": was, "after": broken, "schema": head_of(machine), "began_at": time.time(), "running": []}
    machine.run(
        f"cat >/opt/weir/upgrade.json <<'X'\n{json.dumps(journal)}\nX\n"
        f"ln -sfn {RELEASES}/{was} /opt/weir/previous && ln -sfn {RELEASES}/{broken} /opt/weir/current && sync"
    )
    machine.tool("kill")
    machine.tool("boot", check=False)
    wait_ended(machine)
    assert in_use(machine) == was
    wait_running(machine, "first")


def test_an_upgrade_cut_before_the_switch_and_one_that_was_killed_come_to_their_end(machine: FreshBox) -> None:
    was = in_use(machine)
    other = next(each for each in machine.run(f"ls {RELEASES}").split() if each.startswith("0.1.0-"))
    begun = "from appliance.upgrade.releases import Journal, Releases; import time; Releases().begin(Journal("
    begun += f"before='{was}', after='{other}', schema='{head_of(machine)}', began_at=time.time()))"
    machine.run(f'rm -f /opt/weir/previous; /opt/weir/current/bin/python -I -c "{begun}"; sync')
    machine.tool("kill")
    machine.tool("boot", check=False)
    wait_ended(machine)
    assert in_use(machine) == was
    wait_running(machine, "first")
    # Killed while it is judged, and nothing boots: whoever changes the release next finds it.
    machine.run(
        f"setsid weir upgrade {other} >/root/killed 2>&1 & "
        f"while [ $(basename $(readlink -f /opt/weir/current)) != {other} ]; do sleep 0.1; done; "
        "pkill -KILL -f '[a]ppliance.upgrade switch'; ls /opt/weir/upgrade.json",
        timeout_s=120,
    )
    said = machine.run(f"weir upgrade {was} 2>&1", timeout_s=400)
    assert f"the upgrade to {other} holds" in said or f"{was} is in use again" in said, said
    assert in_use(machine) == was and machine.run("ls /opt/weir/upgrade.json 2>/dev/null; true") == ""


def test_of_all_that_change_releases_one_waits_for_the_other(machine: FreshBox) -> None:
    was = in_use(machine)
    said = machine.run(
        "flock /run/weir-install.lock sleep 600 & holder=$!; sleep 0.2; "
        f"timeout 3 weir upgrade {was}; echo code $?; systemctl start weir-housekeeping.service; "
        "journalctl -u weir-housekeeping -n 5 --no-pager -o cat; kill $holder"
    )
    assert "code 124" in said and "no old release is removed: an install.sh or another upgrade runs" in said, said


def test_old_releases_go_but_not_those_that_something_runs_from(machine: FreshBox) -> None:
    machine.run("systemctl start weir-housekeeping.service")
    there = machine.run(f"ls {RELEASES}").split()
    assert in_use(machine) in there and len(there) <= 4
    wait_running(machine, "first")


def test_without_a_network_a_bundle_installs_a_fresh_machine(machine: FreshBox, tmp_path: Path) -> None:
    begun = time.monotonic()
    machine.run("weir bundle make /root/weir.bundle --palette node-red-node-random --debian", timeout_s=900)
    print(f"\nbundle made in {time.monotonic() - begun:.0f} s, {machine.run('du -h /root/weir.bundle').split()[0]}")
    machine.tool("pull", "/root/weir.bundle", str(tmp_path / "weir.bundle"))
    machine.tool("pull", "/opt/weir/current/install.sh", str(tmp_path / "install.sh"))
    offline = FreshBox("offline")
    offline.tool("down", check=False)
    offline.tool("up", timeout_s=900)
    try:
        offline.tool("push", str(tmp_path / "weir.bundle"), str(tmp_path / "install.sh"), "/root/")
        offline.run("ip route del default; rm -rf /var/lib/apt/lists/*")
        offline.run("head -c 1000000 /root/weir.bundle >/root/short.bundle")
        said = offline.run("bash /root/install.sh --offline /root/short.bundle 2>&1", check=False)
        assert "cut short" in said or "damaged" in said, said
        begun = time.monotonic()
        said = offline.run("bash /root/install.sh --offline /root/weir.bundle 2>&1", timeout_s=900)
        print(f"offline install: {time.monotonic() - begun:.0f} s")
        assert "first password is" in said
        wait_running(offline, "first")
    finally:
        offline.tool("down", check=False)


def wait_ended(machine: FreshBox) -> None:
    """Until the boot has brought the upgrade to its end."""
    deadline = time.monotonic() + 180
    while machine.run("ls /opt/weir/upgrade.json 2>/dev/null; true") and time.monotonic() < deadline:
        time.sleep(1)


def first_password(machine: FreshBox) -> str:
    return machine.run("cat /var/lib/weir/state/first-admin-password").strip()


def eventually_stored(machine: FreshBox, number: int) -> None:
    """Deploys of the moments without a service are handed in when it is back."""
    deadline = time.monotonic() + 30
    while stored_number(machine) < number:
        assert time.monotonic() < deadline, f"{stored_number(machine)} of {number}: {machine.run('weir problems')}"
        time.sleep(0.5)


def head_of(machine: FreshBox) -> str:
    """The schema of the box's database."""
    become = "setpriv --reuid=_weir --regid=_weir --init-groups"
    return machine.run(f"{become} /opt/weir/current/bin/python -I -m appliance.upgrade schema").strip()
