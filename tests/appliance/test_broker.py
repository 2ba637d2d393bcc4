"""The message broker of an installed box: a unit of its own account, which needs the appliance for changes only."""

from __future__ import annotations

import base64
import json
import re
import ssl
from pathlib import Path
from typing import Any

import pytest

from appliance.auth.secrets import BoxSecrets
from appliance.services import broker
from tests.broker_box import Connection
from tests.system.fresh_box import FreshBox

pytestmark = [pytest.mark.appliance, pytest.mark.timeout(900)]

UNIT = "weir-mosquitto.service"
PID = f"systemctl show -p MainPID --value {UNIT}"
# $1: the process before; until another one runs and answers.
REPLACED = f"""
for i in $(seq 200); do
  pid=$({PID}); [ "$pid" != 0 ] && [ "$pid" != "$1" ] && weir broker status >/dev/null && exit 0; sleep 0.3
done; exit 1
"""


def status(machine: FreshBox) -> Any:
    return json.loads(machine.run("weir broker status --json"))


def replaced(machine: FreshBox, before: str) -> None:
    machine.run(f"set -- {before}\n{REPLACED}")


class Login:
    """What the first instance logs in with, and the way to the broker from another machine."""

    def __init__(self, machine: FreshBox, directory: Path) -> None:
        first = json.loads(machine.run("weir instance show first --json"))
        self.team, self.id = first["team"]["id"], first["id"]
        key = base64.b64decode(machine.run("base64 -w0 /var/lib/weir/state/box.key"))
        generation = machine.run(
            "/opt/weir/current/bin/python -c \"import sqlite3; print(sqlite3.connect('/var/lib/weir/state/weir.db')"
            f".execute('select generation from instances where id = ?', ('{self.id}',)).fetchone()[0])\""
        )
        self.password = broker._password(BoxSecrets(key), self.id, int(generation))
        self.address = machine.address
        self.ca = directory / "ca.crt"
        self.ca.write_text(machine.run("cat /var/lib/weir/tls/ca.crt"))

    def by_tls(self, password: str = "") -> Connection:
        """From outside, trusting nothing but the box's own authority."""
        trusted = ssl.create_default_context(cafile=str(self.ca))
        user = f"project:{self.team}:{self.id}"
        return Connection(8883, user, password or self.password, tls=trusted, host=self.address)

    def works(self) -> bool:
        one = self.by_tls()
        try:
            return not one.refused and one.publish(f"ff/v1/{self.team}/c/a") in ("Success", "No matching subscribers")
        finally:
            one.close()


@pytest.fixture(scope="module")
def login(installed: FreshBox, tmp_path_factory: pytest.TempPathFactory) -> Login:
    installed.run("set --\n" + REPLACED)
    return Login(installed, tmp_path_factory.mktemp("ca"))


def test_it_runs_and_listens_on_loopback_only(installed: FreshBox, login: Login) -> None:
    """Without netlink Mosquitto does not find the loopback interface, and serves the network instead."""
    told = status(installed)
    assert told["running"] and told["message"] == "" and told["clients"] == 1
    listening = installed.run("ss -Hltnp | grep '\"mosquitto\"'")
    assert sorted(line.split()[3] for line in listening.splitlines()) == ["127.0.0.1:1883", "127.0.0.1:1884"]
    assert json.loads(installed.run("weir status --json"))["broker"] == {"running": True}
    assert not [each for each in json.loads(installed.run("weir problems --json")) if "broker" in each["key"]]


def test_programs_elsewhere_log_in_by_tls(login: Login) -> None:
    assert login.works()
    assert login.by_tls("wrong").refused == "Not authorized"


def test_it_has_an_account_and_no_rights(installed: FreshBox) -> None:
    assert installed.run(f"ps -o user= -p $({PID})").strip().startswith("_weir")
    said = installed.run(f"systemd-analyze security --no-pager {UNIT} | tail -n 1")
    found = re.search(r"([0-9.]+) ", said.rpartition(":")[2])
    assert found is not None and float(found[1]) <= 2.5, said
    assert installed.run(f"systemd-analyze verify --recursive-errors=no /etc/systemd/system/{UNIT} 2>&1").strip() == ""


def test_a_flow_reaches_neither_the_list_of_clients_nor_the_control_socket(installed: FreshBox) -> None:
    """As the instance's own user, in its own file system."""
    asked = " ".join(
        (
            "/var/lib/weir/mosquitto/dynamic-security.json",
            "/run/weir-mosquitto/dynamic-security.json",
            "/run/weir-mosquitto/control.sock",
        )
    )
    opened = installed.run(
        "unit=$(systemctl list-units 'weir-launcher@*' --plain --no-legend | cut -d' ' -f1)\n"
        "pid=$(systemctl show -p MainPID --value $unit)\n"
        "uid=$(stat -c %u /proc/$pid)\n"
        "nsenter -t $pid -m -- setpriv --reuid $uid --regid $(stat -c %g /proc/$pid) --clear-groups "
        f"sh -c 'for each in {asked}; do test -r $each && echo $each; done; true'"
    )
    assert opened.strip() == ""


def test_a_killed_one_comes_back(installed: FreshBox, login: Login) -> None:
    pid = str(status(installed)["pid"])
    installed.run(f"kill -9 {pid}")
    replaced(installed, pid)
    assert login.works()


def test_it_needs_no_appliance(installed: FreshBox, login: Login) -> None:
    """Neither to go on, nor to be started: who may log in is in a file of its own."""
    pid = str(status(installed)["pid"])
    installed.run("systemctl stop weir.socket weir-web.socket weir.service")
    try:
        assert login.works()
        installed.run(f"kill -9 {pid}; sleep 2; systemctl is-active {UNIT}")
        assert login.works()
        restarted = installed.run(PID).strip()
    finally:
        installed.run("systemctl start weir.socket weir-web.socket weir.service")
    installed.run("set --\n" + REPLACED)
    assert str(status(installed)["pid"]) == restarted, "it is adopted as it is"


def test_a_boot_brings_it_up_before_the_appliance_is_asked(installed: FreshBox, login: Login) -> None:
    installed.tool("kill")
    installed.tool("boot")
    installed.run("set --\n" + REPLACED)
    assert status(installed)["message"] == "" and login.works()
