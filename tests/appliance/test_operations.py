"""Looking after an installed box: maintenance over a reboot, names and certificates, metrics, the doctor."""

from __future__ import annotations

import json
import time

import pytest

from tests.appliance.machine import status, wait_running
from tests.system.fresh_box import FreshBox

pytestmark = [pytest.mark.appliance, pytest.mark.timeout(600)]

SERVED = "echo | openssl s_client -connect localhost:443 2>/dev/null | openssl x509 -noout -ext subjectAltName"
OWN = """
set -e
mkdir -p /etc/weir/own; cd /etc/weir/own
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout own.key -out own.crt -days {days} \
    -subj /CN=x -addext subjectAltName=DNS:plant.example 2>/dev/null
chgrp -R _weir /etc/weir/own; chmod 750 .; chmod 640 own.key
printf '[tls]\\ncertificate = "/etc/weir/own/own.crt"\\nkey = "/etc/weir/own/own.key"\\n' >/etc/weir/config.d/own.toml
chgrp _weir /etc/weir/config.d/own.toml; chmod 640 /etc/weir/config.d/own.toml
systemctl restart weir
"""


def until(machine: FreshBox, script: str, wanted: str, timeout_s: float = 60) -> str:
    """What the script prints, once `wanted` is in it."""
    deadline = time.monotonic() + timeout_s
    while wanted not in (said := machine.run(script, check=False)):
        assert time.monotonic() < deadline, said
        time.sleep(0.5)
    return said


def test_maintenance_lasts_over_a_reboot(installed: FreshBox) -> None:
    installed.run('weir maintenance on --reason "new switch"')
    units = "systemctl list-units 'weir-launcher@*' --no-legend --plain; echo end"
    until(installed, f"{units} | head -n 1", "end", 30)
    installed.tool("stop")
    installed.tool("boot")
    until(installed, "weir maintenance show", "new switch")
    shown = status(installed)
    assert shown["maintenance"]["on"] and [each["state"] for each in shown["instances"]] == ["suspended"]
    assert installed.run(units).strip() == "end", "nothing was started at boot"
    assert "Conflict" not in installed.run("weir instance start first 2>&1; true")
    installed.run("weir maintenance off")
    wait_running(installed, "first")
    assert status(installed)["room"][0]["more"] >= 0


def test_a_new_address_is_in_the_certificate_within_a_minute(installed: FreshBox) -> None:
    device = installed.run("ip -o -4 addr show scope global | awk '{print $2}' | head -n 1").strip()
    installed.run(f"ip addr add 192.0.2.77/32 dev {device}")
    try:
        ask = "curl -sS -m 3 --cacert /var/lib/weir/tls/ca.crt https://192.0.2.77/healthz 2>&1"
        assert json.loads(until(installed, ask, "ok", 60))["status"] == "ok"
    finally:
        installed.run(f"ip addr del 192.0.2.77/32 dev {device}")


def test_a_certificate_of_ones_own_and_back(installed: FreshBox) -> None:
    installed.run(OWN.format(days=30))
    until(installed, SERVED, "plant.example")
    installed.run("printf broken >/etc/weir/own/own.crt")
    said = until(installed, "weir problems", "can't be used", 120)
    assert "holds no certificate" in said
    assert installed.run("hostname").strip() in installed.run(SERVED), "the box's own serves meanwhile"
    installed.run("rm /etc/weir/config.d/own.toml; systemctl restart weir")
    until(installed, "weir status", "+ running")


def test_metrics_and_the_page_of_the_authority(installed: FreshBox) -> None:
    said = installed.run(
        "t=$(weir metrics token 2>/dev/null); "
        'curl -sS -H "Authorization: Bearer $t" http://127.0.0.1:3000/metrics; '
        'curl -sSk -o /dev/null -w "%{http_code} " -H "Authorization: Bearer $t" https://localhost/metrics; '
        'curl -sS -o /dev/null -w "%{http_code}\\n" http://127.0.0.1:3000/metrics'
    )
    assert "weir_instance_up{" in said and "# EOF" in said
    assert said.strip().endswith("404 401")
    page = installed.run("curl -sS http://127.0.0.1/")
    assert "Android" in page and "Trust this box" in page
    assert installed.run("weir ca show").count("SHA-256") == 1


def test_the_doctor_knows_of_failed_units(installed: FreshBox) -> None:
    installed.run("systemd-run --unit=weir-odd /bin/false; sleep 0.5")
    try:
        said = installed.run("weir doctor; true")
        assert "The unit weir-odd.service has failed" in said and "journalctl -u weir-odd.service" in said
        assert "versions" in said
    finally:
        installed.run("systemctl reset-failed weir-odd.service")
