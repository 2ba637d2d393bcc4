"""Looking after an installed box: maintenance over a reboot, names and certificates, metrics, the doctor."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import struct
import time
from pathlib import Path

import pytest

from tests.appliance.machine import status, wait_running
from tests.system.fresh_box import FreshBox

pytestmark = [pytest.mark.appliance, pytest.mark.timeout(600)]

SERVED = "echo | openssl s_client -connect localhost:443 2>/dev/null | openssl x509 -noout -ext subjectAltName"
AVAHI = (
    "export DEBIAN_FRONTEND=noninteractive; get='apt-get -q -y install --no-install-recommends avahi-daemon'; "
    "$get || { apt-get -q update && $get; }"
)
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


def test_the_name_that_avahi_announces_leads_here_and_is_trusted(installed: FreshBox, tmp_path: Path) -> None:
    """Asked from outside the machine, over its network."""
    if "is-there" not in installed.run(f"({AVAHI}) >/dev/null 2>&1 && echo is-there; true"):
        pytest.skip("avahi-daemon can't be installed here")
    name = f"{installed.run('hostname').strip()}.local"
    assert asked_by_mdns(name, installed.address) == installed.address
    # Where two machines have one name, Avahi gives one of them another: that is what the box is called then.
    call = "busctl --system call org.freedesktop.Avahi / org.freedesktop.Avahi.Server"
    installed.run(f"{call} SetHostName s plant-7")
    until(installed, "weir name list", "plant-7.local", 120)
    until(installed, SERVED, "plant-7.local")
    assert asked_by_mdns("plant-7.local", installed.address) == installed.address
    installed.tool("pull", "/var/lib/weir/tls/ca.crt", str(tmp_path / "ca.crt"))
    trusted = ssl.create_default_context(cafile=tmp_path / "ca.crt")
    with (
        socket.create_connection((installed.address, 443), 30) as plain,
        trusted.wrap_socket(plain, server_hostname="plant-7.local") as line,
    ):
        line.sendall(b"GET /healthz HTTP/1.1\r\nHost: plant-7.local\r\nConnection: close\r\n\r\n")
        assert line.recv(100).startswith(b"HTTP/1.1 200")


def asked_by_mdns(name: str, near: str) -> str:
    """The address that a name of the local network has, asked in the network in which the address `near` is."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        asked.connect((near, 9))
        own = asked.getsockname()[0]
    question = b"".join(bytes([len(part)]) + part.encode() for part in name.split(".")) + b"\0\0\1\0\1"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        asked.settimeout(3)
        asked.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(own))
        asked.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 255)
        asked.bind((own, 0))
        for _ in range(5):  # a datagram may get lost
            asked.sendto(struct.pack("!6H", 7, 0, 1, 0, 0, 0) + question, ("224.0.0.251", 5353))
            with contextlib.suppress(TimeoutError):
                return socket.inet_ntoa(asked.recv(2000)[-4:])
    raise AssertionError(f"nobody answers to {name}")


def test_nobody_can_put_a_link_where_systemd_gives_a_socket_away(installed: FreshBox) -> None:
    """chown(2), which systemd uses for SocketUser=, follows links."""
    assert installed.run("stat -c '%U %G %a' /run/weir").strip() == "root _weir 1775"
    as_weir = "setpriv --reuid=_weir --regid=_weir --init-groups sh -c"
    tries = "rm -f {0}; mv {0} {0}.x; ln -sf /etc/shadow {0}; ln -sfT /etc/shadow {0}; test ! -e /run/weir/.own"
    installed.run("python3 -c \"import socket; socket.socket(socket.AF_UNIX).bind('/run/weir/new.sock')\"")
    installed.run(f"{as_weir} '{tries.format('/run/weir/new.sock')}' 2>&1; true")
    assert installed.run("stat -c '%F %U' /run/weir/new.sock; rm /run/weir/new.sock").strip() == "socket root"
    installed.run("systemctl restart weir.socket weir-web.socket weir-keys.socket weir.service")
    wait_running(installed, "first")
    assert installed.run("stat -c '%U %G %a' /run/weir /etc/shadow").splitlines() == [
        "root _weir 1775",
        "root shadow 640",
    ]


def test_the_log_of_nginx_is_kept_short_while_it_runs(installed: FreshBox) -> None:
    log, pid = "/run/weir-nginx/nginx.log", "systemctl show -P MainPID weir-nginx.service"
    before = installed.run(pid)
    installed.run(f"head -c 5300000 /dev/zero | tr '\\0' 'x' >>{log}")
    until(installed, f"stat -c %s {log}.1", "53", 120)
    assert int(until(installed, f"stat -c %s {log} && echo there", "there", 20).split()[0]) < 100_000
    assert installed.run(pid) == before, "it was told, not started anew"
    open_ = f"ls -l /proc/{before.strip()}/fd"
    assert f"{log}\n" in installed.run(open_) and f"{log}.1\n" not in installed.run(open_)
    code = installed.run("curl -sk -o /dev/null -w '%{http_code}' https://localhost:10000/")
    assert code in ("200", "302", "303")


def test_the_doctor_knows_of_failed_units(installed: FreshBox) -> None:
    installed.run("systemd-run --unit=weir-odd /bin/false; sleep 0.5")
    try:
        said = installed.run("weir doctor; true")
        assert "The unit weir-odd.service has failed" in said and "journalctl -u weir-odd.service" in said
        assert "versions" in said
    finally:
        installed.run("systemctl reset-failed weir-odd.service")
