"""A flow is an attacker with a shell as its instance's user: what it can't get at, and what it can't take from others.

Every attack is one of a real flow (an exec or a function node) in a real unit on an installed box.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import Any

import pytest

from tests.appliance.sandbox_rig import Neighbours
from tests.system.fresh_box import FreshBox

pytestmark = [pytest.mark.appliance, pytest.mark.timeout(600)]

# Prints for each attempt what came of it: "GOT" is an escape.
ATTEMPTS = """
import ctypes, errno, json, os, socket, subprocess, sys
found = {}
def attempt(name, work):
    try:
        answer = work()
    except OSError as error:
        found[name] = errno.errorcode.get(error.errno, str(error))
    except subprocess.SubprocessError:
        found[name] = "refused"
    else:
        found[name] = "GOT " + str(answer)[:80]
def read(path):
    return lambda: open(path, "rb").read(100)
def write(path):
    return lambda: open(path, "w").write("x")
def call(*words):
    return lambda: subprocess.run(words, check=True, capture_output=True, timeout=10, stdin=subprocess.DEVNULL).stdout
def bytes_of(path):
    s = socket.socket(socket.AF_UNIX); s.settimeout(5); s.connect(path)
    s.sendall(b"GET /api/v1/user HTTP/1.0\\r\\n\\r\\n")
    answer = s.recv(100)
    if not answer: raise OSError(errno.EACCES, "nothing was said")
    return answer
libc = ctypes.CDLL(None, use_errno=True)
def syscall(name, *arguments):
    def work():
        if getattr(libc, name)(*arguments) != 0: raise OSError(ctypes.get_errno(), name)
    return work
launcher, other = int(sys.argv[1]), int(sys.argv[2])
attempt("database", read("/var/lib/weir/state/weir.db"))
attempt("box key", read("/var/lib/weir/state/box.key"))
attempt("certificate key", read("/var/lib/weir/tls/box.key"))
attempt("configuration", read("/etc/weir/config.toml"))
attempt("shadow", read("/etc/shadow"))
attempt("other userDir", lambda: os.listdir("/var/lib/weir-instances/" + sys.argv[3]))
attempt("other userDir, by its place", lambda: os.listdir("/var/lib/private/weir-instances/" + sys.argv[3]))
attempt("credentials", lambda: os.listdir("/run/credentials")[0])
attempt("own launcher memory", read(f"/proc/{launcher}/mem"))
attempt("own launcher environment", read(f"/proc/{launcher}/environ"))
attempt("own launcher descriptors", lambda: os.listdir(f"/proc/{launcher}/fd"))
attempt("own launcher, traced", lambda: syscall("ptrace", 16, launcher, 0, 0)())
attempt("other launcher", read(f"/proc/{other}/cmdline"))
attempt("root homes", lambda: os.listdir("/root")[0])
attempt("poisoned stack", write("/var/lib/weir/stacks/x"))
attempt("poisoned release", write("/opt/weir/current/x"))
attempt("poisoned record", write("/var/lib/weir/launch/x"))
attempt("flag of nginx", write("/run/weir/up/x"))
attempt("unit file", write("/etc/systemd/system/x.service"))
attempt("unit file of the moment", write("/run/systemd/system/x.service"))
attempt("cron", write("/etc/cron.d/x"))
attempt("sudoers", write("/etc/sudoers.d/x"))
attempt("profile", write("/etc/profile.d/x.sh"))
attempt("systemctl", call("systemctl", "--no-ask-password", "start", "cron.service"))
attempt("systemctl on its own unit", call("systemctl", "--no-ask-password", "restart", sys.argv[4]))
attempt("systemd-run", call("systemd-run", "--no-ask-password", "id"))
attempt("sudo", call("sudo", "-n", "id"))
attempt("su", call("setsid", "su", "-c", "id"))
attempt("set-user-id", lambda: (open("sh", "wb").write(open("/bin/sh", "rb").read()), os.chmod("sh", 0o4755)))
attempt("user namespace", syscall("unshare", 0x10000000))
attempt("mount", syscall("mount", b"none", b"/mnt", b"tmpfs", 0, 0))
attempt("chroot", syscall("chroot", b"/"))
attempt("host name", syscall("sethostname", b"x", 1))
attempt("kernel log", read("/dev/kmsg"))
attempt("device node", lambda: os.mknod("disk", 0o60600, os.makedev(8, 0)))
attempt("memory of the machine", read("/dev/mem"))
attempt("raw packets", lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW))
attempt("api socket", lambda: bytes_of("/run/weir/api.sock"))
attempt("web socket", lambda: bytes_of("/run/weir/web.sock"))
attempt("another boot ticket", lambda: bytes_of("/run/weir/boot.sock"))
attempt("port below 1024", lambda: socket.create_server(("127.0.0.1", 99)))
print(json.dumps(found))
"""
CALLS = """
import http.client, json, sys
def call(port, path):
    c = http.client.HTTPConnection("127.0.0.1", int(port), timeout=5)
    c.request("GET", path)
    return c.getresponse().status
ports = [(sys.argv[1], "/flowforge/info"), (sys.argv[2], "/flowforge/info"), (3000, "/api/v1/user")]
print(json.dumps([call(*each) for each in ports]))
"""
FORKS = """
import json, os, time
made, refused = [], None
while refused is None and len(made) < 3000:
    try:
        pid = os.fork()
    except OSError as error:
        refused = error.errno
        break
    if pid == 0:
        time.sleep(4); os._exit(0)
    made.append(pid)
for pid in made: os.kill(pid, 9)
print(json.dumps([len(made), refused]))
"""
SPIN = """
import json, os, time
def used(): return sum(os.times()[:4])
for _ in range(4):
    if os.fork() == 0:
        end = time.monotonic() + 4
        while time.monotonic() < end: pass
        os._exit(0)
began = time.monotonic()
for _ in range(4): os.wait()
print(json.dumps([used(), time.monotonic() - began]))
"""
EAT = "import json; kept = [bytearray(b'x' * (10 << 20)) for _ in range(200)]; print(json.dumps(len(kept)))"


@pytest.fixture(scope="module")
def two(installed: FreshBox) -> Iterator[Neighbours]:
    yield Neighbours(installed)


def test_nothing_is_reached_from_a_flow(two: Neighbours) -> None:
    pids = [two.shown(each.unit, "MainPID") for each in (two.attacker, two.quiet)]
    other = two.quiet.unit.removeprefix("weir-launcher@").removesuffix(".service")
    script = ATTEMPTS.replace("sys.argv", repr(["", *pids, other, two.attacker.unit]))
    outcome: dict[str, Any] = two.python(script)
    assert len(outcome) == ATTEMPTS.count("\nattempt(")
    assert {name: said for name, said in outcome.items() if said.startswith("GOT")} == {}


def test_its_user_is_its_own_and_what_it_made_is_gone_with_it(two: Neighbours) -> None:
    mine, others = (two.flow("id -u; pwd; stat -c %a .", who=each).split() for each in (two.attacker, two.quiet))
    assert mine[0] != others[0] and min(int(mine[0]), int(others[0])) > 60000
    assert (mine[2], others[2]) == ("700", "700")
    two.flow("echo left >/tmp/left; echo left >/var/tmp/left")
    assert two.flow("cat /tmp/left /var/tmp/left 2>&1", who=two.quiet).count("No such file") == 2
    two.machine.run("weir instance create gone --flows /root/flows.json --wait --timeout 120")
    gone = two.one("gone")
    two.flow("mkdir closed; touch closed/file; chmod 0 closed; ln -s /etc/hostname link", who=gone)
    two.machine.run("weir instance delete gone --yes --wait")
    name = gone.unit.removeprefix("weir-launcher@").removesuffix(".service")
    assert two.machine.run(f"ls -d /var/lib/private/weir-instances/{name} 2>&1; true").endswith(
        "No such file or directory\n"
    )
    assert two.machine.run("cat /etc/hostname").strip()


def test_launchers_and_the_appliance_want_their_secrets(two: Neighbours) -> None:
    script = CALLS.replace("sys.argv", repr(["", str(two.quiet.launcher), str(two.attacker.launcher)]))
    assert two.python(script) == [401, 401, 401]


def test_a_stolen_port_gets_no_traffic(two: Neighbours) -> None:
    """Where the kernel can't keep the port for its instance, nginx sees whose socket it is."""
    two.machine.run("weir instance suspend quiet --wait")
    thief = (
        "import http.server, threading\n"
        f"s = http.server.HTTPServer(('127.0.0.1', {two.quiet.node_red}), http.server.SimpleHTTPRequestHandler)\n"
        "threading.Timer(20, s.shutdown).start(); s.serve_forever()"
    )
    two.flow(f'nohup setsid python3 -c "{thief}" >/dev/null 2>&1 & sleep 1')
    two.machine.run("weir instance start quiet || true")
    for _ in range(8):
        answer = two.machine.run(f"curl -sk -m 5 https://127.0.0.1:{two.quiet.public}/ || true; sleep 0.5")
        assert "Directory listing" not in answer
    two.until(lambda: two.state("quiet") == "running", 90, "the rightful instance is back")


def test_weirs_account_can_do_nothing_but_its_verbs(two: Neighbours) -> None:
    """Somebody who has taken over the appliance."""
    unit = two.attacker.unit
    refused = [
        f"enable {unit}",
        f"mask {unit}",
        f"freeze {unit}",
        f"revert {unit}",
        f"bind {unit} /etc/shadow /tmp/shadow",
        f"set-property {unit} BindPaths=/root",
        f"set-property {unit} ExecStart=/bin/sh",
        f"set-property {unit} User=root",
        "start weir-launcher@x.service",
        "start ssh.service",
        "stop weir.service",
        "set-property weir.service MemoryMax=1G",
        "kill cron.service",
        "clean weir.service",
        "isolate rescue.target",
        "daemon-reload",
        "set-environment A=B",
        "reboot",
    ]
    tried = "".join(
        f"setpriv --reuid=_weir --regid=_weir --init-groups systemctl --no-ask-password {words} >/dev/null 2>&1 "
        f"&& echo {words.split()[0]} {words.split()[-1]}\n"
        for words in refused
    )
    run = (
        "setpriv --reuid=_weir --regid=_weir --init-groups systemd-run --no-ask-password id >/dev/null 2>&1 && echo run"
    )
    assert two.machine.run(f"{tried}{run}\ntrue") == ""
    two.machine.run(
        f"setpriv --reuid=_weir --regid=_weir --init-groups systemctl --no-ask-password kill --signal=SIGCONT {unit}"
    )


def test_limits_hold_at_once_and_the_others_answer(two: Neighbours) -> None:
    quiet = max(5.0, two.p99_ms())
    two.weir("instance", "limits", "attacker", "--tasks", "120", "--cpu", "50", "--memory", "256")
    made, refused = two.python(FORKS)
    assert made < 120 and refused == 11  # EAGAIN
    used, lasted = two.python(SPIN)
    assert used < lasted * 0.5 * 1.3
    assert two.flow(f'python3 -c "{EAT}" 2>&1; echo $?').split()[-1] == "137"
    for script in (FORKS, SPIN, EAT):
        two.flow(f"nohup setsid python3 -c {shlex.quote(script)} >/dev/null 2>&1 & sleep 0.2")
        assert two.answers_within(2 * quiet), script
    shown = two.weir("instance", "limits", "attacker")
    assert (shown["memoryMb"], shown["cpuPercent"], shown["tasks"]) == (256, 50, 120)
    assert two.state("quiet") == "running"


def test_node_red_that_takes_too_much_memory_is_said_to_have(two: Neighbours) -> None:
    two.until(lambda: two.state("attacker") == "running", 90, "it is back")
    two.machine.run(f"curl -sS -m 20 -X POST http://127.0.0.1:{two.attacker.node_red}/eat || true")

    def told() -> bool:
        crashes = two.machine.run("weir instance crashes attacker -n 1 || true").lower()
        return "memory" in crashes

    two.until(told, 60, "the crash is reported as one for want of memory")
    two.until(lambda: two.state("attacker") == "running", 120, "it was started again")
    assert two.state("quiet") == "running"


def test_an_instance_over_its_room_on_the_disk_is_suspended_with_the_reason(two: Neighbours) -> None:
    two.weir("instance", "limits", "attacker", "--disk", "100")
    two.flow("mkdir -p hidden; dd if=/dev/zero of=hidden/fill bs=1M count=150 status=none; chmod 0 hidden")
    two.until(lambda: two.state("attacker") == "suspended", 60, "the filler is suspended")
    problem = two.problem(f"disk_quota:{two.attacker.id}")
    assert problem is not None and "MB of 100 MB" in problem["evidence"] and "--disk" in problem["nextStep"]
    assert two.state("quiet") == "running"
    two.weir("instance", "limits", "attacker", "--disk", "1000")
    two.machine.run("weir instance start attacker --wait --timeout 120")
    two.until(lambda: two.problem(f"disk_quota:{two.attacker.id}") is None, 60, "the problem is over")


def test_a_shell_is_in_the_sandbox_and_in_the_audit_log(two: Neighbours) -> None:
    """What the flows can do, it can do: nothing more, whoever opened it."""
    typed = "id -u; cat /var/lib/weir/state/box.key; tty; stty size; exit"
    inside = "stty rows 33 cols 99; weir instance shell quiet"
    said = two.machine.run(
        f"(sleep 2; echo '{typed}'; sleep 2) | script -qec {shlex.quote(inside)} /dev/null", timeout_s=60
    )
    assert two.flow("id -u", who=two.quiet).strip() in said.split()
    assert "Permission denied" in said and "/dev/pts/" in said and "33 99" in said
    assert "instance.shell.opened" in two.machine.run("weir audit quiet --json -n 20")


def test_a_device_is_one_instances(two: Neighbours) -> None:
    two.weir("instance", "limits", "attacker", "--device", "/dev/ttyUSB7")
    assert "/dev/ttyUSB7 rw" in two.shown(two.attacker.unit, "DeviceAllow")
    refused = two.machine.run("weir instance limits quiet --device /dev/ttyUSB7 2>&1; true")
    assert "leased to the instance 'attacker'" in refused
    assert "can't be leased" in two.machine.run("weir instance limits quiet --device /dev/sda 2>&1; true")
    two.weir("instance", "limits", "attacker", "--no-device", "/dev/ttyUSB7")
    assert "ttyUSB7" not in two.shown(two.attacker.unit, "DeviceAllow")
    two.weir("instance", "limits", "quiet", "--device", "/dev/ttyUSB7")


def test_ports_reach_the_unit_and_doctor_tells_what_nobody_enforces(two: Neighbours) -> None:
    two.weir("instance", "limits", "attacker", "--ports", "tcp:1880,udp:5000-5010")
    allowed = two.shown(two.attacker.unit, "SocketBindAllow").split()
    assert {"tcp1880", "udp5000-5010", f"tcp{two.attacker.node_red}"} <= set(allowed)
    assert "1-65535" in two.shown(two.attacker.unit, "SocketBindDeny").split()
    assert two.flow("echo serves", who=two.attacker).strip() == "serves"  # its own port is still its own
    assert "lists of ports do not hold" in two.machine.run("weir doctor 2>&1; true")  # Debian 12
    assert "12080-13079 belongs to Weir" in two.machine.run("weir instance limits quiet --ports 12081 2>&1; true")
    two.weir("instance", "limits", "attacker", "--ports", "all")
    assert "1-65535" not in two.shown(two.attacker.unit, "SocketBindDeny").split()


def test_instances_outlive_the_appliance_and_start_without_it(two: Neighbours) -> None:
    before = two.shown(two.quiet.unit, "MainPID")
    two.machine.run("systemctl restart weir")
    assert two.shown(two.quiet.unit, "MainPID") == before
    two.machine.run(f"systemctl stop weir.socket weir-web.socket weir; systemctl restart {two.quiet.unit}")
    ping = f"curl -s -o /dev/null -m 2 -w '%{{http_code}}' http://127.0.0.1:{two.quiet.node_red}/ping || true"
    two.until(lambda: two.machine.run(ping).strip() == "200", 60, "it serves without the appliance")
    two.machine.run("systemctl start weir.socket weir-web.socket weir")
    two.until(lambda: two.state("quiet") == "running", 60, "it was adopted with its new process")


def test_the_unit_is_well_shut(two: Neighbours) -> None:
    said = two.machine.run(f"systemd-analyze security --no-pager {two.quiet.unit} | tail -1")
    assert float(said.split(":")[-1].split()[0]) <= 3.5
    assert two.machine.run(f"systemd-analyze verify --recursive-errors=no {two.quiet.unit} 2>&1; true") == ""
    for name, value in (("MemorySwapMax", "0"), ("OOMPolicy", "continue"), ("KillMode", "mixed")):
        assert two.shown(two.quiet.unit, name) == value
