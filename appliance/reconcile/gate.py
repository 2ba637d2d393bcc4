"""Who may be reached through nginx: an instance whose own socket was seen on its port, and nobody else.

nginx serves an instance while the file `run/up/<id>` exists, so neither way needs a reload. Proven is a socket that
the launcher's Node-RED holds. The launcher keeps that socket when Node-RED ends, so while it says that the next one
is coming (`holding`) the same socket is proof enough: clients wait in it. What an instance with a user of its own holds
can't be looked at; there the socket's user is the proof. The file says which launcher and which
socket were proven, so that an appliance that starts anew need not shut anybody out to find out again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from enum import Enum, auto
from functools import partial
from pathlib import Path

from msgspec import Struct

from appliance.reconcile.entry import Entry
from appliance.reconcile.observed import Observed
from appliance.system import sockets, tree
from appliance.system.pidfd import stat
from appliance.system.sockdiag import Listening
from appliance.tasks import Tasks

log = logging.getLogger(__name__)

TRIES = 20
PAUSE_S = 0.05
HOLD_S = 60.0


class Proof(Struct, frozen=True):
    """The listening socket that was seen to be this instance's, and whose."""

    launcher_pid: int
    inode: int


class Claim(Struct, frozen=True):
    """What an instance says of its port. Without `node_red_pid` the launcher holds it; or, when it is `plain`, some
    child of it does and the launcher does not say which."""

    launcher_pid: int
    node_red_pid: int | None
    port: int
    plain: bool = False


class Found(Enum):
    """What a look at a port came to."""

    SETTLED = auto()  # there is nothing more to find out
    OURS = auto()  # the socket that was proven before, and nobody yet of whom more could be said
    STRANGER = auto()


class SocketGate:
    """See `observed.Gate`. Flags outlive the appliance: a running instance stays reachable while it restarts."""

    def __init__(self, directory: Path, observed: Observed, tasks: Tasks, hold_s: float = HOLD_S) -> None:
        self._directory = directory
        self._observed = observed
        self._tasks = tasks
        self._hold_s = hold_s
        self._verifying: set[str] = set()
        self._proofs: dict[str, Proof] = {}

    def open(self) -> None:
        """Read what was proven before. Raises OSError."""
        # nginx's workers may have an account of their own; there are only ids and numbers to see here.
        self._directory.mkdir(mode=0o755, parents=True, exist_ok=True)
        for instance_id in self.raised():
            if (proof := _read(self._directory / instance_id)) is not None:
                self._proofs[instance_id] = proof

    def raised(self) -> list[str]:
        """Who is let through now."""
        return [path.name for path in self._directory.iterdir()]

    def lower(self, instance_id: str) -> None:
        (self._directory / instance_id).unlink(missing_ok=True)
        if self._observed.entry(instance_id) is None:
            self._proofs.pop(instance_id, None)

    def verify(self, instance_id: str) -> None:
        entry, proof = self._observed.entry(instance_id), self._proofs.get(instance_id)
        if entry is None or proof is None or proof.launcher_pid != entry.observation.pid:
            self.lower(instance_id)
        if instance_id not in self._verifying:
            self._verifying.add(instance_id)
            self._tasks.start(f"verify the port of {instance_id}", self._verify(instance_id))

    async def _verify(self, instance_id: str) -> None:
        try:
            for attempt in range(TRIES):
                if attempt:
                    await asyncio.sleep(PAUSE_S)
                if (found := await self._look(instance_id)) is Found.SETTLED:
                    return
            # In the socket that was proven, clients wait for the launcher to notice what happened to its Node-RED.
            if found is Found.STRANGER:
                self._refuse(instance_id)
        finally:
            self._verifying.discard(instance_id)

    async def _look(self, instance_id: str) -> Found:
        entry = self._observed.entry(instance_id)
        if entry is None or not entry.may_pass:
            return Found.SETTLED
        claim = _claim(entry)
        try:
            proof, ours, node_red_pid = await asyncio.to_thread(_prove, claim, self._proofs.get(instance_id))
        except OSError as error:  # no descriptors to look with: whoever is let through stays so until the next look
            log.warning("instance %s: whose its port is can't be seen: %s", instance_id, error.strerror)
            return Found.OURS
        if not entry.may_pass or self._observed.entry(instance_id) is not entry or _claim(entry) != claim:
            return Found.OURS  # another Node-RED meanwhile: look at that one
        if proof is None and not ours:
            self.lower(instance_id)
            return Found.STRANGER
        if proof is None:
            return Found.OURS
        self._raise(instance_id, proof)
        self._tell(entry, claim.launcher_pid, node_red_pid)
        return Found.SETTLED

    def _raise(self, instance_id: str, proof: Proof) -> None:
        flag = self._directory / instance_id
        if self._proofs.get(instance_id) != proof or not flag.exists():
            self._proofs[instance_id] = proof
            _write(flag, proof)

    def _tell(self, entry: Entry, launcher_pid: int, node_red_pid: int | None) -> None:
        if node_red_pid is not None:
            self._observed.serving(entry.spec.id, node_red_pid)
        elif entry.held_by is None and (since := entry.holding_since) is not None:
            self._observed.held(entry.spec.id, launcher_pid)
            message = f"No Node-RED took over within {self._hold_s:.0f} s; the instance's log says why."
            end = partial(self._observed.held_too_long, entry.spec.id, since, message)
            asyncio.get_running_loop().call_later(self._hold_s, end)

    def _refuse(self, instance_id: str) -> None:
        entry = self._observed.entry(instance_id)
        if entry is None or not entry.may_pass:
            return
        self.lower(instance_id)
        port = entry.spec.node_red_port
        who = f"see who has it: ss -ltnp 'sport = :{port}'"
        self._observed.serving(instance_id, None, f"port {port} does not belong to this instance's Node-RED; {who}")


def _claim(entry: Entry) -> Claim:
    report, launcher_pid = entry.own_report, entry.observation.pid
    assert report is not None  # it may pass
    assert launcher_pid is not None
    node_red_pid = report.node_red_pid if entry.could_serve else None
    return Claim(launcher_pid, node_red_pid, entry.spec.node_red_port, report.plain)


def _prove(claim: Claim, known: Proof | None) -> tuple[Proof | None, bool, int | None]:
    """The proof for `claim`, or None; whether what listens is at least the socket that was proven before; and the
    Node-RED that listens."""
    # A published launcher lets Node-RED listen on all addresses.
    found = sockets.any_listener(claim.port) if claim.plain else sockets.listener(claim.port)
    if found is None:
        return None, False, None
    proof = Proof(claim.launcher_pid, found.inode)
    if claim.node_red_pid is None and not claim.plain:
        holds = proof == known or sockets.holds(claim.launcher_pid, found)
        return proof if holds else None, proof == known, None
    children = tree.children(claim.launcher_pid) if claim.plain else [claim.node_red_pid]
    owner = next((pid for pid in children if pid is not None and _listens(pid, claim.launcher_pid, found)), None)
    return proof if owner is not None else None, proof == known, owner


def _listens(pid: int, launcher_pid: int, found: Listening) -> bool:
    seen = stat(pid)
    return seen is not None and seen.ppid == launcher_pid and sockets.holds(pid, found)


def _read(flag: Path) -> Proof | None:
    try:
        launcher_pid, inode = (int(word) for word in flag.read_text("ascii").split())
    except (OSError, ValueError):
        return None
    return Proof(launcher_pid, inode)


def _write(flag: Path, proof: Proof) -> None:
    with contextlib.closing(os.fdopen(os.open(flag, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644), "w")) as file:
        file.write(f"{proof.launcher_pid} {proof.inode}\n")
