"""`install.sh` on a stock machine: tried, interrupted, finished, repeated, booted, taken away. In this order."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

import pytest

from tests.appliance.machine import SOURCE, install, status, wait_running
from tests.system.fresh_box import FreshBox

pytestmark = [pytest.mark.appliance, pytest.mark.timeout(1800)]

# Every file of the machine; not what is meant to change by itself, and not caches and lists of apt, nor the empty
# folder that Debian's own xml-core leaves.
FILES = r"""
find / -xdev \( -path /proc -o -path /sys -o -path /dev -o -path /run -o -path /tmp -o -path /var/tmp -o -path /root \
  -o -path /var/log -o -path /var/cache -o -path /var/lib/apt -o -path /var/lib/dpkg -o -path /var/lib/systemd \
  -o -path /usr/share/mime \) -prune -o -print |
  grep -vE '__pycache__|\.pyc$|^/etc/.*-$|ld.so.cache$|^/etc/xml$' \
  | LC_ALL=C sort
"""
UNITS = "weir.service weir-nginx.service weir-nginx-test.service"


@pytest.fixture(scope="module")
def machine() -> Iterator[FreshBox]:
    machine = FreshBox("install")
    machine.tool("down", check=False)
    machine.tool("up", timeout_s=900)
    try:
        machine.push_checkout(SOURCE)
        machine.run(f"({FILES}) >/root/before; dpkg-query -W | sort >/root/packages; getent passwd >/root/accounts")
        yield machine
    finally:
        machine.tool("down", check=False)


def test_a_dry_run_changes_nothing(machine: FreshBox) -> None:
    said = install(machine, "--dry-run")
    assert "would install" in said and "Nothing was changed" in said
    assert machine.run(f"({FILES}) | diff /root/before - || true") == ""


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ("--fly", "Usage"),
        ("--purge", "--uninstall"),
        ("--offline /nowhere", "cannot read"),
        ("--answers /nowhere", "cannot read"),
    ],
)
def test_wrong_calls_say_why_and_change_nothing(machine: FreshBox, options: str, says: str) -> None:
    assert says in install(machine, options, check=False)
    assert machine.run("test -e /opt/weir && echo there || true") == ""


def test_answers_that_are_none_are_named_by_their_line(machine: FreshBox) -> None:
    machine.run("printf '# fleet\\nhtps=8443\\n' >/root/answers")
    said = install(machine, "--answers /root/answers", check=False)
    assert "line 2" in said and "'htps'" in said and "https" in said


def test_an_interrupted_install_is_finished_by_the_next(machine: FreshBox) -> None:
    machine.run("printf 'instance=plant\\nteam=Halle 4\\n' >/root/answers")
    for seconds in (3, 6, 30):  # in the middle of Debian's packages, of Python's, of Node-RED's
        machine.run(
            f"timeout -s KILL {seconds} bash {SOURCE}/install.sh --answers /root/answers >/dev/null 2>&1", check=False
        )
    begun = time.monotonic()
    said = install(machine, "--answers /root/answers")
    print(f"\ninstall after three interruptions: {time.monotonic() - begun:.0f} s")
    assert "first password is" in said and "https://" in said
    assert status(machine)["instances"][0]["name"] == "plant"
    wait_running(machine, "plant")
    assert machine.run("systemctl --failed --no-legend; ls /usr/sbin/policy-rc.d 2>/dev/null; true") == ""


def test_again_with_nothing_to_do_is_quick(machine: FreshBox) -> None:
    pid = status(machine)["appliance"]["pid"]
    begun = time.monotonic()
    said = install(machine)
    took = time.monotonic() - begun
    print(f"\nwith nothing to do: {took:.1f} s")
    assert "Nothing had to be done" in said and took <= 10
    assert status(machine)["appliance"]["pid"] == pid


def test_the_units_are_sound_and_hardened(machine: FreshBox) -> None:
    files = machine.run("ls /opt/weir/current/systemd | grep -E '\\.(service|socket|timer|slice)$'").split()
    said = machine.run(f"cd /etc/systemd/system && systemd-analyze verify --recursive-errors=no {' '.join(files)} 2>&1")
    assert said == ""
    for unit in UNITS.split():
        rating = machine.run(f"systemd-analyze security --no-pager {unit} | tail -n 1")
        found = re.search(r": (\d+\.\d)", rating)
        print(f"\n{unit}: {found and found[1]}")
        assert found is not None and float(found[1]) <= 2.5


def test_nothing_outside_its_own_directories_is_the_service_s(machine: FreshBox) -> None:
    prune = r"\( -path /proc -o -path /sys -o -path /var/lib/weir -o -path /run/weir \) -prune -o"
    found = machine.run(f"find / {prune} -user _weir -print 2>/dev/null").split()
    assert [path for path in found if not path.startswith(("/tmp/", "/var/tmp/", "/dev/"))] == []
    tried = "for p in /opt/weir /opt/weir/current/bin /etc/weir /etc/weir/config.toml /etc/systemd/system; do "
    tried += "setpriv --reuid=_weir --regid=_weir --init-groups test -w $p && echo $p; done; true"
    assert machine.run(tried) == ""


def test_the_web_server_of_the_distribution_does_not_run(machine: FreshBox) -> None:
    assert machine.run("systemctl is-active nginx.service mosquitto.service; true").split() == ["inactive"] * 2
    assert machine.run("systemctl is-enabled nginx.service; true").strip() == "disabled"
    listening = machine.run("ss -Hltnp 'sport = :443'")
    assert "nginx" in listening


def test_the_service_s_account_may_do_with_units_what_it_needs_and_no_more(machine: FreshBox) -> None:
    become = "setpriv --reuid=_weir --regid=_weir --init-groups systemctl --no-ask-password"
    machine.run(f"{become} reload weir-nginx.service")
    for refused in ("stop ssh.service", "restart weir.service", "enable weir-nginx.service", "edit weir.service"):
        assert machine.run(f"{become} {refused} >/dev/null 2>&1 && echo done || true") == "", refused
    assert machine.run("setpriv --reuid=_weir --regid=_weir --init-groups systemd-run true 2>&1 || echo no").endswith(
        "no\n"
    )


def test_a_restart_of_the_service_refuses_nobody_and_touches_no_instance(machine: FreshBox) -> None:
    before = wait_running(machine, "plant")
    asked = "import http.client,socket\nfor _ in range(300):\n"
    asked += " s=socket.socket(socket.AF_UNIX); s.connect('/run/weir/api.sock')\n"
    asked += " c=http.client.HTTPConnection('weir'); c.sock=s; c.request('GET','/api/v1/box/status')\n"
    asked += " assert c.getresponse().status == 200\n"
    machine.run(f"cat >/root/ask.py <<'X'\n{asked}X\npython3 /root/ask.py & p=$!; systemctl restart weir; wait $p")
    after = wait_running(machine, "plant")
    assert (after["launcher_pid"], after["node_red_pid"]) == (before["launcher_pid"], before["node_red_pid"])


def test_the_verbs_of_development_lead_to_systemd(machine: FreshBox) -> None:
    for verb, says in (("up", "systemctl start weir"), ("down", "systemctl stop weir.socket weir-web.socket weir")):
        assert says in machine.run(f"weir {verb} 2>&1", check=False)
    wait_running(machine, "plant")


def test_it_is_there_after_a_boot(machine: FreshBox) -> None:
    machine.tool("stop")
    begun = time.monotonic()
    machine.tool("boot")
    wait_running(machine, "plant")
    print(f"\nboot until the instance runs: {time.monotonic() - begun:.1f} s")
    assert machine.run("systemctl --failed --no-legend") == ""
    code = machine.run("curl -sk -o /dev/null -w '%{http_code}' https://localhost:10000/")
    assert code in ("200", "302", "303")


def test_instances_start_at_boot_although_the_service_does_not(machine: FreshBox) -> None:
    machine.run("cp -a /etc/weir/config.toml /root/; printf '\\nnonsense = 1\\n' >/etc/weir/config.d/broken.toml")
    machine.run("chgrp _weir /etc/weir/config.d/broken.toml")
    machine.run("ln -s /etc/shadow '/var/lib/weir/launch/x; reboot.json'")  # no name of an instance
    machine.tool("stop")
    machine.tool("boot", check=False)
    seen = machine.run("systemctl list-units --plain --no-legend 'weir-launcher@*'")
    assert seen.count("active") == 1, seen
    assert machine.run("systemctl is-active weir.service; true").strip() != "active"
    machine.run(
        "rm '/var/lib/weir/launch/x; reboot.json' /etc/weir/config.d/broken.toml; systemctl restart weir.service"
    )
    wait_running(machine, "plant")


def test_taken_away_the_data_stays_and_purged_the_machine_is_as_before(machine: FreshBox) -> None:
    install(machine, "--uninstall")
    assert machine.run("pgrep -u _weir; pgrep -f [w]eir-launcher@; true") == ""
    assert len(machine.run("ls -d /var/lib/weir/state/weir.db /etc/weir/config.toml").split()) == 2
    assert machine.run("ls -d /opt/weir /usr/local/bin/weir /etc/systemd/system/weir* 2>/dev/null; true") == ""
    # A folder of the machine's own, mounted where backups go: rm would take it for Weir's, of the same disk as it is.
    machine.run("mkdir -p /srv/theirs /var/lib/weir/backups && touch /srv/theirs/file")
    machine.run("mount --bind /srv/theirs /var/lib/weir/backups")
    said = install(machine, "--uninstall --purge", check=False)
    assert "mounted below Weir's data" in said and "/var/lib/weir/backups" in said
    assert machine.run("ls /srv/theirs/file /var/lib/weir/state/weir.db").split() != []
    machine.run("umount /var/lib/weir/backups && rm -r /srv/theirs")
    said = install(machine, "--uninstall --purge")
    assert "with all its data" in said
    assert machine.run("dpkg-query -W | sort | diff /root/packages - || true") == ""
    assert machine.run("getent passwd | diff /root/accounts - || true") == ""
    assert machine.run(f"({FILES}) | diff /root/before - || true") == ""
