"""systemd, asked through `systemctl`: a process for each question costs nothing while nobody asks, and no library.

Which verbs on which units are allowed is decided by polkit (`systemd/50-weir.rules`).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
from collections.abc import Mapping, Sequence

from msgspec import Struct

DEADLINE_S = 30.0
CLEAN_S = 300.0  # a large directory on a slow card
SHOWN = "Id,LoadState,ActiveState,SubState,Result,InvocationID,MainPID,ExecMainCode,ExecMainStatus,Job"
_KILLED, _DUMPED = 2, 3  # CLD_KILLED, CLD_DUMPED


class UnitsUnavailable(Exception):
    """systemd did not answer, or refused; the text is what it said."""


class Unit(Struct, frozen=True):
    """One unit as systemd sees it. `main_pid` 0: none runs. `exit_code`: of the last main process, negative for a
    signal; None where none has ended since it was loaded. `queued`: systemd has still to do something about it."""

    name: str
    active: str
    result: str
    invocation: str
    main_pid: int
    exit_code: int | None
    queued: bool = False

    @property
    def starting(self) -> bool:
        """Whether systemd is about to start it, or does so now: at a boot after the units that it comes after."""
        return not self.main_pid and (self.active == "activating" or (self.queued and not self.runs))

    @property
    def runs(self) -> bool:
        """Whether something of it may still run, or is about to."""
        return self.active not in ("inactive", "failed")


class Systemctl:
    """The verbs that Weir uses; all but `run` block. `prefix`: a program that runs `systemctl` as somebody else."""

    def __init__(self, prefix: Sequence[str] = ()) -> None:
        self._argv = (*prefix, "systemctl", "--no-ask-password", "--no-pager")

    def start(self, unit: str) -> None:
        """Start it and wait until its program runs. Raises UnitsUnavailable with systemd's reason."""
        self._call("start", "--", unit)

    def begin_stop(self, unit: str) -> None:
        """Have systemd end it, and don't wait. Raises UnitsUnavailable."""
        self._call("stop", "--no-block", "--", unit)

    def stop(self, unit: str, deadline_s: float) -> None:
        """Returns when nothing of it is left, at once for one that does not run. Raises UnitsUnavailable."""
        self._call("stop", "--", unit, deadline_s=deadline_s)

    def kill(self, unit: str) -> None:
        """SIGKILL to everything in its cgroup; harmless when nothing is."""
        with contextlib.suppress(UnitsUnavailable):
            self._call("kill", "--signal=SIGKILL", "--", unit)

    def reset_failed(self, unit: str) -> None:
        """Have systemd forget that it failed."""
        with contextlib.suppress(UnitsUnavailable):  # it was not loaded: nothing to forget
            self._call("reset-failed", "--", unit)

    def clean(self, unit: str) -> None:
        """Remove its state directory. Raises UnitsUnavailable, also while it runs."""
        self._call("clean", "--what=state", "--", unit, deadline_s=CLEAN_S)

    def set_properties(self, unit: str, properties: Sequence[str]) -> None:
        """`NAME=VALUE` each: at once for a unit that runs, and kept over a boot. Raises UnitsUnavailable."""
        self._call("set-property", "--", unit, *properties)

    async def run(self, *arguments: str) -> str:
        """What one command printed. Raises UnitsUnavailable."""
        return await asyncio.to_thread(self._call, *arguments)

    def show(self, *names: str, properties: str = SHOWN) -> list[dict[str, str]]:
        """Properties of these units (patterns find loaded ones only). Raises UnitsUnavailable."""
        blocks = self._call("show", f"--property={properties}", "--", *names).split("\n\n")
        return [dict(_pair(line) for line in block.splitlines() if "=" in line) for block in blocks if block.strip()]

    def _call(self, *arguments: str, deadline_s: float = DEADLINE_S) -> str:
        argv = (*self._argv, *arguments)
        try:
            done = subprocess.run(
                argv,
                capture_output=True,
                timeout=deadline_s,
                check=False,
                stdin=subprocess.DEVNULL,
                # It would speak to systemd as if it were the service.
                env={name: value for name, value in os.environ.items() if name != "NOTIFY_SOCKET"},
            )
        except OSError as error:
            raise UnitsUnavailable(f"systemctl can't be run: {error.strerror}") from error
        except subprocess.TimeoutExpired as error:
            raise UnitsUnavailable(f"systemctl {arguments[0]} did not answer within {deadline_s:g} s") from error
        if done.returncode:
            raise UnitsUnavailable(_reason(done.stderr) or f"systemctl {arguments[0]} failed")
        return done.stdout.decode(errors="replace")

    def units(self, *names: str) -> list[Unit]:
        """These units as they are now. Raises UnitsUnavailable."""
        return [unit_of(shown) for shown in self.show(*names) if shown.get("Id")]


def unit_of(shown: Mapping[str, str]) -> Unit:
    """A unit from what `systemctl show` printed of it."""
    return Unit(
        name=shown["Id"],
        active=shown.get("ActiveState", ""),
        result=shown.get("Result", ""),
        invocation=shown.get("InvocationID", ""),
        main_pid=int(shown.get("MainPID") or 0),
        exit_code=_exit_code(shown),
        queued=shown.get("Job", "0") not in ("", "0"),
    )


def _exit_code(shown: Mapping[str, str]) -> int | None:
    code, status = int(shown.get("ExecMainCode") or 0), int(shown.get("ExecMainStatus") or 0)
    if not code:
        return None
    return -status if code in (_KILLED, _DUMPED) else status


def _pair(line: str) -> tuple[str, str]:
    name, _, value = line.partition("=")
    return name, value


def _reason(said: bytes) -> str:
    """The first line says what is wrong; those after it are advice for people at a terminal."""
    lines = said.decode(errors="replace").strip().splitlines()
    return lines[0].strip() if lines else ""
