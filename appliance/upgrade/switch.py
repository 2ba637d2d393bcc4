"""The switch to another release: rehearse, switch, look, and switch back when it does not hold.

The old release serves until the moment of the restart; sockets are systemd's, so clients wait. Instances are units of
their own and are not touched. What was begun is written down first, so that a boot after a power cut brings it to its
end, by the release that worked (`weir-upgrade.service`).
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from appliance import boxapi
from appliance.config import Home
from appliance.errors import Unavailable, WeirError
from appliance.upgrade.releases import Journal, Releases

Say = Callable[[str], None]

SERVICE = "weir.service"
DOORS = ("weir.socket", "weir-web.socket")
START_S = 200.0
LOOK_S = 60.0  # by then all must be well
BOOT_LOOK_S = 300.0  # for instances at a boot, where every one starts, and some wait for others
STALE_S = 86400.0  # an upgrade that nobody has judged for so long: people have worked with it since
HOLD_S = 5.0  # and stay so
PLACE_S = 120.0
DOORS_S = 30.0
RUNNING = frozenset({"running", "safe"})
NOT_UP = "instances that ran before do not run now"
ENDED_ON_PURPOSE = frozenset({"stopped", "suspended"})  # by somebody, or by a quota: not by the release
# As the service's account, in a session of its own: it must not reach root's terminal.
AS_WEIR = ("setsid", "--wait", "setpriv", "--reuid=_weir", "--regid=_weir", "--init-groups", "--no-new-privs")


class Failed(Unavailable):
    """A release does not hold, or can't be put in place; the text says why."""

    code = "upgrade_failed"


class Switch:
    """One box. Blocking. `say` is told each step."""

    def __init__(self, home: Home, releases: Releases, say: Say) -> None:
        self._home = home
        self._releases = releases
        self._say = say

    def to(self, release: Path) -> None:
        """Use `release` from now on. Raises WeirError when it does not hold; then the one before is in use again, with
        the database as it was."""
        said = self.resume()  # one that was killed: nobody has judged what is in use
        before = self._releases.in_use()
        if said:
            self._say(said)
            if before == release:
                return
        if before is None or before == release:
            raise Unavailable("there is nothing to switch from", hint="Run install.sh.")
        self._say(f"trying the migration of the database on a copy, with {release.name}")
        self._database(release, "rehearse")
        journal = Journal(
            before=before.name,
            after=release.name,
            schema=self._database(release, "schema").strip(),
            began_at=time.time(),
            running=self._running(),
        )
        self._releases.begin(journal)
        self._say(f"switching from {before.name} to {release.name}; instances keep running")
        try:
            self._use(release)
            self.judge(journal)
        except (WeirError, OSError, subprocess.SubprocessError) as error:
            self._back(journal, str(error))
            raise Unavailable(
                f"{release.name} does not hold: {error}",
                code="upgrade_failed",
                hint=f"{before.name} is in use again, with the database as it was. "
                "See: journalctl -u weir.service --since -10min",
            ) from error

    def resume(self) -> str:
        """Bring an upgrade that was interrupted to its end; what came of it, empty when there was none."""
        journal = self._releases.begun()
        if journal is None:
            return ""
        in_use = self._releases.in_use()
        if in_use is None or in_use.name != journal.after:
            self._back(journal, "it was interrupted")
            return f"the upgrade to {journal.after} was interrupted: {journal.before} is in use"
        try:
            self.judge(journal, BOOT_LOOK_S)
        except (WeirError, OSError, subprocess.SubprocessError) as error:
            if self._would_lose(journal):
                self._releases.end()
                return (
                    f"{journal.after} does not hold ({error}). It stays in use: the database is of another schema, and "
                    "going back would lose what was done since the upgrade was interrupted. Type: weir doctor"
                )
            self._back(journal, str(error))
            return f"{journal.after} does not hold ({error}): {journal.before} is in use again"
        return f"the upgrade to {journal.after} holds"

    def _would_lose(self, journal: Journal) -> bool:
        """Whether the database of before the upgrade is too old to be put back unasked."""
        if time.time() - journal.began_at < STALE_S:
            return False
        return self._database(self._releases.named(journal.after), "schema").strip() != journal.schema

    def judge(self, journal: Journal, instances_s: float = 0.0) -> None:
        """Return when the release in use serves as it should, and the upgrade is done. Raises Failed when it does not
        within a minute; where nothing but instances is missing, within `instances_s` if that is longer."""
        self._say("looking whether it holds")
        began = since = time.monotonic()
        pid, deadline = 0, began + LOOK_S
        while not pid or time.monotonic() - since < HOLD_S:
            # Who asks waits in systemd's socket while the service dies and comes back: only the process tells.
            seen = _main_pid(SERVICE)
            why = self._wrong(journal, seen)
            if why or seen != pid:
                since, pid = time.monotonic(), 0 if why else seen
            if why:
                deadline = began + (max(LOOK_S, instances_s) if why.startswith(NOT_UP) else LOOK_S)
            if time.monotonic() > deadline and (why or time.monotonic() > deadline + HOLD_S):
                raise Failed(why or "the service ends again and again")
            time.sleep(0.5)
        self._releases.end()

    def _wrong(self, journal: Journal, pid: int) -> str:
        """What is not as it should be, empty when all is."""
        try:
            status: dict[str, Any] = boxapi.get(self._home, "/box/status")
        except WeirError as error:
            return error.message
        release = self._releases.in_use()
        runs = _program(pid)
        if release is None or not runs.startswith(f"{release}/"):
            return f"the service runs from {runs or 'nowhere'}"
        states = {each["id"]: each["state"] for each in status["instances"]}
        ended = [each for each in journal.running if states.get(each) not in RUNNING | ENDED_ON_PURPOSE]
        if ended:
            return f"{NOT_UP}: {', '.join(ended)}"
        problems = [each["key"] for each in status["problems"]]
        bad = [key for key in problems if key in ("nginx_silent", "database", "proxy.config", "proxy.tls")]
        return f"problems: {', '.join(bad)}" if bad else ""

    def _back(self, journal: Journal, why: str) -> None:
        """The release before, and the database as it was. Raises WeirError when even that can't be had."""
        self._say(f"{journal.after} does not hold ({why}); going back to {journal.before}")
        before = self._releases.named(journal.before)
        # The sockets too: whoever knocks would start the service while its database is put back.
        _systemctl("stop", *DOORS, SERVICE)
        try:
            said = self._database(before, "restore", journal.schema, str(journal.began_at)).strip()
            if said:
                self._say(said)
            self._releases.use(before)
            self._place(before)
        finally:  # a full disk, a copy that is not there: whatever could not be done, nobody must find the box closed
            _open_doors()
            _systemctl("start", SERVICE, timeout_s=START_S)
        self._releases.end()

    def _use(self, release: Path) -> None:
        self._releases.use(release)
        self._place(release)
        _systemctl("restart", SERVICE, timeout_s=START_S)

    def _place(self, release: Path) -> None:
        """Units, rules and links of this release, by its own installer."""
        done = subprocess.run(
            ["bash", str(release / "install.sh"), "--place"],
            capture_output=True,
            text=True,
            timeout=PLACE_S,
            stdin=subprocess.DEVNULL,
            check=False,
        )
        if done.returncode != 0:
            raise Failed(f"its units can't be placed: {_last(done.stderr)}")

    def _running(self) -> tuple[str, ...]:
        """The instances that run now; none when the box does not answer, which is a reason to upgrade."""
        try:
            instances = boxapi.get(self._home, "/box/status")["instances"]
        except WeirError:
            return ()
        return tuple(each["id"] for each in instances if each["state"] in RUNNING)

    def _database(self, release: Path, verb: str, *arguments: str) -> str:
        """A verb of `appliance.upgrade` by that release, as the service's account. Raises Unavailable."""
        command = [*AS_WEIR, str(release / "bin/python"), "-I", "-m", "appliance.upgrade", verb, *arguments]
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=900, stdin=subprocess.DEVNULL, check=False
        )
        if done.returncode != 0:
            raise Unavailable(
                f"{release.name} can't {verb} the database: {_last(done.stderr)}",
                code="upgrade_failed",
                hint="Nothing was changed by it. Mend the cause and try again.",
            )
        return done.stdout


def _systemctl(verb: str, *units: str, timeout_s: float = 90.0) -> None:
    command: Sequence[str] = ("systemctl", "--no-ask-password", verb, *units)
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=timeout_s, stdin=subprocess.DEVNULL, check=False
    )
    if done.returncode != 0:
        raise Failed(f"systemctl {verb} {' '.join(units)}: {_last(done.stderr)}")


def _open_doors() -> None:
    """The sockets, however long their ports stay taken: a program that systemd starts at a boot may hold for a moment
    what it has inherited. Raises Failed after half a minute."""
    deadline = time.monotonic() + DOORS_S
    while True:
        try:
            return _systemctl("start", *DOORS)
        except Failed:
            if time.monotonic() > deadline:
                raise
        time.sleep(0.5)
        _systemctl("reset-failed", *DOORS)


def _main_pid(unit: str) -> int:
    """Of the unit's main process; 0 while it has none."""
    command = ["systemctl", "show", "--property=MainPID", "--value", unit]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False).stdout.strip()
    return int(shown) if shown.isdigit() else 0


def _program(pid: int) -> str:
    """The first word of the command line of a process; the service's got its by the real path of its release."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0].decode(errors="replace")
    except OSError:
        return ""


def _last(said: str) -> str:
    lines = [line.strip() for line in said.strip().splitlines() if line.strip()]
    return lines[-1] if lines else "it said nothing"
