"""Who may be reached through nginx: an instance whose Node-RED was seen to own its port, and nobody else.

nginx serves an instance while the file `run/up/<id>` exists, so neither way needs a reload.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from appliance.reconcile.observed import Observed
from appliance.system import sockets
from appliance.system.pidfd import stat
from appliance.tasks import Tasks

TRIES = 20
PAUSE_S = 0.05


class SocketGate:
    """See `observed.Gate`. Flags outlive the appliance: a running instance stays reachable while it restarts."""

    def __init__(self, directory: Path, observed: Observed, tasks: Tasks) -> None:
        self._directory = directory
        self._observed = observed
        self._tasks = tasks
        self._verifying: set[str] = set()

    def open(self) -> None:
        """Raises OSError."""
        # nginx's workers may have an account of their own; there are only ids to see here.
        self._directory.mkdir(mode=0o755, parents=True, exist_ok=True)

    def raised(self) -> list[str]:
        """Who is let through now."""
        return [path.name for path in self._directory.iterdir()]

    def lower(self, instance_id: str) -> None:
        (self._directory / instance_id).unlink(missing_ok=True)

    def verify(self, instance_id: str) -> None:
        if instance_id not in self._verifying:
            self._verifying.add(instance_id)
            self._tasks.start(f"verify the port of {instance_id}", self._verify(instance_id))

    async def _verify(self, instance_id: str) -> None:
        try:
            for attempt in range(TRIES):
                if attempt:
                    await asyncio.sleep(PAUSE_S)
                if await self._settled(instance_id):
                    return
            self._refuse(instance_id)
        finally:
            self._verifying.discard(instance_id)

    async def _settled(self, instance_id: str) -> bool:
        """True when there is nothing more to find out."""
        entry = self._observed.entry(instance_id)
        if entry is None or not entry.could_serve:
            return True
        assert entry.report is not None
        launcher, node_red = entry.observation.pid, entry.report.node_red_pid
        assert launcher is not None
        assert node_red is not None
        if not await asyncio.to_thread(_owns_port, launcher, node_red, entry.spec.node_red_port):
            return False
        if not entry.could_serve or entry.report.node_red_pid != node_red:
            return False  # another Node-RED meanwhile: look at that one
        (self._directory / instance_id).touch(mode=0o644)
        self._observed.serving(instance_id, node_red)
        return True

    def _refuse(self, instance_id: str) -> None:
        self.lower(instance_id)
        if (entry := self._observed.entry(instance_id)) is not None:
            port = entry.spec.node_red_port
            who = f"see who has it: ss -ltnp 'sport = :{port}'"
            self._observed.serving(instance_id, None, f"port {port} does not belong to this instance's Node-RED; {who}")


def _owns_port(launcher_pid: int, node_red_pid: int, port: int) -> bool:
    """Whether what listens on `port` is held by that child of the launcher."""
    seen = stat(node_red_pid)
    inode = sockets.listener_inode(port)
    return seen is not None and seen.ppid == launcher_pid and inode is not None and sockets.owns(node_red_pid, inode)
