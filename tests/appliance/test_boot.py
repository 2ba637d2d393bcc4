"""Ten instances after a boot, beside ten plain Node-REDs that are started together on the same machine."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest

from tests.appliance.machine import status, wait_running
from tests.system.fresh_box import FreshBox

pytestmark = [pytest.mark.appliance, pytest.mark.timeout(900), pytest.mark.usefixtures("shared_processes")]

COUNT = 10
BAR = 3.0  # a guard; what is wanted, 1.3, and what was measured is in docs/measurements.md
PUBLIC, NODE_RED = 10000, 12080  # of instance 0
# Seconds from a moment, as /proc/uptime counts, until all ports answer. It asks one port at a time, to cost little.
ASK = """
import os, socket, sys, time
since, ports = float(sys.argv[1]), [int(port) for port in sys.argv[2:]]
deadline = time.monotonic() + 180
while ports and time.monotonic() < deadline:
    try:
        with socket.create_connection(("127.0.0.1", ports[0]), 2) as line:
            line.settimeout(5)
            line.sendall(b"GET / HTTP/1.0\\r\\n\\r\\n")
            if line.recv(64).split(b" ")[1:2] == [b"200"]:
                ports.pop(0)
                continue
    except OSError:
        pass
    time.sleep(0.05)
assert not ports, ports
print(float(open("/proc/uptime").read().split()[0]) - since)
"""
PLAIN = """
set -e
pids=
node=$(ls /var/lib/weir/runtimes/*/bin/node | head -n 1)
red=$(ls /var/lib/weir/stacks/*/node_modules/node-red/red.js | head -n 1)
since=$(cut -d' ' -f1 /proc/uptime)
for n in $(seq 0 9); do
  mkdir -p /tmp/plain$n
  "$node" "$red" --userDir /tmp/plain$n --port $((20000 + n)) >/dev/null 2>&1 </dev/null &
  pids="$pids $!"
done
python3 /root/ask.py $since $(seq 20000 20009)
kill $pids
"""


def answered_s(machine: FreshBox, ports: list[int]) -> float:
    """From the start of the machine's first process until all ports answer."""
    since = "$(awk '{print $22 / 100}' /proc/1/stat)"
    return float(machine.run(f"python3 /root/ask.py {since} {' '.join(map(str, ports))}", timeout_s=240))


def test_ten_instances_answer_soon_after_a_boot(installed: FreshBox) -> None:
    installed.run(f"cat >/root/ask.py <<'X'\n{ASK}\nX")
    for number in range(1, COUNT):
        installed.run(f"weir instance create boot-{number} --wait", timeout_s=120)
    each = [wait_running(installed, "first"), *(wait_running(installed, f"boot-{n}") for n in range(1, COUNT))]
    ports = [NODE_RED + (urlsplit(one["url"]).port or 0) - PUBLIC for one in each]
    installed.tool("stop")
    installed.tool("boot")
    ours = answered_s(installed, ports)
    assert len(status(installed)["instances"]) == COUNT
    installed.run("systemctl stop weir.service 'weir-launcher@*.service'", timeout_s=120)
    plain = float(installed.run(PLAIN, timeout_s=240))
    print(f"\nboot until {COUNT} instances answer: {ours:.1f} s; {COUNT} plain ones started together: {plain:.1f} s")
    assert ours <= BAR * plain, f"{ours:.1f} s, {ours / plain:.2f} × {plain:.1f} s"
