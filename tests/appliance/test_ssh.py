"""`ssh weir@box` on an installed box: who comes in as whom, what he gets, and what he can't get at."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from msgspec import Struct

from tests.system.fresh_box import FreshBox

pytestmark = [pytest.mark.appliance, pytest.mark.timeout(900)]

ROLES = ("admin", "owner", "viewer", "stranger")
TERMS = ("xterm-256color", "screen-256color", "linux", "vt220")
HELPER = "/opt/weir/current/systemd/weir_keys.py /run/weir/keys.sock /var/lib/weir/ssh/administrators weir"
# Trades the ticket in its first argument as a login's own process does; prints the status.
TRADE = """
import http.client, socket, sys
c = http.client.HTTPConnection("weir"); c.sock = socket.socket(socket.AF_UNIX); c.sock.connect("/run/weir/api.sock")
c.request("POST", "/api/v1/ssh/session", '{"ticket": "' + sys.argv[1] + '"}', {"Content-Type": "application/json"})
print(c.getresponse().status)
"""


class Done(Struct, frozen=True):
    """How a login ended."""

    code: int
    out: str
    err: str


class Logins:
    """Keys of people of every kind, and a machine on which they are known."""

    def __init__(self, machine: FreshBox, keys: Path) -> None:
        self.machine = machine
        self.keys = keys
        self.address = machine.address

    def command(self, who: str, *options: str) -> list[str]:
        """ssh as `weir` with that person's key, up to the remote command."""
        fixed = ("BatchMode=yes", "StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "LogLevel=ERROR")
        words = [word for each in (*fixed, "IdentitiesOnly=yes", "IdentityAgent=none") for word in ("-o", each)]
        return ["ssh", "-F", "none", *words, "-i", str(self.keys / who), *options, f"weir@{self.address}"]

    def __call__(self, who: str, *words: str, given: str = "", options: tuple[str, ...] = ()) -> Done:
        remote = ["--", " ".join(shlex.quote(word) for word in words)] if words else []
        done = subprocess.run(
            [*self.command(who, *options), *remote], input=given, capture_output=True, text=True, timeout=60
        )
        return Done(done.returncode, done.stdout, done.stderr)

    def public(self, who: str) -> str:
        return (self.keys / f"{who}.pub").read_text().strip()

    def fingerprint(self, who: str) -> str:
        listed = subprocess.run(
            ["ssh-keygen", "-lf", str(self.keys / f"{who}.pub")], capture_output=True, text=True, check=True, timeout=10
        )
        return listed.stdout.split()[1]


@pytest.fixture(scope="module")
def logins(installed: FreshBox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Logins]:
    keys = tmp_path_factory.mktemp("keys")
    for each in ROLES:
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", f"{each}@desk", "-f", str(keys / each)]
        subprocess.run(command, check=True, timeout=30)
    found = Logins(installed, keys)
    add = "".join(
        f"weir user create {name} --team home --role {role} --json >/dev/null\n"
        f"echo '{found.public(role)}' | weir user key add - --user {name}\n"
        for name, role in (("olga", "owner"), ("vic", "viewer"))
    )
    installed.run(f"set -e\n{add}echo '{found.public('admin')}' | weir user key add -")
    # sshd since 9.8 (Debian 13) shuts out an address that came with wrong keys: here all come from the same.
    installed.run(
        "if sshd -T | grep -q ^persourcepenalties; then "
        "echo 'PerSourcePenalties no' >/etc/ssh/sshd_config.d/penalties.conf && systemctl reload ssh; fi"
    )
    yield found


def test_everybody_comes_as_himself(logins: Logins) -> None:
    assert "administrator" in logins("admin", "user", "rights").out
    assert logins("owner", "user", "rights").out == "Home: owner\n"
    assert logins("viewer", "user", "rights").out == "Home: viewer\n"
    stranger = logins("stranger", "status")
    assert stranger.code == 255 and stranger.out == "" and "denied" in stranger.err
    assert logins("viewer", "instance", "list").out.count("first") == 1
    for who, may in (("viewer", False), ("owner", True)):
        done = logins(who, "instance", "set", "first", "crash-policy=retry")
        assert (done.code == 0) is may, done
    assert logins("viewer", "user", "list").code == 1
    assert "vic" in logins("admin", "user", "list").out
    # What each did stands under his own name.
    log = logins("admin", "audit", "--platform", "--json", "-n", "100").out
    assert '"account.login"' in log and '"vic"' in log and '"account.logout"' in log


def test_a_login_gets_neither_files_nor_programs_nor_a_way_through(logins: Logins) -> None:
    logins.machine.run("echo secret >/tmp/world-readable; chmod 644 /tmp/world-readable")
    for words in (
        ("user", "key", "add", "/tmp/world-readable"),
        ("snapshot", "import", "first", "/tmp/world-readable"),
        ("library", "put", "x", "/tmp/world-readable"),
        ("snapshot", "export", "first", "x", "--without-credentials", "-o", "/tmp/written-over-ssh"),
    ):
        logins("owner", "snapshot", "create", "first", "--name", "x")
        done = logins("owner", *words)
        assert done.code != 0 and "over SSH no file" in done.err and "secret" not in done.out + done.err, (words, done)
    for words in (("up",), ("serve",), ("stack", "build"), ("completion", "bash"), ("--home", "/", "status")):
        done = logins("admin", *words)
        assert done.code == 2 and done.out == "", (words, done)
    # A shell's words are words of ours here.
    for text in ("; id", "$(id)", "status; id", "status && id", "`id`", "|id"):
        done = Done(*_raw(logins, "owner", text))
        assert "uid=" not in done.out + done.err, text
    sftp = subprocess.run([*logins.command("admin", "-s"), "sftp"], capture_output=True, timeout=60, input=b"")
    assert (sftp.returncode, sftp.stdout) == (2, b"")  # "sftp" is no command of weir's
    assert not logins.machine.run("ls /tmp/written-over-ssh 2>/dev/null", check=False)
    # Files travel by the line itself, to the person's own machine and from there.
    exported = logins("owner", "snapshot", "export", "first", "x", "--without-credentials")
    assert exported.code == 0 and exported.out.lstrip().startswith("{"), exported
    own = logins("viewer", "user", "key", "add", "-", given=_new_key(logins))
    assert own.code == 0 and "is kept" in own.out, own


def _raw(logins: Logins, who: str, text: str, *options: str) -> tuple[int, str, str]:
    done = subprocess.run(
        [*logins.command(who, *options), text], capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL
    )
    return done.returncode, done.stdout, done.stderr


def _new_key(logins: Logins) -> str:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(logins.keys / "more")], check=True)
    return logins.public("more")


def test_nothing_but_a_command_on_a_terminal_is_to_be_had(logins: Logins) -> None:
    """As sshd itself sees its configuration for this account, and for others as it was before."""
    said = logins.machine.run("sshd -T -C user=weir,host=h,addr=127.0.0.1; echo ---; sshd -T")
    weir, _, others = said.partition("---\n")
    for line in ("disableforwarding yes", "passwordauthentication no", "authorizedkeysfile none", "permituserrc no"):
        assert line in weir.splitlines(), line
    for line in ("disableforwarding no", "authorizedkeyscommand none"):
        assert line in others.splitlines(), line


def test_tickets_are_worth_nothing_to_others(logins: Logins) -> None:
    """The helper is run by hand, as sshd runs it; the shell above it stands for the sshd of one login."""
    kind, key, _ = logins.public("admin").split(" ")
    as_weir = "setpriv --reuid=weir --regid=weir --clear-groups"
    script = f"""
        cat >/tmp/trade.py <<'PY'\n{TRADE}\nPY
        chmod 644 /tmp/trade.py
        setpriv --reuid=_weir-keys --regid=_weir-keys --clear-groups {HELPER} {logins.fingerprint("admin")} \
            {kind} {key} >/tmp/line
        ticket=$(sed 's/.*--ticket \\([^"]*\\)".*/\\1/' /tmp/line)
        echo "elsewhere $(systemd-run --quiet --pipe --uid=weir python3 /tmp/trade.py $ticket)"
        echo "as nobody $(setpriv --reuid=nobody --regid=nogroup --clear-groups python3 /tmp/trade.py $ticket 2>&1 |
            tail -n 1 | cut -c1-15)"
        echo "own $({as_weir} python3 /tmp/trade.py $ticket)"
        echo "again $({as_weir} python3 /tmp/trade.py $ticket)"
        echo "door $({as_weir} {HELPER} {logins.fingerprint("admin")} {kind} {key} | cut -d'"' -f2)"
        echo "bare $({as_weir} weir status 2>&1 | head -n 1)"
    """
    said = dict(line.strip().split(" ", 1) for line in logins.machine.run(script).splitlines() if " " in line.strip())
    assert said["elsewhere"] == "401", said
    assert said["as"].startswith("nobody Permission"), said
    assert (said["own"], said["again"]) == ("200", "401"), said
    # Who is not sshd's own helper can't ask, so for him it is as if nobody were there.
    assert said["door"] == "exec weir --rescue", said
    assert "is not known here" in said["bare"], said


def test_what_runs_for_a_login_can_be_looked_into_by_nobody_of_its_account(logins: Logins) -> None:
    line = subprocess.Popen(
        [*logins.command("owner"), "instance logs first -f"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
    )
    try:
        assert line.stdout is not None and line.stdout.readline()
        said = logins.machine.run(
            "pid=$(pgrep -n -u weir -f -- '--ticket')\n"
            "setpriv --reuid=weir --regid=weir --clear-groups sh -c"
            ' "cat /proc/$pid/environ; head -c 1 /proc/$pid/mem; ls /proc/$pid/fd" 2>&1; ls -ld /proc/$pid/fd'
        )
        assert said.count("Permission denied") == 3, said
        # Its command line is for all to read, and holds nothing that is still worth anything.
        ticket = logins.machine.run("tr '\\0' ' ' </proc/$(pgrep -n -u weir -f -- '--ticket')/cmdline").split()[-1]
        assert ticket.startswith("wst_")
        tried = f"cat >/tmp/trade.py <<'PY'\n{TRADE}\nPY\nsystemd-run --quiet --pipe --uid=weir python3 /tmp/trade.py"
        assert logins.machine.run(f"{tried} {ticket}").strip() == "401"
    finally:
        line.kill()
        line.communicate()


def test_a_key_taken_back_ends_its_login(logins: Logins) -> None:
    logins.machine.run(f"echo '{logins.public('stranger')}' | weir user key add - --user vic --name guest")
    assert logins("stranger", "user", "rights").out == "Home: viewer\n"
    line = subprocess.Popen(
        [*logins.command("stranger"), "instance logs first -f"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
    )
    try:
        assert line.stdout is not None and line.stdout.readline()
        logins.machine.run("weir user key remove guest --user vic --yes")
        assert logins("stranger", "status").code == 255
        _until(lambda: line.poll() is not None, 30)  # what it followed has ended as well
    finally:
        line.kill()
        line.communicate()


def test_many_wrong_keys_do_not_load_the_appliance(logins: Logins) -> None:
    """Processor time of the appliance over forty logins with a key that it does not know."""
    used = "cat /proc/$(systemctl show -p MainPID --value weir.service)/stat | cut -d' ' -f14,15"
    before = sum(map(int, logins.machine.run(used).split()))
    started = time.monotonic()
    for _ in range(10):
        tries = [
            subprocess.Popen(logins.command("stranger"), stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            for _ in range(4)
        ]
        assert {each.wait(30) for each in tries} == {255}
    took_s = time.monotonic() - started
    ticks = sum(map(int, logins.machine.run(used).split())) - before
    print(f"40 wrong keys in {took_s:.1f} s: {ticks * 10} ms of the appliance")
    assert ticks <= 50  # half a second for all of them, whatever else it did meanwhile
    assert logins("owner", "user", "rights").code == 0


@pytest.mark.parametrize("term", TERMS)
def test_the_screens_on_a_terminal(logins: Logins, term: str) -> None:
    """tmux over a real line: the first screen, a move, an instance and back, the end."""
    with Screen(logins, "owner", term) as screen:
        screen.shows("first", "q leave")
        screen.press("Down")
        screen.press("Enter")
        screen.shows("overview", "made of")
        screen.press("Escape")
        screen.shows("STATE", "first")
        screen.press("l")
        screen.shows("logs", "first")
        screen.press("S")
        screen.shows("ENDED 0", after=lambda: screen.press("q"))


def test_a_shell_from_the_screens_is_in_the_sandbox(logins: Logins) -> None:
    """An owner over SSH gets one as the instance's own user, and his screens back; a viewer is told why not."""
    with Screen(logins, "owner", TERMS[0]) as screen:
        screen.shows("first", "q leave")
        screen.press("s")
        screen.shows("for a shell as its own user, in its sandbox")
        screen.types("first")
        screen.shows("a shell of first as its own user, in its sandbox")
        screen.types("clear; id -un; cat /var/lib/weir/state/box.key; stty size")
        screen.shows("Permission denied", "24 80")
        screen.types("exit")
        screen.shows("the shell of first has ended", "STATE")
        screen.shows("ENDED 0", after=lambda: screen.press("q"))
    with Screen(logins, "viewer", TERMS[0]) as screen:
        screen.shows("first", "q leave")
        screen.types(":shell first")
        screen.shows("your role does not let you open shells")


class Screen:
    """A terminal of 80×24 on which somebody logs in; what it shows is text."""

    def __init__(self, logins: Logins, who: str, term: str) -> None:
        self._socket = f"weir-{os.getpid()}-{term}"
        command = " ".join(shlex.quote(word) for word in logins.command(who, "-tt"))
        self._start = f"TERM={term} {command}; echo ENDED $?; sleep 120"

    def __enter__(self) -> Screen:
        self._tmux("-f", "/dev/null", "new-session", "-d", "-x", "80", "-y", "24", self._start)
        return self

    def __exit__(self, *_: object) -> None:
        self._tmux("kill-server")

    def press(self, key: str) -> None:
        self._tmux("send-keys", key)

    def types(self, text: str) -> None:
        """A line of text, and Enter."""
        self._tmux("send-keys", "-l", text)
        self._tmux("send-keys", "Enter")

    def shows(self, *texts: str, within_s: float = 30, after: Callable[[], None] | None = None) -> None:
        """Until the terminal shows all of it; `after` is done again and again, a second apart."""
        deadline, tried = time.monotonic() + within_s, 0.0
        while not all(text in (seen := self._tmux("capture-pane", "-p")) for text in texts):
            assert time.monotonic() < deadline, f"{texts} not on:\n{seen}"
            if after is not None and time.monotonic() - tried > 1:
                after()
                tried = time.monotonic()
            time.sleep(0.1)

    def _tmux(self, *words: str) -> str:
        done = subprocess.run(["tmux", "-L", self._socket, *words], capture_output=True, text=True, timeout=20)
        assert done.returncode == 0, done.stderr
        return done.stdout


def test_a_dead_line_leaves_nothing_behind(logins: Logins) -> None:
    """The client is killed: within seconds nothing of the login runs on the box, with a terminal or without."""
    running = "pgrep -a -u weir -f -- '--ticket' || true"
    for options, words in ((("-tt",), []), ((), ["instance logs first -f"])):
        command = [*logins.command("owner", *options), *words]
        line = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        try:
            _until(lambda: bool(logins.machine.run(running).strip()), 20)
        finally:
            line.kill()
            line.communicate()
        _until(lambda: not logins.machine.run(running).strip(), 10)


def test_a_line_that_falls_silent_is_given_up_within_a_minute(logins: Logins) -> None:
    """The client is frozen: it neither ends its connection nor answers."""
    running = "pgrep -a -u weir -f -- '--ticket' || true"
    line = subprocess.Popen(logins.command("owner", "-tt"), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        _until(lambda: bool(logins.machine.run(running).strip()), 20)
        line.send_signal(signal.SIGSTOP)
        _until(lambda: not logins.machine.run(running).strip(), 62)
    finally:
        line.kill()
        line.communicate()


def test_while_weir_is_down_administrators_reach_the_doctor(logins: Logins) -> None:
    broken = "printf 'nonsense = 1\\n' >/etc/weir/config.d/zz.toml; systemctl restart weir.service"
    logins.machine.run(broken, check=False)
    try:
        for words in ((), ("instance", "list"), ("; id",)):
            done = logins("admin", *words)
            assert done.code == 1 and "does not answer" in done.err and "nonsense" in done.out, done
            assert "not looked at" not in done.out and "database" in done.out and "STATE" not in done.out
        assert logins("owner", "status").code == 255
    finally:
        logins.machine.run("rm /etc/weir/config.d/zz.toml; systemctl reset-failed weir.service; systemctl restart weir")
    _until(lambda: logins("admin", "status").code == 0, 60)


def _until(check: Callable[[], bool], within_s: float) -> None:
    deadline = time.monotonic() + within_s
    while not check():
        assert time.monotonic() < deadline
        time.sleep(0.3)
